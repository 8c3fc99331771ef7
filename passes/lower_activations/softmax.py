"""Softmax over an axis whose values are not neighbours in memory, in elementwise ops."""

from __future__ import annotations

import ml_dtypes

from convc.conv import ints
from convc.graph import Graph
from convc.ir import Dim, Op, TensorType, Type, Value, is_real
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import operand

AXES_AS_OPERAND = {"ReduceMax": 18, "ReduceSum": 13}
"""The opset from which a reduction takes its axes as an operand."""


def lower_softmax(graph: Graph, op: Op) -> Rewrite:
    """``e / ReduceSum(e)`` with ``e = Exp(x − ReduceMax(x))``; the largest e is 1."""
    data = operand(op)
    if not is_real(data.dtype):
        raise NoMatch
    if graph.header.opset < 7:
        raise NoMatch("before opset 7 a Softmax's parts do not broadcast")
    shape = data.shape if op.result.shape is None else op.result.shape
    if shape is None:
        raise NoMatch("the rank of the Softmax's data is not known")
    axis = _axis(graph, op, len(shape))
    _require_size(data, shape[axis])
    source, order = data, None
    if axis == len(shape) - 1:
        order = _order_before(graph, data, len(shape))
        source, axis = operand(data.op), order[axis]
        if axis == len(shape) - 1:
            raise NoMatch("the Softmax is over the last axis")
    build = Replacement(graph)
    x = build.take(source)
    powers = _powers(build, x, axis)
    total = _reduced(build, "ReduceSum", powers, axis)
    kept = op.result.type if order is None else source.type
    result = build.op("Div", (powers, total), type_=kept, name=op.name)
    if order is not None:
        result = build.op("Transpose", (result,), {"perm": order}, type_=op.result.type)
    note = "Softmax → Exp, Div and reductions"
    return build.rewrite({op.result: result}, note=note + (", before a Transpose" if order else ""))


def _axis(graph: Graph, op: Op, rank: int) -> int:
    """The one axis that a Softmax runs over."""
    late = graph.header.opset >= 13
    axis = op.attributes.get("axis", -1 if late else 1)
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise NoMatch
    if not late and axis % rank != rank - 1:
        raise NoMatch("before opset 13 the Softmax is over all axes from its own on")
    return axis % rank


def _require_size(data: Value, size: Dim) -> None:
    """Declines an axis that may be empty, or whose sum the dtype may not hold."""
    if not isinstance(size, int) or size < 1:
        raise NoMatch("the size of the Softmax's axis is not known")
    assert data.dtype is not None
    largest = ml_dtypes.finfo(data.dtype).max  # type: ignore[no-untyped-call]  # it has no types
    if size > float(largest):
        raise NoMatch(f"the sum may overflow {data.dtype.name}")


def _order_before(graph: Graph, data: Value, rank: int) -> tuple[int, ...]:
    """The permutation of the Transpose that makes ``data``."""
    if data.op.kind != "Transpose" or data.op.domain:
        raise NoMatch("the Softmax is over the last axis")
    if graph.is_shared(data):
        raise NoMatch("the Transpose before the Softmax has other users")
    return ints(data.op, "perm", range(rank)[::-1])


def _powers(build: Replacement, x: Value, axis: int) -> Value:
    """Of e, with the largest of them 1 along ``axis``: nothing overflows."""
    shifted = build.op("Sub", (x, _reduced(build, "ReduceMax", x, axis)), type_=x.type)
    return build.op("Exp", (shifted,), type_=x.type)


def _reduced(build: Replacement, kind: str, data: Value, axis: int) -> Value:
    """A reduction along ``axis``, which stays as one of size 1."""
    type_ = _flat(data.type, axis)
    if build.opset < AXES_AS_OPERAND[kind]:
        return build.op(kind, (data,), {"axes": (axis,), "keepdims": 1}, type_=type_)
    return build.op(kind, (data, build.ints([axis])), {"keepdims": 1}, type_=type_)


def _flat(type_: Type, axis: int) -> Type:
    if not isinstance(type_, TensorType) or type_.shape is None:
        return None
    return TensorType(type_.dtype, (*type_.shape[:axis], 1, *type_.shape[axis + 1 :]))
