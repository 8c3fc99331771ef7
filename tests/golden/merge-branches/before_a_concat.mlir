// Convs of the parts of x become one grouped conv, convs of x one conv.
// passes: merge-branches
// rewrites: 2
// declined: 1 × the convs before the Concat differ in geometry, are grouped or not neighbours
// declined: 1 × the sibling convs are grouped
// declined: 1 × the sibling convs differ in geometry

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 11]]} {
  func.func @main_graph(%x: tensor<1x4x4x4xf32> {onnx.name = "x"}) -> (tensor<1x9x4x4xf32> {onnx.name = "y0"}) {
    %p0, %p1 = "onnx.Split"(%x) {axis = 1 : si64, split = [2, 2]} : (tensor<1x4x4x4xf32>) -> (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>)
    %left.weight = "onnx.Constant"() {value = dense<0.5> : tensor<3x2x1x1xf32>} : () -> tensor<3x2x1x1xf32>
    %left = "onnx.Conv"(%p0, %left.weight) {onnx_node_name = "left"} : (tensor<1x2x4x4xf32>, tensor<3x2x1x1xf32>) -> tensor<1x3x4x4xf32>
    %right.weight = "onnx.Constant"() {value = dense<2.0> : tensor<3x2x1x1xf32>} : () -> tensor<3x2x1x1xf32>
    %right = "onnx.Conv"(%p1, %right.weight) {onnx_node_name = "right"} : (tensor<1x2x4x4xf32>, tensor<3x2x1x1xf32>) -> tensor<1x3x4x4xf32>
    %a.weight = "onnx.Constant"() {value = dense<1.0> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %a = "onnx.Conv"(%x, %a.weight) {onnx_node_name = "a"} : (tensor<1x4x4x4xf32>, tensor<1x4x1x1xf32>) -> tensor<1x1x4x4xf32>
    %b.weight = "onnx.Constant"() {value = dense<-1.0> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %b = "onnx.Conv"(%x, %b.weight) {onnx_node_name = "b"} : (tensor<1x4x4x4xf32>, tensor<2x4x1x1xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Concat"(%left, %right, %a, %b) {axis = 1 : si64, onnx_node_name = "y"} : (tensor<1x3x4x4xf32>, tensor<1x3x4x4xf32>, tensor<1x1x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x9x4x4xf32>
    func.return %y : tensor<1x9x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 11]]} {
  func.func @main_graph(%x: tensor<1x4x4x4xf32> {onnx.name = "x"}) -> (tensor<1x9x4x4xf32> {onnx.name = "y0"}) {
    %left.weight = "onnx.Constant"() {value = dense<[[[[0.5]], [[0.5]]], [[[0.5]], [[0.5]]], [[[0.5]], [[0.5]]], [[[2.0]], [[2.0]]], [[[2.0]], [[2.0]]], [[[2.0]], [[2.0]]]]> : tensor<6x2x1x1xf32>} : () -> tensor<6x2x1x1xf32>
    %left = "onnx.Conv"(%x, %left.weight) {dilations = [1, 1], group = 2 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1], onnx_node_name = "left"} : (tensor<1x4x4x4xf32>, tensor<6x2x1x1xf32>) -> tensor<1x6x4x4xf32>
    %a.weight = "onnx.Constant"() {value = dense<[[[[1.0]], [[1.0]], [[1.0]], [[1.0]]], [[[-1.0]], [[-1.0]], [[-1.0]], [[-1.0]]], [[[-1.0]], [[-1.0]], [[-1.0]], [[-1.0]]]]> : tensor<3x4x1x1xf32>} : () -> tensor<3x4x1x1xf32>
    %a = "onnx.Conv"(%x, %a.weight) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1], onnx_node_name = "a"} : (tensor<1x4x4x4xf32>, tensor<3x4x1x1xf32>) -> tensor<1x3x4x4xf32>
    %y = "onnx.Concat"(%left, %a) {axis = 1 : si64, onnx_node_name = "y"} : (tensor<1x6x4x4xf32>, tensor<1x3x4x4xf32>) -> tensor<1x9x4x4xf32>
    func.return %y : tensor<1x9x4x4xf32>
  }
}
