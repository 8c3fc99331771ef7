// Without a conv, a chain becomes a Mul and an Add.
// passes: fold-affine
// rewrites: 1

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}) {
    %a = "onnx.Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %b = "onnx.Constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
    %c = "onnx.Constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
    %d = "onnx.Add"(%x, %b) : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4x4xf32>
    %e = "onnx.Mul"(%d, %a) : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4x4xf32>
    %f = "onnx.Sub"(%e, %c) : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Relu"(%f) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    func.return %y : tensor<1x2x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x4x4xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}) {
    %f_scale = "onnx.Constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
    %f_mul = "onnx.Mul"(%x, %f_scale) {onnx_node_name = "f_mul"} : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4x4xf32>
    %f_shift = "onnx.Constant"() {value = dense<1.5> : tensor<f32>} : () -> tensor<f32>
    %f = "onnx.Add"(%f_mul, %f_shift) {onnx_node_name = "f_add"} : (tensor<1x2x4x4xf32>, tensor<f32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Relu"(%f) : (tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    func.return %y : tensor<1x2x4x4xf32>
  }
}
