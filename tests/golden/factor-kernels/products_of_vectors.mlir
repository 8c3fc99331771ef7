// All weights equal: one product of a vector for each axis and for the channels, which costs least.
// passes: factor-kernels
// rewrites: 1
// declined: 1 × the factors would not cost less

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x16x9x9xf32> {onnx.name = "x"}) -> (tensor<1x16x6x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.015625> : tensor<16x16x4x4xf32>} : () -> tensor<16x16x4x4xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x16x9x9xf32>, tensor<16x16x4x4xf32>) -> tensor<1x16x6x6xf32>
    func.return %y : tensor<1x16x6x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x16x9x9xf32> {onnx.name = "x"}) -> (tensor<1x16x6x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.25> : tensor<1x16x1x1xf32>} : () -> tensor<1x16x1x1xf32>
    %0 = "onnx.Conv"(%x, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x16x9x9xf32>, tensor<1x16x1x1xf32>) -> tensor<1x1x9x9xf32>
    %w_1 = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x4x1xf32>, onnx.names = ["w"]} : () -> tensor<1x1x4x1xf32>
    %1 = "onnx.Conv"(%0, %w_1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [4, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x9x9xf32>, tensor<1x1x4x1xf32>) -> tensor<1x1x6x9xf32>
    %w_2 = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x1x4xf32>, onnx.names = ["w"]} : () -> tensor<1x1x1x4xf32>
    %2 = "onnx.Conv"(%1, %w_2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 4], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x6x9xf32>, tensor<1x1x1x4xf32>) -> tensor<1x1x6x6xf32>
    %w_3 = "onnx.Constant"() {value = dense<0.25> : tensor<16x1x1x1xf32>, onnx.names = ["w"]} : () -> tensor<16x1x1x1xf32>
    %y = "onnx.Conv"(%2, %w_3) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x6x6xf32>, tensor<16x1x1x1xf32>) -> tensor<1x16x6x6xf32>
    func.return %y : tensor<1x16x6x6xf32>
  }
}
