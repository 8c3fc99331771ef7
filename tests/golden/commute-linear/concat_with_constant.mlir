// A constant part that is alike at all positions becomes bias.
// passes: commute-linear
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x3x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x6x2x2xf32>} : () -> tensor<2x6x2x2xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, -2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %k = "onnx.Constant"() {value = dense<0.25> : tensor<1x2x4x4xf32>} : () -> tensor<1x2x4x4xf32>
    %c = "onnx.Concat"(%k, %x) {onnx_node_name = "concat", axis = 1 : si64} : (tensor<1x2x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x6x4x4xf32>
    %y = "onnx.Conv"(%c, %w, %b) {onnx_node_name = "conv"} : (tensor<1x6x4x4xf32>, tensor<2x6x2x2xf32>, tensor<2xf32>) -> tensor<1x2x3x3xf32>
    func.return %y : tensor<1x2x3x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x3x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x2x2xf32>} : () -> tensor<2x4x2x2xf32>
    %b = "onnx.Constant"() {value = dense<[2.0, -1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %y = "onnx.Conv"(%x, %w, %b) {onnx_node_name = "conv"} : (tensor<1x4x4x4xf32>, tensor<2x4x2x2xf32>, tensor<2xf32>) -> tensor<1x2x3x3xf32>
    func.return %y : tensor<1x2x3x3xf32>
  }
}
