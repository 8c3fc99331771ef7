// Equal slopes, repeated for every position: a LeakyRelu.
// passes: lower-activations
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %a = "onnx.Constant"() {value = dense<0.25> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %s = "onnx.Constant"() {value = dense<[1, 4, 5, 6]> : tensor<4xi64>} : () -> tensor<4xi64>
    %e = "onnx.Expand"(%a, %s) : (tensor<1x4x1x1xf32>, tensor<4xi64>) -> tensor<1x4x5x6xf32>
    %y = "onnx.PRelu"(%x, %e) : (tensor<1x4x5x6xf32>, tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %y = "onnx.LeakyRelu"(%x) {alpha = 0.25 : f32} : (tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}
