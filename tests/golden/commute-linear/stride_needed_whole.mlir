// Another user reads every position: the stride stays where it is.
// passes: commute-linear
// rewrites: 0
// declined: 1 × the value before the stride has a user that needs all of it

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x8x8xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}, tensor<1x2x8x8xf32> {onnx.name = "z"}) {
    %w1 = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %w2 = "onnx.Constant"() {value = dense<2.0> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x2x8x8xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x8x8xf32>
    %y = "onnx.Conv"(%a, %w2) {strides = [2, 2]} : (tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    %z = "onnx.Softmax"(%a) {axis = 3 : si64} : (tensor<1x2x8x8xf32>) -> tensor<1x2x8x8xf32>
    func.return %y, %z : tensor<1x1x4x4xf32>, tensor<1x2x8x8xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x8x8xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}, tensor<1x2x8x8xf32> {onnx.name = "z"}) {
    %w1 = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %w2 = "onnx.Constant"() {value = dense<2.0> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x2x8x8xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x8x8xf32>
    %y = "onnx.Conv"(%a, %w2) {strides = [2, 2]} : (tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    %z = "onnx.Softmax"(%a) {axis = 3 : si64} : (tensor<1x2x8x8xf32>) -> tensor<1x2x8x8xf32>
    func.return %y, %z : tensor<1x1x4x4xf32>, tensor<1x2x8x8xf32>
  }
}
