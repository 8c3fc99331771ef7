"""Strides moved up: what a layer skips, the layers before it need not compute.

Before::

    y = layer2(elementwise(layer1(x)))      layer2 has one tap and no padding along some axes, and
                                            there a stride f·r

After, along those axes::

    y = layer2'(elementwise(layer1'(x)))    stride r;  layer1' has f times the stride of layer1

``layer1`` is a Conv, MaxPool or AveragePool of any kernel, or a Slice; ``layer2`` a Conv, MaxPool,
AveragePool or a Slice with steps. Sizes agree: with ``X`` the room of the first window,
``⌊⌊X/s⌋/f⌋ = ⌊X/(s·f)⌋``. Between may be any elementwise ops, normalisations by constants, sums of
branches and Concats of channels, as long as every branch ends in a layer that takes the stride,
and whatever else uses a value between has the same stride.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from convc.algebra import ConvGeometry
from convc.conv import conv_geometry, geometry_attributes, pool_geometry
from convc.graph import Graph
from convc.ir import Array, Attribute, Dim, Op, TensorType, Type, Value
from convc.opset import constant_ints
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import operand
from passes.commute_linear.axes import is_by_channel
from passes.commute_linear.kinds import BROADCASTING, UNARY
from passes.commute_linear.region import in_order

POOLS = ("MaxPool", "AveragePool")
LAYERS = ("Conv", *POOLS, "Slice")

Strides = tuple[int, ...]
"""A factor for each spatial axis."""

TO_THE_END = 2**31 - 1


@dataclass
class _Between:
    """What computes only each f-th position: values, the layers they begin and end at, the rest."""

    factors: Strides
    values: dict[Value, None] = field(default_factory=dict)
    first: dict[Op, None] = field(default_factory=dict)
    middle: dict[Op, None] = field(default_factory=dict)
    last: dict[Op, None] = field(default_factory=dict)


def pull_stride(graph: Graph, op: Op) -> Rewrite:
    """Moves the stride of ``op`` along its axes of one tap to the layers before it."""
    factors = skipped(op)
    if max(factors, default=1) == 1 or graph.header.opset < 7:
        raise NoMatch("")
    between = _Between(factors)
    _follow(graph, between, operand(op))
    build = Replacement(graph)
    made = _emit(build, between)
    results: dict[Value, Value] = {}
    for user in between.last:
        result = _with_less(build, user, made[operand(user)], factors)
        result.type = user.result.type or result.type
        results[user.result] = result
    said = "×".join(str(f) for f in factors)
    kinds = "+".join(dict.fromkeys(layer.kind for layer in between.first))
    return build.rewrite(results, note=f"stride {said} of {op.kind}: into {kinds} before")


def skipped(op: Op) -> Strides:
    """The stride along each axis of one tap without padding, 1 along others; () for other ops."""
    if op.domain or op.kind not in LAYERS or any(value.type is None for value in op.results[:1]):
        return ()
    if op.kind == "Slice":
        return _sliced(op)
    window = _window(op)
    if window is None:
        return ()
    spans = zip(window.kernel, window.strides, window.pads_begin, window.pads_end, strict=True)
    return tuple(s if k == 1 and not b and not e else 1 for k, s, b, e in spans)


def _window(op: Op) -> ConvGeometry | None:
    """The geometry of a Conv or pool whose stride can be changed; None for others."""
    if op.kind == "Conv":
        geometry = conv_geometry(op)
    elif op.kind in POOLS and _is_plain(op):
        geometry = pool_geometry(op)
    else:
        return None
    # Runtimes have no negative pads, which is what auto_pad may mean.
    return None if geometry is None or min(geometry.pads) < 0 else geometry


def _is_plain(op: Op) -> bool:
    """True for a pool whose windows lie where its attributes say."""
    same = "SAME" in str(op.attributes.get("auto_pad"))
    return not same and not op.attributes.get("ceil_mode") and len(op.results) == 1


@dataclass(frozen=True)
class _Cut:
    """A Slice with constants and positive steps, by axis: start, end, step."""

    spans: dict[int, tuple[int, int, int]]


def _read_slice(op: Op) -> _Cut | None:
    shape = operand(op).shape
    starts, ends = constant_ints(op, 1, "starts"), constant_ints(op, 2, "ends")
    if shape is None or starts is None or ends is None:
        return None
    axes, steps = constant_ints(op, 3, "axes"), constant_ints(op, 4, "steps")
    if (axes is None and op.operand(3) is not None) or (steps is None and op.operand(4)):
        return None
    whole = range(len(starts)) if axes is None else [axis % len(shape) for axis in axes]
    each = (1,) * len(starts) if steps is None else steps
    if min(each, default=1) < 1:
        return None
    spans = zip(starts, ends, each, strict=True)
    return _Cut(dict(zip(whole, spans, strict=True)))


def _sliced(op: Op) -> Strides:
    """The steps of a Slice that takes each step-th position of a whole axis."""
    cut, shape = _read_slice(op), operand(op).shape
    if cut is None or shape is None:
        return ()
    factors = []
    for axis in range(2, len(shape)):
        start, end, step = cut.spans.get(axis, (0, TO_THE_END, 1))
        size = shape[axis]
        whole = end >= TO_THE_END or (isinstance(size, int) and end >= size)
        factors.append(step if start == 0 and whole else 1)
    return tuple(factors)


def _follow(graph: Graph, between: _Between, start: Value) -> None:
    """Collects what has to skip positions when ``start`` does; declines where something cannot."""
    pending = [start]
    while pending:
        value = pending.pop()
        if value in between.values:
            continue
        between.values[value] = None
        maker = value.op
        if _takes(maker, between.factors):
            between.first[maker] = None
        else:
            pending += _through(between, maker)
        for user, index in graph.uses(value):
            if user is graph.output:
                raise NoMatch("the value before the stride is a graph output")
            if graph.is_dead(user):  # it would hold on to what is replaced
                raise NoMatch("the value before the stride has a user that nobody needs")
            if index == 0 and _divides(between.factors, skipped(user)):
                between.last[user] = None
            elif _is_middle(user):
                pending += [user.result, *_through(between, user)]
            else:
                raise NoMatch("the value before the stride has a user that needs all of it")


def _divides(factors: Strides, strides: Strides) -> bool:
    return len(factors) == len(strides) and all(
        s % f == 0 for f, s in zip(factors, strides, strict=True)
    )


def _takes(op: Op, factors: Strides) -> bool:
    if op.domain or op.kind not in LAYERS:
        return False
    if op.kind == "Slice":
        shape = operand(op).shape
        return _read_slice(op) is not None and shape is not None and len(shape) == len(factors) + 2
    window = _window(op)
    return window is not None and window.ndim == len(factors)


def _is_middle(op: Op) -> bool:
    if op.domain or op.captures or len(op.results) > 1:
        return False
    if op.kind == "BatchNormalization":
        return is_by_channel(op)
    return op.kind in UNARY or op.kind in BROADCASTING or op.kind == "Concat"


def _through(between: _Between, op: Op) -> list[Value]:
    """The operands that have to skip positions when the result of ``op`` does."""
    if not _is_middle(op):
        raise NoMatch(f"the stride meets the {op.kind} before, which cannot take it")
    between.middle[op] = None
    rank, result = len(between.factors) + 2, op.result.shape
    if result is None or len(result) != rank:
        raise NoMatch("the size is not known")
    if op.kind == "Concat" and op.attributes.get("axis", 1) not in (1, 1 - rank):
        raise NoMatch("the stride meets a Concat of positions, which cannot take it")
    varying = [value for value in _data(op) if value.array is None]
    return [value for value in varying if _skips(value, result, between.factors, len(varying))]


def _data(op: Op) -> list[Value]:
    """The operands that have positions."""
    operands = op.inputs[:1] if op.kind == "BatchNormalization" else op.inputs
    return [value for value in operands if value is not None]


def _skips(value: Value, result: Sequence[Dim], factors: Strides, count: int) -> bool:
    """Whether an operand has the positions of the result; False where it has one for all."""
    shape = value.shape
    if shape is None:
        raise NoMatch("the size is not known")
    spatial = shape[2 - len(result) :] if len(shape) == len(result) else ()
    cut = [axis for axis, factor in enumerate(factors) if factor > 1]
    if all(_dim(shape, axis - len(factors)) == 1 for axis in cut):
        return False
    if len(shape) != len(result):
        raise NoMatch("an operand before the stride has fewer axes")
    for axis in cut:
        one, other = spatial[axis], result[axis + 2]
        if count > 1 and (one is None or one != other):
            raise NoMatch("the size is not known")
    return True


def _dim(shape: Sequence[Dim], axis: int) -> Dim:
    """The dim at a negative ``axis``, 1 for an axis that is not there."""
    return shape[axis] if -axis <= len(shape) else 1


def _emit(build: Replacement, between: _Between) -> dict[Value, Value]:
    """Adds everything between on fewer positions; the new values by the old ones."""
    made: dict[Value, Value] = {}
    type_of = _types(build, between.factors)
    for op in in_order({**between.first, **between.middle}):
        if op in between.first:
            new = _with_more(build, op, between.factors)
        else:
            new = _copy(build, op, made, between.factors)
        new.type = type_of(op.result)
        made[op.result] = new
    return made


def _types(build: Replacement, factors: Strides) -> Callable[[Value], Type]:
    names: dict[tuple[Dim, int], Dim] = {}

    def smaller(dim: Dim, factor: int) -> Dim:
        if factor == 1 or dim is None:
            return dim
        if isinstance(dim, int):
            return -(-dim // factor)
        if (dim, factor) not in names:
            size = build.graph.sizes.get(dim)
            names[dim, factor] = build.graph.new_dim(None if size is None else -(-size // factor))
        return names[dim, factor]

    def type_of(value: Value) -> Type:
        if not isinstance(value.type, TensorType) or value.type.shape is None:
            return value.type  # behind an op that nobody knows
        dims = zip(value.type.shape, (1, 1, *factors), strict=True)
        return TensorType(value.type.dtype, tuple(smaller(dim, f) for dim, f in dims))

    return type_of


def _copy(build: Replacement, op: Op, made: dict[Value, Value], factors: Strides) -> Value:
    """An op between, on fewer positions; constants that vary over positions lose some."""
    data = set(_data(op))
    operands: list[Value | None] = []
    for value in op.operands:
        if value is None:
            operands.append(None)
        elif value in made:
            operands.append(made[value])
        elif value.array is not None and value in data:
            array = _thinned(value.array, factors)
            operands.append(build.constant(array, value.dtype, value.name))
        else:
            operands.append(build.take(value))
    return _add(build, op, operands, op.attributes)


def _thinned(array: Array, factors: Strides) -> Array:
    """Each f-th position along the last axes, but of axes of size one."""
    picks = [slice(None)] * array.ndim
    for place, factor in enumerate(reversed(factors[-array.ndim :] if array.ndim else ()), start=1):
        picks[-place] = slice(None, None, factor)
    return np.ascontiguousarray(array[tuple(picks)]) if array.ndim else array


def _with_more(build: Replacement, op: Op, factors: Strides) -> Value:
    """A layer with ``factors`` times its stride."""
    rest = [None if value is None else build.take(value) for value in op.operands]
    if op.kind != "Slice":
        return _add(build, op, rest, _scaled(op, [(f, 1) for f in factors]))
    cut = _read_slice(op)
    assert cut is not None
    spans = dict(cut.spans)
    for axis, factor in enumerate(factors, start=2):
        start, end, step = spans.get(axis, (0, TO_THE_END, 1))
        if factor > 1:
            spans[axis] = (start, end, step * factor)
    return _slice(build, op, rest[0], spans)


def _with_less(build: Replacement, op: Op, data: Value, factors: Strides) -> Value:
    """A layer on ``data`` that skips already, with as much less stride; nothing if that is all."""
    if op.kind == "Slice":
        cut = _read_slice(op)
        assert cut is not None
        spans = dict(cut.spans)
        for axis, factor in enumerate(factors, start=2):
            if factor > 1:
                step = spans.pop(axis)[2]
                if step > factor:
                    spans[axis] = (0, TO_THE_END, step // factor)
        return _slice(build, op, data, spans) if spans else data
    window = _window(op)
    assert window is not None
    left = [s // f for s, f in zip(window.strides, factors, strict=True)]
    plain = max((*window.kernel, *left, 1)) == 1 and not any(window.pads)
    if op.kind in POOLS and plain:
        return data
    rest = [None if value is None else build.take(value) for value in op.operands[1:]]
    return _add(build, op, [data, *rest], _scaled(op, [(1, f) for f in factors]))


def _scaled(op: Op, factors: Sequence[tuple[int, int]]) -> dict[str, Attribute]:
    """The attributes with the stride multiplied and divided by the pairs of ``factors``."""
    window = _window(op)
    assert window is not None
    strides = tuple(s * m // d for s, (m, d) in zip(window.strides, factors, strict=True))
    if op.kind == "Conv":
        return geometry_attributes(replace(window, strides=strides))
    kept = {k: v for k, v in op.attributes.items() if k != "auto_pad"}
    return {**kept, "strides": strides, "pads": window.pads}


def _slice(
    build: Replacement, op: Op, data: Value | None, spans: dict[int, tuple[int, int, int]]
) -> Value:
    axes = sorted(spans)
    columns = [[spans[axis][part] for axis in axes] for part in range(3)]
    if build.opset < 10:
        names = zip(("starts", "ends"), columns[:2], strict=True)
        attributes: dict[str, Attribute] = {name: tuple(values) for name, values in names}
        if max(columns[2]) > 1:
            raise NoMatch("a Slice of this opset has no steps")
        return _add(build, op, [data], {**attributes, "axes": tuple(axes)})
    given = (columns[0], columns[1], axes, columns[2])
    return _add(build, op, [data, *(build.ints(values) for values in given)], {})


def _add(
    build: Replacement,
    op: Op,
    operands: Sequence[Value | None],
    attributes: Mapping[str, Attribute],
) -> Value:
    """As ``op``, under its name."""
    made = build.graph.add(
        op.kind,
        operands,
        attributes,
        names=(op.result.name,),
        name=op.name,
        doc=op.doc,
        metadata=op.metadata,
    )
    return made.result
