// Sixteen equal filters are one and a 1×1 conv, for every size.
// passes: factor-kernels{kinds=low-rank-out,low-rank-in}
// rewrites: 2
// declined: 1 × the factors would not cost less

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 5], ["w", 6]]} {
  func.func @main_graph(%x: tensor<1x4x?x?xf32> {onnx.name = "x", onnx.dim_params = "2:h,3:w"}) -> (tensor<1x16x?x?xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.0625> : tensor<16x4x2x2xf32>} : () -> tensor<16x4x2x2xf32>
    %y = "onnx.Conv"(%x, %w) {pads = [1, 0, 0, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x4x?x?xf32>, tensor<16x4x2x2xf32>) -> tensor<1x16x?x?xf32>
    func.return %y : tensor<1x16x?x?xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 5], ["w", 6]]} {
  func.func @main_graph(%x: tensor<1x4x?x?xf32> {onnx.name = "x", onnx.dim_params = "2:h,3:w"}) -> (tensor<1x16x?x?xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %0 = "onnx.Conv"(%x, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x4x?x?xf32>, tensor<1x4x1x1xf32>) -> tensor<1x1x?x?xf32>
    %w_1 = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x2x2xf32>, onnx.names = ["w"]} : () -> tensor<1x1x2x2xf32>
    %1 = "onnx.Conv"(%0, %w_1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 2], pads = [1, 0, 0, 1], strides = [1, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?x?xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x?x?xf32>
    %w_2 = "onnx.Constant"() {value = dense<0.25> : tensor<16x1x1x1xf32>, onnx.names = ["w"]} : () -> tensor<16x1x1x1xf32>
    %y = "onnx.Conv"(%1, %w_2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?x?xf32>, tensor<16x1x1x1xf32>) -> tensor<1x16x?x?xf32>
    func.return %y : tensor<1x16x?x?xf32>
  }
}
