"""The replacement of a region: every op that has channels to lose, without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from convc.algebra import swap_layout
from convc.algebra.channels import merge_inputs, response, restrict
from convc.graph import Graph
from convc.ir import Array, Attribute, Op, TensorType, Value
from convc.rewrite import NoMatch, Replacement
from passes._chains import storable
from passes._linear import Linear
from passes._regions.layers import alpha, bias_vector, canonical
from passes._regions.links import Link
from passes._regions.plan import Merge, Plan, merge

Weights = tuple[Array, Array]
"""Of a layer: the kernel (K, C/group, *taps), as the op holds it, and the whole bias (K,)."""


@dataclass
class Rebuilt:
    """The replacement of a region.

    Attributes:
        graph: that the region is in.
        plan: what stays of it.
        build: holds the replacement.
        fitted: weights of layers, for all of their channels, that need not do without some.
        new: what stands for each value of the region.
        results: the part of ``new`` that is used outside.
        merged: labels of channels that went into multiples of them.
    """

    graph: Graph
    plan: Plan
    build: Replacement
    fitted: Mapping[Op, Weights] = field(default_factory=dict)
    new: dict[Value, Value] = field(default_factory=dict)
    results: dict[Value, Value] = field(default_factory=dict)
    merged: set[int] = field(default_factory=set)

    def of(self, value: Value) -> Value:
        """The stand-in for a value: made here, or taken from the graph."""
        if value in self.new:
            return self.new[value]
        if value.array is not None and self.plan.shrinks(value):
            return self.build.constant(value.array[:, self.plan.stays(value)], name=value.name)
        return self.build.take(value)

    def typed(self, value: Value) -> TensorType:
        """The type of a value with the channels that stay."""
        assert isinstance(value.type, TensorType)
        assert value.shape is not None
        if value not in self.plan.flow.at or value not in self.plan.region.values:
            return value.type
        count = len(self.plan.stays(value))
        return TensorType(value.type.dtype, (value.shape[0], count, *value.shape[2:]))


def rebuild(graph: Graph, plan: Plan, fitted: Mapping[Op, Weights] | None = None) -> Rebuilt:
    """The region with the channels that stay.

    A layer that reads others does without them as far as that is exact (see `merge`), or has new
    weights in ``fitted``; those for channels that go are left out.
    """
    rebuilt = Rebuilt(graph, plan, Replacement(graph), fitted or {})
    touched = [link for link in plan.region.links if _is_touched(plan, link)]
    ops = {link.op for link in touched}
    for link in touched:
        _add(rebuilt, link)
        for result in link.results:
            shrinks = result in plan.region.values and plan.shrinks(result)
            if not shrinks and any(user not in ops for user, _ in graph.uses(result)):
                rebuilt.results[result] = rebuilt.new[result]
    return rebuilt


def _is_touched(plan: Plan, link: Link) -> bool:
    ends = link.sources if link.form != "concat" else link.op.inputs
    inside = [v for v in (*ends, *link.results) if v in plan.flow.at]
    if link.form == "linear":
        inside = [v for v in inside if v in plan.region.values]
    return any(plan.shrinks(v) for v in inside)


def _add(rebuilt: Rebuilt, link: Link) -> None:
    match link.form:
        case "linear" | "depthwise":
            rebuilt.new[link.op.result] = _layer(rebuilt, link)
        case "pick":
            _pick(rebuilt, link)
        case "reshape":
            result = link.op.result
            type_ = rebuilt.typed(result)
            assert type_.shape is not None
            target = [0, *(d if isinstance(d, int) else -1 for d in type_.shape[1:])]
            data = rebuilt.of(link.sources[0])
            operands = (data, rebuilt.build.ints(target))
            rebuilt.new[result] = rebuilt.build.op(
                "Reshape", operands, type_=type_, name=link.op.name
            )
        case _:
            rebuilt.new[link.op.result] = _same_op(rebuilt, link)


def _same_op(rebuilt: Rebuilt, link: Link) -> Value:
    """The op on fewer channels, its constants with it."""
    op = link.op
    operands = [
        None if v is None else _operand(rebuilt, link, i, v) for i, v in enumerate(op.inputs)
    ]
    type_ = rebuilt.typed(op.result)
    return rebuilt.build.op(op.kind, operands, op.attributes, type_=type_, name=op.name)


def _operand(rebuilt: Rebuilt, link: Link, index: int, value: Value) -> Value:
    if value.array is None or link.form == "concat":
        return rebuilt.of(value)
    op, array = link.op, value.array
    stays = rebuilt.plan.stays(op.result)
    count = len(rebuilt.plan.flow.at[op.result].labels)
    if op.kind == "BatchNormalization":
        return rebuilt.build.constant(array[stays], name=value.name)
    if link.form == "pointwise" and op.kind != "Clip":
        axis = array.ndim + 1 - len(op.result.shape or ())
        if axis >= 0 and array.shape[axis] == count > 1:
            return rebuilt.build.constant(np.take(array, stays, axis), name=value.name)
    if op.kind == "Resize" and index == 3 and array.size == len(op.result.shape or ()):
        sizes = array.copy()
        sizes[1] = len(stays)
        return rebuilt.build.constant(sizes, name=value.name)
    return rebuilt.build.take(value)


def _pick(rebuilt: Rebuilt, link: Link) -> None:
    plan, build = rebuilt.plan, rebuilt.build
    data = rebuilt.of(link.sources[0])
    left = plan.stays(link.sources[0])
    used = [i for i, v in enumerate(link.results) if rebuilt.graph.is_used(v)]
    for i in used:
        result, pick = link.results[i], link.picks[i]
        places = np.searchsorted(left, pick[plan.stays(result)])
        type_ = rebuilt.typed(result)
        if np.array_equal(places, np.arange(len(left))):
            rebuilt.new[result] = data
        elif np.array_equal(places, np.arange(places[0], places[0] + len(places))):
            sliced = build.slice(data, [1], [int(places[0])], [int(places[-1]) + 1], link.op.name)
            sliced.type = type_
            rebuilt.new[result] = sliced
        else:
            operands = (data, build.ints([int(p) for p in places]))
            rebuilt.new[result] = build.op("Gather", operands, {"axis": 1}, type_=type_)


def _layer(rebuilt: Rebuilt, link: Link) -> Value:
    plan, build, linear = rebuilt.plan, rebuilt.build, link.layer
    inputs, outputs = (
        plan.stays(v) if v in plan.region.values else np.arange(count)
        for v, count in ((linear.data, linear.inputs), (link.op.result, linear.outputs))
    )
    w, bias = rebuilt.fitted.get(link.op) or (canonical(linear), bias_vector(linear))
    if linear.data in plan.region.values and link.op not in rebuilt.fitted:
        merged = merge(plan, link)
        rebuilt.merged.update(int(plan.flow.at[linear.data].labels[c]) for c, *_ in merged.into)
        w, bias = _without(linear, w, bias, merged)
    try:
        w, group = restrict(w, outputs, inputs, linear.group)
    except ValueError as error:
        raise NoMatch(str(error)) from error
    bias = bias[outputs]
    type_ = rebuilt.typed(link.op.result)
    data = rebuilt.of(linear.data)
    return emit(build, linear, data, w=w, bias=bias, group=group, type_=type_)


def _without(linear: Linear, w: Array, bias: Array, merged: Merge) -> tuple[Array, Array]:
    if merged.into:
        w = merge_inputs(w, merged.into, linear.group)
    if merged.constant.any():
        bias = bias + alpha(linear) * response(w, merged.constant, linear.group)
    return w, bias


def emit(
    build: Replacement,
    linear: Linear,
    data: Value,
    *,
    w: Array,
    bias: Array,
    group: int,
    type_: TensorType,
) -> Value:
    """Adds the layer with new weights (K, C/group, *taps) and bias (K,), all else as it was."""
    op, weight = linear.op, linear.weight
    if linear.kind == "ConvTranspose":
        w = swap_layout(w, group)
    elif linear.layout == "matmul":
        w = w.T
    if w.dtype == weight.dtype:  # picked, not computed: they need no float64
        operands = [data, build.constant(w, name=weight.name)]
    else:
        operands = [data, build.weight(storable(w, weight), weight)]
    attributes: dict[str, Attribute] = dict(op.attributes)
    if group != linear.group:
        attributes["group"] = group
    if linear.kind == "Gemm":
        attributes["beta"] = 1.0
    like = linear.bias or weight
    wanted = bias.any() or (linear.kind == "Gemm" and build.opset < 11)
    if not wanted:
        return build.op(op.kind, operands, attributes, type_=type_, name=op.name)
    offset = build.weight(storable(bias, weight), like)
    if linear.kind == "MatMul":  # of two matrices, see `links.read`; it has no place for a bias
        attributes = {"broadcast": 1} if build.opset < 7 else {}
        return build.op("Gemm", [*operands, offset], attributes, type_=type_, name=op.name)
    return build.op(op.kind, [*operands, offset], attributes, type_=type_, name=op.name)
