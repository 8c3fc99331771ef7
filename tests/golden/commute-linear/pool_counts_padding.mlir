// The padding is counted, so the bias becomes a map: a quarter of it in the corners.
// passes: commute-linear
// rewrites: 1
// declined: 1 × the AveragePool is no cheaper after the 1×1 conv

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x4x4xf32> {onnx.name = "x"}) -> (tensor<1x4x3x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<4x4x1x1xf32>} : () -> tensor<4x4x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, -2.0, 4.0, 8.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %a = "onnx.Conv"(%x, %w, %b) {onnx_node_name = "conv"} : (tensor<1x4x4x4xf32>, tensor<4x4x1x1xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
    %y = "onnx.AveragePool"(%a) {onnx_node_name = "pool", count_include_pad = 1 : si64, kernel_shape = [2 : si64, 2 : si64], pads = [1 : si64, 1 : si64, 1 : si64, 1 : si64], strides = [2 : si64, 2 : si64]} : (tensor<1x4x4x4xf32>) -> tensor<1x4x3x3xf32>
    func.return %y : tensor<1x4x3x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x4x4xf32> {onnx.name = "x"}) -> (tensor<1x4x3x3xf32> {onnx.name = "y"}) {
    %pool = "onnx.AveragePool"(%x) {count_include_pad = 1 : si64, kernel_shape = [2, 2], pads = [1, 1, 1, 1], strides = [2, 2], onnx_node_name = "pool"} : (tensor<1x4x4x4xf32>) -> tensor<1x4x3x3xf32>
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<4x4x1x1xf32>} : () -> tensor<4x4x1x1xf32>
    %conv = "onnx.Conv"(%pool, %w) {onnx_node_name = "conv"} : (tensor<1x4x3x3xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x3x3xf32>
    %b = "onnx.Constant"() {value = dense_resource<b> : tensor<1x4x3x3xf32>} : () -> tensor<1x4x3x3xf32>
    %y = "onnx.Add"(%conv, %b) : (tensor<1x4x3x3xf32>, tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32>
    func.return %y : tensor<1x4x3x3xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      b: "0x040000000000803e0000003f0000803e0000003f0000803f0000003f0000803e0000003f0000803e000000bf000080bf000000bf000080bf000000c0000080bf000000bf000080bf000000bf0000803f000000400000803f0000004000008040000000400000803f000000400000803f000000400000804000000040000080400000004100008040000000400000804000000040"
    }
  }
#-}
