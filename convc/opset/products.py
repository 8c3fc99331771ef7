"""MACs of the ops that multiply weights and activations, in the dense convention.

Padded zeros count as products, as they do in every other tool; `convc.opset.work` has the exact
counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import TypeAlias

from convc.graph import Graph
from convc.ir import Op

MacsRule: TypeAlias = Callable[[Graph, Op], "int | None"]


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
    data = op.operand(0)
    shape = None if data is None else graph.concrete_shape(data)
    result = graph.concrete_shape(op.result)
    if shape is None or result is None or not shape:
        return None
    inner = shape[0] if op.kind == "Gemm" and op.attributes.get("transA") else shape[-1]
    return prod(result) * inner


MACS: Mapping[str, MacsRule] = MappingProxyType(
    {
        "Conv": _conv_macs,
        "ConvTranspose": _transpose_macs,
        "Gemm": _product_macs,
        "MatMul": _product_macs,
    }
)
