// A kernel that is no column and row, but a 3×3 after a 3×3: the first has all of the padding.
// passes: factor-kernels
// rewrites: 1
// declined: 2 × a filter is no composition of two smaller ones
// declined: 2 × the filters are no sums of few separable ones
// declined: 2 × the kernel is not separable

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x12x12xf32> {onnx.name = "x"}) -> (tensor<1x1x12x12xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[0.0, 4.0, 2.0, -2.0, 0.0], [0.0, 0.0, 0.0, -1.0, -1.0], [4.0, 8.0, 0.0, 2.0, -3.0], [0.0, 2.0, 4.0, 2.0, -3.0], [0.0, -2.0, 2.0, 5.0, -2.0]]]]> : tensor<1x1x5x5xf32>} : () -> tensor<1x1x5x5xf32>
    %y = "onnx.Conv"(%x, %w) {pads = [2, 2, 2, 2]} : (tensor<1x1x12x12xf32>, tensor<1x1x5x5xf32>) -> tensor<1x1x12x12xf32>
    func.return %y : tensor<1x1x12x12xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x12x12xf32> {onnx.name = "x"}) -> (tensor<1x1x12x12xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[2.0, 2.0, 0.0], [0.0, 1.0, 1.0], [0.0, -1.0, 2.0]]]]> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %0 = "onnx.Conv"(%x, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [3, 3], pads = [2, 2, 2, 2], strides = [1, 1]} : (tensor<1x1x12x12xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x14x14xf32>
    %w_1 = "onnx.Constant"() {value = dense<[[[[0.0, 2.0, -1.0], [0.0, 0.0, -1.0], [2.0, 2.0, -1.0]]]]> : tensor<1x1x3x3xf32>, onnx.names = ["w"]} : () -> tensor<1x1x3x3xf32>
    %y = "onnx.Conv"(%0, %w_1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [3, 3], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x14x14xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x12x12xf32>
    func.return %y : tensor<1x1x12x12xf32>
  }
}
