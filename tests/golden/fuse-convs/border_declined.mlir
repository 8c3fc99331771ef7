// The same, where no strips are wanted.
// passes: fuse-convs{border=decline}
// rewrites: 0
// declined: 1 × border: axis 1 begin: first padding 0 < 2, second padding 1 > 0

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x1x12xf32> {onnx.name = "x"}) -> (tensor<1x1x1x10xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0, 2.0, -1.0]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0, -1.0, 0.5]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x1x1x12xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x10xf32>
    %y = "onnx.Conv"(%a, %w2) {pads = [0, 1, 0, 1]} : (tensor<1x1x1x10xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x10xf32>
    func.return %y : tensor<1x1x1x10xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x1x12xf32> {onnx.name = "x"}) -> (tensor<1x1x1x10xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0, 2.0, -1.0]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.0, -1.0, 0.5]]]]> : tensor<1x1x1x3xf32>} : () -> tensor<1x1x1x3xf32>
    %a = "onnx.Conv"(%x, %w1) : (tensor<1x1x1x12xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x10xf32>
    %y = "onnx.Conv"(%a, %w2) {pads = [0, 1, 0, 1]} : (tensor<1x1x1x10xf32>, tensor<1x1x1x3xf32>) -> tensor<1x1x1x10xf32>
    func.return %y : tensor<1x1x1x10xf32>
  }
}
