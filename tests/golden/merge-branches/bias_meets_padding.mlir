// The padding of the 3×3 sees 0, not the bias before it: the sequence is no branch of x.
// passes: merge-branches
// rewrites: 0
// declined: 1 × border: first bias meets the border: axis 0 begin: padding 1 > 0
// declined: 1 × the convs that are added differ in geometry
// declined: 1 × the sibling convs differ in geometry

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y0"}) {
    %first.weight = "onnx.Constant"() {value = dense<1.0> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %first.bias = "onnx.Constant"() {value = dense<0.5> : tensor<2xf32>} : () -> tensor<2xf32>
    %first = "onnx.Conv"(%x, %first.weight, %first.bias) {onnx_node_name = "first"} : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %second.weight = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x3x3xf32>} : () -> tensor<2x2x3x3xf32>
    %second = "onnx.Conv"(%first, %second.weight) {pads = [1, 1, 1, 1], onnx_node_name = "second"} : (tensor<1x2x4x4xf32>, tensor<2x2x3x3xf32>) -> tensor<1x2x4x4xf32>
    %other.weight = "onnx.Constant"() {value = dense<1.0> : tensor<2x2x5x5xf32>} : () -> tensor<2x2x5x5xf32>
    %other = "onnx.Conv"(%x, %other.weight) {pads = [2, 2, 2, 2], onnx_node_name = "other"} : (tensor<1x2x4x4xf32>, tensor<2x2x5x5xf32>) -> tensor<1x2x4x4xf32>
    %total = "onnx.Add"(%second, %other) {onnx_node_name = "total"} : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    func.return %total : tensor<1x2x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y0"}) {
    %first.weight = "onnx.Constant"() {value = dense<1.0> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %first.bias = "onnx.Constant"() {value = dense<0.5> : tensor<2xf32>} : () -> tensor<2xf32>
    %first = "onnx.Conv"(%x, %first.weight, %first.bias) {onnx_node_name = "first"} : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %second.weight = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x3x3xf32>} : () -> tensor<2x2x3x3xf32>
    %second = "onnx.Conv"(%first, %second.weight) {pads = [1, 1, 1, 1], onnx_node_name = "second"} : (tensor<1x2x4x4xf32>, tensor<2x2x3x3xf32>) -> tensor<1x2x4x4xf32>
    %other.weight = "onnx.Constant"() {value = dense<1.0> : tensor<2x2x5x5xf32>} : () -> tensor<2x2x5x5xf32>
    %other = "onnx.Conv"(%x, %other.weight) {pads = [2, 2, 2, 2], onnx_node_name = "other"} : (tensor<1x2x4x4xf32>, tensor<2x2x5x5xf32>) -> tensor<1x2x4x4xf32>
    %total = "onnx.Add"(%second, %other) {onnx_node_name = "total"} : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    func.return %total : tensor<1x2x4x4xf32>
  }
}
