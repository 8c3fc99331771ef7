// Neighbours in memory are what the runtime is fast at.
// passes: lower-activations
// rewrites: 0
// declined: 1 × the Softmax is over the last axis

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<2x8xf32> {onnx.name = "x"}) -> (tensor<2x8xf32> {onnx.name = "y"}) {
    %y = "onnx.Softmax"(%x) {axis = 1 : si64} : (tensor<2x8xf32>) -> tensor<2x8xf32>
    func.return %y : tensor<2x8xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<2x8xf32> {onnx.name = "x"}) -> (tensor<2x8xf32> {onnx.name = "y"}) {
    %y = "onnx.Softmax"(%x) {axis = 1 : si64} : (tensor<2x8xf32>) -> tensor<2x8xf32>
    func.return %y : tensor<2x8xf32>
  }
}
