// Convs of two inputs that are added: one conv of both.
// passes: merge-branches
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}, %z: tensor<1x1x4x4xf32> {onnx.name = "z"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y0"}) {
    %left.weight = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %left.bias = "onnx.Constant"() {value = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
    %left = "onnx.Conv"(%x, %left.weight, %left.bias) {onnx_node_name = "left"} : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %right.weight = "onnx.Constant"() {value = dense<2.0> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %right = "onnx.Conv"(%z, %right.weight) {onnx_node_name = "right"} : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x4x4xf32>
    %total = "onnx.Add"(%left, %right) {onnx_node_name = "total"} : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    func.return %total : tensor<1x2x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}, %z: tensor<1x1x4x4xf32> {onnx.name = "z"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y0"}) {
    %0 = "onnx.Concat"(%x, %z) {axis = 1 : si64} : (tensor<1x2x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x3x4x4xf32>
    %left.weight = "onnx.Constant"() {value = dense<[[[[0.5]], [[0.5]], [[2.0]]], [[[0.5]], [[0.5]], [[2.0]]]]> : tensor<2x3x1x1xf32>} : () -> tensor<2x3x1x1xf32>
    %left.bias = "onnx.Constant"() {value = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
    %total = "onnx.Conv"(%0, %left.weight, %left.bias) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1], onnx_node_name = "total"} : (tensor<1x3x4x4xf32>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    func.return %total : tensor<1x2x4x4xf32>
  }
}
