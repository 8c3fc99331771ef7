// Mul, Add and Sub after a Gemm go into its weights and bias at once.
// passes: fold-affine
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<3x2xf32> {onnx.name = "x"}) -> (tensor<3x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, -1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %s = "onnx.Constant"() {value = dense<[2.0, 0.5]> : tensor<2xf32>} : () -> tensor<2xf32>
    %t = "onnx.Constant"() {value = dense<[0.25, 8.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %u = "onnx.Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %a = "onnx.Gemm"(%x, %w, %b) : (tensor<3x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
    %c = "onnx.Mul"(%a, %s) : (tensor<3x2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
    %d = "onnx.Add"(%c, %t) : (tensor<3x2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
    %y = "onnx.Sub"(%d, %u) : (tensor<3x2xf32>, tensor<f32>) -> tensor<3x2xf32>
    func.return %y : tensor<3x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<3x2xf32> {onnx.name = "x"}) -> (tensor<3x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[2.0, 1.0], [6.0, 2.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
    %b = "onnx.Constant"() {value = dense<[1.25, 6.5]> : tensor<2xf32>} : () -> tensor<2xf32>
    %y = "onnx.Gemm"(%x, %w, %b) {beta = 1.0 : f32, onnx_node_name = "a"} : (tensor<3x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
    func.return %y : tensor<3x2xf32>
  }
}
