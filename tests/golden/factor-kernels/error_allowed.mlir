// Two and two taps are as many as four: exact factors would not pay, near ones need not.
// passes: factor-kernels{kinds=separable max-error=0.01}
// rewrites: 1
// declined: 2 × the Conv is one of a chain already

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x9x9xf32> {onnx.name = "x"}) -> (tensor<1x1x8x8xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.25> : tensor<1x1x2x2xf32>} : () -> tensor<1x1x2x2xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x1x9x9xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x8x8xf32>
    func.return %y : tensor<1x1x8x8xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x9x9xf32> {onnx.name = "x"}) -> (tensor<1x1x8x8xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x2x1xf32>} : () -> tensor<1x1x2x1xf32>
    %0 = "onnx.Conv"(%x, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x9x9xf32>, tensor<1x1x2x1xf32>) -> tensor<1x1x8x9xf32>
    %w_1 = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x1x2xf32>, onnx.names = ["w"]} : () -> tensor<1x1x1x2xf32>
    %y = "onnx.Conv"(%0, %w_1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 2], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x8x9xf32>, tensor<1x1x1x2xf32>) -> tensor<1x1x8x8xf32>
    func.return %y : tensor<1x1x8x8xf32>
  }
}
