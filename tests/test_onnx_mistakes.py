"""Shapes that onnx's inference gets wrong: convc has those that onnxruntime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, helper, numpy_helper, shape_inference

from convc.concrete import resolve_shapes
from convc.onnx_io import from_bytes
from convc.onnx_io.mistakes import MOST_ROUNDS
from tests.onnx_helpers import info, model, run, weight

NODE = helper.make_node
SHAPE = (1, 4, 10, 12)


def pool(kind: str, **attributes: Any) -> NodeProto:
    return NODE(kind, ["x"], ["y"], ceil_mode=1, **attributes)


def up(*scales: float) -> Any:
    return weight("s", np.array([1, 1, *scales], np.float32))


CONSTANTS = [
    NODE("Constant", [], ["k"], value=numpy_helper.from_array(np.array([1, 1, 1.3, 1.3], "f"))),
    NODE("Constant", [], ["n"], value_floats=[1.0, 1.0, 1.3, 1.3]),
]
W = weight("w", np.ones((4, 2, 5, 5), np.float32))
CASES: dict[str, tuple[NodeProto, list[Any], int]] = {
    "a window in the padding": (
        pool("MaxPool", kernel_shape=[2, 2], strides=[3, 3], pads=[0, 0, 1, 1]), [], 17
    ),
    "one tap, three apart, without pads": (
        pool("MaxPool", kernel_shape=[1, 1], strides=[3, 3], auto_pad="VALID"), [], 17
    ),
    "one tap, three apart": (pool("AveragePool", kernel_shape=[1, 1], strides=[3, 3]), [], 17),
    "no such window": (pool("MaxPool", kernel_shape=[3, 3], strides=[2, 2]), [], 17),
    "sizes of a transposed conv": (
        NODE("ConvTranspose", ["x", "w"], ["y"], output_shape=[20, 23], strides=[2, 2]), [W], 17
    ),
    "sizes in groups": (
        NODE("ConvTranspose", ["x", "w"], ["y"], output_shape=[11, 13], group=2), [W], 11
    ),
    "13 in single precision": (
        NODE("Resize", ["x", "", "s"], ["y"], mode="nearest"), [up(1.3, 1.3)], 17
    ),
    "13 of a Constant": (
        NODE("Resize", ["x", "", "k"], ["y"], mode="nearest"), [], 17
    ),
    "13 of a Constant of numbers": (
        NODE("Resize", ["x", "", "n"], ["y"], mode="nearest"), [], 17
    ),
    "the same in old": (NODE("Upsample", ["x", "s"], ["y"], mode="nearest"), [up(1.3, 2.7)], 9),
    "the same as attribute": (
        NODE("Upsample", ["x"], ["y"], mode="nearest", scales=[1.0, 1.0, 1.3, 1.1]), [], 7
    ),
}  # fmt: skip


def constants_of(node: NodeProto) -> list[NodeProto]:
    return [entry for entry in CONSTANTS if entry.output[0] in node.input]


@pytest.mark.parametrize("name", CASES)
def test_types_are_those_of_the_runtime(name: str) -> None:
    node, weights, opset = CASES[name]
    more = NODE("Relu", ["y"], ["z"])
    nodes = [*constants_of(node), node, more]
    made = model(nodes, [info("x", SHAPE)], [info("z", None)], weights, opset=opset)
    data = made.SerializeToString()
    (z,) = run(data, {"x": np.ones(SHAPE, np.float32)})
    graph = from_bytes(data)
    assert graph.outputs[0].shape == z.shape
    # The op's own inference, for sizes that the network computes itself, agrees.
    for op in graph.ops():
        for value in op.results if op.kind in (node.op_type, "Relu") else ():
            value.type = None
    assert resolve_shapes(graph) == []
    assert graph.outputs[0].shape == z.shape


def test_inference_does_get_them_wrong() -> None:
    """Once it does not, `convc.onnx_io.mistakes` has less to do."""
    wrong = 0
    for node, weights, opset in CASES.values():
        nodes = [*constants_of(node), node]
        made = model(nodes, [info("x", SHAPE)], [info("y", None)], weights, opset=opset)
        (y,) = run(made.SerializeToString(), {"x": np.ones(SHAPE, np.float32)})
        told = shape_inference.infer_shapes(made).graph.output[0].type.tensor_type.shape.dim
        wrong += tuple(d.dim_value for d in told) != y.shape
    assert wrong >= 5


def test_half_the_size_of_same_padding() -> None:
    half = {"kernel_shape": [1], "strides": [2], "auto_pad": "SAME_LOWER", "count_include_pad": 1}
    made = model([pool("AveragePool", **half)], [info("x", (2, 4, 2))], [info("y", None)], opset=14)
    data = made.SerializeToString()
    (y,) = run(data, {"x": np.ones((2, 4, 2), np.float32)})
    assert from_bytes(data).outputs[0].shape == y.shape == (2, 4, 1)


@pytest.mark.parametrize("count", [3, MOST_ROUNDS + 4])
def test_one_mistake_behind_the_other(count: int) -> None:
    """Behind too many of them sizes are not known rather than wrong."""
    nodes = [
        NODE("AveragePool", [f"v{i}"], [f"u{i}"], kernel_shape=[1], strides=[3], ceil_mode=1)
        for i in range(count)
    ]
    back = [NODE("Tile", [f"u{i}", "three"], [f"v{i + 1}"]) for i in range(count)]
    order = [node for pair in zip(nodes, back, strict=True) for node in pair]
    three = weight("three", np.array([1, 1, 3]))
    made = model(order, [info("v0", (1, 2, 12))], [info(f"v{count}", None)], [three], opset=17)
    graph = from_bytes(made.SerializeToString())
    (y,) = run(made.SerializeToString(), {"v0": np.ones((1, 2, 12), np.float32)})
    assert y.shape == (1, 2, 12)
    shapes = {value.name: value.shape for op in graph.ops() for value in op.results}
    assert {shapes[f"v{i}"] for i in range(min(count, MOST_ROUNDS))} == {(1, 2, 12)}
    assert shapes[f"v{count}"] in ((1, 2, 12), (None, None, None), None)
