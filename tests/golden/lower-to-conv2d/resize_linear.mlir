// Behind the last sample its copy: one row and one column of edge padding, and 2×2 taps.
// passes: lower-to-conv2d{forms=resize-dense}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %r = "onnx.Constant"() {value = dense<> : tensor<0xf32>} : () -> tensor<0xf32>
    %s = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %y = "onnx.Resize"(%x, %r, %s) {coordinate_transformation_mode = "asymmetric", mode = "linear"} : (tensor<1x1x2x3xf32>, tensor<0xf32>, tensor<4xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x6xf32> {onnx.name = "y"}) {
    %0 = "onnx.Constant"() {value = dense<[0, 0, 0, 0, 0, 0, 1, 1]> : tensor<8xi64>} : () -> tensor<8xi64>
    %1 = "onnx.Pad"(%x, %0) {mode = "edge"} : (tensor<1x1x2x3xf32>, tensor<8xi64>) -> tensor<1x1x3x4xf32>
    %2 = "onnx.Constant"() {value = dense<[[[[1.0, 0.0], [0.0, 0.0]]], [[[0.5, 0.5], [0.0, 0.0]]], [[[0.5, 0.0], [0.5, 0.0]]], [[[0.25, 0.25], [0.25, 0.25]]]]> : tensor<4x1x2x2xf32>} : () -> tensor<4x1x2x2xf32>
    %3 = "onnx.Conv"(%1, %2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 2], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x3x4xf32>, tensor<4x1x2x2xf32>) -> tensor<1x4x2x3xf32>
    %y = "onnx.DepthToSpace"(%3) {blocksize = 2 : si64, mode = "DCR"} : (tensor<1x4x2x3xf32>) -> tensor<1x1x4x6xf32>
    func.return %y : tensor<1x1x4x6xf32>
  }
}
