// The padding between cuts the input off: strips of the two convs around the interior.
// passes: fuse-convs
// rewrites: 1
// declined: 2 × border: axis 1: no interior at size 4

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x1x12xf32> {onnx.name = "x"}) -> (tensor<1x1x1x10xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0, 2.0, -1.0]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0, -1.0, 0.5]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x1x1x12xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x10xf32>
    %y = "onnx.Conv"(%a, %w2) {pads = [0, 1, 0, 1]} : (tensor<1x1x1x10xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x10xf32>
    func.return %y : tensor<1x1x1x10xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x1x12xf32> {onnx.name = "x"}) -> (tensor<1x1x1x10xf32> {onnx.name = "y"}) {
    %0 = "onnx.Constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
    %1 = "onnx.Constant"() {value = dense<[4]> : tensor<1xi64>} : () -> tensor<1xi64>
    %2 = "onnx.Constant"() {value = dense<[3]> : tensor<1xi64>} : () -> tensor<1xi64>
    %3 = "onnx.Slice"(%x, %0, %1, %2) : (tensor<1x1x1x12xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x1x1x4xf32>
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0, 2.0, -1.0]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %4 = "onnx.Conv"(%3, %w1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 3], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x1x4xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x2xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0, -1.0, 0.5]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %5 = "onnx.Conv"(%4, %w2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 3], pads = [0, 1, 0, 0], strides = [1, 1]} : (tensor<1x1x1x2xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x1xf32>
    %w2_1 = "onnx.Constant"() {value = dense<[[[[1.0, 1.0, -2.5, 2.0, -0.5]]]]> : tensor<1x1x1x5xf32>, onnx.names = ["w2"]} : () -> tensor<1x1x1x5xf32>
    %6 = "onnx.Conv"(%x, %w2_1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 5], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x1x12xf32>, tensor<1x1x1x5xf32>) -> tensor<1x1x1x8xf32>
    %7 = "onnx.Constant"() {value = dense<[8]> : tensor<1xi64>} : () -> tensor<1xi64>
    %8 = "onnx.Constant"() {value = dense<[12]> : tensor<1xi64>} : () -> tensor<1xi64>
    %9 = "onnx.Constant"() {value = dense<[3]> : tensor<1xi64>} : () -> tensor<1xi64>
    %10 = "onnx.Slice"(%x, %7, %8, %9) : (tensor<1x1x1x12xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x1x1x4xf32>
    %11 = "onnx.Conv"(%10, %w1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 3], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x1x1x4xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x2xf32>
    %12 = "onnx.Conv"(%11, %w2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 3], pads = [0, 0, 0, 1], strides = [1, 1]} : (tensor<1x1x1x2xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x1xf32>
    %y = "onnx.Concat"(%5, %6, %12) {axis = 3 : si64} : (tensor<1x1x1x1xf32>, tensor<1x1x1x8xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x1x10xf32>
    func.return %y : tensor<1x1x1x10xf32>
  }
}
