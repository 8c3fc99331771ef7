// The region of two convs is entered and left once; in opset 11 by attributes.
// passes: lower-to-conv2d{forms=conv1d}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 11]]} {
  func.func @main_graph(%x: tensor<1x2x6xf32> {onnx.name = "x"}) -> (tensor<1x1x6xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<2x1x3xf32>} : () -> tensor<2x1x3xf32>
    %v = "onnx.Constant"() {value = dense<2.0> : tensor<1x2x1xf32>} : () -> tensor<1x2x1xf32>
    %a = "onnx.Conv"(%x, %w) {group = 2 : si64, pads = [1, 1]} : (tensor<1x2x6xf32>, tensor<2x1x3xf32>) -> tensor<1x2x6xf32>
    %r = "onnx.Relu"(%a) : (tensor<1x2x6xf32>) -> tensor<1x2x6xf32>
    %y = "onnx.Conv"(%r, %v) : (tensor<1x2x6xf32>, tensor<1x2x1xf32>) -> tensor<1x1x6xf32>
    func.return %y : tensor<1x1x6xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 11]]} {
  func.func @main_graph(%x: tensor<1x2x6xf32> {onnx.name = "x"}) -> (tensor<1x1x6xf32> {onnx.name = "y"}) {
    %0 = "onnx.Unsqueeze"(%x) {axes = [2]} : (tensor<1x2x6xf32>) -> tensor<1x2x1x6xf32>
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<2x1x1x3xf32>} : () -> tensor<2x1x1x3xf32>
    %1 = "onnx.Conv"(%0, %w) {group = 2 : si64, pads = [0, 1, 0, 1]} : (tensor<1x2x1x6xf32>, tensor<2x1x1x3xf32>) -> tensor<1x2x1x6xf32>
    %2 = "onnx.Relu"(%1) : (tensor<1x2x1x6xf32>) -> tensor<1x2x1x6xf32>
    %v = "onnx.Constant"() {value = dense<2.0> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %3 = "onnx.Conv"(%2, %v) : (tensor<1x2x1x6xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x1x6xf32>
    %y = "onnx.Squeeze"(%3) {axes = [2]} : (tensor<1x1x1x6xf32>) -> tensor<1x1x6xf32>
    func.return %y : tensor<1x1x6xf32>
  }
}
