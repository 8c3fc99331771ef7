// One weight connects the two blocks.
// passes: block-diagonal{kinds=hidden width=2}
// rewrites: 0
// declined: 1 × no blocks of 2 channels are hidden

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0]], [[1.0]], [[2.0]], [[0.0]]], [[[-1.0]], [[0.0]], [[0.0]], [[4.0]]], [[[0.0]], [[3.0]], [[0.5]], [[0.0]]], [[[0.25]], [[0.0]], [[0.0]], [[-2.0]]]]> : tensor<4x4x1x1xf32>} : () -> tensor<4x4x1x1xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x4x5x6xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0]], [[1.0]], [[2.0]], [[0.0]]], [[[-1.0]], [[0.0]], [[0.0]], [[4.0]]], [[[0.0]], [[3.0]], [[0.5]], [[0.0]]], [[[0.25]], [[0.0]], [[0.0]], [[-2.0]]]]> : tensor<4x4x1x1xf32>} : () -> tensor<4x4x1x1xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x4x5x6xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}
