// Zero padding sees no constant: one of the two dead channels stays and carries both.
// passes: prune-dead-channels
// rewrites: 1
// declined: 1 × a dead channel stays: it carries constants to the border (axis 0 begin: padding 1 > 0)

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]], [[[0.0]]], [[[0.0]]]]> : tensor<3x1x1x1xf32>} : () -> tensor<3x1x1x1xf32>
    %b1 = "onnx.Constant"() {value = dense<[0.5, 4.0, 1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
    %w2 = "onnx.Constant"() {value = dense<1.0> : tensor<1x3x3x3xf32>} : () -> tensor<1x3x3x3xf32>
    %a = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x4x4xf32>, tensor<3x1x1x1xf32>, tensor<3xf32>) -> tensor<1x3x4x4xf32>
    %y = "onnx.Conv"(%a, %w2) {pads = [1, 1, 1, 1]} : (tensor<1x3x4x4xf32>, tensor<1x3x3x3xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]], [[[0.0]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %b1 = "onnx.Constant"() {value = dense<[0.5, 4.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %0 = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %w2 = "onnx.Constant"() {value = dense_resource<w2> : tensor<1x2x3x3xf32>} : () -> tensor<1x2x3x3xf32>
    %y = "onnx.Conv"(%0, %w2) {pads = [1, 1, 1, 1]} : (tensor<1x2x4x4xf32>, tensor<1x2x3x3xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      w2: "0x040000000000803f0000803f0000803f0000803f0000803f0000803f0000803f0000803f0000803f0000a03f0000a03f0000a03f0000a03f0000a03f0000a03f0000a03f0000a03f0000a03f"
    }
  }
#-}
