// Two rows of a kernel of one row and many columns have nothing in common.
// passes: lower-to-conv2d{forms=wide-rows}
// rewrites: 0
// declined: 1 × the larger kernel takes more than the filled blocks save

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x9xf32> {onnx.name = "x"}) -> (tensor<1x8x4x7xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<8x1x1x3xf32>} : () -> tensor<8x1x1x3xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x1x4x9xf32>, tensor<8x1x1x3xf32>) -> tensor<1x8x4x7xf32>
    func.return %y : tensor<1x8x4x7xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x9xf32> {onnx.name = "x"}) -> (tensor<1x8x4x7xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<8x1x1x3xf32>} : () -> tensor<8x1x1x3xf32>
    %y = "onnx.Conv"(%x, %w) : (tensor<1x1x4x9xf32>, tensor<8x1x1x3xf32>) -> tensor<1x8x4x7xf32>
    func.return %y : tensor<1x8x4x7xf32>
  }
}
