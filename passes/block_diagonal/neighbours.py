"""The dense convs before and behind a conv, which take an order of the channels into weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convc.algebra.hidden_blocks import Index
from convc.conv import group_of
from convc.graph import Graph
from convc.ir import Array, Op, Value, is_real
from convc.rewrite import Replacement
from passes._chains import operand
from passes.lower_to_conv2d.depthwise import UNARY


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A dense conv that nothing but elementwise ops, each the only user of what it reads, parts.

    Attributes:
        conv: the conv.
        between: the elementwise ops, in the order of the graph.
    """

    conv: Op
    between: tuple[Op, ...]


def before(graph: Graph, value: Value) -> Neighbour | None:
    """The conv whose filters are the channels of ``value``."""
    between: list[Op] = []
    while len(graph.uses(value)) == 1:
        op = value.op
        if _is_dense(op):
            return Neighbour(op, tuple(reversed(between)))
        if not _is_elementwise(op, 0):
            return None
        between.append(op)
        value = operand(op)
    return None


def behind(graph: Graph, value: Value) -> Neighbour | None:
    """The conv that sums over the channels of ``value``."""
    between: list[Op] = []
    while True:
        uses = graph.uses(value)
        if len(uses) != 1:
            return None
        op, index = uses[0]
        if index == 0 and _is_dense(op):
            return Neighbour(op, tuple(between))
        if not _is_elementwise(op, index):
            return None
        between.append(op)
        value = op.result


def with_filters(build: Replacement, found: Neighbour, order: Index) -> Value:
    """The conv with filter ``order[i]`` at place i, and the elementwise ops behind it."""
    conv = found.conv
    operands = [build.take(operand(conv)), _picked(build, operand(conv, 1), order, 0)]
    bias = conv.operand(2)
    if bias is not None:
        operands.append(_picked(build, bias, order, 0))
    value = build.op("Conv", operands, conv.attributes, type_=conv.result.type)
    return _repeated(build, found, value)


def with_columns(build: Replacement, found: Neighbour, order: Index, data: Value) -> Value:
    """The elementwise ops on ``data``, and the conv, for channel ``order[i]`` at place i."""
    value, conv = _repeated(build, found, data), found.conv
    operands = [value, _picked(build, operand(conv, 1), order, 1)]
    bias = conv.operand(2)
    if bias is not None:
        operands.append(build.take(bias))
    return build.op("Conv", operands, conv.attributes, type_=conv.result.type, name=conv.name)


def _repeated(build: Replacement, found: Neighbour, value: Value) -> Value:
    for op in found.between:
        rest = [None if other is None else build.take(other) for other in op.inputs[1:]]
        value = build.op(op.kind, (value, *rest), op.attributes, type_=op.result.type)
    return value


def _picked(build: Replacement, value: Value, order: Index, axis: int) -> Value:
    array = value.array
    assert array is not None
    return build.constant(np.take(array, order, axis), value.dtype, value.name)


def _is_dense(op: Op) -> bool:
    """A Conv of one group whose weights and bias are constants."""
    if op.domain or op.kind != "Conv" or group_of(op) != 1:
        return False
    return all(value is None or _is_floating(value.array) for value in op.inputs[1:])


def _is_floating(array: Array | None) -> bool:
    return array is not None and is_real(array.dtype)


def _is_elementwise(op: Op, index: int) -> bool:
    if op.domain or op.captures or index or op.kind not in UNARY or len(op.results) != 1:
        return False
    rest = [value.array for value in op.inputs[1:] if value is not None]
    return all(array is not None and array.size <= 1 for array in rest)
