// Flattened channels last, as another framework exports it: the rows of the weights are reordered.
// passes: commute-linear
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x1x3xf32> {onnx.name = "x"}) -> (tensor<1x1xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]]> : tensor<6x1xf32>} : () -> tensor<6x1xf32>
    %s = "onnx.Constant"() {value = dense<[1, 6]> : tensor<2xi64>} : () -> tensor<2xi64>
    %a = "onnx.Transpose"(%x) {perm = [0, 2, 3, 1]} : (tensor<1x2x1x3xf32>) -> tensor<1x1x3x2xf32>
    %b = "onnx.Reshape"(%a, %s) : (tensor<1x1x3x2xf32>, tensor<2xi64>) -> tensor<1x6xf32>
    %y = "onnx.MatMul"(%b, %w) : (tensor<1x6xf32>, tensor<6x1xf32>) -> tensor<1x1xf32>
    func.return %y : tensor<1x1xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x1x3xf32> {onnx.name = "x"}) -> (tensor<1x1xf32> {onnx.name = "y"}) {
    %0 = "onnx.Constant"() {value = dense<[1, 6]> : tensor<2xi64>} : () -> tensor<2xi64>
    %1 = "onnx.Reshape"(%x, %0) : (tensor<1x2x1x3xf32>, tensor<2xi64>) -> tensor<1x6xf32>
    %w = "onnx.Constant"() {value = dense<[[1.0], [4.0], [16.0], [2.0], [8.0], [32.0]]> : tensor<6x1xf32>} : () -> tensor<6x1xf32>
    %y = "onnx.MatMul"(%1, %w) : (tensor<1x6xf32>, tensor<6x1xf32>) -> tensor<1x1xf32>
    func.return %y : tensor<1x1xf32>
  }
}
