// Four groups of two channels are two of four: blocks of weights on a diagonal.
// passes: block-diagonal{kinds=regroup width=4}
// rewrites: 1
// declined: 1 × the groups have 4 channels or more

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x8x5x6xf32> {onnx.name = "x"}) -> (tensor<1x8x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<8x2x1x1xf32>} : () -> tensor<8x2x1x1xf32>
    %y = "onnx.Conv"(%x, %w) {group = 4 : si64} : (tensor<1x8x5x6xf32>, tensor<8x2x1x1xf32>) -> tensor<1x8x5x6xf32>
    func.return %y : tensor<1x8x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x8x5x6xf32> {onnx.name = "x"}) -> (tensor<1x8x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense_resource<w> : tensor<8x4x1x1xf32>} : () -> tensor<8x4x1x1xf32>
    %y = "onnx.Conv"(%x, %w) {group = 2 : si64} : (tensor<1x8x5x6xf32>, tensor<8x4x1x1xf32>) -> tensor<1x8x5x6xf32>
    func.return %y : tensor<1x8x5x6xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      w: "0x040000000000003f0000003f00000000000000000000003f0000003f000000000000000000000000000000000000003f0000003f00000000000000000000003f0000003f0000003f0000003f00000000000000000000003f0000003f000000000000000000000000000000000000003f0000003f00000000000000000000003f0000003f"
    }
  }
#-}
