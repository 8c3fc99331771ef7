// Without data a reading layer still does what is exact: of the two smallest channels one is half
// of another one behind the Relu, one is constant.
// passes: select-channels{block=1 share=0.5}
// rewrites: 1
// declined: 1 × the channels are all needed: it is a graph output

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[1.0]]], [[[0.0]]], [[[2.0]]], [[[-8.0]]]]> : tensor<4x1x1x1xf32>} : () -> tensor<4x1x1x1xf32>
    %b1 = "onnx.Constant"() {value = dense<[0.5, 4.0, 1.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[0.5]], [[0.25]], [[1.0]], [[2.0]]]]> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %a = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x4x4xf32>, tensor<4x1x1x1xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
    %r = "onnx.Relu"(%a) : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
    %y = "onnx.Conv"(%r, %w2) : (tensor<1x4x4x4xf32>, tensor<1x4x1x1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x4x4xf32> {onnx.name = "y"}) {
    %w1 = "onnx.Constant"() {value = dense<[[[[2.0]]], [[[-8.0]]]]> : tensor<2x1x1x1xf32>} : () -> tensor<2x1x1x1xf32>
    %b1 = "onnx.Constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %a = "onnx.Conv"(%x, %w1, %b1) : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %0 = "onnx.Relu"(%a) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %w2 = "onnx.Constant"() {value = dense<[[[[1.25]], [[2.0]]]]> : tensor<1x2x1x1xf32>} : () -> tensor<1x2x1x1xf32>
    %w2_1 = "onnx.Constant"() {value = dense<[1.0]> : tensor<1xf32>, onnx.names = ["w2"]} : () -> tensor<1xf32>
    %y = "onnx.Conv"(%0, %w2, %w2_1) : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>, tensor<1xf32>) -> tensor<1x1x4x4xf32>
    func.return %y : tensor<1x1x4x4xf32>
  }
}
