// A YOLO neck: the half that is enlarged is convolved at low resolution and added.
// passes: commute-linear
// rewrites: 1
// declined: 1 × the Resize is no cheaper before the 1×1 conv

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x2x2xf32> {onnx.name = "x"}, %z: tensor<1x4x4x4xf32> {onnx.name = "z"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}) {
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x8x1x1xf32>} : () -> tensor<2x8x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, -2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %scales = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %none = "onnx.NoValue"() {value} : () -> none
    %a = "onnx.Resize"(%x, %none, %scales) {onnx_node_name = "up", mode = "nearest"} : (tensor<1x4x2x2xf32>, none, tensor<4xf32>) -> tensor<1x4x4x4xf32>
    %c = "onnx.Concat"(%a, %z) {onnx_node_name = "concat", axis = 1 : si64} : (tensor<1x4x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x8x4x4xf32>
    %y = "onnx.Conv"(%c, %w, %b) {onnx_node_name = "conv"} : (tensor<1x8x4x4xf32>, tensor<2x8x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    func.return %y : tensor<1x2x4x4xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x4x2x2xf32> {onnx.name = "x"}, %z: tensor<1x4x4x4xf32> {onnx.name = "z"}) -> (tensor<1x2x4x4xf32> {onnx.name = "y"}) {
    %none = "onnx.NoValue"() {value} : () -> none
    %w = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x1x1xf32>} : () -> tensor<2x4x1x1xf32>
    %b = "onnx.Constant"() {value = dense<[1.0, -2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
    %conv = "onnx.Conv"(%z, %w, %b) {onnx_node_name = "conv"} : (tensor<1x4x4x4xf32>, tensor<2x4x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
    %w_1 = "onnx.Constant"() {value = dense<0.5> : tensor<2x4x1x1xf32>, onnx.names = ["w"]} : () -> tensor<2x4x1x1xf32>
    %conv_part1 = "onnx.Conv"(%x, %w_1) {onnx_node_name = "conv_part1"} : (tensor<1x4x2x2xf32>, tensor<2x4x1x1xf32>) -> tensor<1x2x2x2xf32>
    %scales = "onnx.Constant"() {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : () -> tensor<4xf32>
    %up = "onnx.Resize"(%conv_part1, %none, %scales) {mode = "nearest"} : (tensor<1x2x2x2xf32>, none, tensor<4xf32>) -> tensor<1x2x4x4xf32>
    %y = "onnx.Add"(%conv, %up) : (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
    func.return %y : tensor<1x2x4x4xf32>
  }
}
