// Nothing to meet: the Transpose stays.
// passes: commute-linear
// rewrites: 0
// declined: 1 × the Transpose meets no other that would cancel it

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x4x4x2xf32> {onnx.name = "y"}) {
    %a = "onnx.Transpose"(%x) {perm = [0, 2, 3, 1]} : (tensor<1x2x4x4xf32>) -> tensor<1x4x4x2xf32>
    %y = "onnx.Relu"(%a) : (tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32>
    func.return %y : tensor<1x4x4x2xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x4x4x2xf32> {onnx.name = "y"}) {
    %a = "onnx.Transpose"(%x) {perm = [0, 2, 3, 1]} : (tensor<1x2x4x4xf32>) -> tensor<1x4x4x2xf32>
    %y = "onnx.Relu"(%a) : (tensor<1x4x4x2xf32>) -> tensor<1x4x4x2xf32>
    func.return %y : tensor<1x4x4x2xf32>
  }
}
