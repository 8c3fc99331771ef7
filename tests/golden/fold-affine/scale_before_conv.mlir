// A scale goes into the conv after it, padded or not.
// passes: fold-affine
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %s = "onnx.Constant"() {value = dense<[[[[2.0]], [[-4.0]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 0.5, 0.0]], [[0.25, 1.0, -1.0]]]]> : tensor<1x2x1x3xf32>} : () -> tensor<1x2x1x3xf32>
    %a = "onnx.Mul"(%x, %s) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Conv"(%a, %w) {pads = [0, 1, 0, 1]} : (tensor<1x2x4x4xf32>, tensor<1x2x1x3xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[2.0, 1.0, 0.0]], [[-1.0, -4.0, 4.0]]]]> : tensor<1x2x1x3xf32>} : () -> tensor<1x2x1x3xf32>
    %y = "onnx.Conv"(%x, %w) {pads = [0, 1, 0, 1], onnx_node_name = "y"} : (tensor<1x2x4x4xf32>, tensor<1x2x1x3xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
