// A size that is computed from a shape is known where the dim is fixed.
// passes: simplify
// rewrites: 3

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["batch", 3]]} {
  func.func @main_graph(%x: tensor<?x2x4xf32> {onnx.name = "x", onnx.dim_params = "0:batch"}) -> (tensor<2x?xf32> {onnx.name = "y"}) {
    %s = "onnx.Shape"(%x) : (tensor<?x2x4xf32>) -> tensor<3xi64>
    %i = "onnx.Constant"() {value = dense<1> : tensor<i64>} : () -> tensor<i64>
    %n = "onnx.Gather"(%s, %i) : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
    %ax = "onnx.Constant"() {value = dense<0> : tensor<1xi64>} : () -> tensor<1xi64>
    %m = "onnx.Unsqueeze"(%n, %ax) : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
    %rest = "onnx.Constant"() {value = dense<-1> : tensor<1xi64>} : () -> tensor<1xi64>
    %t = "onnx.Concat"(%m, %rest) {axis = 0 : si64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
    %y = "onnx.Reshape"(%x, %t) : (tensor<?x2x4xf32>, tensor<2xi64>) -> tensor<2x?xf32>
    func.return %y : tensor<2x?xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["batch", 3], ["?0", 12]]} {
  func.func @main_graph(%x: tensor<?x2x4xf32> {onnx.name = "x", onnx.dim_params = "0:batch"}) -> (tensor<2x?xf32> {onnx.name = "y"}) {
    %t = "onnx.Constant"() {value = dense<[2, -1]> : tensor<2xi64>} : () -> tensor<2xi64>
    %y = "onnx.Reshape"(%x, %t) {onnx.dim_params = ["1:?0"]} : (tensor<?x2x4xf32>, tensor<2xi64>) -> tensor<2x?xf32>
    func.return %y : tensor<2x?xf32>
  }
}
