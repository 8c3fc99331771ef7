// Two convs of one input: one conv and a Split.
// passes: merge-branches
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x2xf32> {onnx.name = "y0"}, tensor<1x2x4x2xf32> {onnx.name = "y1"}) {
    %one.weight = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %one = "onnx.Conv"(%x, %one.weight) {onnx_node_name = "one"} : (tensor<1x1x4x4xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x4x2xf32>
    %two.weight = "onnx.Constant"() {value = dense<2.0> : tensor<2x1x1x3xf32>} : () -> tensor<2x1x1x3xf32>
    %two.bias = "onnx.Constant"() {value = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
    %two = "onnx.Conv"(%x, %two.weight, %two.bias) {onnx_node_name = "two"} : (tensor<1x1x4x4xf32>, tensor<2x1x1x3xf32>, tensor<2xf32>) -> tensor<1x2x4x2xf32>
    %ra = "onnx.Relu"(%one) {onnx_node_name = "ra"} : (tensor<1x1x4x2xf32>) -> tensor<1x1x4x2xf32>
    %sc = "onnx.Sigmoid"(%two) {onnx_node_name = "sc"} : (tensor<1x2x4x2xf32>) -> tensor<1x2x4x2xf32>
    func.return %ra, %sc : tensor<1x1x4x2xf32>, tensor<1x2x4x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x2xf32> {onnx.name = "y0"}, tensor<1x2x4x2xf32> {onnx.name = "y1"}) {
    %one.weight = "onnx.Constant"() {value = dense<[[[[0.5, 0.5, 0.5]]], [[[2.0, 2.0, 2.0]]], [[[2.0, 2.0, 2.0]]]]> : tensor<3x1x1x3xf32>} : () -> tensor<3x1x1x3xf32>
    %one.weight_bias = "onnx.Constant"() {value = dense<[0.0, 1.0, 1.0]> : tensor<3xf32>} : () -> tensor<3xf32>
    %one = "onnx.Conv"(%x, %one.weight, %one.weight_bias) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 3], pads = [0, 0, 0, 0], strides = [1, 1], onnx_node_name = "one"} : (tensor<1x1x4x4xf32>, tensor<3x1x1x3xf32>, tensor<3xf32>) -> tensor<1x3x4x2xf32>
    %0 = "onnx.Constant"() {value = dense<[1, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
    %one_1, %two = "onnx.Split"(%one, %0) {axis = 1 : si64, onnx.names = ["one", "two"]} : (tensor<1x3x4x2xf32>, tensor<2xi64>) -> (tensor<1x1x4x2xf32>, tensor<1x2x4x2xf32>)
    %ra = "onnx.Relu"(%one_1) {onnx_node_name = "ra"} : (tensor<1x1x4x2xf32>) -> tensor<1x1x4x2xf32>
    %sc = "onnx.Sigmoid"(%two) {onnx_node_name = "sc"} : (tensor<1x2x4x2xf32>) -> tensor<1x2x4x2xf32>
    func.return %ra, %sc : tensor<1x1x4x2xf32>, tensor<1x2x4x2xf32>
  }
}
