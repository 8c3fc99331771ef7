"""Models that make much of little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper

from tests.hostile.parts import TERA, net
from tests.onnx_helpers import info
from tests.tiny import BOOL, INT64, node


def grown(kind: str, inputs: str, weights: Mapping[str, Any], **attributes: Any) -> ModelProto:
    """A node that makes terabytes of a few numbers, added to the input of the model."""
    made = [node(kind, inputs, "big", **attributes), node("ReduceMax", "big", "m", keepdims=0)]
    return net([*made, node("Add", "x m", "y")], weights)


def range_added() -> ModelProto:
    """Numbers that nobody writes down, but that as many unknown ones are made of when added."""
    nodes = [
        node("NonZero", "x", "i"), node("Range", "a b c", "big"), node("Add", "big i", "y"),
    ]  # fmt: skip
    weights = {"a": np.array(0), "b": np.array(2**31), "c": np.array(1)}
    return net(nodes, weights, output=INT64)


def constant_of_shape(size: int = TERA) -> ModelProto:
    return grown("ConstantOfShape", "s", {"s": np.array([size])})


def constant_of_shape_from_data() -> ModelProto:
    """The size is found when the model runs: of every dim 1,000,000 times as much."""
    return net(
        [
            node("Shape", "x", "s"), node("Mul", "s k", "t"), node("ConstantOfShape", "t", "big"),
            node("ReduceMax", "big", "m", keepdims=0), node("Add", "x m", "y"),
        ],
        {"k": np.array(1_000_000)},
    )  # fmt: skip


def doubling(times: int = 45) -> ModelProto:
    """Each Concat doubles: terabytes from forty-five nodes."""
    nodes = [node("Concat", f"v{i} v{i}", f"v{i + 1}", axis=0) for i in range(times)]
    first = node("Relu", "x", "v0")
    return net([first, *nodes, node("ReduceMax", f"v{times}", "y", keepdims=0)])


def doubling_constants(times: int = 45) -> ModelProto:
    nodes = [node("Concat", f"v{i} v{i}", f"v{i + 1}", axis=0) for i in range(times)]
    last = node("ReduceMax", f"v{times}", "m", keepdims=0)
    return net([*nodes, last, node("Add", "x m", "y")], {"v0": np.ones(64, np.float32)})


def growing_loop() -> ModelProto:
    """A Loop of 2⁶² turns that keeps what every turn makes."""
    return looping([node("Identity", "go", "again"), node("Relu", "carried", "next")])


def looping(nodes: Sequence[NodeProto], turns: int = 2**62) -> ModelProto:
    body = helper.make_graph(
        [*nodes, node("Identity", "next", "piece")],
        "body",
        [info("turn", [], INT64), info("go", [], BOOL), info("carried", None)],
        [info("again", [], BOOL), info("next", None), info("piece", None)],
    )
    return net(
        [node("Loop", "turns yes x", "last all", body=body), node("Neg", "last", "y")],
        {"turns": np.array(turns), "yes": np.array(True)},
    )


def doubling_loop() -> ModelProto:
    """A Loop whose carried value doubles in every turn."""
    double = node("Concat", "carried carried", "next", axis=0)
    return looping([node("Identity", "go", "again"), double])


def endless_loop() -> ModelProto:
    """A Loop that never ends and keeps nothing."""
    body = helper.make_graph(
        [node("Identity", "go", "again"), node("Relu", "carried", "next")],
        "body",
        [info("turn", [], INT64), info("go", [], BOOL), info("carried", [1, 4, 6, 6])],
        [info("again", [], BOOL), info("next", [1, 4, 6, 6])],
    )
    return net([node("Loop", "- yes x", "y", body=body)], {"yes": np.array(True)})


def loops_in_loops(depth: int = 8, turns: int = 100_000) -> ModelProto:
    """Each Loop ends, all of them together never do."""
    carried = "carried"
    nodes = [node("Relu", f"{carried}{depth}", f"next{depth}")]
    for level in range(depth, 0, -1):
        body = helper.make_graph(
            [node("Identity", f"go{level}", f"again{level}"), *nodes],
            f"body{level}",
            [info(f"turn{level}", [], INT64), info(f"go{level}", [], BOOL),
             info(f"{carried}{level}", [1, 4, 6, 6])],
            [info(f"again{level}", [], BOOL), info(f"next{level}", [1, 4, 6, 6])],
        )  # fmt: skip
        source, target = (f"{carried}{level - 1}", f"next{level - 1}") if level > 1 else ("x", "y")
        nodes = [node("Loop", f"turns yes {source}", target, body=body)]
    return net(nodes, {"turns": np.array(turns), "yes": np.array(True)})


def declared_small(kind: str, numbers: Sequence[int]) -> ModelProto:
    """A node of weights that makes terabytes, though the file says that its result is of one."""
    inputs = {"Tile": "w n", "Expand": "w n", "Pad": "w n", "Resize": "w - - n"}[kind]
    weights = {"w": np.ones((1, 1), np.float32), "n": np.array(numbers)}
    made = grown(kind, inputs, weights)
    made.graph.value_info.append(info("big", [1, 1]))
    return made
