// Weights that are no subnormals, but whose products with activations are.
// passes: flush-subnormals
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<3x2xf32> {onnx.name = "x"}) -> (tensor<3x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[1.0, 1.0e-30], [3.0e-25, -2.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
    %y = "onnx.MatMul"(%x, %w) : (tensor<3x2xf32>, tensor<2x2xf32>) -> tensor<3x2xf32>
    func.return %y : tensor<3x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<3x2xf32> {onnx.name = "x"}) -> (tensor<3x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[1.0, 0.0], [0.0, -2.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
    %y = "onnx.MatMul"(%x, %w) {onnx_node_name = "y"} : (tensor<3x2xf32>, tensor<2x2xf32>) -> tensor<3x2xf32>
    func.return %y : tensor<3x2xf32>
  }
}
