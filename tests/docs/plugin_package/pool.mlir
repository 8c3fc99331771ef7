module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x17x15xf32> {onnx.name = "x"}) -> (tensor<1x2x9x15xf32> {onnx.name = "y"}) {
    %pool = "onnx.MaxPool"(%x) {kernel_shape = [5, 7], strides = [2, 1], pads = [2, 3, 2, 3], onnx_node_name = "pool"} : (tensor<1x2x17x15xf32>) -> tensor<1x2x9x15xf32>
    func.return %pool : tensor<1x2x9x15xf32>
  }
}

// -----

module attributes {onnx.ir_version = 8 : si64, onnx.opsets = [["", 17]]} {
  func.func @main_graph(%x: tensor<1x2x17x15xf32> {onnx.name = "x"}) -> (tensor<1x2x9x15xf32> {onnx.name = "y"}) {
    %pool_columns = "onnx.MaxPool"(%x) {kernel_shape = [5, 1], strides = [2, 1], pads = [2, 0, 2, 0], onnx_node_name = "pool_columns"} : (tensor<1x2x17x15xf32>) -> tensor<1x2x9x15xf32>
    %pool = "onnx.MaxPool"(%pool_columns) {kernel_shape = [1, 7], strides = [1, 1], pads = [0, 3, 0, 3], onnx_node_name = "pool"} : (tensor<1x2x9x15xf32>) -> tensor<1x2x9x15xf32>
    func.return %pool : tensor<1x2x9x15xf32>
  }
}
