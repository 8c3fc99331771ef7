// What the 1×1 conv skips, the 3×3 conv before it need not compute: it takes the stride.
// passes: commute-linear
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x8x8xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x3x3xf32>} : () -> tensor<2x2x3x3xf32>
    %w2 = "onnx.Constant"() {value = dense<2.0> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %a = "onnx.Conv"(%x, %w1) {pads = [1, 1, 1, 1], onnx_node_name = "first"} : (tensor<1x2x8x8xf32>, tensor<2x2x3x3xf32>) -> tensor<1x2x8x8xf32>
    %b = "onnx.Relu"(%a) {onnx_node_name = "between"} : (tensor<1x2x8x8xf32>) -> tensor<1x2x8x8xf32>
    %y = "onnx.Conv"(%b, %w2) {strides = [2, 2], onnx_node_name = "second"} : (tensor<1x2x8x8xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x8x8xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x3x3xf32>} : () -> tensor<2x2x3x3xf32>
    %a = "onnx.Conv"(%x, %w1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2], onnx_node_name = "first"} : (tensor<1x2x8x8xf32>, tensor<2x2x3x3xf32>) -> tensor<1x2x4x4xf32>
    %b = "onnx.Relu"(%a) {onnx_node_name = "between"} : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %w2 = "onnx.Constant"() {value = dense<2.0> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %y = "onnx.Conv"(%b, %w2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1], onnx_node_name = "second"} : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
