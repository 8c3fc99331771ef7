// Per axis: stride 2·1, dilation gcd(2, 2·1), kernel 1 + (2·1 + 2·1·1)/2.
// passes: fuse-convs
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x12xf32> {onnx.name = "x"}) -> (tensor<1x1x2x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0, -1.0]]]]> : tensor<1x1x1x2xf32>} : () -> tensor<1x1x1x2xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[2.0, 3.0]]]]> : tensor<1x1x1x2xf32>} : () -> tensor<1x1x1x2xf32>
    %a = "onnx.Conv"(%x, %w1) {dilations = [1, 2], strides = [1, 2]} : (tensor<1x1x2x12xf32>, tensor<1x1x1x2xf32>) -> tensor<1x1x2x5xf32>
    %y = "onnx.Conv"(%a, %w2) : (tensor<1x1x2x5xf32>, tensor<1x1x1x2xf32>) -> tensor<1x1x2x4xf32>
    func.return %y : tensor<1x1x2x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x2x12xf32> {onnx.name = "x"}) -> (tensor<1x1x2x4xf32> {onnx.name = "y"}) {
    %w2 = "onnx.Constant"() {value = dense<[[[[2.0, 1.0, -3.0]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %y = "onnx.Conv"(%x, %w2) {dilations = [1, 2], group = 1 : si64, kernel_shape = [1, 3], pads = [0, 0, 0, 0], strides = [1, 2]} : (tensor<1x1x2x12xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x2x4xf32>
    func.return %y : tensor<1x1x2x4xf32>
  }
}
