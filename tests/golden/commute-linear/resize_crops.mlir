// A crop puts a constant outside of the input: it stays before the conv.
// passes: commute-linear
// rewrites: 0
// declined: 1 × tf_crop_and_resize has values of its own outside of the input

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x2x2xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %roi = "onnx.Constant"() {value = dense<[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 1.0]> : tensor<8xf32>} : () -> tensor<8xf32>
    %scales = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %a = "onnx.Resize"(%x, %roi, %scales) {onnx_node_name = "up", coordinate_transformation_mode = "tf_crop_and_resize", extrapolation_value = 1.0 : f32, mode = "linear"} : (tensor<1x4x2x2xf32>, tensor<8xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
    %y = "onnx.Conv"(%a, %w) {onnx_node_name = "conv"} : (tensor<1x4x4x4xf32>, tensor<2x4x1x1xf32>) -> tensor<1x2x4x4xf32>
    func.return %y : tensor<1x2x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x2x2xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %roi = "onnx.Constant"() {value = dense<[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 1.0]> : tensor<8xf32>} : () -> tensor<8xf32>
    %scales = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %a = "onnx.Resize"(%x, %roi, %scales) {coordinate_transformation_mode = "tf_crop_and_resize", extrapolation_value = 1.0 : f32, mode = "linear", onnx_node_name = "up"} : (tensor<1x4x2x2xf32>, tensor<8xf32>, tensor<4xf32>) -> tensor<1x4x4x4xf32>
    %y = "onnx.Conv"(%a, %w) {onnx_node_name = "conv"} : (tensor<1x4x4x4xf32>, tensor<2x4x1x1xf32>) -> tensor<1x2x4x4xf32>
    func.return %y : tensor<1x2x4x4xf32>
  }
}
