// A box filter of three channels: a column and a row, each with the stride, dilation and pads of its axis.
// passes: factor-kernels
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x3x9x12xf32> {onnx.name = "x"}) -> (tensor<1x3x5x11xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.0625> : tensor<3x1x4x4xf32>} : () -> tensor<3x1x4x4xf32>
    %b = "onnx.Constant"() {value = dense<0.5> : tensor<3xf32>} : () -> tensor<3xf32>
    %y = "onnx.Conv"(%x, %w, %b) {dilations = [1 : si64, 2 : si64], group = 3 : si64, pads = [1 : si64, 3 : si64, 2 : si64, 2 : si64], strides = [2 : si64, 1 : si64]} : (tensor<1x3x9x12xf32>, tensor<3x1x4x4xf32>, tensor<3xf32>) -> tensor<1x3x5x11xf32>
    func.return %y : tensor<1x3x5x11xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x3x9x12xf32> {onnx.name = "x"}) -> (tensor<1x3x5x11xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.25> : tensor<3x1x4x1xf32>} : () -> tensor<3x1x4x1xf32>
    %0 = "onnx.Conv"(%x, %w) {dilations = [1, 1], group = 3 : si64, kernel_shape = [4, 1], pads = [1, 0, 2, 0], strides = [2, 1]} : (tensor<1x3x9x12xf32>, tensor<3x1x4x1xf32>) -> tensor<1x3x5x12xf32>
    %w_1 = "onnx.Constant"() {value = dense<0.25> : tensor<3x1x1x4xf32>, onnx.names = ["w"]} : () -> tensor<3x1x1x4xf32>
    %b = "onnx.Constant"() {value = dense<0.5> : tensor<3xf32>} : () -> tensor<3xf32>
    %y = "onnx.Conv"(%0, %w_1, %b) {dilations = [1, 2], group = 3 : si64, kernel_shape = [1, 4], pads = [0, 3, 0, 2], strides = [1, 1]} : (tensor<1x3x5x12xf32>, tensor<3x1x1x4xf32>, tensor<3xf32>) -> tensor<1x3x5x11xf32>
    func.return %y : tensor<1x3x5x11xf32>
  }
}
