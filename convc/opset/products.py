"""MACs of the ops that multiply weights and activations, in the dense convention.

Padded zeros count as products, as they do in every other tool; `convc.opset.work` has the exact
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import TypeAlias

from convc.graph import Graph
from convc.ir import Op

MacsRule: TypeAlias = Callable[[Graph, Op], "int | None"]

GATES: Mapping[str, int] = MappingProxyType({"RNN": 1, "GRU": 3, "LSTM": 4})
"""Products of matrix and vector in one step of a recurrent layer, with input and state each."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The sizes of a recurrent layer: ``directions`` times ``steps`` times ``batch`` vectors."""

    steps: int
    batch: int
    inputs: int
    directions: int
    hidden: int

    @property
    def units(self) -> int:
        """How often one hidden unit is computed: the elements of Y."""
        return self.directions * self.steps * self.batch * self.hidden


def recurrence(graph: Graph, op: Op) -> Recurrence | None:
    """The sizes of an RNN, GRU or LSTM; None where one is missing.

    A state that is omitted is a vector of zeros, whose products count.
    """
    data, recurrent = op.operand(0), op.operand(2)
    if data is None or recurrent is None:
        return None
    shape, weights = graph.concrete_shape(data), graph.concrete_shape(recurrent)
    if shape is None or weights is None:
        return None
    if len(shape) != 3:
        return None
    first, second, inputs = shape
    steps, batch = (second, first) if op.attributes.get("layout") else (first, second)
    return Recurrence(steps, batch, inputs, weights[0], weights[2])


def inner_size(graph: Graph, op: Op) -> int | None:
    """The length of the sums of a Gemm or MatMul; None where it is not known."""
    data = op.operand(0)
    shape = None if data is None else graph.concrete_shape(data)
    if not shape:
        return None
    return shape[0] if op.kind == "Gemm" and op.attributes.get("transA") else shape[-1]


def _conv_macs(graph: Graph, op: Op) -> int | None:
    weight = op.operand(1)
    kernel = None if weight is None else graph.concrete_shape(weight)
    result = graph.concrete_shape(op.result)
    if kernel is None or result is None:
        return None
    return prod(result) * prod(kernel[1:])


def _transpose_macs(graph: Graph, op: Op) -> int | None:
    data, weight = op.operand(0), op.operand(1)
    if data is None or weight is None:
        return None
    shape, kernel = graph.concrete_shape(data), graph.concrete_shape(weight)
    return None if shape is None or kernel is None else prod(shape) * prod(kernel[1:])


def _product_macs(graph: Graph, op: Op) -> int | None:
    inner, result = inner_size(graph, op), graph.concrete_shape(op.result)
    return None if inner is None or result is None else prod(result) * inner


def _recurrent_macs(graph: Graph, op: Op) -> int | None:
    sizes = recurrence(graph, op)
    return None if sizes is None else sizes.units * GATES[op.kind] * (sizes.inputs + sizes.hidden)


MACS: Mapping[str, MacsRule] = MappingProxyType(
    {
        "Conv": _conv_macs,
        "ConvTranspose": _transpose_macs,
        "GRU": _recurrent_macs,
        "Gemm": _product_macs,
        "LSTM": _recurrent_macs,
        "MatMul": _product_macs,
        "RNN": _recurrent_macs,
    }
)
