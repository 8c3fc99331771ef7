// One output: of nine taps only the middle one meets more than padding.
// passes: lower-to-gemm
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x1x1xf32> {onnx.name = "x"}) -> (tensor<1x1x1x1xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]]]]> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %b = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %y = "onnx.Conv"(%x, %w, %b) {pads = [1, 1, 1, 1]} : (tensor<1x1x1x1xf32>, tensor<1x1x3x3xf32>, tensor<1xf32>) -> tensor<1x1x1x1xf32>
    func.return %y : tensor<1x1x1x1xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x1x1xf32> {onnx.name = "x"}) -> (tensor<1x1x1x1xf32> {onnx.name = "y"}) {
    %0 = "onnx.Flatten"(%x) {axis = 1 : si64} : (tensor<1x1x1x1xf32>) -> tensor<1x1xf32>
    %w = "onnx.Constant"() {value = dense<[[4.0]]> : tensor<1x1xf32>} : () -> tensor<1x1xf32>
    %b = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %1 = "onnx.Gemm"(%0, %w, %b) {transB = 1 : si64} : (tensor<1x1xf32>, tensor<1x1xf32>, tensor<1xf32>) -> tensor<1x1xf32>
    %2 = "onnx.Constant"() {value = dense<[0, 1, 1, 1]> : tensor<4xi64>} : () -> tensor<4xi64>
    %y = "onnx.Reshape"(%1, %2) : (tensor<1x1xf32>, tensor<4xi64>) -> tensor<1x1x1x1xf32>
    func.return %y : tensor<1x1x1x1xf32>
  }
}
