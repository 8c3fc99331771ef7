// Quantised weights are not unpacked.
// passes: simplify
// rewrites: 0

module attributes {onnx.ir_version = 9 : si64, onnx.opsets = [["", 19]]} {
  func.func @main_graph(%x: tensor<3x2xf32> {onnx.name = "x"}) -> (tensor<3x2xf32> {onnx.name = "y"}) {
    %q = "onnx.Constant"() {value = dense<[3, 250]> : tensor<2xui8>} : () -> tensor<2xui8>
    %s = "onnx.Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %z = "onnx.Constant"() {value = dense<128> : tensor<ui8>} : () -> tensor<ui8>
    %w = "onnx.DequantizeLinear"(%q, %s, %z) : (tensor<2xui8>, tensor<f32>, tensor<ui8>) -> tensor<2xf32>
    %y = "onnx.Mul"(%x, %w) : (tensor<3x2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
    func.return %y : tensor<3x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 9 : si64, onnx.opsets = [["", 19]]} {
  func.func @main_graph(%x: tensor<3x2xf32> {onnx.name = "x"}) -> (tensor<3x2xf32> {onnx.name = "y"}) {
    %q = "onnx.Constant"() {value = dense<[3, 250]> : tensor<2xui8>} : () -> tensor<2xui8>
    %s = "onnx.Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %z = "onnx.Constant"() {value = dense<128> : tensor<ui8>} : () -> tensor<ui8>
    %w = "onnx.DequantizeLinear"(%q, %s, %z) : (tensor<2xui8>, tensor<f32>, tensor<ui8>) -> tensor<2xf32>
    %y = "onnx.Mul"(%x, %w) : (tensor<3x2xf32>, tensor<2xf32>) -> tensor<3x2xf32>
    func.return %y : tensor<3x2xf32>
  }
}
