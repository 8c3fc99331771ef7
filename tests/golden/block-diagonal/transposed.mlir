// Three groups of one channel in and two out become one: three has no other divisor.
// passes: block-diagonal{kinds=regroup width=4}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x3x5x6xf32> {onnx.name = "x"}) -> (tensor<1x6x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<3x2x1x1xf32>} : () -> tensor<3x2x1x1xf32>
    %y = "onnx.ConvTranspose"(%x, %w) {group = 3 : si64} : (tensor<1x3x5x6xf32>, tensor<3x2x1x1xf32>) -> tensor<1x6x5x6xf32>
    func.return %y : tensor<1x6x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x3x5x6xf32> {onnx.name = "x"}) -> (tensor<1x6x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense_resource<w> : tensor<3x6x1x1xf32>} : () -> tensor<3x6x1x1xf32>
    %y = "onnx.ConvTranspose"(%x, %w) {group = 1 : si64} : (tensor<1x3x5x6xf32>, tensor<3x6x1x1xf32>) -> tensor<1x6x5x6xf32>
    func.return %y : tensor<1x6x5x6xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      w: "0x040000000000003f0000003f0000000000000000000000000000000000000000000000000000003f0000003f0000000000000000000000000000000000000000000000000000003f0000003f"
    }
  }
#-}
