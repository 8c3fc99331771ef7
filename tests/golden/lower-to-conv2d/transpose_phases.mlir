// Three taps at stride two: one and two of them in turn, at the sizes that are open.
// passes: lower-to-conv2d{forms=phases}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 4], ["w", 5]]} {
  func.func @main_graph(%x: tensor<1x1x?x?xf32> {onnx.dim_params = "2:h,3:w", onnx.name = "x"}) -> (tensor<1x1x?x?xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]]> : tensor<1x1x3x3xf32>} : () -> tensor<1x1x3x3xf32>
    %y = "onnx.ConvTranspose"(%x, %w) {strides = [2, 2], pads = [0, 0, 1, 1]} : (tensor<1x1x?x?xf32>, tensor<1x1x3x3xf32>) -> tensor<1x1x?x?xf32>
    func.return %y : tensor<1x1x?x?xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 4], ["w", 5], ["?0", 8], ["?1", 10]]} {
  func.func @main_graph(%x: tensor<1x1x?x?xf32> {onnx.name = "x", onnx.dim_params = "2:h,3:w"}) -> (tensor<1x1x?x?xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[9.0, 7.0], [3.0, 1.0]]]]> : tensor<1x1x2x2xf32>} : () -> tensor<1x1x2x2xf32>
    %0 = "onnx.Conv"(%x, %w) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 2], pads = [1, 1, 0, 0], strides = [1, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?x?xf32>, tensor<1x1x2x2xf32>) -> tensor<1x1x?x?xf32>
    %w_1 = "onnx.Constant"() {value = dense<[[[[8.0], [2.0]]]]> : tensor<1x1x2x1xf32>, onnx.names = ["w"]} : () -> tensor<1x1x2x1xf32>
    %1 = "onnx.Conv"(%x, %w_1) {dilations = [1, 1], group = 1 : si64, kernel_shape = [2, 1], pads = [1, 0, 0, 0], strides = [1, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?x?xf32>, tensor<1x1x2x1xf32>) -> tensor<1x1x?x?xf32>
    %w_2 = "onnx.Constant"() {value = dense<[[[[6.0, 4.0]]]]> : tensor<1x1x1x2xf32>, onnx.names = ["w"]} : () -> tensor<1x1x1x2xf32>
    %2 = "onnx.Conv"(%x, %w_2) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 2], pads = [0, 1, 0, 0], strides = [1, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?x?xf32>, tensor<1x1x1x2xf32>) -> tensor<1x1x?x?xf32>
    %w_3 = "onnx.Constant"() {value = dense<[[[[5.0]]]]> : tensor<1x1x1x1xf32>, onnx.names = ["w"]} : () -> tensor<1x1x1x1xf32>
    %3 = "onnx.Conv"(%x, %w_3) {dilations = [1, 1], group = 1 : si64, kernel_shape = [1, 1], pads = [0, 0, 0, 0], strides = [1, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?x?xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x?x?xf32>
    %4 = "onnx.Concat"(%0, %1, %2, %3) {axis = 1 : si64, onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?x?xf32>, tensor<1x1x?x?xf32>, tensor<1x1x?x?xf32>, tensor<1x1x?x?xf32>) -> tensor<1x4x?x?xf32>
    %y = "onnx.DepthToSpace"(%4) {blocksize = 2 : si64, mode = "DCR"} : (tensor<1x4x?x?xf32>) -> tensor<1x1x?x?xf32>
    func.return %y : tensor<1x1x?x?xf32>
  }
}
