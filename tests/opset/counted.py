"""One op in a graph, for tests of what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Dim, Header, Op, TensorType, Value
from convc.opset.work import WORK, Work

F32 = np.dtype(np.float32)
Operand = Sequence[Dim] | Array | None
"""The shape of an activation, a constant, or nothing."""


def one_op(
    kind: str,
    operands: Sequence[Operand],
    result: Sequence[Dim] | None,
    attributes: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    sizes: dict[str, int] | None = None,
    dtype: np.dtype[Any] = F32,
) -> tuple[Graph, Op]:
    """A graph with one op whose activations have the given shapes."""
    graph = Graph(Header(opsets={"": opset}), sizes)
    values = [_value(graph, operand, f"x{i}", dtype) for i, operand in enumerate(operands)]
    shape = None if result is None else tuple(result)
    types = (TensorType(dtype, shape),)
    return graph, graph.add(kind, values, attributes or {}, types=types, names=("y",))


def _value(graph: Graph, operand: Operand, name: str, dtype: np.dtype[Any]) -> Value | None:
    if operand is None:
        return None
    if isinstance(operand, np.ndarray):
        return graph.add_constant(operand)
    return graph.add_input(name, TensorType(dtype, tuple(operand)))


def work_of(
    kind: str,
    operands: Sequence[Operand],
    result: Sequence[Dim] | None,
    attributes: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    sizes: dict[str, int] | None = None,
) -> Work | None:
    """The work of one op."""
    return WORK[kind](*one_op(kind, operands, result, attributes, opset=opset, sizes=sizes))
