// A stride of two: two phases of two taps each, which are channels to the product.
// passes: lower-to-winograd{forms=tiles tiles=3}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x11xf64> {onnx.name = "x"}) -> (tensor<1x1x6xf64> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x2x4xf64>} : () -> tensor<1x2x4xf64>
    %y = "onnx.Conv"(%x, %w) {pads = [1, 2], strides = [2]} : (tensor<1x2x11xf64>, tensor<1x2x4xf64>) -> tensor<1x1x6xf64>
    func.return %y : tensor<1x1x6xf64>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x11xf64> {onnx.name = "x"}) -> (tensor<1x1x6xf64> {onnx.name = "y"}) {
    %y_outputs = "onnx.Constant"() {value = dense<[[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, 0.0], [0.0, 1.0, 1.0, 1.0]]> : tensor<3x4xf64>} : () -> tensor<3x4xf64>
    %y_filters = "onnx.Constant"() {value = dense<[[[-0.5, -0.5, -0.5, -0.5]], [[0.5, 0.5, 0.5, 0.5]], [[0.0, 0.0, 0.0, 0.0]], [[0.5, 0.5, 0.5, 0.5]]]> : tensor<4x1x4xf64>} : () -> tensor<4x1x4xf64>
    %0 = "onnx.Constant"() {value = dense<[2, 1, 11]> : tensor<3xi64>} : () -> tensor<3xi64>
    %1 = "onnx.Reshape"(%x, %0) : (tensor<1x2x11xf64>, tensor<3xi64>) -> tensor<2x1x11xf64>
    %y_inputs = "onnx.Constant"() {value = dense_resource<y_inputs> : tensor<8x1x8xf64>} : () -> tensor<8x1x8xf64>
    %2 = "onnx.Conv"(%1, %y_inputs) {dilations = [1], group = 1 : si64, kernel_shape = [8], pads = [1, 2], strides = [6]} : (tensor<2x1x11xf64>, tensor<8x1x8xf64>) -> tensor<2x8x2xf64>
    %3 = "onnx.Constant"() {value = dense<[4, 4, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %4 = "onnx.Reshape"(%2, %3) : (tensor<2x8x2xf64>, tensor<3xi64>) -> tensor<4x4x2xf64>
    %5 = "onnx.Transpose"(%4) {perm = [1, 0, 2]} : (tensor<4x4x2xf64>) -> tensor<4x4x2xf64>
    %6 = "onnx.MatMul"(%y_filters, %5) : (tensor<4x1x4xf64>, tensor<4x4x2xf64>) -> tensor<4x1x2xf64>
    %7 = "onnx.Constant"() {value = dense<[4, 2]> : tensor<2xi64>} : () -> tensor<2xi64>
    %8 = "onnx.Reshape"(%6, %7) : (tensor<4x1x2xf64>, tensor<2xi64>) -> tensor<4x2xf64>
    %9 = "onnx.MatMul"(%y_outputs, %8) : (tensor<3x4xf64>, tensor<4x2xf64>) -> tensor<3x2xf64>
    %10 = "onnx.Constant"() {value = dense<[1, 3, 2]> : tensor<3xi64>} : () -> tensor<3xi64>
    %11 = "onnx.Reshape"(%9, %10) : (tensor<3x2xf64>, tensor<3xi64>) -> tensor<1x3x2xf64>
    %12 = "onnx.Constant"() {value = dense<[0, 3, 1, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %13 = "onnx.Reshape"(%11, %12) : (tensor<1x3x2xf64>, tensor<4xi64>) -> tensor<1x3x1x2xf64>
    %14 = "onnx.Transpose"(%13) {perm = [0, 2, 3, 1]} : (tensor<1x3x1x2xf64>) -> tensor<1x1x2x3xf64>
    %15 = "onnx.Constant"() {value = dense<[0, 1, 6]> : tensor<3xi64>} : () -> tensor<3xi64>
    %y = "onnx.Reshape"(%14, %15) : (tensor<1x1x2x3xf64>, tensor<3xi64>) -> tensor<1x1x6xf64>
    func.return %y : tensor<1x1x6xf64>
  }
}

{-#
  dialect_resources: {
    builtin: {
      y_inputs: "0x08000000000000000000f0bf000000000000000000000000000000000000000000000000000000000000f03f00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000f03f0000000000000000000000000000f03f00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000f0bf0000000000000000000000000000f03f00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000f0bf000000000000000000000000000000000000000000000000000000000000f03f00000000000000000000000000000000000000000000f0bf000000000000000000000000000000000000000000000000000000000000f03f00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000f03f0000000000000000000000000000f03f00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000f0bf0000000000000000000000000000f03f00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000f0bf000000000000000000000000000000000000000000000000000000000000f03f"
    }
  }
#-}
