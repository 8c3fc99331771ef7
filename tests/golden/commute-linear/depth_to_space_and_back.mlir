// One value a channel between DepthToSpace and SpaceToDepth becomes one for each of its blocks.
// passes: commute-linear
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x8x2x2xf32> {onnx.name = "x"}) -> (tensor<1x8x2x2xf32> {onnx.name = "y"}) {
    %c = "onnx.Constant"() {value = dense<[[[1.0]], [[2.0]]]> : tensor<2x1x1xf32>} : () -> tensor<2x1x1xf32>
    %a = "onnx.DepthToSpace"(%x) {blocksize = 2 : si64} : (tensor<1x8x2x2xf32>) -> tensor<1x2x4x4xf32>
    %b = "onnx.Mul"(%a, %c) : (tensor<1x2x4x4xf32>, tensor<2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.SpaceToDepth"(%b) {blocksize = 2 : si64} : (tensor<1x2x4x4xf32>) -> tensor<1x8x2x2xf32>
    func.return %y : tensor<1x8x2x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x8x2x2xf32> {onnx.name = "x"}) -> (tensor<1x8x2x2xf32> {onnx.name = "y"}) {
    %c = "onnx.Constant"() {value = dense<[[[1.0]], [[2.0]], [[1.0]], [[2.0]], [[1.0]], [[2.0]], [[1.0]], [[2.0]]]> : tensor<8x1x1xf32>} : () -> tensor<8x1x1xf32>
    %y = "onnx.Mul"(%x, %c) : (tensor<1x8x2x2xf32>, tensor<8x1x1xf32>) -> tensor<1x8x2x2xf32>
    func.return %y : tensor<1x8x2x2xf32>
  }
}
