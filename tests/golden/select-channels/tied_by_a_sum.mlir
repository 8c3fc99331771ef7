// Channels that are added to each other are selected once, and both layers that make them lose
// their filters; the layer between reads them as well.
// passes: select-channels{block=1 share=0.5}
// rewrites: 1
// declined: 1 × the channels are all needed: it is a graph output

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0]]], [[[2.0]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[0.0]], [[1.0]]], [[[0.0]], [[2.0]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %w3 = "onnx.Constant"() {value = dense<[[[[0.0]], [[4.0]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x4x4xf32>
    %r = "onnx.Relu"(%a) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %b = "onnx.Conv"(%r, %w2) : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %s = "onnx.Add"(%a, %b) : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Conv"(%s, %w3) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]]]> : tensor<1x1x1x1xf32>} : () -> tensor<1x1x1x1xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
    %0 = "onnx.Relu"(%a) : (tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[2.0]]]]> : tensor<1x1x1x1xf32>} : () -> tensor<1x1x1x1xf32>
    %b = "onnx.Conv"(%0, %w2) : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
    %1 = "onnx.Add"(%a, %b) : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
    %w3 = "onnx.Constant"() {value = dense<[[[[4.0]]]]> : tensor<1x1x1x1xf32>} : () -> tensor<1x1x1x1xf32>
    %y = "onnx.Conv"(%1, %w3) : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
