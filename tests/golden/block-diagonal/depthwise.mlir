// A depthwise Conv is left alone unless its kind is asked for.
// passes: block-diagonal
// rewrites: 0
// declined: 1 × the Conv is depthwise

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
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
    %y = "onnx.Conv"(%x, %w) {group = 4 : si64} : (tensor<1x4x5x6xf32>, tensor<4x1x1x1xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}
