// The channels with the smallest weights on them go. Here these are zero, and nothing is lost.
// passes: select-channels{block=1 share=0.5}
// rewrites: 1
// declined: 1 × the channels are all needed: it is a graph output

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0]]], [[[2.0]]], [[[4.0]]], [[[8.0]]]]> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
    %b1 = "onnx.Constant"() {value = dense<[0.5, 1.0, 1.5, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %s = "onnx.Constant"() {value = dense<[[[[0.25]], [[0.5]], [[0.75]], [[0.125]]]]> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[0.0]], [[1.0]], [[0.0]], [[2.0]]]]> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %a = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x4x4xf32>, tensor<4x1x1x1xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
    %r = "onnx.PRelu"(%a, %s) : (tensor<1x4x4x4xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x4x4xf32>
    %y = "onnx.Conv"(%r, %w2) : (tensor<1x4x4x4xf32>, tensor<1x4x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]], [[[8.0]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %b1 = "onnx.Constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %a = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %s = "onnx.Constant"() {value = dense<[[[[0.5]], [[0.125]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %0 = "onnx.PRelu"(%a, %s) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %y = "onnx.Conv"(%0, %w2) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
