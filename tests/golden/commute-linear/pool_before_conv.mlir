// A DenseNet transition: the pool goes before the 1×1 conv; a scale between is no hindrance.
// passes: commute-linear
// rewrites: 1
// declined: 1 × the AveragePool is no cheaper after the 1×1 conv

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x2x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, -1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %s = "onnx.Constant"() {value = dense<[[[2.0]], [[4.0]]]> : tensor<2x1x1xf32>} : () -> tensor<2x1x1xf32>
    %a = "onnx.Conv"(%x, %w, %b) {onnx_node_name = "conv"} : (tensor<1x4x4x4xf32>, tensor<2x4x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %c = "onnx.Mul"(%a, %s) {onnx_node_name = "scale"} : (tensor<1x2x4x4xf32>, tensor<2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.AveragePool"(%c) {onnx_node_name = "pool", kernel_shape = [2 : si64, 2 : si64], strides = [2 : si64, 2 : si64]} : (tensor<1x2x4x4xf32>) -> tensor<1x2x2x2xf32>
    func.return %y : tensor<1x2x2x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x2x2xf32> {onnx.name = "y"}) {
    %pool = "onnx.AveragePool"(%x) {kernel_shape = [2, 2], strides = [2, 2], onnx_node_name = "pool"} : (tensor<1x4x4x4xf32>) -> tensor<1x4x2x2xf32>
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, -1.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %conv = "onnx.Conv"(%pool, %w, %b) {onnx_node_name = "conv"} : (tensor<1x4x2x2xf32>, tensor<2x4x1x1xf32>, tensor<2xf32>) -> tensor<1x2x2x2xf32>
    %s = "onnx.Constant"() {value = dense<[[[2.0]], [[4.0]]]> : tensor<2x1x1xf32>} : () -> tensor<2x1x1xf32>
    %y = "onnx.Mul"(%conv, %s) {onnx_node_name = "scale"} : (tensor<1x2x2x2xf32>, tensor<2x1x1xf32>) -> tensor<1x2x2x2xf32>
    func.return %y : tensor<1x2x2x2xf32>
  }
}
