// The depth has to be known.
// passes: lower-to-conv2d
// rewrites: 0
// declined: 4 × the size is not known

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["d", 4]]} {
  func.func @main_graph(%x: tensor<1x1x?x3x3xf32> {onnx.dim_params = "2:d", onnx.name = "x"}) -> (tensor<1x1x?x3x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<1x1x3x1x1xf32>} : () -> tensor<1x1x3x1x1xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x1x?x3x3xf32>, tensor<1x1x3x1x1xf32>) -> tensor<1x1x?x3x3xf32>
    func.return %y : tensor<1x1x?x3x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["d", 4]]} {
  func.func @main_graph(%x: tensor<1x1x?x3x3xf32> {onnx.name = "x", onnx.dim_params = "2:d"}) -> (tensor<1x1x?x3x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<1x1x3x1x1xf32>} : () -> tensor<1x1x3x1x1xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x1x?x3x3xf32>, tensor<1x1x3x1x1xf32>) -> tensor<1x1x?x3x3xf32>
    func.return %y : tensor<1x1x?x3x3xf32>
  }
}
