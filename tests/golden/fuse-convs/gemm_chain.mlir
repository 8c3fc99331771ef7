// Two products are one; the biases go along: b2 + W2·b1.
// passes: fuse-convs
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<3x2xf32> {onnx.name = "x"}) -> (tensor<3x1xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[1.0, 2.0], [3.0, 4.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
    %b1 = "onnx.Constant"() {value = dense<[1.0, -1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %w2 = "onnx.Constant"() {value = dense<[[2.0], [0.5]]> : tensor<2x1xf32>} : () -> tensor<2x1xf32>
    %b2 = "onnx.Constant"() {value = dense<4.0> : tensor<1xf32>} : () -> tensor<1xf32>
    %a = "onnx.Gemm"(%x, %w1, %b1) : (tensor<3x2xf32>, tensor<2x2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
    %y = "onnx.Gemm"(%a, %w2, %b2) : (tensor<3x2xf32>, tensor<2x1xf32>, tensor<1xf32>) -> tensor<3x1xf32>
    func.return %y : tensor<3x1xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<3x2xf32> {onnx.name = "x"}) -> (tensor<3x1xf32> {onnx.name = "y"}) {
    %w2 = "onnx.Constant"() {value = dense<[[3.0], [8.0]]> : tensor<2x1xf32>} : () -> tensor<2x1xf32>
    %b2 = "onnx.Constant"() {value = dense<[5.5]> : tensor<1xf32>} : () -> tensor<1xf32>
    %y = "onnx.Gemm"(%x, %w2, %b2) {transA = 0 : si64} : (tensor<3x2xf32>, tensor<2x1xf32>, tensor<1xf32>) -> tensor<3x1xf32>
    func.return %y : tensor<3x1xf32>
  }
}
