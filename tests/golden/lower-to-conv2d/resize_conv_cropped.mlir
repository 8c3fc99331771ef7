// Seven rows are no whole number of phases: each phase gives four, and the last row is cut off.
// passes: lower-to-conv2d{forms=resize-conv-stacked}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x1xf32> {onnx.name = "x"}) -> (tensor<1x1x7x1xf32> {onnx.name = "y"}) {
    %r = "onnx.Constant"() {value = dense<> : tensor<0xf32>} : () -> tensor<0xf32>
    %s = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 1.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x2x1xf32>} : () -> tensor<1x1x2x1xf32>
    %a = "onnx.Resize"(%x, %r, %s) {coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"} : (tensor<1x1x4x1xf32>, tensor<0xf32>, tensor<4xf32>) -> tensor<1x1x8x1xf32>
    %y = "onnx.Conv"(%a, %w) : (tensor<1x1x8x1xf32>, tensor<1x1x2x1xf32>) -> tensor<1x1x7x1xf32>
    func.return %y : tensor<1x1x7x1xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x1xf32> {onnx.name = "x"}) -> (tensor<1x1x7x1xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0], [0.0]]], [[[0.5], [0.5]]]]> : tensor<2x1x2x1xf32>} : () -> tensor<2x1x2x1xf32>
    %0 = "onnx.Conv"(%x, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 1], pads = [0, 0, 1, 0], strides = [1, 1]} : (tensor<1x1x4x1xf32>, tensor<2x1x2x1xf32>) -> tensor<1x2x4x1xf32>
    %1 = "onnx.Constant"() {value = dense<[0, 2, 1, 4, 1]> : tensor<5xi64>} : () -> tensor<5xi64>
    %2 = "onnx.Reshape"(%0, %1) : (tensor<1x2x4x1xf32>, tensor<5xi64>) -> tensor<1x2x1x4x1xf32>
    %3 = "onnx.Transpose"(%2) {perm = [0, 2, 3, 1, 4]} : (tensor<1x2x1x4x1xf32>) -> tensor<1x1x4x2x1xf32>
    %4 = "onnx.Constant"() {value = dense<[0, 1, 8, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %5 = "onnx.Reshape"(%3, %4) : (tensor<1x1x4x2x1xf32>, tensor<4xi64>) -> tensor<1x1x8x1xf32>
    %6 = "onnx.Constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
    %7 = "onnx.Constant"() {value = dense<[-1]> : tensor<1xi64>} : () -> tensor<1xi64>
    %8 = "onnx.Constant"() {value = dense<[2]> : tensor<1xi64>} : () -> tensor<1xi64>
    %y = "onnx.Slice"(%5, %6, %7, %8) : (tensor<1x1x8x1xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x1x7x1xf32>
    func.return %y : tensor<1x1x7x1xf32>
  }
}
