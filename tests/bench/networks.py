"""Models to time the compiler on, written to a file: ``python -m tests.bench.networks NAME PATH``.

``NAME`` is a network of the onnx package, whose topology it is with weights from a seed, or the
number of ops of a graph of small ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

CHANNELS, SIZE = 4, 8
"""Of the small ops."""


def filled(name: str, seed: int = 0) -> ModelProto:
    """A network of the onnx package; there each weight is made by a ConstantOfShape."""
    rng = np.random.default_rng(seed)
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    model = onnx.load(folder / f"light_{name}.onnx")
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            nodes.append(node)
            continue
        shape = numpy_helper.to_array(known.pop(node.input[0]))
        if len(shape) == 1:  # scales, variances, biases: near 1, all of them make sense
            array = rng.uniform(0.5, 1.5, shape)
        else:  # scaled the way networks are initialised
            array = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        known[node.output[0]] = numpy_helper.from_array(array.astype(np.float32), node.output[0])
    used = {name for node in nodes for name in node.input}
    inputs = [v for v in model.graph.input if v.name in used and v.name not in known]
    weights = [tensor for tensor in known.values() if tensor.name in used]
    graph = helper.make_graph(nodes, name, inputs, list(model.graph.output), weights)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)


def graph_of(ops: int, seed: int = 0) -> ModelProto:
    """Residual blocks of ten ops each, of which convc rewrites about half."""
    rng = np.random.default_rng(seed)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []

    def weight(*shape: int) -> str:
        array = rng.uniform(0.1, 1.0, shape).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"w{len(weights)}"))
        return weights[-1].name

    def node(kind: str, *operands: str, **attributes: object) -> str:
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, operands, [name], name, **attributes))
        return name

    value = node("Relu", "x")
    for _ in range(ops // 10):
        h = node("Conv", value, weight(CHANNELS, CHANNELS, 3, 3), pads=[1, 1, 1, 1])
        h = node("BatchNormalization", h, *(weight(CHANNELS) for _ in range(4)))
        h = node("Identity", node("Relu", h))
        h = node("Conv", h, weight(CHANNELS, CHANNELS, 1, 1), weight(CHANNELS))
        h = node("Mul", h, weight(CHANNELS, 1, 1))
        h = node("Sigmoid", node("Add", h, weight(CHANNELS, 1, 1)))
        value = node("Relu", node("Add", h, value))
    shape = [1, CHANNELS, SIZE, SIZE]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", value))
    graph = helper.make_graph(nodes, "ops", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    which, target = sys.argv[1:]
    onnx.save(graph_of(int(which)) if which.isdigit() else filled(which), target)
