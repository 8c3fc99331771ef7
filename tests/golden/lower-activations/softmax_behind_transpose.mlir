// Channels are last only for the Softmax: it runs over them where they are, and the Transpose moves.
// passes: lower-activations
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 11]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x5x6x4xf32> {onnx.name = "y"}) {
    %t = "onnx.Transpose"(%x) {perm = [0, 2, 3, 1]} : (tensor<1x4x5x6xf32>) -> tensor<1x5x6x4xf32>
    %y = "onnx.Softmax"(%t) {axis = 3 : si64} : (tensor<1x5x6x4xf32>) -> tensor<1x5x6x4xf32>
    func.return %y : tensor<1x5x6x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 11]]} {
  func.func @main_graph(%x: tensor<1x4x5x6xf32> {onnx.name = "x"}) -> (tensor<1x5x6x4xf32> {onnx.name = "y"}) {
    %0 = "onnx.ReduceMax"(%x) {axes = [1], keepdims = 1 : si64} : (tensor<1x4x5x6xf32>) -> tensor<1x1x5x6xf32>
    %1 = "onnx.Sub"(%x, %0) : (tensor<1x4x5x6xf32>, tensor<1x1x5x6xf32>) -> tensor<1x4x5x6xf32>
    %2 = "onnx.Exp"(%1) : (tensor<1x4x5x6xf32>) -> tensor<1x4x5x6xf32>
    %3 = "onnx.ReduceSum"(%2) {axes = [1], keepdims = 1 : si64} : (tensor<1x4x5x6xf32>) -> tensor<1x1x5x6xf32>
    %4 = "onnx.Div"(%2, %3) : (tensor<1x4x5x6xf32>, tensor<1x1x5x6xf32>) -> tensor<1x4x5x6xf32>
    %y = "onnx.Transpose"(%4) {perm = [0, 2, 3, 1]} : (tensor<1x4x5x6xf32>) -> tensor<1x5x6x4xf32>
    func.return %y : tensor<1x5x6x4xf32>
  }
}
