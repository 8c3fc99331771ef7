// The second filter is four times the first, which a Relu hands through.
// passes: prune-dead-channels
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[0.5]]], [[[2.0]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %b1 = "onnx.Constant"() {value = dense<[-1.0, -4.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0]], [[8.0]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %a = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %r = "onnx.Relu"(%a) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Conv"(%r, %w2) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]]]> : tensor<1x1x1x1xf32>} : () -> tensor<1x1x1x1xf32>
    %b1 = "onnx.Constant"() {value = dense<[-4.0]> : tensor<1xf32>} : () -> tensor<1xf32>
    %0 = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>, tensor<1xf32>) -> tensor<1x1x4x4xf32>
    %1 = "onnx.Relu"(%0) : (tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[8.25]]]]> : tensor<1x1x1x1xf32>} : () -> tensor<1x1x1x1xf32>
    %y = "onnx.Conv"(%1, %w2) : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
