// Depths 0 and 2, 1 and 3 are computed at once; the slices of the result are put in order.
// passes: lower-to-conv2d{forms=conv3d-deep}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x2x2xf32> {onnx.name = "x"}) -> (tensor<1x8x4x2x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<1.0> : tensor<8x1x3x1x1xf32>} : () -> tensor<8x1x3x1x1xf32>
    %c = "onnx.Conv"(%x, %w) {pads = [2, 0, 0, 2, 0, 0], dilations = [2, 1, 1]} : (tensor<1x1x4x2x2xf32>, tensor<8x1x3x1x1xf32>) -> tensor<1x8x4x2x2xf32>
    %y = "onnx.Relu"(%c) : (tensor<1x8x4x2x2xf32>) -> tensor<1x8x4x2x2xf32>
    func.return %y : tensor<1x8x4x2x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x2x2xf32> {onnx.name = "x"}) -> (tensor<1x8x4x2x2xf32> {onnx.name = "y"}) {
    %0 = "onnx.Constant"() {value = dense<[4, 1, 2, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %1 = "onnx.Reshape"(%x, %0) : (tensor<1x1x4x2x2xf32>, tensor<4xi64>) -> tensor<4x1x2x2xf32>
    %2 = "onnx.Constant"() {value = dense<[1, 4, 4]> : tensor<3xi64>} : () -> tensor<3xi64>
    %3 = "onnx.Reshape"(%1, %2) : (tensor<4x1x2x2xf32>, tensor<3xi64>) -> tensor<1x4x4xf32>
    %4 = "onnx.Constant"() {value = dense<[0, 0, 0, 0, 1, 0]> : tensor<6xi64>} : () -> tensor<6xi64>
    %5 = "onnx.Pad"(%3, %4) {mode = "constant"} : (tensor<1x4x4xf32>, tensor<6xi64>) -> tensor<1x5x4xf32>
    %6 = "onnx.Constant"() {value = dense<[[4, 0, 2, 4], [4, 1, 3, 4]]> : tensor<2x4xi64>} : () -> tensor<2x4xi64>
    %7 = "onnx.Gather"(%5, %6) {axis = 1 : si64} : (tensor<1x5x4xf32>, tensor<2x4xi64>) -> tensor<1x2x4x4xf32>
    %8 = "onnx.Constant"() {value = dense<[2, 4, 2, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %9 = "onnx.Reshape"(%7, %8) : (tensor<1x2x4x4xf32>, tensor<4xi64>) -> tensor<2x4x2x2xf32>
    %w = "onnx.Constant"() {value = dense_resource<w> : tensor<16x4x1x1xf32>} : () -> tensor<16x4x1x1xf32>
    %10 = "onnx.Conv"(%9, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1]} : (tensor<2x4x2x2xf32>, tensor<16x4x1x1xf32>) -> tensor<2x16x2x2xf32>
    %11 = "onnx.Relu"(%10) : (tensor<2x16x2x2xf32>) -> tensor<2x16x2x2xf32>
    %12 = "onnx.Constant"() {value = dense<[4, 8, 2, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %13 = "onnx.Reshape"(%11, %12) : (tensor<2x16x2x2xf32>, tensor<4xi64>) -> tensor<4x8x2x2xf32>
    %14 = "onnx.Constant"() {value = dense<[1, 4, 32]> : tensor<3xi64>} : () -> tensor<3xi64>
    %15 = "onnx.Reshape"(%13, %14) : (tensor<4x8x2x2xf32>, tensor<3xi64>) -> tensor<1x4x32xf32>
    %16 = "onnx.Constant"() {value = dense<[0, 2, 1, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %17 = "onnx.Gather"(%15, %16) {axis = 1 : si64} : (tensor<1x4x32xf32>, tensor<4xi64>) -> tensor<1x4x32xf32>
    %18 = "onnx.Constant"() {value = dense<[4, 8, 2, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %19 = "onnx.Reshape"(%17, %18) : (tensor<1x4x32xf32>, tensor<4xi64>) -> tensor<4x8x2x2xf32>
    %20 = "onnx.Constant"() {value = dense<[1, 4, 8, 2, 2]> : tensor<5xi64>} : () -> tensor<5xi64>
    %21 = "onnx.Reshape"(%19, %20) : (tensor<4x8x2x2xf32>, tensor<5xi64>) -> tensor<1x4x8x2x2xf32>
    %y = "onnx.Transpose"(%21) {perm = [0, 2, 1, 3, 4]} : (tensor<1x4x8x2x2xf32>) -> tensor<1x8x4x2x2xf32>
    func.return %y : tensor<1x8x4x2x2xf32>
  }
}

{-#
  dialect_resources: {
    builtin: {
      w: "0x040000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f00000000000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f000000000000803f0000803f0000803f"
    }
  }
#-}
