// The same, where no map is wanted.
// passes: fold-affine{border=decline}
// rewrites: 0
// declined: 1 × the shift before the padded Conv needs a border map (border=map makes one)

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %t = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 0.5, 0.0]], [[0.25, 1.0, -1.0]]]]> : tensor<1x2x1x3xf32>} : () -> tensor<1x2x1x3xf32>
    %a = "onnx.Add"(%x, %t) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Conv"(%a, %w) {pads = [0, 1, 0, 1]} : (tensor<1x2x4x4xf32>, tensor<1x2x1x3xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %t = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 0.5, 0.0]], [[0.25, 1.0, -1.0]]]]> : tensor<1x2x1x3xf32>} : () -> tensor<1x2x1x3xf32>
    %a = "onnx.Add"(%x, %t) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Conv"(%a, %w) {pads = [0, 1, 0, 1]} : (tensor<1x2x4x4xf32>, tensor<1x2x1x3xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
