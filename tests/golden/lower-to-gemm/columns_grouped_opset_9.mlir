// Groups are a batch of products. A Slice has no steps yet: the stride is a Gather.
// passes: lower-to-gemm
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 9]]} {
  func.func @main_graph(%x: tensor<1x2x7xf32> {onnx.name = "x"}) -> (tensor<1x2x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]> : tensor<2x1x3xf32>} : () -> tensor<2x1x3xf32>
    %y = "onnx.Conv"(%x, %w) {strides = [2], group = 2 : si64} : (tensor<1x2x7xf32>, tensor<2x1x3xf32>) -> tensor<1x2x3xf32>
    func.return %y : tensor<1x2x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 9]]} {
  func.func @main_graph(%x: tensor<1x2x7xf32> {onnx.name = "x"}) -> (tensor<1x2x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]> : tensor<2x1x3xf32>} : () -> tensor<2x1x3xf32>
    %0 = "onnx.Unsqueeze"(%x) {axes = [2]} : (tensor<1x2x7xf32>) -> tensor<1x2x1x7xf32>
    %1 = "onnx.Constant"() {value = dense<[0, 2, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
    %2 = "onnx.Gather"(%0, %1) {axis = 3 : si64} : (tensor<1x2x1x7xf32>, tensor<3xi64>) -> tensor<1x2x1x3xf32>
    %3 = "onnx.Constant"() {value = dense<[1, 3, 5]> : tensor<3xi64>} : () -> tensor<3xi64>
    %4 = "onnx.Gather"(%0, %3) {axis = 3 : si64} : (tensor<1x2x1x7xf32>, tensor<3xi64>) -> tensor<1x2x1x3xf32>
    %5 = "onnx.Constant"() {value = dense<[2, 4, 6]> : tensor<3xi64>} : () -> tensor<3xi64>
    %6 = "onnx.Gather"(%0, %5) {axis = 3 : si64} : (tensor<1x2x1x7xf32>, tensor<3xi64>) -> tensor<1x2x1x3xf32>
    %7 = "onnx.Concat"(%2, %4, %6) {axis = 2 : si64} : (tensor<1x2x1x3xf32>, tensor<1x2x1x3xf32>, tensor<1x2x1x3xf32>) -> tensor<1x2x3x3xf32>
    %8 = "onnx.Constant"() {value = dense<[0, 2, 3, -1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %9 = "onnx.Reshape"(%7, %8) : (tensor<1x2x3x3xf32>, tensor<4xi64>) -> tensor<1x2x3x3xf32>
    %10 = "onnx.MatMul"(%w, %9) : (tensor<2x1x3xf32>, tensor<1x2x3x3xf32>) -> tensor<1x2x1x3xf32>
    %11 = "onnx.Constant"() {value = dense<[0, 2, 3]> : tensor<3xi64>} : () -> tensor<3xi64>
    %y = "onnx.Reshape"(%10, %11) : (tensor<1x2x1x3xf32>, tensor<3xi64>) -> tensor<1x2x3xf32>
    func.return %y : tensor<1x2x3xf32>
  }
}
