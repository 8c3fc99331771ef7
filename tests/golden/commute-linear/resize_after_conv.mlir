// The Resize goes after the conv; its sizes name the new number of channels.
// passes: commute-linear
// rewrites: 1
// declined: 1 × the Resize is no cheaper before the 1×1 conv

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x2x2xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %sizes = "onnx.Constant"() {value = dense<[1, 4, 4, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %none = "onnx.NoValue"() {value} : () -> none
    %a = "onnx.Resize"(%x, %none, %none, %sizes) {onnx_node_name = "up", coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"} : (tensor<1x4x2x2xf32>, none, none, tensor<4xi64>) -> tensor<1x4x4x4xf32>
    %y = "onnx.Conv"(%a, %w) {onnx_node_name = "conv"} : (tensor<1x4x4x4xf32>, tensor<2x4x1x1xf32>) -> tensor<1x2x4x4xf32>
    func.return %y : tensor<1x2x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x2x2xf32> {onnx.name = "x"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}) {
    %none = "onnx.NoValue"() {value} : () -> none
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %conv = "onnx.Conv"(%x, %w) {onnx_node_name = "conv"} : (tensor<1x4x2x2xf32>, tensor<2x4x1x1xf32>) -> tensor<1x2x2x2xf32>
    %sizes = "onnx.Constant"() {value = dense<[1, 2, 4, 4]> : tensor<4xi64>} : () -> tensor<4xi64>
    %y = "onnx.Resize"(%conv, %none, %none, %sizes) {coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor", onnx_node_name = "up"} : (tensor<1x2x2x2xf32>, none, none, tensor<4xi64>) -> tensor<1x2x4x4xf32>
    func.return %y : tensor<1x2x4x4xf32>
  }
}
