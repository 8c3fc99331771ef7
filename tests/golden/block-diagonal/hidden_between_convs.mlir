// The convs on either side take the permutations into their weights, through Relu.
// passes: block-diagonal{kinds=hidden width=2}
// rewrites: 1
// declined: 2 × two blocks of 2 channels do not fit into a group

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x5x6xf32> {onnx.name = "x"}) -> (tensor<1x1x5x6xf32> {onnx.name = "y"}) {
    %a = "onnx.Constant"() {value = dense<[[[[0.5]], [[1.0]]], [[[1.5]], [[2.0]]], [[[2.5]], [[3.0]]], [[[3.5]], [[4.0]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %w = "onnx.Constant"() {value = dense<[[[[0.0]], [[1.0]], [[2.0]], [[0.0]]], [[[-1.0]], [[0.0]], [[0.0]], [[4.0]]], [[[0.0]], [[3.0]], [[0.5]], [[0.0]]], [[[0.25]], [[0.0]], [[0.0]], [[-2.0]]]]> : tensor<4x4x1x1xf32>} : () -> tensor<4x4x1x1xf32>
    %c = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]]> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %0 = "onnx.Conv"(%x, %a, %b) : (tensor<1x2x5x6xf32>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<1x4x5x6xf32>
    %1 = "onnx.Relu"(%0) : (tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    %2 = "onnx.Conv"(%1, %w, %b) : (tensor<1x4x5x6xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x5x6xf32>
    %y = "onnx.Conv"(%2, %c) : (tensor<1x4x5x6xf32>, tensor<1x4x1x1xf32>) -> tensor<1x1x5x6xf32>
    func.return %y : tensor<1x1x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x5x6xf32> {onnx.name = "x"}) -> (tensor<1x1x5x6xf32> {onnx.name = "y"}) {
    %a = "onnx.Constant"() {value = dense<[[[[1.5]], [[2.0]]], [[[2.5]], [[3.0]]], [[[0.5]], [[1.0]]], [[[3.5]], [[4.0]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[2.0, 3.0, 1.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %0 = "onnx.Conv"(%x, %a, %b) : (tensor<1x2x5x6xf32>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<1x4x5x6xf32>
    %1 = "onnx.Relu"(%0) : (tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    %w = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]]], [[[3.0]], [[0.5]]], [[[-1.0]], [[4.0]]], [[[0.25]], [[-2.0]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
    %b_1 = "onnx.Constant"() {value = dense<[1.0, 3.0, 2.0, 4.0]> : tensor<4xf32>, onnx.names = ["b"]} : () -> tensor<4xf32>
    %2 = "onnx.Conv"(%1, %w, %b_1) {group = 2 : si64} : (tensor<1x4x5x6xf32>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<1x4x5x6xf32>
    %c = "onnx.Constant"() {value = dense<[[[[1.0]], [[3.0]], [[2.0]], [[4.0]]]]> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %y = "onnx.Conv"(%2, %c) : (tensor<1x4x5x6xf32>, tensor<1x4x1x1xf32>) -> tensor<1x1x5x6xf32>
    func.return %y : tensor<1x1x5x6xf32>
  }
}
