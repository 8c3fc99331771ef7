// Added channels go together: only the third is dead in both; depthwise filters go along.
// passes: prune-dead-channels{block=1}
// rewrites: 1
// declined: 1 × a dead channel stays: it is part of one that varies

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]], [[[0.0]]], [[[0.0]]]]> : tensor<3x1x1x1xf32>} : () -> tensor<3x1x1x1xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[0.0]]], [[[1.0]]], [[[0.0]]]]> : tensor<3x1x1x1xf32>} : () -> tensor<3x1x1x1xf32>
    %wd = "onnx.Constant"() {value = dense<0.5> : tensor<3x1x3x3xf32>} : () -> tensor<3x1x3x3xf32>
    %w3 = "onnx.Constant"() {value = dense<1.0> : tensor<1x3x1x1xf32>} : () -> tensor<1x3x1x1xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x1x4x4xf32>, tensor<3x1x1x1xf32>) -> tensor<1x3x4x4xf32>
    %b = "onnx.Conv"(%x, %w2) : (tensor<1x1x4x4xf32>, tensor<3x1x1x1xf32>) -> tensor<1x3x4x4xf32>
    %s = "onnx.Add"(%a, %b) : (tensor<1x3x4x4xf32>, tensor<1x3x4x4xf32>) -> tensor<1x3x4x4xf32>
    %d = "onnx.Conv"(%s, %wd) {group = 3 : si64, pads = [1, 1, 1, 1]} : (tensor<1x3x4x4xf32>, tensor<3x1x3x3xf32>) -> tensor<1x3x4x4xf32>
    %y = "onnx.Conv"(%d, %w3) : (tensor<1x3x4x4xf32>, tensor<1x3x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]], [[[0.0]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %0 = "onnx.Conv"(%x, %w1) : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x4x4xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[0.0]]], [[[1.0]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %1 = "onnx.Conv"(%x, %w2) : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x4x4xf32>
    %2 = "onnx.Add"(%0, %1) : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %wd = "onnx.Constant"() {value = dense<0.5> : tensor<2x1x3x3xf32>} : () -> tensor<2x1x3x3xf32>
    %3 = "onnx.Conv"(%2, %wd) {group = 2 : si64, pads = [1, 1, 1, 1]} : (tensor<1x2x4x4xf32>, tensor<2x1x3x3xf32>) -> tensor<1x2x4x4xf32>
    %w3 = "onnx.Constant"() {value = dense<1.0> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %y = "onnx.Conv"(%3, %w3) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
