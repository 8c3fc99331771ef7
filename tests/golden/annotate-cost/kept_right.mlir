// Costs stay right: 3×3 and 1×1 are annotated, then fused into one conv that costs less.
// passes: annotate-cost,fuse-convs
// rewrites: 4

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x5x5xf32> {onnx.name = "x"}) -> (tensor<1x2x3x3xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<4x2x3x3xf32>} : () -> tensor<4x2x3x3xf32>
    %v = "onnx.Constant"() {value = dense<0.25> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %a = "onnx.Conv"(%x, %w) : (tensor<1x2x5x5xf32>, tensor<4x2x3x3xf32>) -> tensor<1x4x3x3xf32>
    %b = "onnx.Conv"(%a, %v) : (tensor<1x4x3x3xf32>, tensor<2x4x1x1xf32>) -> tensor<1x2x3x3xf32>
    %y = "onnx.Relu"(%b) : (tensor<1x2x3x3xf32>) -> tensor<1x2x3x3xf32>
    func.return %y : tensor<1x2x3x3xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]], onnx.model_metadata = [["convc.cost.sizes", "all fixed"]]} {
  func.func @main_graph(%x: tensor<1x2x5x5xf32> {onnx.name = "x"}) -> (tensor<1x2x3x3xf32> {onnx.name = "y"}) {
    %v = "onnx.Constant"() {value = dense<0.5> : tensor<2x2x3x3xf32>} : () -> tensor<2x2x3x3xf32>
    %b = "onnx.Conv"(%x, %v) {dilations = [1, 1], group = 1 : si64, kernel_shape = [3, 3], pads = [0, 0, 0, 0], strides = [1, 1], onnx.metadata = [["convc.cost.macs", "324"], ["convc.cost.multiplications", "324"], ["convc.cost.additions", "306"], ["convc.cost.params", "36"], ["convc.cost.read_bytes", "344"], ["convc.cost.write_bytes", "72"]]} : (tensor<1x2x5x5xf32>, tensor<2x2x3x3xf32>) -> tensor<1x2x3x3xf32>
    %y = "onnx.Relu"(%b) {onnx.metadata = [["convc.cost.macs", "0"], ["convc.cost.multiplications", "0"], ["convc.cost.additions", "0"], ["convc.cost.params", "0"], ["convc.cost.read_bytes", "72"], ["convc.cost.write_bytes", "72"]]} : (tensor<1x2x3x3xf32>) -> tensor<1x2x3x3xf32>
    func.return %y : tensor<1x2x3x3xf32>
  }
}
