// Each input channel reaches outputs by one row of taps: rank 1, so nothing is lost.
// passes: block-diagonal{kinds=grouped max-error=0.1}
// rewrites: 1
// declined: 1 × a kernel of one tap is a dense 1×1 already

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x5x6xf32> {onnx.name = "x"}) -> (tensor<1x2x5x7xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[0.0, 0.0]], [[-3.0, 0.5]]], [[[1.0, 2.0]], [[0.0, 0.0]]]]> : tensor<2x2x1x2xf32>} : () -> tensor<2x2x1x2xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %y = "onnx.Conv"(%x, %w, %b) {pads = [0 : si64, 1 : si64, 0 : si64, 1 : si64]} : (tensor<1x2x5x6xf32>, tensor<2x2x1x2xf32>, tensor<2xf32>) -> tensor<1x2x5x7xf32>
    func.return %y : tensor<1x2x5x7xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x5x6xf32> {onnx.name = "x"}) -> (tensor<1x2x5x7xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0]]], [[[-3.0, 0.5]]]]> : tensor<2x1x1x2xf32>} : () -> tensor<2x1x1x2xf32>
    %0 = "onnx.Conv"(%x, %w) {pads = [0, 1, 0, 1], group = 2 : si64} : (tensor<1x2x5x6xf32>, tensor<2x1x1x2xf32>) -> tensor<1x2x5x7xf32>
    %w_1 = "onnx.Constant"() {value = dense<[[[[0.0]], [[1.0]]], [[[1.0]], [[0.0]]]]> : tensor<2x2x1x1xf32>, onnx.names = ["w"]} : () -> tensor<2x2x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %y = "onnx.Conv"(%0, %w_1, %b) {group = 1 : si64, kernel_shape = [1, 1]} : (tensor<1x2x5x7xf32>, tensor<2x2x1x1xf32>, tensor<2xf32>) -> tensor<1x2x5x7xf32>
    func.return %y : tensor<1x2x5x7xf32>
  }
}
