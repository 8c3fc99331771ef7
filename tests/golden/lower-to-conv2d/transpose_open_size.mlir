// Strides that differ need the sizes.
// passes: lower-to-conv2d
// rewrites: 0
// declined: 2 × the size is not known

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 4], ["w", 5]]} {
  func.func @main_graph(%x: tensor<1x1x?x?xf32> {onnx.dim_params = "2:h,3:w", onnx.name = "x"}) -> (tensor<1x1x?x?xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %y = "onnx.ConvTranspose"(%x, %w) {strides = [2, 3]} : (tensor<1x1x?x?xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x?x?xf32>
    func.return %y : tensor<1x1x?x?xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 4], ["w", 5]]} {
  func.func @main_graph(%x: tensor<1x1x?x?xf32> {onnx.name = "x", onnx.dim_params = "2:h,3:w"}) -> (tensor<1x1x?x?xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %y = "onnx.ConvTranspose"(%x, %w) {strides = [2, 3]} : (tensor<1x1x?x?xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x?x?xf32>
    func.return %y : tensor<1x1x?x?xf32>
  }
}
