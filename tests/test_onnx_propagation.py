"""Values that inference may follow, and those that would take it gigabytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper

from convc.onnx_io import from_bytes
from convc.onnx_io.propagation import MOST, may_follow_values
from tests.onnx_helpers import info, model, weight

NODE = helper.make_node
LINE = 2**23


def made(
    nodes: Sequence[NodeProto], shape: Sequence[int], weights: Mapping[str, Any] | None = None
) -> ModelProto:
    listed = [weight(name, array) for name, array in (weights or {}).items()]
    return model(nodes, [info("x", shape)], [info("y", None)], listed)


def squared(*before: NodeProto) -> list[NodeProto]:
    return [*before, NODE("Mul", ["r", "r"], ["y"])]


COUNT = numpy_helper.from_array(np.array([LINE]))
LONG: dict[str, ModelProto] = {
    "an input": made([NODE("Mul", ["x", "x"], ["y"])], [LINE]),
    "behind a Relu": made(squared(NODE("Relu", ["x"], ["r"])), [LINE]),
    "an axis taken away": made(squared(NODE("Squeeze", ["x"], ["r"])), [1, LINE]),
    "a Reshape": made(
        squared(NODE("Reshape", ["x", "s"], ["r"])), [LINE // 8, 8], {"s": np.array([-1])}
    ),
    "an Expand": made(
        squared(NODE("Expand", ["w", "s"], ["r"])), [1],
        {"w": np.ones(1, np.float32), "s": np.array([LINE])},
    ),
    "an Expand of a Constant": made(
        squared(
            NODE("Constant", [], ["s"], value=COUNT), NODE("Expand", ["w", "s"], ["r"])
        ), [1], {"w": np.ones(1, np.float32)},
    ),
    "a Pad": made(
        squared(NODE("Pad", ["w", "p"], ["r"])), [1],
        {"w": np.ones(1, np.float32), "p": np.array([0, LINE])},
    ),
    "a Tile": made(
        squared(NODE("Tile", ["x", "s"], ["r"])), [64], {"s": np.array([LINE // 64])}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_long_values_are_not_followed(name: str) -> None:
    assert LINE > MOST
    assert not may_follow_values(LONG[name], 1024)


def test_a_size_below_zero_makes_no_room() -> None:
    nodes = [NODE("Expand", ["w", "s"], ["z"]), NODE("Mul", ["x", "x"], ["y"])]
    weights = {"w": np.ones(1, np.float32), "s": np.array([-(2**40)])}
    assert not may_follow_values(made(nodes, [LINE], weights), 1024)


def test_sizes_that_are_no_numbers_or_beyond_them() -> None:
    """They are for others to refuse."""
    for scales in ([np.nan, 1.0], [np.inf, 2.0]):
        weights = {"s": np.array(scales, np.float32)}
        nodes = squared(NODE("Resize", ["x", "", "s"], ["r"]))
        assert may_follow_values(made(nodes, [1, 4], weights), 1024)
    assert may_follow_values(made(squared(NODE("Relu", ["x"], ["r"])), [2**62] * 40), 1024)


def test_images_are_followed_however_large() -> None:
    nodes = squared(NODE("Relu", ["x"], ["r"]))
    assert may_follow_values(made(nodes, [1, 3, 4096, 4096]), 1024)


def test_wide_biases_keep_the_shapes_that_a_network_computes() -> None:
    """Added to a value of more axes, weights on one axis are carried by nobody."""
    nodes = []
    for i in range(700):
        kind = ("Mul", "Add")[i % 2]
        nodes.append(NODE(kind, [f"v{i}" if i else "x", "b"], [f"v{i + 1}"]))
    nodes += [
        NODE("Shape", ["v700"], ["s"]), NODE("Gather", ["s", "one"], ["n"]),
        NODE("Mul", ["n", "two"], ["m"]), NODE("Concat", ["m", "rest"], ["t"], axis=0),
        NODE("Reshape", ["v700", "t"], ["y"]),
    ]  # fmt: skip
    weights = {
        "b": np.ones(2048, np.float32), "one": np.array([1]), "two": np.array([2]),
        "rest": np.array([-1]),
    }  # fmt: skip
    graph = from_bytes(made(nodes, [1, 16, 2048], weights).SerializeToString())
    assert graph.outputs[0].shape == (32, 1024)
