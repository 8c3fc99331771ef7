// An island in the other layout: the axis of the Concat and the constant follow, no Transpose stays.
// passes: commute-linear
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}, %z: tensor<1x2x4x4xf32> {onnx.name = "z"}) -> (tensor<1x4x4x4xf32> {onnx.name = "y"}) {
    %c = "onnx.Constant"() {value = dense<[1.0, 2.0, 3.0, 4.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %a = "onnx.Transpose"(%x) {perm = [0, 2, 3, 1]} : (tensor<1x2x4x4xf32>) -> tensor<1x4x4x2xf32>
    %b = "onnx.Transpose"(%z) {perm = [0, 2, 3, 1]} : (tensor<1x2x4x4xf32>) -> tensor<1x4x4x2xf32>
    %d = "onnx.Concat"(%a, %b) {axis = 3 : si64} : (tensor<1x4x4x2xf32>, tensor<1x4x4x2xf32>) -> tensor<1x4x4x4xf32>
    %e = "onnx.Add"(%d, %c) : (tensor<1x4x4x4xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
    %y = "onnx.Transpose"(%e) {perm = [0, 3, 1, 2]} : (tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
    func.return %y : tensor<1x4x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}, %z: tensor<1x2x4x4xf32> {onnx.name = "z"}) -> (tensor<1x4x4x4xf32> {onnx.name = "y"}) {
    %d = "onnx.Concat"(%x, %z) {axis = 1 : si64} : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x4x4x4xf32>
    %c = "onnx.Constant"() {value = dense<[[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]]> : tensor<1x4x1x1xf32>} : () -> tensor<1x4x1x1xf32>
    %y = "onnx.Add"(%d, %c) : (tensor<1x4x4x4xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x4x4xf32>
    func.return %y : tensor<1x4x4x4xf32>
  }
}
