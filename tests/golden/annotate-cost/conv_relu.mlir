// A padded, strided conv with bias: 3·2·3·3 products an output. Products with padded zeros count
// (the dense convention). Relu compares.
// passes: annotate-cost
// rewrites: 2

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x5x4xf32> {onnx.name = "x"}) -> (tensor<1x3x3x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<3x2x3x3xf32>} : () -> tensor<3x2x3x3xf32>
    %b = "onnx.Constant"() {value = dense<[0.25, 0.5, 0.75]> : tensor<3xf32>} : () -> tensor<3xf32>
    %c = "onnx.Conv"(%x, %w, %b) {pads = [1, 1, 1, 1], strides = [2, 2]} : (tensor<1x2x5x4xf32>, tensor<3x2x3x3xf32>, tensor<3xf32>) -> tensor<1x3x3x2xf32>
    %y = "onnx.Relu"(%c) : (tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32>
    func.return %y : tensor<1x3x3x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.model_metadata = [["convc.cost.sizes", "all fixed"]]} {
  func.func @main_graph(%x: tensor<1x2x5x4xf32> {onnx.name = "x"}) -> (tensor<1x3x3x2xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<3x2x3x3xf32>} : () -> tensor<3x2x3x3xf32>
    %b = "onnx.Constant"() {value = dense<[0.25, 0.5, 0.75]> : tensor<3xf32>} : () -> tensor<3xf32>
    %c = "onnx.Conv"(%x, %w, %b) {pads = [1, 1, 1, 1], strides = [2, 2], onnx.metadata = [["convc.cost.macs", "324"], ["convc.cost.multiplications", "324"], ["convc.cost.additions", "324"], ["convc.cost.params", "57"], ["convc.cost.read_bytes", "388"], ["convc.cost.write_bytes", "72"]]} : (tensor<1x2x5x4xf32>, tensor<3x2x3x3xf32>, tensor<3xf32>) -> tensor<1x3x3x2xf32>
    %y = "onnx.Relu"(%c) {onnx.metadata = [["convc.cost.macs", "0"], ["convc.cost.multiplications", "0"], ["convc.cost.additions", "0"], ["convc.cost.params", "0"], ["convc.cost.read_bytes", "72"], ["convc.cost.write_bytes", "72"]]} : (tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32>
    func.return %y : tensor<1x3x3x2xf32>
  }
}
