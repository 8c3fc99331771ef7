// Slopes between 0 and 1: a·x + (1 − a)·x above zero.
// passes: lower-activations{forms=depthwise-sum}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %a = "onnx.Constant"() {value = dense<[[[0.5]], [[0.25]], [[0.125]], [[0.75]]]> : tensor<4x1x1xf32>} : () -> tensor<4x1x1xf32>
    %y = "onnx.PRelu"(%x, %a) : (tensor<1x4x5x6xf32>, tensor<4x1x1xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x4x5x6xf32> {onnx.name = "y"}) {
    %a = "onnx.Constant"() {value = dense<[[[[0.5]]], [[[0.25]]], [[[0.125]]], [[[0.75]]]]> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
    %0 = "onnx.Conv"(%x, %a) {dilations = [1, 1], group = 4 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x4x5x6xf32>, tensor<4x1x1x1xf32>) -> tensor<1x4x5x6xf32>
    %a_1 = "onnx.Constant"() {value = dense<[[[[0.5]]], [[[0.75]]], [[[0.875]]], [[[0.25]]]]> : tensor<4x1x1x1xf32>, onnx.names = ["a"]} : () -> tensor<4x1x1x1xf32>
    %1 = "onnx.Conv"(%x, %a_1) {dilations = [1, 1], group = 4 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<1x4x5x6xf32>, tensor<4x1x1x1xf32>) -> tensor<1x4x5x6xf32>
    %2 = "onnx.Relu"(%1) : (tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    %y = "onnx.Add"(%0, %2) : (tensor<1x4x5x6xf32>, tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    func.return %y : tensor<1x4x5x6xf32>
  }
}
