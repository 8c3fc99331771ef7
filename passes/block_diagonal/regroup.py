"""Convs of narrow groups in wider ones, whose weights are block-diagonal."""

from __future__ import annotations

from convc.algebra.blocks import regroup, wider_groups
from convc.conv import group_of
from convc.graph import Graph
from convc.ir import Array, Op
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import constant, operand, require_small


def regroup_narrow(graph: Graph, op: Op, *, width: int) -> Rewrite:
    """A conv with fewer than ``width`` channels of a group in or out, depthwise ones apart."""
    weight, channels = _read(op)
    if channels == (1, 1):
        raise NoMatch(f"the {op.kind} is depthwise")
    return _regrouped(graph, op, weight, channels, width)


def regroup_depthwise(graph: Graph, op: Op, *, width: int) -> Rewrite:
    """A conv with one channel of a group in and out."""
    weight, channels = _read(op)
    if channels != (1, 1):
        raise NoMatch
    return _regrouped(graph, op, weight, channels, width)


def _read(op: Op) -> tuple[Array, tuple[int, int]]:
    """The weights, and the channels of a group: the input and output ones, or the reverse."""
    group = group_of(op)
    if group < 2:
        raise NoMatch
    weight = constant(operand(op, 1))
    if weight.ndim < 3 or weight.shape[0] % group or not weight.size:
        raise NoMatch(f"the {op.kind} is not valid")
    return weight, (weight.shape[0] // group, weight.shape[1])


def _regrouped(
    graph: Graph, op: Op, weight: Array, channels: tuple[int, int], width: int
) -> Rewrite:
    if min(channels) >= width:
        raise NoMatch(f"the groups have {width} channels or more")
    group = group_of(op)
    fewer = wider_groups(group, *channels, width)
    require_small(weight.size * (group // fewer))
    build = Replacement(graph)
    wide = build.constant(regroup(weight, group, fewer), name=operand(op, 1).name)
    rest = [None if value is None else build.take(value) for value in op.inputs[2:]]
    attributes = {**op.attributes, "group": fewer}
    operands = (build.take(operand(op)), wide, *rest)
    result = build.op(op.kind, operands, attributes, type_=op.result.type, name=op.name)
    return build.rewrite({op.result: result}, note=f"{op.kind} in narrow groups → in wider groups")
