// RepVGG: a 3×3, a 1×1 and an identity branch, each normalised, are one 3×3 conv.
// passes: merge-branches
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y0"}) {
    %dense.weight = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %dense = "onnx.Conv"(%x, %dense.weight) {pads = [1, 1, 1, 1], onnx_node_name = "dense"} : (tensor<1x1x4x4xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x4x4xf32>
    %dense_norm.scale = "onnx.Constant"() {value = dense<[2.0]> : tensor<1xf32>} : () -> tensor<1xf32>
    %dense_norm.bias = "onnx.Constant"() {value = dense<[0.5]> : tensor<1xf32>} : () -> tensor<1xf32>
    %dense_norm.mean = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %dense_norm.var = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %dense_norm = "onnx.BatchNormalization"(%dense, %dense_norm.scale, %dense_norm.bias, %dense_norm.mean, %dense_norm.var) {epsilon = 0.0 : f32, onnx_node_name = "dense_norm"} : (tensor<1x1x4x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x4x4xf32>
    %point.weight = "onnx.Constant"() {value = dense<[[[[-0.5]]]]> : tensor<1x1x1x1xf32>} : () -> tensor<1x1x1x1xf32>
    %point = "onnx.Conv"(%x, %point.weight) {onnx_node_name = "point"} : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
    %point_norm.scale = "onnx.Constant"() {value = dense<[2.0]> : tensor<1xf32>} : () -> tensor<1xf32>
    %point_norm.bias = "onnx.Constant"() {value = dense<[0.5]> : tensor<1xf32>} : () -> tensor<1xf32>
    %point_norm.mean = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %point_norm.var = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %point_norm = "onnx.BatchNormalization"(%point, %point_norm.scale, %point_norm.bias, %point_norm.mean, %point_norm.var) {epsilon = 0.0 : f32, onnx_node_name = "point_norm"} : (tensor<1x1x4x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x4x4xf32>
    %sum = "onnx.Add"(%dense_norm, %point_norm) {onnx_node_name = "sum"} : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
    %skip.scale = "onnx.Constant"() {value = dense<[2.0]> : tensor<1xf32>} : () -> tensor<1xf32>
    %skip.bias = "onnx.Constant"() {value = dense<[0.5]> : tensor<1xf32>} : () -> tensor<1xf32>
    %skip.mean = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %skip.var = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %skip = "onnx.BatchNormalization"(%x, %skip.scale, %skip.bias, %skip.mean, %skip.var) {epsilon = 0.0 : f32, onnx_node_name = "skip"} : (tensor<1x1x4x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x4x4xf32>
    %total = "onnx.Add"(%sum, %skip) {onnx_node_name = "total"} : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
    %y = "onnx.Relu"(%total) {onnx_node_name = "y"} : (tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y0"}) {
    %dense.weight = "onnx.Constant"() {value = dense<[[[[2.0, 2.0, 2.0], [2.0, 4.0, 2.0], [2.0, 2.0, 2.0]]]]> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %dense.weight_bias = "onnx.Constant"() {value = dense<[-1.5]> : tensor<1xf32>} : () -> tensor<1xf32>
    %total = "onnx.Conv"(%x, %dense.weight, %dense.weight_bias) {dilations = [1, 1], group = 1 : si64, kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [1, 1], onnx_node_name = "total"} : (tensor<1x1x4x4xf32>, tensor<1x1x3x3xf32>, tensor<1xf32>) -> tensor<1x1x4x4xf32>
    %y = "onnx.Relu"(%total) {onnx_node_name = "y"} : (tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
