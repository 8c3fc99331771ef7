// 1×1 to four channels, 3×3 of each, back to one: one 3×3.
// passes: fuse-convs
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x6x6xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0]]], [[[2.0]]], [[[-1.0]]], [[[0.5]]]]> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
    %w2 = "onnx.Constant"() {value = dense<1.0> : tensor<1x4x3x3xf32>} : () -> tensor<1x4x3x3xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x1x6x6xf32>, tensor<4x1x1x1xf32>) -> tensor<1x4x6x6xf32>
    %y = "onnx.Conv"(%a, %w2) {pads = [0, 0, 0, 0], onnx_node_name = "second"} : (tensor<1x4x6x6xf32>, tensor<1x4x3x3xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x6x6xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w2 = "onnx.Constant"() {value = dense<2.5> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %y = "onnx.Conv"(%x, %w2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [3, 3], pads = [0, 0, 0, 0], strides = [1, 1], onnx_node_name = "second"} : (tensor<1x1x6x6xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
