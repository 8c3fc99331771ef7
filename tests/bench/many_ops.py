"""Graphs of very many small ops, written to a file: ``python -m tests.bench.many_ops KIND N PATH``.

Each kind grows another way, and each way has made some compiler quadratic: see `KINDS`. ``N`` is
about how many ops the graph has, weights not counted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.bench.networks import graph_of

CHANNELS, SIZE = 4, 8
"""Of every value but the joined ones."""


class Draft:
    """A model under construction: a row of nodes, and weights drawn from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._rng = np.random.default_rng(seed)

    def weight(self, *shape: int) -> str:
        """The name of a new weight with values between 0.1 and 1."""
        array = self._rng.uniform(0.1, 1.0, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(array, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def node(self, kind: str, *operands: str, **attributes: object) -> str:
        """The name of the result of a new node."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, operands, [name], name, **attributes))
        return name

    def conv(self, value: str, size: int = 3, inputs: int = CHANNELS) -> str:
        """A conv that keeps height and width."""
        kernel = self.weight(CHANNELS, inputs, size, size)
        return self.node("Conv", value, kernel, pads=[size // 2] * 4)

    def model(self, outputs: list[str], shape: tuple[int | str, ...] | None = None) -> ModelProto:
        """The finished model: one input ``x``, and results whose shapes are left to inference."""
        shape = shape or (1, CHANNELS, SIZE, SIZE)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        ys = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "ops", [x], ys, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def chain(ops: int) -> ModelProto:
    """Conv and ReLU in turn: nothing to rewrite, only depth."""
    draft, value = Draft(), "x"
    for _ in range(ops // 2):
        value = draft.node("Relu", draft.conv(value))
    return draft.model([value])


def open_chain(ops: int) -> ModelProto:
    """The same where height and width are open: each value gets sizes with names."""
    draft, value = Draft(), "x"
    for _ in range(ops // 2):
        value = draft.node("Relu", draft.conv(value))
    return draft.model([value], ("N", CHANNELS, "H", "W"))


def linear_chain(ops: int) -> ModelProto:
    """1×1 convs alone: all of them become one, pair by pair."""
    draft, value = Draft(), "x"
    for _ in range(ops):
        value = draft.conv(value, 1)
    return draft.model([value])


def affine_chain(ops: int) -> ModelProto:
    """One conv, then Mul, Add and batch norm in turn: all of them are folded into it."""
    draft = Draft()
    value = draft.conv("x")
    for _ in range(ops // 3):
        value = draft.node("Mul", value, draft.weight(CHANNELS, 1, 1))
        value = draft.node("Add", value, draft.weight(CHANNELS, 1, 1))
        value = draft.node("BatchNormalization", value, *(draft.weight(CHANNELS) for _ in "sbmv"))
    return draft.model([value])


def shared_weight(ops: int) -> ModelProto:
    """Convs that all use one weight: it has as many users as there are convs."""
    draft, value = Draft(), "x"
    kernel = draft.weight(CHANNELS, CHANNELS, 3, 3)
    for _ in range(ops // 2):
        value = draft.node("Relu", draft.node("Conv", value, kernel, pads=[1, 1, 1, 1]))
    return draft.model([value])


def fan_out(ops: int) -> ModelProto:
    """One value that half of all ops use; their results are joined by one Concat."""
    draft = Draft()
    value = draft.node("Relu", "x")
    ends = [draft.node("Relu", draft.conv(value, 1)) for _ in range(ops // 2)]
    return draft.model([draft.node("Concat", *ends, axis=1)])


def fan_affine(ops: int) -> ModelProto:
    """A scale and shift that nearly all ops use: it goes into the weights of every one of them."""
    draft = Draft()
    value = draft.node("Mul", draft.node("Relu", "x"), draft.weight(CHANNELS, 1, 1))
    value = draft.node("Add", value, draft.weight(CHANNELS, 1, 1))
    ends = [draft.node("Relu", draft.conv(value, 1)) for _ in range(ops // 2)]
    return draft.model([draft.node("Concat", *ends, axis=1)])


def fan_sum(ops: int) -> ModelProto:
    """One value that nearly all ops use, added up by one Sum: all of it is one conv."""
    draft = Draft()
    value = draft.node("Relu", "x")
    return draft.model([draft.node("Sum", *(draft.conv(value, 1) for _ in range(ops)))])


def add_ladder(ops: int) -> ModelProto:
    """Convs of one value, added up one by one: all of it is one conv."""
    draft = Draft()
    value = draft.node("Relu", "x")
    total = draft.conv(value, 1)
    for _ in range(ops // 2):
        total = draft.node("Add", total, draft.conv(value, 1))
    return draft.model([total])


def concat_ladder(ops: int) -> ModelProto:
    """Each step joins two values and brings them back to the channels of one."""
    draft, value = Draft(), "x"
    for _ in range(ops // 4):
        side = draft.node("Relu", draft.conv(value, 1))
        value = draft.conv(draft.node("Concat", value, side, axis=1), 1, 2 * CHANNELS)
    return draft.model([value])


def many_outputs(ops: int) -> ModelProto:
    """A chain of which every second value is a result of the model."""
    draft, value = Draft(), "x"
    outputs = []
    for _ in range(ops // 2):
        value = draft.node("Relu", draft.conv(value))
        outputs.append(value)
    return draft.model(outputs)


def identities(ops: int) -> ModelProto:
    """Identity, two Transposes that undo each other and a Reshape to the same shape, in turn."""
    draft, value = Draft(), "x"
    shape = numpy_helper.from_array(np.array([1, CHANNELS, SIZE, SIZE]), "shape")
    draft.weights.append(shape)
    for _ in range(ops // 4):
        value = draft.node("Transpose", draft.node("Identity", value), perm=[0, 2, 3, 1])
        value = draft.node("Transpose", value, perm=[0, 3, 1, 2])
        value = draft.node("Reshape", value, "shape")
    return draft.model([draft.node("Relu", value)])


def constants(ops: int) -> ModelProto:
    """A chain of additions of constants alone, added to the input in the end."""
    draft = Draft()
    value = draft.weight(CHANNELS, 1, 1)
    for _ in range(ops):
        value = draft.node("Add", value, draft.weight(CHANNELS, 1, 1))
    return draft.model([draft.node("Add", "x", value)])


def twins(ops: int) -> ModelProto:
    """Every op stands there twice, so that half of them are equal to another."""
    draft, value = Draft(), "x"
    for _ in range(ops // 5):
        kernel = draft.weight(CHANNELS, CHANNELS, 1, 1)
        two = [draft.node("Relu", draft.node("Conv", value, kernel)) for _ in "ab"]
        value = draft.node("Mul", *two)
    return draft.model([value])


KINDS: Mapping[str, Callable[[int], ModelProto]] = {
    "residual": graph_of,
    **{
        make.__name__: make
        for make in (
            chain, open_chain, linear_chain, affine_chain, shared_weight, fan_out, fan_affine,
            fan_sum, add_ladder, concat_ladder, many_outputs, identities, constants, twins,
        )
    },
}  # fmt: skip
"""The graphs by name."""


if __name__ == "__main__":
    name, number, target = sys.argv[1:]
    onnx.save(KINDS[name](int(number)), target)
