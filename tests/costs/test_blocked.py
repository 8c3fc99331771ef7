"""The blocked layout: which ops live in it, said here and seen in what onnxruntime makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto

from convc.costs.roofline.blocked import block_of, is_blocked_conv, is_folded, leaves_layout
from convc.graph import Graph
from convc.ir import Array, Op
from convc.machine import vectors
from convc.onnx_io import load, to_bytes
from convc.runtime import Session, Settings, version
from tests.tiny import FLOAT, graph_of, kernel, model, node

LANES = vectors()[0]
observed = pytest.mark.skipif(
    LANES < 8 or not version().startswith("1.32."),
    reason="observed with onnxruntime 1.32 on processors with AVX2",
)


def optimised(graph: Graph, folder: Path) -> list[str]:
    """The kinds of the nodes that onnxruntime makes of a graph."""
    session = Session(to_bytes(graph), Settings(threads=1), trace=folder)
    nodes = load(session.end_trace().optimised).ops()
    return [f"{op.domain}{op.kind}" for op in nodes if op.operands and not op.is_boundary]


@dataclass(frozen=True)
class Between:
    """Ops from ``c``, made by a blocked conv, to ``b``, which another one reads."""

    nodes: Sequence[NodeProto]
    stays: bool
    weights: Mapping[str, Array] = field(default_factory=dict)
    opset: int = 20

    def graph(self) -> Graph:
        first, last = node("Conv", "x w", "c", pads=[1] * 4), node("Conv", "b v", "y")
        weights = {"w": kernel(1, 16, 4, 3, 3), "v": kernel(2, 16, 16, 3, 3), **self.weights}
        return graph_of(
            model(
                [first, *self.nodes, last],
                weights,
                inputs={"x": (FLOAT, (1, 4, 24, 24))},
                opset=self.opset,
            )
        )

    def op(self, graph: Graph) -> Op:
        """The op in question: the last one between."""
        (op,) = [op for op in graph.ops() if op.results and op.results[0].name == "b"]
        return op


RELU = node("Relu", "c", "r")
TANH = node("Tanh", "c", "r")
CHANNEL = {"k": kernel(3, 16, 1, 1)}
SCALAR = {"k": np.array(2.0, np.float32)}
NORM = {name: np.abs(kernel(4, 16)) for name in ("g", "h", "m", "q")}
TWICE = {"s": np.array([1, 1, 2, 2], np.float32)}
HALVES = {"s": np.array([1, 1, 1.5, 1.5], np.float32)}
PADS = {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}


def resize(**attributes: str) -> list[NodeProto]:
    names = {"place": "coordinate_transformation_mode"}
    return [node("Resize", "c - s", "b", **{names.get(k, k): v for k, v in attributes.items()})]


CASES = {
    "relu": Between([node("Relu", "c", "b")], True),
    "sigmoid": Between([node("Sigmoid", "c", "b")], True),
    "tanh": Between([RELU, node("Tanh", "r", "b")], True),
    "hard sigmoid": Between([node("HardSigmoid", "c", "b")], True),
    "hard swish": Between([node("HardSwish", "c", "b")], True),
    "gelu": Between([node("Gelu", "c", "b")], True),
    "leaky relu behind the conv": Between([node("LeakyRelu", "c", "b")], True),
    "leaky relu later": Between([RELU, node("LeakyRelu", "r", "b")], False),
    "elu": Between([node("Elu", "c", "b")], False),
    "softplus": Between([node("Softplus", "c", "b")], False),
    "prelu": Between([node("PRelu", "c k", "b")], False, CHANNEL),
    "neg": Between([node("Neg", "c", "b")], False),
    "add per channel behind the conv": Between([node("Add", "c k", "b")], True, CHANNEL),
    "add per channel later": Between([RELU, node("Add", "r k", "b")], False, CHANNEL),
    "add a scalar": Between([node("Add", "c k", "b")], False, SCALAR),
    "mul per channel": Between([RELU, node("Mul", "r k", "b")], True, CHANNEL),
    "mul by a scalar behind the conv": Between([node("Mul", "c k", "b")], True, SCALAR),
    "mul by a scalar later": Between([RELU, node("Mul", "r k", "b")], False, SCALAR),
    "div": Between([RELU, node("Div", "r k", "b")], False, SCALAR),
    "add of two": Between([TANH, node("Add", "c r", "b")], True),
    "sum of two": Between([TANH, node("Sum", "c r", "b")], True),
    "mul of two": Between([TANH, node("Mul", "c r", "b")], True),
    "sub of two": Between([TANH, node("Sub", "c r", "b")], False),
    "squeeze and excite": Between(
        [node("GlobalAveragePool", "c", "r"), node("Mul", "c r", "b")], False
    ),
    "norm": Between([RELU, node("BatchNormalization", "r g h m q", "b")], True, NORM),
    "instance norm": Between([node("InstanceNormalization", "c g h", "b")], False, NORM),
    "max pool": Between([node("MaxPool", "c", "b", kernel_shape=[3, 3])], True),
    "average pool": Between([node("AveragePool", "c", "b", kernel_shape=[3, 3])], True),
    "lp pool": Between([node("LpPool", "c", "b", kernel_shape=[3, 3])], False),
    "pad with zeros": Between([node("Pad", "c p", "b")], True, PADS),
    "reflect": Between([node("Pad", "c p", "b", mode="reflect")], False, PADS),
    "edge": Between([node("Pad", "c p", "b", mode="edge")], False, PADS),
    "identity": Between([node("Identity", "c", "b")], True),
    "transpose": Between([node("Transpose", "c", "b", perm=[0, 1, 3, 2])], False),
    "concat of rows": Between([RELU, node("Concat", "c r", "b", axis=2)], False),
    "nearest": Between(resize(place="asymmetric", nearest_mode="floor"), True, TWICE),
    "nearest, rounded": Between(resize(place="asymmetric"), False, TWICE),
    "nearest, half pixels": Between(resize(nearest_mode="floor"), False, TWICE),
    "nearest by halves": Between(resize(place="asymmetric", nearest_mode="floor"), False, HALVES),
    "linear": Between(resize(mode="linear"), True, TWICE),
    "linear, corners": Between(resize(mode="linear", place="align_corners"), True, TWICE),
    "linear, torch": Between(resize(mode="linear", place="pytorch_half_pixel"), False, TWICE),
    "cubic": Between(resize(mode="cubic"), False, TWICE),
    "upsample": Between([node("Upsample", "c s", "b")], True, TWICE, 9),
    "upsample, old": Between([node("Upsample", "c", "b", scales=[1.0, 1, 2, 2])], False, {}, 7),
}


@pytest.mark.parametrize("name", CASES)
def test_ops_between_two_convs(name: str) -> None:
    graph = CASES[name].graph()
    assert leaves_layout(graph, CASES[name].op(graph), 16) != CASES[name].stays


@observed
@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_does_the_same(name: str, tmp_path: Path) -> None:
    nodes = optimised(CASES[name].graph(), tmp_path)
    # One reorder out at the end there is always.
    reorders = sum("Reorder" in kind for kind in nodes)
    assert (reorders > 1) != CASES[name].stays, nodes


def test_only_between_convs() -> None:
    pad = {"p": PADS["p"], "w": kernel(1, 16, 4, 3, 3)}
    first = [node("Pad", "x p", "b", mode="edge"), node("Conv", "b w", "y")]
    last = [node("Conv", "x w", "c"), node("Pad", "c p", "y", mode="edge")]
    for nodes in (first, last):
        graph = graph_of(model(nodes, pad))
        assert not any(leaves_layout(graph, op, 16) for op in graph.ops())


def test_not_beside_a_conv_that_is_not_blocked_itself() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Pad", "c p", "b", mode="edge"),
        node("Conv", "b v", "y"),
    ]
    weights = {"w": kernel(1, 18, 4, 3, 3), "v": kernel(2, 16, 18, 3, 3), **PADS}
    graph = graph_of(model(nodes, weights))
    assert not any(leaves_layout(graph, op, 16) for op in graph.ops())


def one_conv(outputs: int, inputs: int, group: int, spatial: int = 2) -> tuple[Graph, Op]:
    weight = kernel(1, outputs, inputs // group, *(3,) * spatial)
    shape = (1, inputs, *(9,) * spatial)
    nodes = [node("Conv", "x w", "y", group=group)]
    graph = graph_of(model(nodes, {"w": weight}, inputs={"x": (FLOAT, shape)}))
    (op,) = [op for op in graph.ops() if op.kind == "Conv"]
    return graph, op


CONVS = [
    # outputs, inputs, group, blocked for blocks of 16, of 8
    (16, 3, 1, True, True),
    (1, 1, 1, True, True),
    (20, 8, 1, True, True),
    (16, 15, 1, True, False),
    (16, 17, 1, False, False),
    (16, 20, 1, True, True),
    (64, 259, 1, False, False),
    (64, 64, 4, True, True),
    (64, 64, 8, False, True),
    (64, 64, 16, False, False),
    (48, 48, 2, False, True),
    (32, 64, 4, False, True),
    (16, 16, 16, True, True),
    (20, 20, 20, True, True),
    (32, 16, 16, False, False),
]


@pytest.mark.parametrize(("outputs", "inputs", "group", "wide", "narrow"), CONVS)
def test_blocked_convs(outputs: int, inputs: int, group: int, wide: bool, narrow: bool) -> None:
    graph, op = one_conv(outputs, inputs, group)
    assert is_blocked_conv(graph, op, 16) == wide
    assert is_blocked_conv(graph, op, 8) == narrow


@observed
@pytest.mark.parametrize("case", CONVS)
def test_onnxruntime_blocks_the_same_convs(
    case: tuple[int, int, int, bool, bool], tmp_path: Path
) -> None:
    outputs, inputs, group, wide, narrow = case
    nodes = optimised(one_conv(outputs, inputs, group)[0], tmp_path)
    blocked = any("nchwc" in kind for kind in nodes)
    assert blocked == (wide if block_of(LANES) == 16 else narrow), nodes


@pytest.mark.parametrize("spatial", [1, 3])
def test_only_in_two_dims(spatial: int) -> None:
    graph, op = one_conv(16, 16, 1, spatial)
    assert not is_blocked_conv(graph, op, 16)


def test_only_with_constant_weights() -> None:
    inputs = {"x": (FLOAT, (1, 4, 9, 9)), "w": (FLOAT, (16, 4, 3, 3))}
    graph = graph_of(model([node("Conv", "x w", "y")], inputs=inputs))
    (op,) = [op for op in graph.ops() if op.kind == "Conv"]
    assert not is_blocked_conv(graph, op, 16)
    nodes = [node("Neg", "w", "n"), node("Abs", "n", "v"), node("Conv", "x v", "y")]
    graph = graph_of(model(nodes, {"w": kernel(1, 16, 4, 3, 3)}, inputs={"x": inputs["x"]}))
    (op,) = [op for op in graph.ops() if op.kind == "Conv"]
    assert is_folded(op.operands[1] or op.result)
    assert is_blocked_conv(graph, op, 16)
    assert not is_folded(op.result)
