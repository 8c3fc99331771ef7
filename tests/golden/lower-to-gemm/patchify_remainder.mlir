// Kernel and stride alike: tiles. The last row and column are read by none.
// passes: lower-to-gemm
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["n", 2]]} {
  func.func @main_graph(%x: tensor<?x1x5x5xf32> {onnx.name = "x", onnx.dim_params = "0:n"}) -> (tensor<?x2x2x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0], [3.0, 4.0]]], [[[5.0, 6.0], [7.0, 8.0]]]]> : tensor<2x1x2x2xf32>} : () -> tensor<2x1x2x2xf32>
    %y = "onnx.Conv"(%x, %w) {strides = [2, 2], onnx.dim_params = ["0:n"]} : (tensor<?x1x5x5xf32>, tensor<2x1x2x2xf32>) -> tensor<?x2x2x2xf32>
    func.return %y : tensor<?x2x2x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["n", 2]]} {
  func.func @main_graph(%x: tensor<?x1x5x5xf32> {onnx.name = "x", onnx.dim_params = "0:n"}) -> (tensor<?x2x2x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]> : tensor<2x4xf32>} : () -> tensor<2x4xf32>
    %0 = "onnx.Constant"() {value = dense<[0, 0, 0, 0, 0, 0, -1, -1]> : tensor<8xi64>} : () -> tensor<8xi64>
    %1 = "onnx.Pad"(%x, %0) {mode = "constant", onnx.dim_params = ["0:n"]} : (tensor<?x1x5x5xf32>, tensor<8xi64>) -> tensor<?x1x4x4xf32>
    %2 = "onnx.Constant"() {value = dense<[0, 0, 2, 2, 2, 2]> : tensor<6xi64>} : () -> tensor<6xi64>
    %3 = "onnx.Reshape"(%1, %2) {onnx.dim_params = ["0:n"]} : (tensor<?x1x4x4xf32>, tensor<6xi64>) -> tensor<?x1x2x2x2x2xf32>
    %4 = "onnx.Transpose"(%3) {perm = [0, 1, 3, 5, 2, 4], onnx.dim_params = ["0:n"]} : (tensor<?x1x2x2x2x2xf32>) -> tensor<?x1x2x2x2x2xf32>
    %5 = "onnx.Constant"() {value = dense<[0, 4, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %6 = "onnx.Reshape"(%4, %5) {onnx.dim_params = ["0:n"]} : (tensor<?x1x2x2x2x2xf32>, tensor<3xi64>) -> tensor<?x4x4xf32>
    %7 = "onnx.MatMul"(%w, %6) {onnx.dim_params = ["0:n"]} : (tensor<2x4xf32>, tensor<?x4x4xf32>) -> tensor<?x2x4xf32>
    %8 = "onnx.Constant"() {value = dense<[0, 2, 2, 2]> : tensor<4xi64>} : () -> tensor<4xi64>
    %y = "onnx.Reshape"(%7, %8) {onnx.dim_params = ["0:n"]} : (tensor<?x2x4xf32>, tensor<4xi64>) -> tensor<?x2x2x2xf32>
    func.return %y : tensor<?x2x2x2xf32>
  }
}
