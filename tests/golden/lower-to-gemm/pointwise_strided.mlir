// One tap: what the stride picks is multiplied by the weights.
// passes: lower-to-gemm
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x3x2x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<3x2x1x1xf32>} : () -> tensor<3x2x1x1xf32>
    %b = "onnx.Constant"() {value = dense<0.25> : tensor<3xf32>} : () -> tensor<3xf32>
    %t = "onnx.Conv"(%x, %w, %b) {strides = [2, 2]} : (tensor<1x2x4x4xf32>, tensor<3x2x1x1xf32>, tensor<3xf32>) -> tensor<1x3x2x2xf32>
    %y = "onnx.Relu"(%t) : (tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32>
    func.return %y : tensor<1x3x2x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x3x2x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<3x2xf32>} : () -> tensor<3x2xf32>
    %0 = "onnx.Constant"() {value = dense<0> : tensor<2xi64>} : () -> tensor<2xi64>
    %1 = "onnx.Constant"() {value = dense<2147483647> : tensor<2xi64>} : () -> tensor<2xi64>
    %2 = "onnx.Constant"() {value = dense<[2, 3]> : tensor<2xi64>} : () -> tensor<2xi64>
    %3 = "onnx.Constant"() {value = dense<2> : tensor<2xi64>} : () -> tensor<2xi64>
    %4 = "onnx.Slice"(%x, %0, %1, %2, %3) : (tensor<1x2x4x4xf32>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>, tensor<2xi64>) -> tensor<1x2x2x2xf32>
    %5 = "onnx.Constant"() {value = dense<[0, 2, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %6 = "onnx.Reshape"(%4, %5) : (tensor<1x2x2x2xf32>, tensor<3xi64>) -> tensor<1x2x4xf32>
    %7 = "onnx.MatMul"(%w, %6) : (tensor<3x2xf32>, tensor<1x2x4xf32>) -> tensor<1x3x4xf32>
    %b = "onnx.Constant"() {value = dense<0.25> : tensor<3x1xf32>} : () -> tensor<3x1xf32>
    %8 = "onnx.Add"(%7, %b) : (tensor<1x3x4xf32>, tensor<3x1xf32>) -> tensor<1x3x4xf32>
    %9 = "onnx.Constant"() {value = dense<[0, 3, 2, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %t = "onnx.Reshape"(%8, %9) : (tensor<1x3x4xf32>, tensor<4xi64>) -> tensor<1x3x2x2xf32>
    %y = "onnx.Relu"(%t) : (tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32>
    func.return %y : tensor<1x3x2x2xf32>
  }
}
