// Two groups in both: two groups in one.
// passes: fuse-convs
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x1x5xf32> {onnx.name = "x"}) -> (tensor<1x2x1x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0]]], [[[2.0]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0, 2.0]]], [[[3.0, 4.0]]]]> : tensor<2x1x1x2xf32>} : () -> tensor<2x1x1x2xf32>
    %a = "onnx.Conv"(%x, %w1) {group = 2 : si64} : (tensor<1x2x1x5xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x1x5xf32>
    %y = "onnx.Conv"(%a, %w2) {group = 2 : si64} : (tensor<1x2x1x5xf32>, tensor<2x1x1x2xf32>) -> tensor<1x2x1x4xf32>
    func.return %y : tensor<1x2x1x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x1x5xf32> {onnx.name = "x"}) -> (tensor<1x2x1x4xf32> {onnx.name = "y"}) {
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0, 2.0]]], [[[6.0, 8.0]]]]> : tensor<2x1x1x2xf32>} : () -> tensor<2x1x1x2xf32>
    %y = "onnx.Conv"(%x, %w2) {dilations = [1, 1], group = 2 : si64, kernel_shape = [1, 2], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x2x1x5xf32>, tensor<2x1x1x2xf32>) -> tensor<1x2x1x4xf32>
    func.return %y : tensor<1x2x1x4xf32>
  }
}
