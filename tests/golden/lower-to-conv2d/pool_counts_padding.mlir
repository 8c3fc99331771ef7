// An average that counts the padding is a conv with equal weights.
// passes: lower-to-conv2d{forms=pool}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x3x3xf32> {onnx.name = "y"}) {
    %y = "onnx.AveragePool"(%x) {kernel_shape = [2, 2], pads = [1, 1, 1, 1], strides = [2, 2], count_include_pad = 1 : si64} : (tensor<1x2x4x4xf32>) -> tensor<1x2x3x3xf32>
    func.return %y : tensor<1x2x3x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x3x3xf32> {onnx.name = "y"}) {
    %y_weight = "onnx.Constant"() {value = dense<0.25> : tensor<2x1x2x2xf32>} : () -> tensor<2x1x2x2xf32>
    %y = "onnx.Conv"(%x, %y_weight) {dilations = [1, 1], group = 2 : si64, kernel_shape = [2, 2], pads = [1, 1, 1, 1], strides = [2, 2]} : (tensor<1x2x4x4xf32>, tensor<2x1x2x2xf32>) -> tensor<1x2x3x3xf32>
    func.return %y : tensor<1x2x3x3xf32>
  }
}
