// Max needs slopes other than zero: an infinity times zero is NaN. Relu and Min do not.
// passes: lower-activations{forms=max,split}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %a = "onnx.Constant"() {value = dense<[[[0.5]], [[-0.25]], [[1.0]], [[0.0]]]> : tensor<4x1x1xf32>} : () -> tensor<4x1x1xf32>
    %y = "onnx.PRelu"(%x, %a) : (tensor<1x4x5x6xf32>, tensor<4x1x1xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %0 = "onnx.Relu"(%x) : (tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    %1 = "onnx.Constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
    %2 = "onnx.Min"(%x, %1) : (tensor<1x4x5x6xf32>, tensor<f32>) -> tensor<1x4x5x6xf32>
    %a = "onnx.Constant"() {value = dense<[[[0.5]], [[-0.25]], [[1.0]], [[0.0]]]> : tensor<4x1x1xf32>} : () -> tensor<4x1x1xf32>
    %3 = "onnx.Mul"(%2, %a) : (tensor<1x4x5x6xf32>, tensor<4x1x1xf32>) -> tensor<1x4x5x6xf32>
    %y = "onnx.Add"(%0, %3) : (tensor<1x4x5x6xf32>, tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}
