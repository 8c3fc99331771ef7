// Columns without known sizes: each tap is cut off from both ends.
// passes: lower-to-gemm
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 3], ["w", 4]]} {
  func.func @main_graph(%x: tensor<1x1x?x?xf32> {onnx.name = "x", onnx.dim_params = "2:h,3:w"}) -> (tensor<1x1x?x?xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]]> : tensor<1x1x2x3xf32>} : () -> tensor<1x1x2x3xf32>
    %b = "onnx.Constant"() {value = dense<[0.25]> : tensor<1xf32>} : () -> tensor<1xf32>
    %y = "onnx.Conv"(%x, %w, %b) {pads = [0, 1, 1, 1], onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?x?xf32>, tensor<1x1x2x3xf32>, tensor<1xf32>) -> tensor<1x1x?x?xf32>
    func.return %y : tensor<1x1x?x?xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["h", 3], ["w", 4], ["?0", 4], ["?1", 6], ["?2", 4], ["?3", 4], ["?4", 4], ["?5", 3], ["?6", 3], ["?7", 12]]} {
  func.func @main_graph(%x: tensor<1x1x?x?xf32> {onnx.name = "x", onnx.dim_params = "2:h,3:w"}) -> (tensor<1x1x?x?xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]> : tensor<1x6xf32>} : () -> tensor<1x6xf32>
    %0 = "onnx.Constant"() {value = dense<[0, 0, 0, 1, 0, 0, 1, 1]> : tensor<8xi64>} : () -> tensor<8xi64>
    %1 = "onnx.Pad"(%x, %0) {mode = "constant", onnx.dim_params = ["2:?0,3:?1"]} : (tensor<1x1x?x?xf32>, tensor<8xi64>) -> tensor<1x1x?x?xf32>
    %2 = "onnx.Constant"() {value = dense<[2]> : tensor<1xi64>} : () -> tensor<1xi64>
    %3 = "onnx.Unsqueeze"(%1, %2) {onnx.dim_params = ["3:?0,4:?1"]} : (tensor<1x1x?x?xf32>, tensor<1xi64>) -> tensor<1x1x1x?x?xf32>
    %4 = "onnx.Constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
    %5 = "onnx.Constant"() {value = dense<[-2]> : tensor<1xi64>} : () -> tensor<1xi64>
    %6 = "onnx.Constant"() {value = dense<[4]> : tensor<1xi64>} : () -> tensor<1xi64>
    %7 = "onnx.Slice"(%3, %4, %5, %6) {onnx.dim_params = ["3:?0,4:?2"]} : (tensor<1x1x1x?x?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x1x1x?x?xf32>
    %8 = "onnx.Constant"() {value = dense<[1]> : tensor<1xi64>} : () -> tensor<1xi64>
    %9 = "onnx.Constant"() {value = dense<[-1]> : tensor<1xi64>} : () -> tensor<1xi64>
    %10 = "onnx.Constant"() {value = dense<[4]> : tensor<1xi64>} : () -> tensor<1xi64>
    %11 = "onnx.Slice"(%3, %8, %9, %10) {onnx.dim_params = ["3:?0,4:?3"]} : (tensor<1x1x1x?x?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x1x1x?x?xf32>
    %12 = "onnx.Constant"() {value = dense<[2]> : tensor<1xi64>} : () -> tensor<1xi64>
    %13 = "onnx.Constant"() {value = dense<[2147483647]> : tensor<1xi64>} : () -> tensor<1xi64>
    %14 = "onnx.Constant"() {value = dense<[4]> : tensor<1xi64>} : () -> tensor<1xi64>
    %15 = "onnx.Slice"(%3, %12, %13, %14) {onnx.dim_params = ["3:?0,4:?4"]} : (tensor<1x1x1x?x?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x1x1x?x?xf32>
    %16 = "onnx.Concat"(%7, %11, %15) {axis = 2 : si64, onnx.dim_params = ["3:?0,4:?2"]} : (tensor<1x1x1x?x?xf32>, tensor<1x1x1x?x?xf32>, tensor<1x1x1x?x?xf32>) -> tensor<1x1x3x?x?xf32>
    %17 = "onnx.Constant"() {value = dense<[0]> : tensor<1xi64>} : () -> tensor<1xi64>
    %18 = "onnx.Constant"() {value = dense<[-1]> : tensor<1xi64>} : () -> tensor<1xi64>
    %19 = "onnx.Constant"() {value = dense<[3]> : tensor<1xi64>} : () -> tensor<1xi64>
    %20 = "onnx.Slice"(%16, %17, %18, %19) {onnx.dim_params = ["3:?5,4:?2"]} : (tensor<1x1x3x?x?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x1x3x?x?xf32>
    %21 = "onnx.Constant"() {value = dense<[1]> : tensor<1xi64>} : () -> tensor<1xi64>
    %22 = "onnx.Constant"() {value = dense<[2147483647]> : tensor<1xi64>} : () -> tensor<1xi64>
    %23 = "onnx.Constant"() {value = dense<[3]> : tensor<1xi64>} : () -> tensor<1xi64>
    %24 = "onnx.Slice"(%16, %21, %22, %23) {onnx.dim_params = ["3:?6,4:?2"]} : (tensor<1x1x3x?x?xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x1x3x?x?xf32>
    %25 = "onnx.Concat"(%20, %24) {axis = 2 : si64, onnx.dim_params = ["3:?5,4:?2"]} : (tensor<1x1x3x?x?xf32>, tensor<1x1x3x?x?xf32>) -> tensor<1x1x6x?x?xf32>
    %26 = "onnx.Constant"() {value = dense<[0, 6, -1]> : tensor<3xi64>} : () -> tensor<3xi64>
    %27 = "onnx.Reshape"(%25, %26) {onnx.dim_params = ["2:?7"]} : (tensor<1x1x6x?x?xf32>, tensor<3xi64>) -> tensor<1x6x?xf32>
    %28 = "onnx.MatMul"(%w, %27) {onnx.dim_params = ["2:?7"]} : (tensor<1x6xf32>, tensor<1x6x?xf32>) -> tensor<1x1x?xf32>
    %b = "onnx.Constant"() {value = dense<[[0.25]]> : tensor<1x1xf32>} : () -> tensor<1x1xf32>
    %29 = "onnx.Add"(%28, %b) {onnx.dim_params = ["2:?7"]} : (tensor<1x1x?xf32>, tensor<1x1xf32>) -> tensor<1x1x?xf32>
    %30 = "onnx.Constant"() {value = dense<[0, 1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %31 = "onnx.Shape"(%25) {start = -2 : si64} : (tensor<1x1x6x?x?xf32>) -> tensor<2xi64>
    %32 = "onnx.Concat"(%30, %31) {axis = 0 : si64} : (tensor<2xi64>, tensor<2xi64>) -> tensor<4xi64>
    %y = "onnx.Reshape"(%29, %32) {onnx.dim_params = ["2:h,3:w"]} : (tensor<1x1x?xf32>, tensor<4xi64>) -> tensor<1x1x?x?xf32>
    func.return %y : tensor<1x1x?x?xf32>
  }
}
