// Two blocks of two channels under two permutations: a conv in two groups between two Gathers.
// passes: block-diagonal{width=2}
// rewrites: 1
// declined: 1 × the groups have 2 channels or more
// declined: 1 × two blocks of 2 channels do not fit into a group

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[0.0]], [[1.0]], [[2.0]], [[0.0]]], [[[-1.0]], [[0.0]], [[0.0]], [[4.0]]], [[[0.0]], [[3.0]], [[0.5]], [[0.0]]], [[[0.25]], [[0.0]], [[0.0]], [[-2.0]]]]> : tensor<4x4x1x1xf32>} : () -> tensor<4x4x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %y = "onnx.Conv"(%x, %w, %b) : (tensor<1x4x5x6xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %y_order = "onnx.Constant"() {value = dense<[1, 2, 0, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %0 = "onnx.Gather"(%x, %y_order) {axis = 1 : si64} : (tensor<1x4x5x6xf32>, tensor<4xi64>) -> tensor<1x4x5x6xf32>
    %w = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]]], [[[3.0]], [[0.5]]], [[[-1.0]], [[4.0]]], [[[0.25]], [[-2.0]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, 3.0, 2.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %1 = "onnx.Conv"(%0, %w, %b) {group = 2 : si64} : (tensor<1x4x5x6xf32>, tensor<4x2x1x1xf32>, tensor<4xf32>) -> tensor<1x4x5x6xf32>
    %y_order_1 = "onnx.Constant"() {value = dense<[0, 2, 1, 3]> : tensor<4xi64>, onnx.names = ["y_order"]} : () -> tensor<4xi64>
    %y = "onnx.Gather"(%1, %y_order_1) {axis = 1 : si64} : (tensor<1x4x5x6xf32>, tensor<4xi64>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}
