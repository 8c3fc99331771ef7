// A dim that the file leaves open counts at its size; annotating does not close it.
// passes: annotate-cost
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.sizes = [["n", 7]]} {
  func.func @main_graph(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dim_params = "0:n"}) -> (tensor<?x3xf32> {onnx.name = "y", onnx.type = tensor<?x3xf32>, onnx.dim_params = "0:n"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<4x3xf32>} : () -> tensor<4x3xf32>
    %y = "onnx.MatMul"(%x, %w) {onnx.dim_params = ["0:n"]} : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    func.return %y : tensor<?x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.model_metadata = [["convc.cost.sizes", "n=7"]], onnx.sizes = [["n", 7]]} {
  func.func @main_graph(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dim_params = "0:n"}) -> (tensor<?x3xf32> {onnx.name = "y", onnx.type = tensor<?x3xf32>, onnx.dim_params = "0:n"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<4x3xf32>} : () -> tensor<4x3xf32>
    %y = "onnx.MatMul"(%x, %w) {onnx.metadata = [["convc.cost.macs", "84"], ["convc.cost.multiplications", "84"], ["convc.cost.additions", "63"], ["convc.cost.params", "12"], ["convc.cost.read_bytes", "160"], ["convc.cost.write_bytes", "84"]], onnx.dim_params = ["0:n"]} : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    func.return %y : tensor<?x3xf32>
  }
}
