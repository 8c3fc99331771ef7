// MobileOne: depthwise branches stay depthwise; the size is open.
// passes: merge-branches
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["n", 1], ["h", 5], ["w", 5], ["?0", 3], ["?1", 3], ["?2", 3], ["?3", 3], ["?4", 3], ["?5", 3]]} {
  func.func @main_graph(%x: tensor<?x2x?x?xf32> {onnx.name = "x", onnx.dim_params = "0:n,2:h,3:w"}) -> (tensor<?x2x?x?xf32> {onnx.name = "y0"}) {
    %d0.weight = "onnx.Constant"() {value = dense<0.5> : tensor<2x1x1x3xf32>} : () -> tensor<2x1x1x3xf32>
    %d0 = "onnx.Conv"(%x, %d0.weight) {group = 2 : si64, strides = [2, 2], pads = [0, 1, 0, 1], onnx_node_name = "d0", onnx.dim_params = ["0:n,2:?0,3:?1"]} : (tensor<?x2x?x?xf32>, tensor<2x1x1x3xf32>) -> tensor<?x2x?x?xf32>
    %d1.weight = "onnx.Constant"() {value = dense<0.25> : tensor<2x1x1x3xf32>} : () -> tensor<2x1x1x3xf32>
    %d1.bias = "onnx.Constant"() {value = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
    %d1 = "onnx.Conv"(%x, %d1.weight, %d1.bias) {group = 2 : si64, strides = [2, 2], pads = [0, 1, 0, 1], onnx_node_name = "d1", onnx.dim_params = ["0:n,2:?2,3:?3"]} : (tensor<?x2x?x?xf32>, tensor<2x1x1x3xf32>, tensor<2xf32>) -> tensor<?x2x?x?xf32>
    %scale.weight = "onnx.Constant"() {value = dense<2.0> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %scale = "onnx.Conv"(%x, %scale.weight) {group = 2 : si64, strides = [2, 2], onnx_node_name = "scale", onnx.dim_params = ["0:n,2:?4,3:?5"]} : (tensor<?x2x?x?xf32>, tensor<2x1x1x1xf32>) -> tensor<?x2x?x?xf32>
    %total = "onnx.Sum"(%d0, %d1, %scale) {onnx_node_name = "total", onnx.dim_params = ["0:n,2:?0,3:?1"]} : (tensor<?x2x?x?xf32>, tensor<?x2x?x?xf32>, tensor<?x2x?x?xf32>) -> tensor<?x2x?x?xf32>
    func.return %total : tensor<?x2x?x?xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["n", 1], ["h", 5], ["w", 5], ["?0", 3], ["?1", 3], ["?2", 3], ["?3", 3], ["?4", 3], ["?5", 3], ["?6", 3], ["?7", 3]]} {
  func.func @main_graph(%x: tensor<?x2x?x?xf32> {onnx.name = "x", onnx.dim_params = "0:n,2:h,3:w"}) -> (tensor<?x2x?x?xf32> {onnx.name = "y0"}) {
    %d0.weight = "onnx.Constant"() {value = dense<[[[[0.75, 2.75, 0.75]]], [[[0.75, 2.75, 0.75]]]]> : tensor<2x1x1x3xf32>} : () -> tensor<2x1x1x3xf32>
    %d0.weight_bias = "onnx.Constant"() {value = dense<1.0> : tensor<2xf32>} : () -> tensor<2xf32>
    %total = "onnx.Conv"(%x, %d0.weight, %d0.weight_bias) {dilations = [1, 1], group = 2 : si64, kernel_shape = [1, 3], pads = [0, 1, 0, 1], strides = [2, 2], onnx_node_name = "total", onnx.dim_params = ["0:n,2:?0,3:?1"]} : (tensor<?x2x?x?xf32>, tensor<2x1x1x3xf32>, tensor<2xf32>) -> tensor<?x2x?x?xf32>
    func.return %total : tensor<?x2x?x?xf32>
  }
}
