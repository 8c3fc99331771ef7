"""Graphs of one op, for the tests of gradient rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Value
from convc.opset import OPS, Gradient

F32 = np.dtype(np.float32)
F16 = np.dtype(np.float16)
I64 = np.dtype(np.int64)
Operand = tuple[Any, ...] | Array | None


def built(
    kind: str,
    operands: list[Operand],
    result: tuple[Any, ...] | None,
    *,
    opset: int = 17,
    dtype: np.dtype[Any] = F32,
    results: int = 1,
    **attributes: Any,
) -> tuple[Graph, Op]:
    """A graph of one op; operands are shapes of activations, arrays, or None."""
    graph = Graph(sizes={"N": 2})
    graph.header.opsets[""] = opset
    values: list[Value | None] = []
    for i, operand in enumerate(operands):
        if operand is None:
            values.append(None)
        elif isinstance(operand, np.ndarray):
            values.append(graph.add_constant(operand))
        else:
            values.append(graph.add_input(f"x{i}", TensorType(dtype, operand)))
    types = [TensorType(dtype, result)] * results
    return graph, graph.add(kind, values, attributes, types=types)


def gradient(graph: Graph, op: Op, *wanted: int) -> Gradient:
    rule = OPS[op.kind].gradient
    assert rule is not None
    found = rule(graph, op, frozenset(wanted))
    assert found is not None
    return found


def ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)
