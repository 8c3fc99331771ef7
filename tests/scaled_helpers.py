"""What the tests of what-ifs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from convc.feeds import noise
from convc.graph import Graph
from convc.ir import Array, TensorType
from convc.onnx_io import to_bytes
from convc.opset import macs
from convc.scaled import (
    Scaled,
)
from tests.onnx_helpers import run
from tests.tiny import FLOAT, graph_of, kernel, model, node

NO_MODELS = "no folder of real models (set CONVC_SHARED)"
SAME = {"pads": [1, 1, 1, 1]}


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def graph(
    nodes: Sequence[Any],
    weights: Mapping[str, Array] | None = None,
    shape: Sequence[int] = (1, 4, 12, 10),
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> Graph:
    return graph_of(
        model(
            nodes,
            weights,
            inputs={"x": (FLOAT, tuple(shape))},
            outputs=dict.fromkeys(outputs, FLOAT),
            opset=opset,
        )
    )


def shapes(made: Scaled | Graph) -> dict[str, tuple[int, ...] | None]:
    found = made.graph if isinstance(made, Scaled) else made
    return {value.name: found.concrete_shape(value) for op in found.ops() for value in op.results}


def ratios(before: Graph, made: Scaled) -> dict[str, Fraction]:
    """MACs of the scaled ops over those of the original ones, by the name of the first result."""
    result = {}
    for op in before.ops():
        old, new = macs(before, op), macs(made.graph, made.ops[op])
        assert old is not None
        assert new is not None
        if old:
            result[op.result.name] = Fraction(new, old)
    return result


def filled(made: Graph) -> Graph:
    """The graph with real zeros where it has zeros without memory."""
    copy = made.clone()
    for op in copy.ops():
        if op.array is not None:
            real = copy.add_constant(np.ascontiguousarray(op.array), op.result.name)
            copy.replace_uses(op.result, real if op.array.shape else op.result)
    copy.erase_dead(copy.ops())
    return copy


def assert_runs(made: Graph) -> None:
    """onnxruntime's shapes are those of the graph, for every value of it that is known."""
    copy = filled(made)
    values = [
        value
        for op in copy.ops()
        for value in op.results
        if op.array is None and not op.is_boundary and (value.name or copy.uses(value))
    ]
    copy.set_outputs(
        values,
        [f"value_{i}" for i in range(len(values))],
        [None if value.dtype is None else TensorType(value.dtype, None) for value in values],
    )
    for value, result in zip(values, run(to_bytes(copy), noise(copy)), strict=True):
        known = copy.concrete_shape(value)
        if known is not None and isinstance(result, np.ndarray):
            assert result.shape == known, value


def assert_same_shapes(before: Graph, made: Scaled) -> None:
    assert set(made.ops) == set(before.ops())
    for op, copy in made.ops.items():
        assert op.kind == copy.kind
        for old, new in zip(op.results, copy.results, strict=True):
            assert before.concrete_shape(old) == made.graph.concrete_shape(new), old
        if op.array is not None:
            assert copy.array is not None
            assert copy.array.shape == op.array.shape
            assert not op.array.size or np.shares_memory(copy.array, op.array)


CHAIN = graph(
    [
        node("Conv", "x first", "a", **SAME),
        node("Relu", "a", "b"),
        node("Conv", "b inner bias", "c", **SAME),
        node("Conv", "c depthwise", "d", group=8, **SAME),
        node("BatchNormalization", "d bias bias bias bias", "e"),
        node("PRelu", "e slope", "f"),
        node("Conv", "f last", "y"),
    ],
    {
        "first": kernel(0, 6, 4, 3, 3),
        "inner": kernel(1, 8, 6, 3, 3),
        "bias": kernel(2, 8),
        "depthwise": kernel(3, 8, 1, 3, 3),
        "slope": kernel(4, 8, 1, 1),
        "last": kernel(5, 5, 8, 1, 1),
    },
)
