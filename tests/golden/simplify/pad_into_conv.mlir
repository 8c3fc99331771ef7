// A Pad with zeros becomes the padding of the conv.
// passes: simplify
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x6x5xf32> {onnx.name = "y"}) {
    %p = "onnx.Constant"() {value = dense<[0, 0, 1, 0, 0, 0, 2, 2]> : tensor<8xi64>} : () -> tensor<8xi64>
    %a = "onnx.Pad"(%x, %p) {mode = "constant"} : (tensor<1x2x4x4xf32>, tensor<8xi64>) -> tensor<1x2x7x6xf32>
    %w = "onnx.Constant"() {value = dense<[[[[1.0, -1.0], [0.5, 2.0]], [[0.0, 1.0], [1.0, -0.5]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
    %y = "onnx.Conv"(%a, %w) {onnx_node_name = "conv"} : (tensor<1x2x7x6xf32>, tensor<1x2x2x2xf32>) -> tensor<1x1x6x5xf32>
    func.return %y : tensor<1x1x6x5xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x6x5xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, -1.0], [0.5, 2.0]], [[0.0, 1.0], [1.0, -0.5]]]]> : tensor<1x2x2x2xf32>} : () -> tensor<1x2x2x2xf32>
    %y = "onnx.Conv"(%x, %w) {pads = [1, 0, 2, 2], kernel_shape = [2, 2], onnx_node_name = "conv"} : (tensor<1x2x4x4xf32>, tensor<1x2x2x2xf32>) -> tensor<1x1x6x5xf32>
    func.return %y : tensor<1x1x6x5xf32>
  }
}
