// Five positions are three tiles of two, of which the last is half outside; the batch is open.
// The outputs of a tile are neighbours, and a bias is added at the end.
// passes: lower-to-winograd{forms=tiles-last tiles=2}
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["n", 2]]} {
  func.func @main_graph(%x: tensor<?x2x5xf32> {onnx.dim_params = "0:n", onnx.name = "x"}) -> (tensor<?x1x5xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<1x2x3xf32>} : () -> tensor<1x2x3xf32>
    %b = "onnx.Constant"() {value = dense<2.0> : tensor<1xf32>} : () -> tensor<1xf32>
    %y = "onnx.Conv"(%x, %w, %b) {pads = [1, 1]} : (tensor<?x2x5xf32>, tensor<1x2x3xf32>, tensor<1xf32>) -> tensor<?x1x5xf32>
    func.return %y : tensor<?x1x5xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["n", 2], ["?0", 4]]} {
  func.func @main_graph(%x: tensor<?x2x5xf32> {onnx.name = "x", onnx.dim_params = "0:n"}) -> (tensor<?x1x5xf32> {onnx.name = "y"}) {
    %y_filters = "onnx.Constant"() {value = dense<[[[-0.5, -0.5]], [[0.75, 0.75]], [[0.25, 0.25]], [[0.5, 0.5]]]> : tensor<4x1x2xf32>} : () -> tensor<4x1x2xf32>
    %0 = "onnx.Constant"() {value = dense<[-1, 1, 5]> : tensor<3xi64>} : () -> tensor<3xi64>
    %1 = "onnx.Reshape"(%x, %0) {onnx.dim_params = ["0:?0"]} : (tensor<?x2x5xf32>, tensor<3xi64>) -> tensor<?x1x5xf32>
    %y_inputs = "onnx.Constant"() {value = dense<[[[-1.0, 0.0, 1.0, 0.0]], [[0.0, 1.0, 1.0, 0.0]], [[0.0, -1.0, 1.0, 0.0]], [[0.0, -1.0, 0.0, 1.0]]]> : tensor<4x1x4xf32>} : () -> tensor<4x1x4xf32>
    %2 = "onnx.Conv"(%1, %y_inputs) {dilations = [1], group = 1 : si64, kernel_shape = [4], pads = [1, 2], strides = [2], onnx.dim_params = ["0:?0"]} : (tensor<?x1x5xf32>, tensor<4x1x4xf32>) -> tensor<?x4x3xf32>
    %3 = "onnx.Constant"() {value = dense<[-1, 2, 4, 3]> : tensor<4xi64>} : () -> tensor<4xi64>
    %4 = "onnx.Reshape"(%2, %3) {onnx.dim_params = ["0:n"]} : (tensor<?x4x3xf32>, tensor<4xi64>) -> tensor<?x2x4x3xf32>
    %5 = "onnx.Transpose"(%4) {perm = [0, 2, 1, 3], onnx.dim_params = ["0:n"]} : (tensor<?x2x4x3xf32>) -> tensor<?x4x2x3xf32>
    %6 = "onnx.MatMul"(%y_filters, %5) {onnx.dim_params = ["0:n"]} : (tensor<4x1x2xf32>, tensor<?x4x2x3xf32>) -> tensor<?x4x1x3xf32>
    %7 = "onnx.Constant"() {value = dense<[-1, 4, 3]> : tensor<3xi64>} : () -> tensor<3xi64>
    %8 = "onnx.Reshape"(%6, %7) {onnx.dim_params = ["0:n"]} : (tensor<?x4x1x3xf32>, tensor<3xi64>) -> tensor<?x4x3xf32>
    %9 = "onnx.Transpose"(%8) {perm = [0, 2, 1], onnx.dim_params = ["0:n"]} : (tensor<?x4x3xf32>) -> tensor<?x3x4xf32>
    %y_outputs = "onnx.Constant"() {value = dense<[[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.0, 1.0]]> : tensor<4x2xf32>} : () -> tensor<4x2xf32>
    %10 = "onnx.MatMul"(%9, %y_outputs) {onnx.dim_params = ["0:n"]} : (tensor<?x3x4xf32>, tensor<4x2xf32>) -> tensor<?x3x2xf32>
    %11 = "onnx.Constant"() {value = dense<[-1, 1, 3, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %12 = "onnx.Reshape"(%10, %11) {onnx.dim_params = ["0:n"]} : (tensor<?x3x2xf32>, tensor<4xi64>) -> tensor<?x1x3x2xf32>
    %13 = "onnx.Constant"() {value = dense<[-1, 1, 6]> : tensor<3xi64>} : () -> tensor<3xi64>
    %14 = "onnx.Reshape"(%12, %13) {onnx.dim_params = ["0:n"]} : (tensor<?x1x3x2xf32>, tensor<3xi64>) -> tensor<?x1x6xf32>
    %15 = "onnx.Constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
    %16 = "onnx.Constant"() {value = dense<[5]> : tensor<1xi64>} : () -> tensor<1xi64>
    %17 = "onnx.Constant"() {value = dense<[2]> : tensor<1xi64>} : () -> tensor<1xi64>
    %18 = "onnx.Slice"(%14, %15, %16, %17) {onnx.dim_params = ["0:n"]} : (tensor<?x1x6xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x1x5xf32>
    %b = "onnx.Constant"() {value = dense<[[2.0]]> : tensor<1x1xf32>} : () -> tensor<1x1xf32>
    %y = "onnx.Add"(%18, %b) : (tensor<?x1x5xf32>, tensor<1x1xf32>) -> tensor<?x1x5xf32>
    func.return %y : tensor<?x1x5xf32>
  }
}
