// One channel in and out a group: a diagonal matrix.
// passes: block-diagonal{kinds=regroup-depthwise width=2}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
    %y = "onnx.Conv"(%x, %w) {group = 4 : si64} : (tensor<1x4x5x6xf32>, tensor<4x1x1x1xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[0.5]], [[0.0]]], [[[0.0]], [[0.5]]], [[[0.5]], [[0.0]]], [[[0.0]], [[0.5]]]]> : tensor<4x2x1x1xf32>} : () -> tensor<4x2x1x1xf32>
    %y = "onnx.Conv"(%x, %w) {group = 2 : si64} : (tensor<1x4x5x6xf32>, tensor<4x2x1x1xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}
