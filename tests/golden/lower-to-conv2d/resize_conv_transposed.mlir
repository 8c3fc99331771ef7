// A repetition is a transposed conv with a kernel of ones, and 3×3 after it makes 4×4.
// passes: lower-to-conv2d{forms=resize-conv-transpose}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %r = "onnx.Constant"() {value = dense<> : tensor<0xf32>} : () -> tensor<0xf32>
    %s = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %a = "onnx.Resize"(%x, %r, %s) {coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"} : (tensor<1x1x2x3xf32>, tensor<0xf32>, tensor<4xf32>) -> tensor<1x1x4x6xf32>
    %y = "onnx.Conv"(%a, %w) {pads = [1, 1, 1, 1]} : (tensor<1x1x4x6xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[0.5, 1.0, 1.0, 0.5], [1.0, 2.0, 2.0, 1.0], [1.0, 2.0, 2.0, 1.0], [0.5, 1.0, 1.0, 0.5]]]]> : tensor<1x1x4x4xf32>} : () -> tensor<1x1x4x4xf32>
    %y = "onnx.ConvTranspose"(%x, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [4, 4], output_padding = [0, 0], pads = [1, 1, 1, 1], strides = [2, 2]} : (tensor<1x1x2x3xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}
