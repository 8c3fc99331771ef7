// Two by two at stride two: every phase has one tap.
// passes: lower-to-conv2d{forms=stacked-phases}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x3x3xf32> {onnx.name = "x"}) -> (tensor<1x1x6x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0], [3.0, 4.0]]]]> : tensor<1x1x2x2xf32>} : () -> tensor<1x1x2x2xf32>
    %b = "onnx.Constant"() {value = dense<0.5> : tensor<1xf32>} : () -> tensor<1xf32>
    %y = "onnx.ConvTranspose"(%x, %w, %b) {strides = [2, 2]} : (tensor<1x1x3x3xf32>, tensor<1x1x2x2xf32>, tensor<1xf32>) -> tensor<1x1x6x6xf32>
    func.return %y : tensor<1x1x6x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x3x3xf32> {onnx.name = "x"}) -> (tensor<1x1x6x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0]]], [[[2.0]]], [[[3.0]]], [[[4.0]]]]> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
    %b = "onnx.Constant"() {value = dense<0.5> : tensor<4xf32>} : () -> tensor<4xf32>
    %0 = "onnx.Conv"(%x, %w, %b) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x3x3xf32>, tensor<4x1x1x1xf32>, tensor<4xf32>) -> tensor<1x4x3x3xf32>
    %y = "onnx.DepthToSpace"(%0) {blocksize = 2 : si64, mode = "DCR"} : (tensor<1x4x3x3xf32>) -> tensor<1x1x6x6xf32>
    func.return %y : tensor<1x1x6x6xf32>
  }
}
