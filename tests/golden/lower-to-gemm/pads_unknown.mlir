// How much SAME pads depends on the size where there is a stride.
// passes: lower-to-gemm
// rewrites: 0
// declined: 1 × the geometry depends on an unknown size

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 5]]} {
  func.func @main_graph(%x: tensor<1x1x?x5xf32> {onnx.name = "x", onnx.dim_params = "2:h"}) -> (tensor<1x1x?x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %y = "onnx.Conv"(%x, %w) {strides = [2, 2], auto_pad = "SAME_UPPER", onnx.dim_params = ["2:o"]} : (tensor<1x1x?x5xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x?x3xf32>
    func.return %y : tensor<1x1x?x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 5]]} {
  func.func @main_graph(%x: tensor<1x1x?x5xf32> {onnx.name = "x", onnx.dim_params = "2:h"}) -> (tensor<1x1x?x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %y = "onnx.Conv"(%x, %w) {strides = [2, 2], auto_pad = "SAME_UPPER", onnx.dim_params = ["2:o"]} : (tensor<1x1x?x5xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x?x3xf32>
    func.return %y : tensor<1x1x?x3xf32>
  }
}
