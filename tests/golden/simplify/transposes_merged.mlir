// Two transposes are one, or none where they undo each other.
// passes: simplify
// rewrites: 2

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<4x1x2x4xf32> {onnx.name = "y"}, tensor<1x2x4x4xf32> {onnx.name = "z"}) {
    %a = "onnx.Transpose"(%x) {perm = [0, 2, 3, 1]} : (tensor<1x2x4x4xf32>) -> tensor<1x4x4x2xf32>
    %y = "onnx.Transpose"(%a) {perm = [2, 0, 3, 1]} : (tensor<1x4x4x2xf32>) -> tensor<4x1x2x4xf32>
    %b = "onnx.Transpose"(%a) {perm = [0, 3, 1, 2]} : (tensor<1x4x4x2xf32>) -> tensor<1x2x4x4xf32>
    %z = "onnx.Relu"(%b) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    func.return %y, %z : tensor<4x1x2x4xf32>, tensor<1x2x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<4x1x2x4xf32> {onnx.name = "y"}, tensor<1x2x4x4xf32> {onnx.name = "z"}) {
    %z = "onnx.Relu"(%x) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Transpose"(%x) {perm = [3, 0, 1, 2]} : (tensor<1x2x4x4xf32>) -> tensor<4x1x2x4xf32>
    func.return %y, %z : tensor<4x1x2x4xf32>, tensor<1x2x4x4xf32>
  }
}
