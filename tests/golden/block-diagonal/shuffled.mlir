// Each of the four 2×2 blocks has rank 1: two convs in two groups, a Gather that shuffles between.
// passes: block-diagonal{kinds=shuffled max-error=0.1}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]], [[0.0]], [[0.0]]], [[[0.0]], [[0.0]], [[4.0]], [[-1.0]]], [[[0.5]], [[3.0]], [[0.0]], [[0.0]]], [[[0.0]], [[0.0]], [[-2.0]], [[1.0]]]]> : tensor<4x4x1x1xf32>} : () -> tensor<4x4x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %y = "onnx.Conv"(%x, %w, %b) : (tensor<1x4x5x6xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]]], [[[0.5]], [[3.0]]], [[[4.0]], [[-1.0]]], [[[-2.0]], [[1.0]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
    %0 = "onnx.Conv"(%x, %w) {group = 2 : si64} : (tensor<1x4x5x6xf32>, tensor<4x2x1x1xf32>) -> tensor<1x4x5x6xf32>
    %y_order = "onnx.Constant"() {value = dense<[0, 2, 1, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %1 = "onnx.Gather"(%0, %y_order) {axis = 1 : si64} : (tensor<1x4x5x6xf32>, tensor<4xi64>) -> tensor<1x4x5x6xf32>
    %w_1 = "onnx.Constant"() {value = dense<[[[[1.0]], [[0.0]]], [[[0.0]], [[1.0]]], [[[1.0]], [[0.0]]], [[[0.0]], [[1.0]]]]> : tensor<4x2x1x1xf32>, onnx.names = ["w"]} : () -> tensor<4x2x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %y = "onnx.Conv"(%1, %w_1, %b) {group = 2 : si64, kernel_shape = [1, 1]} : (tensor<1x4x5x6xf32>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}
