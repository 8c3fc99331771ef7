// Only the first bias is lost at the border: one conv and a map of what it adds where.
// passes: fuse-convs
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x6xf32> {onnx.name = "x"}) -> (tensor<1x1x2x6xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]]]> : tensor<1x1x1x1xf32>} : () -> tensor<1x1x1x1xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0, 1.0, 1.0]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %b1 = "onnx.Constant"() {value = dense<3.0> : tensor<1xf32>} : () -> tensor<1xf32>
    %a = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x2x6xf32>, tensor<1x1x1x1xf32>, tensor<1xf32>) -> tensor<1x1x2x6xf32>
    %y = "onnx.Conv"(%a, %w2) {pads = [0, 1, 0, 1]} : (tensor<1x1x2x6xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x2x6xf32>
    func.return %y : tensor<1x1x2x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x6xf32> {onnx.name = "x"}) -> (tensor<1x1x2x6xf32> {onnx.name = "y"}) {
    %w2 = "onnx.Constant"() {value = dense<2.0> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %0 = "onnx.Conv"(%x, %w2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 3], pads = [0, 1, 0, 1], strides = [1, 1]} : (tensor<1x1x2x6xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x2x6xf32>
    %w2_1 = "onnx.Constant"() {value = dense<[[[[6.0, 9.0, 6.0]]]]> : tensor<1x1x1x3xf32>, onnx.names = ["w2"]} : () -> tensor<1x1x1x3xf32>
    %1 = "onnx.Constant"() {value = dense<0> : tensor<2xi64>} : () -> tensor<2xi64>
    %2 = "onnx.Gather"(%w2_1, %1) {axis = 2 : si64} : (tensor<1x1x1x3xf32>, tensor<2xi64>) -> tensor<1x1x2x3xf32>
    %3 = "onnx.Constant"() {value = dense<[0, 1, 1, 1, 1, 2]> : tensor<6xi64>} : () -> tensor<6xi64>
    %4 = "onnx.Gather"(%2, %3) {axis = 3 : si64} : (tensor<1x1x2x3xf32>, tensor<6xi64>) -> tensor<1x1x2x6xf32>
    %y = "onnx.Add"(%0, %4) : (tensor<1x1x2x6xf32>, tensor<1x1x2x6xf32>) -> tensor<1x1x2x6xf32>
    func.return %y : tensor<1x1x2x6xf32>
  }
}
