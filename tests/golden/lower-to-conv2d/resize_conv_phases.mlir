// The taps that fall on copies of one sample are added: four convs of 2×2 instead of one of 3×3.
// passes: lower-to-conv2d{forms=resize-conv-phases}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %r = "onnx.Constant"() {value = dense<> : tensor<0xf32>} : () -> tensor<0xf32>
    %s = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0, 4.0], [-1.0, 0.5, 8.0], [16.0, 32.0, -2.0]]]]> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %a = "onnx.Resize"(%x, %r, %s) {coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"} : (tensor<1x1x2x3xf32>, tensor<0xf32>, tensor<4xf32>) -> tensor<1x1x4x6xf32>
    %y = "onnx.Conv"(%a, %w) {pads = [1, 1, 1, 1]} : (tensor<1x1x4x6xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 6.0], [15.0, 38.5]]]]> : tensor<1x1x2x2xf32>} : () -> tensor<1x1x2x2xf32>
    %0 = "onnx.Conv"(%x, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 2], pads = [1, 1, 0, 0], strides = [1, 1]} : (tensor<1x1x2x3xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x2x3xf32>
    %w_1 = "onnx.Constant"() {value = dense<[[[[3.0, 4.0], [47.5, 6.0]]]]> : tensor<1x1x2x2xf32>, onnx.names = ["w"]} : () -> tensor<1x1x2x2xf32>
    %1 = "onnx.Conv"(%x, %w_1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 2], pads = [1, 0, 0, 1], strides = [1, 1]} : (tensor<1x1x2x3xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x2x3xf32>
    %w_2 = "onnx.Constant"() {value = dense<[[[[0.0, 14.5], [16.0, 30.0]]]]> : tensor<1x1x2x2xf32>, onnx.names = ["w"]} : () -> tensor<1x1x2x2xf32>
    %2 = "onnx.Conv"(%x, %w_2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 2], pads = [0, 1, 1, 0], strides = [1, 1]} : (tensor<1x1x2x3xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x2x3xf32>
    %w_3 = "onnx.Constant"() {value = dense<[[[[2.5, 12.0], [48.0, -2.0]]]]> : tensor<1x1x2x2xf32>, onnx.names = ["w"]} : () -> tensor<1x1x2x2xf32>
    %3 = "onnx.Conv"(%x, %w_3) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 2], pads = [0, 0, 1, 1], strides = [1, 1]} : (tensor<1x1x2x3xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x2x3xf32>
    %4 = "onnx.Concat"(%0, %1, %2, %3) {axis = 1 : si64} : (tensor<1x1x2x3xf32>, tensor<1x1x2x3xf32>, tensor<1x1x2x3xf32>, tensor<1x1x2x3xf32>) -> tensor<1x4x2x3xf32>
    %y = "onnx.DepthToSpace"(%4) {blocksize = 2 : si64, mode = "DCR"} : (tensor<1x4x2x3xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}
