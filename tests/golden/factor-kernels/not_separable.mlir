// A Laplacian and a diagonal are no column and row: as sums of several they would cost as much.
// passes: factor-kernels
// rewrites: 0
// declined: 1 × a filter is no composition of two smaller ones
// declined: 1 × the filters are no sums of few separable ones
// declined: 1 × the filters have full rank
// declined: 1 × the kernel is not separable

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x9x9xf32> {onnx.name = "x"}) -> (tensor<1x2x7x7xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]], [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]]> : tensor<2x1x3x3xf32>} : () -> tensor<2x1x3x3xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x1x9x9xf32>, tensor<2x1x3x3xf32>) -> tensor<1x2x7x7xf32>
    func.return %y : tensor<1x2x7x7xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x9x9xf32> {onnx.name = "x"}) -> (tensor<1x2x7x7xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense_resource<w> : tensor<2x1x3x3xf32>} : () -> tensor<2x1x3x3xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x1x9x9xf32>, tensor<2x1x3x3xf32>) -> tensor<1x2x7x7xf32>
    func.return %y : tensor<1x2x7x7xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      w: "0x04000000000000000000803f000000000000803f000080c00000803f000000000000803f000000000000803f0000000000000000000000000000803f0000000000000000000000000000803f"
    }
  }
#-}
