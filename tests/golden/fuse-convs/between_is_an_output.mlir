// The value between is a result of the graph: it has to be computed anyway.
// passes: fuse-convs
// rewrites: 0
// declined: 1 × the value between is a graph output

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}, tensor<1x2x4x4xf32> {onnx.name = "a"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]]], [[[-0.5]], [[4.0]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %a = "onnx.Conv"(%x, %w) : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Conv"(%a, %w) : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    func.return %y, %a : tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}, tensor<1x2x4x4xf32> {onnx.name = "a"}) {
    %w = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]]], [[[-0.5]], [[4.0]]]]> : tensor<2x2x1x1xf32>} : () -> tensor<2x2x1x1xf32>
    %a = "onnx.Conv"(%x, %w) : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Conv"(%a, %w) : (tensor<1x2x4x4xf32>, tensor<2x2x1x1xf32>) -> tensor<1x2x4x4xf32>
    func.return %y, %a : tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>
  }
}
