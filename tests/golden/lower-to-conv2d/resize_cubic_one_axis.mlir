// One axis is no block of DepthToSpace: the phases get behind their axis by a Transpose.
// passes: lower-to-conv2d{forms=resize-depthwise}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 13]]} {
  func.func @main_graph(%x: tensor<1x2x1x4xf32> {onnx.name = "x"}) -> (tensor<1x2x1x8xf32> {onnx.name = "y"}) {
    %r = "onnx.Constant"() {value = dense<> : tensor<0xf32>} : () -> tensor<0xf32>
    %s = "onnx.Constant"() {value = dense<[1.0, 1.0, 1.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %y = "onnx.Resize"(%x, %r, %s) {coordinate_transformation_mode = "asymmetric", cubic_coeff_a = -7.500000e-01 : f32, mode = "cubic"} : (tensor<1x2x1x4xf32>, tensor<0xf32>, tensor<4xf32>) -> tensor<1x2x1x8xf32>
    func.return %y : tensor<1x2x1x8xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 13]]} {
  func.func @main_graph(%x: tensor<1x2x1x4xf32> {onnx.name = "x"}) -> (tensor<1x2x1x8xf32> {onnx.name = "y"}) {
    %0 = "onnx.Constant"() {value = dense<[0, 0, 0, 1, 0, 0, 0, 2]> : tensor<8xi64>} : () -> tensor<8xi64>
    %1 = "onnx.Pad"(%x, %0) {mode = "edge"} : (tensor<1x2x1x4xf32>, tensor<8xi64>) -> tensor<1x2x1x7xf32>
    %2 = "onnx.Constant"() {value = dense<[[[[0.0, 1.0, 0.0, 0.0]]], [[[-0.09375, 0.59375, 0.59375, -0.09375]]], [[[0.0, 1.0, 0.0, 0.0]]], [[[-0.09375, 0.59375, 0.59375, -0.09375]]]]> : tensor<4x1x1x4xf32>} : () -> tensor<4x1x1x4xf32>
    %3 = "onnx.Conv"(%1, %2) {dilations = [1, 1], group = 2 : si64, kernel_shape = [1, 4], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x2x1x7xf32>, tensor<4x1x1x4xf32>) -> tensor<1x4x1x4xf32>
    %4 = "onnx.Constant"() {value = dense<[0, 2, 2, 1, 4]> : tensor<5xi64>} : () -> tensor<5xi64>
    %5 = "onnx.Reshape"(%3, %4) : (tensor<1x4x1x4xf32>, tensor<5xi64>) -> tensor<1x2x2x1x4xf32>
    %6 = "onnx.Transpose"(%5) {perm = [0, 1, 3, 4, 2]} : (tensor<1x2x2x1x4xf32>) -> tensor<1x2x1x4x2xf32>
    %7 = "onnx.Constant"() {value = dense<[0, 2, 1, 8]> : tensor<4xi64>} : () -> tensor<4xi64>
    %y = "onnx.Reshape"(%6, %7) : (tensor<1x2x1x4x2xf32>, tensor<4xi64>) -> tensor<1x2x1x8xf32>
    func.return %y : tensor<1x2x1x8xf32>
  }
}
