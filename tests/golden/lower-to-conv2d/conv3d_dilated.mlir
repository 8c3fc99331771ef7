// The depth becomes batch; a Gather stacks the slices at a distance of two, with one of zeros.
// passes: lower-to-conv2d{forms=conv3d}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x3x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x1x1xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<2x1x3x1x1xf32>} : () -> tensor<2x1x3x1x1xf32>
    %v = "onnx.Constant"() {value = dense<0.5> : tensor<1x2x1x3x3xf32>} : () -> tensor<1x2x1x3x3xf32>
    %a = "onnx.Conv"(%x, %w) {dilations = [2, 1, 1], pads = [2, 0, 0, 2, 0, 0]} : (tensor<1x1x4x3x3xf32>, tensor<2x1x3x1x1xf32>) -> tensor<1x2x4x3x3xf32>
    %r = "onnx.Relu"(%a) : (tensor<1x2x4x3x3xf32>) -> tensor<1x2x4x3x3xf32>
    %y = "onnx.Conv"(%r, %v) : (tensor<1x2x4x3x3xf32>, tensor<1x2x1x3x3xf32>) -> tensor<1x1x4x1x1xf32>
    func.return %y : tensor<1x1x4x1x1xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x3x3xf32> {onnx.name = "x"}) -> (tensor<1x1x4x1x1xf32> {onnx.name = "y"}) {
    %0 = "onnx.Constant"() {value = dense<[4, 1, 3, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %1 = "onnx.Reshape"(%x, %0) : (tensor<1x1x4x3x3xf32>, tensor<4xi64>) -> tensor<4x1x3x3xf32>
    %2 = "onnx.Constant"() {value = dense<[1, 4, 9]> : tensor<3xi64>} : () -> tensor<3xi64>
    %3 = "onnx.Reshape"(%1, %2) : (tensor<4x1x3x3xf32>, tensor<3xi64>) -> tensor<1x4x9xf32>
    %4 = "onnx.Constant"() {value = dense<[0, 0, 0, 0, 1, 0]> : tensor<6xi64>} : () -> tensor<6xi64>
    %5 = "onnx.Pad"(%3, %4) {mode = "constant"} : (tensor<1x4x9xf32>, tensor<6xi64>) -> tensor<1x5x9xf32>
    %6 = "onnx.Constant"() {value = dense<[[4, 0, 2], [4, 1, 3], [0, 2, 4], [1, 3, 4]]> : tensor<4x3xi64>} : () -> tensor<4x3xi64>
    %7 = "onnx.Gather"(%5, %6) {axis = 1 : si64} : (tensor<1x5x9xf32>, tensor<4x3xi64>) -> tensor<1x4x3x9xf32>
    %8 = "onnx.Constant"() {value = dense<[4, 3, 3, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %9 = "onnx.Reshape"(%7, %8) : (tensor<1x4x3x9xf32>, tensor<4xi64>) -> tensor<4x3x3x3xf32>
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<2x3x1x1xf32>} : () -> tensor<2x3x1x1xf32>
    %10 = "onnx.Conv"(%9, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<4x3x3x3xf32>, tensor<2x3x1x1xf32>) -> tensor<4x2x3x3xf32>
    %11 = "onnx.Relu"(%10) : (tensor<4x2x3x3xf32>) -> tensor<4x2x3x3xf32>
    %v = "onnx.Constant"() {value = dense<0.5> : tensor<1x2x3x3xf32>} : () -> tensor<1x2x3x3xf32>
    %12 = "onnx.Conv"(%11, %v) {dilations = [1, 1], group = 1 : si64, kernel_shape = [3, 3], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<4x2x3x3xf32>, tensor<1x2x3x3xf32>) -> tensor<4x1x1x1xf32>
    %13 = "onnx.Constant"() {value = dense<[1, 1, 4, 1, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
    %y = "onnx.Reshape"(%12, %13) : (tensor<4x1x1x1xf32>, tensor<5xi64>) -> tensor<1x1x4x1x1xf32>
    func.return %y : tensor<1x1x4x1x1xf32>
  }
}
