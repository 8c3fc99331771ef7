// The conv pads with zeros, but linear interpolation continues the edge: they stay two.
// passes: lower-to-conv2d{forms=resize-conv-phases,resize-conv-stacked,resize-conv-transpose}
// rewrites: 0
// declined: 2 × the conv pads with zeros what the resize continues
// declined: 1 × the resize is no plain repetition

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %r = "onnx.Constant"() {value = dense<> : tensor<0xf32>} : () -> tensor<0xf32>
    %s = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %a = "onnx.Resize"(%x, %r, %s) {coordinate_transformation_mode = "half_pixel", mode = "linear"} : (tensor<1x1x2x3xf32>, tensor<0xf32>, tensor<4xf32>) -> tensor<1x1x4x6xf32>
    %y = "onnx.Conv"(%a, %w) {pads = [1, 1, 1, 1]} : (tensor<1x1x4x6xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %r = "onnx.Constant"() {value = dense<> : tensor<0xf32>} : () -> tensor<0xf32>
    %s = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %a = "onnx.Resize"(%x, %r, %s) {coordinate_transformation_mode = "half_pixel", mode = "linear"} : (tensor<1x1x2x3xf32>, tensor<0xf32>, tensor<4xf32>) -> tensor<1x1x4x6xf32>
    %y = "onnx.Conv"(%a, %w) {pads = [1, 1, 1, 1]} : (tensor<1x1x4x6xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}
