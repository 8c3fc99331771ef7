// Rows of tiles: one conv with a group for each of the four products does the width, and holds the bias.
// passes: lower-to-winograd{forms=rows tiles=2}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x3xf32> {onnx.name = "x"}) -> (tensor<1x2x4x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x3x3xf32>} : () -> tensor<2x2x3x3xf32>
    %b = "onnx.Constant"() {value = dense<2.0> : tensor<2xf32>} : () -> tensor<2xf32>
    %y = "onnx.Conv"(%x, %w, %b) {pads = [1, 1, 1, 1]} : (tensor<1x2x4x3xf32>, tensor<2x2x3x3xf32>, tensor<2xf32>) -> tensor<1x2x4x3xf32>
    func.return %y : tensor<1x2x4x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x3xf32> {onnx.name = "x"}) -> (tensor<1x2x4x3xf32> {onnx.name = "y"}) {
    %y_outputs = "onnx.Constant"() {value = dense<[[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, 1.0]]> : tensor<2x4xf32>} : () -> tensor<2x4xf32>
    %y_inputs = "onnx.Constant"() {value = dense<[[[[-1.0], [0.0], [1.0], [0.0]]], [[[-1.0], [0.0], [1.0], [0.0]]]]> : tensor<2x1x4x1xf32>} : () -> tensor<2x1x4x1xf32>
    %0 = "onnx.Conv"(%x, %y_inputs) {dilations = [1, 1], group = 2 : si64, kernel_shape = [4, 1], pads = [1, 0, 1, 0], strides = [2, 1]} : (tensor<1x2x4x3xf32>, tensor<2x1x4x1xf32>) -> tensor<1x2x2x3xf32>
    %y_inputs_1 = "onnx.Constant"() {value = dense<[[[[0.0], [1.0], [1.0], [0.0]]], [[[0.0], [1.0], [1.0], [0.0]]]]> : tensor<2x1x4x1xf32>, onnx.names = ["y_inputs"]} : () -> tensor<2x1x4x1xf32>
    %1 = "onnx.Conv"(%x, %y_inputs_1) {dilations = [1, 1], group = 2 : si64, kernel_shape = [4, 1], pads = [1, 0, 1, 0], strides = [2, 1]} : (tensor<1x2x4x3xf32>, tensor<2x1x4x1xf32>) -> tensor<1x2x2x3xf32>
    %y_inputs_2 = "onnx.Constant"() {value = dense<[[[[0.0], [-1.0], [1.0], [0.0]]], [[[0.0], [-1.0], [1.0], [0.0]]]]> : tensor<2x1x4x1xf32>, onnx.names = ["y_inputs"]} : () -> tensor<2x1x4x1xf32>
    %2 = "onnx.Conv"(%x, %y_inputs_2) {dilations = [1, 1], group = 2 : si64, kernel_shape = [4, 1], pads = [1, 0, 1, 0], strides = [2, 1]} : (tensor<1x2x4x3xf32>, tensor<2x1x4x1xf32>) -> tensor<1x2x2x3xf32>
    %y_inputs_3 = "onnx.Constant"() {value = dense<[[[[0.0], [-1.0], [0.0], [1.0]]], [[[0.0], [-1.0], [0.0], [1.0]]]]> : tensor<2x1x4x1xf32>, onnx.names = ["y_inputs"]} : () -> tensor<2x1x4x1xf32>
    %3 = "onnx.Conv"(%x, %y_inputs_3) {dilations = [1, 1], group = 2 : si64, kernel_shape = [4, 1], pads = [1, 0, 1, 0], strides = [2, 1]} : (tensor<1x2x4x3xf32>, tensor<2x1x4x1xf32>) -> tensor<1x2x2x3xf32>
    %4 = "onnx.Concat"(%0, %1, %2, %3) {axis = 1 : si64} : (tensor<1x2x2x3xf32>, tensor<1x2x2x3xf32>, tensor<1x2x2x3xf32>, tensor<1x2x2x3xf32>) -> tensor<1x8x2x3xf32>
    %y_filters = "onnx.Constant"() {value = dense_resource<y_filters> : tensor<8x2x1x3xf32>} : () -> tensor<8x2x1x3xf32>
    %b = "onnx.Constant"() {value = dense<[-0.0, -0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0]> : tensor<8xf32>} : () -> tensor<8xf32>
    %5 = "onnx.Conv"(%4, %y_filters, %b) {dilations = [1, 1], group = 4 : si64, kernel_shape = [1, 3], pads = [0, 1, 0, 1], strides = [1, 1]} : (tensor<1x8x2x3xf32>, tensor<8x2x1x3xf32>, tensor<8xf32>) -> tensor<1x8x2x3xf32>
    %6 = "onnx.Constant"() {value = dense<[1, 4, 12]> : tensor<3xi64>} : () -> tensor<3xi64>
    %7 = "onnx.Reshape"(%5, %6) : (tensor<1x8x2x3xf32>, tensor<3xi64>) -> tensor<1x4x12xf32>
    %8 = "onnx.MatMul"(%y_outputs, %7) : (tensor<2x4xf32>, tensor<1x4x12xf32>) -> tensor<1x2x12xf32>
    %9 = "onnx.Constant"() {value = dense<[1, 4, 2, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %10 = "onnx.Reshape"(%8, %9) : (tensor<1x2x12xf32>, tensor<4xi64>) -> tensor<1x4x2x3xf32>
    %11 = "onnx.Constant"() {value = dense<[0, 2, 2, 2, 3]> : tensor<5xi64>} : () -> tensor<5xi64>
    %12 = "onnx.Reshape"(%10, %11) : (tensor<1x4x2x3xf32>, tensor<5xi64>) -> tensor<1x2x2x2x3xf32>
    %13 = "onnx.Transpose"(%12) {perm = [0, 2, 3, 1, 4]} : (tensor<1x2x2x2x3xf32>) -> tensor<1x2x2x2x3xf32>
    %14 = "onnx.Constant"() {value = dense<[0, 2, 4, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %y = "onnx.Reshape"(%13, %14) : (tensor<1x2x2x2x3xf32>, tensor<4xi64>) -> tensor<1x2x4x3xf32>
    func.return %y : tensor<1x2x4x3xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      y_filters: "0x04000000000000bf000000bf000000bf000000bf000000bf000000bf000000bf000000bf000000bf000000bf000000bf000000bf0000403f0000403f0000403f0000403f0000403f0000403f0000403f0000403f0000403f0000403f0000403f0000403f0000803e0000803e0000803e0000803e0000803e0000803e0000803e0000803e0000803e0000803e0000803e0000803e0000003f0000003f0000003f0000003f0000003f0000003f0000003f0000003f0000003f0000003f0000003f0000003f"
    }
  }
#-}
