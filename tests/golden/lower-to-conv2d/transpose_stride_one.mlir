// A crop of one is what is left of the full padding of two; the kernel is flipped.
// passes: lower-to-conv2d{forms=transpose}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x5xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0, 3.0]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %b = "onnx.Constant"() {value = dense<0.5> : tensor<1xf32>} : () -> tensor<1xf32>
    %y = "onnx.ConvTranspose"(%x, %w, %b) {pads = [0, 1, 0, 0]} : (tensor<1x1x4x5xf32>, tensor<1x1x1x3xf32>, tensor<1xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x5xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[3.0, 2.0, 1.0]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %b = "onnx.Constant"() {value = dense<[0.5]> : tensor<1xf32>} : () -> tensor<1xf32>
    %y = "onnx.Conv"(%x, %w, %b) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 3], pads = [0, 1, 0, 2], strides = [1, 1]} : (tensor<1x1x4x5xf32>, tensor<1x1x1x3xf32>, tensor<1xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}
