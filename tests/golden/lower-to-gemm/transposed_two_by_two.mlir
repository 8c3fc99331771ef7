// Two by two at stride two: all four phases in one product.
// passes: lower-to-gemm
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x3x3xf32> {onnx.name = "x"}) -> (tensor<1x1x6x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0], [3.0, 4.0]]]]> : tensor<1x1x2x2xf32>} : () -> tensor<1x1x2x2xf32>
    %b = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %y = "onnx.ConvTranspose"(%x, %w, %b) {strides = [2, 2]} : (tensor<1x1x3x3xf32>, tensor<1x1x2x2xf32>, tensor<1xf32>) -> tensor<1x1x6x6xf32>
    func.return %y : tensor<1x1x6x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x3x3xf32> {onnx.name = "x"}) -> (tensor<1x1x6x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[1.0], [2.0], [3.0], [4.0]]> : tensor<4x1xf32>} : () -> tensor<4x1xf32>
    %0 = "onnx.Constant"() {value = dense<[0, 1, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %1 = "onnx.Reshape"(%x, %0) : (tensor<1x1x3x3xf32>, tensor<3xi64>) -> tensor<1x1x9xf32>
    %2 = "onnx.MatMul"(%w, %1) : (tensor<4x1xf32>, tensor<1x1x9xf32>) -> tensor<1x4x9xf32>
    %b = "onnx.Constant"() {value = dense<0.25> : tensor<4x1xf32>} : () -> tensor<4x1xf32>
    %3 = "onnx.Add"(%2, %b) : (tensor<1x4x9xf32>, tensor<4x1xf32>) -> tensor<1x4x9xf32>
    %4 = "onnx.Constant"() {value = dense<[0, 4, 3, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %5 = "onnx.Reshape"(%3, %4) : (tensor<1x4x9xf32>, tensor<4xi64>) -> tensor<1x4x3x3xf32>
    %y = "onnx.DepthToSpace"(%5) {blocksize = 2 : si64, mode = "DCR"} : (tensor<1x4x3x3xf32>) -> tensor<1x1x6x6xf32>
    func.return %y : tensor<1x1x6x6xf32>
  }
}
