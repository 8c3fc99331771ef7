"""Swapping a 1×1 conv and an op that maps positions in every channel alike (a pool, a Resize).

Of the two orders the one with less work is proposed: the MACs of the conv plus what the other op
adds or multiplies. Both orders are judged by the same numbers, so that at most one ever is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

import numpy as np

from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Array, Dim, Op, TensorType, Type, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes import _elementwise as elementwise
from passes._chains import known, operand, require_alone, storable, trace
from passes._elementwise import Elementwise
from passes._linear import per_channel

LARGE = 1024
"""Stands for a size that is not known, where no more than the direction depends on it."""

NOTHING: Mapping[int, Value | None] = MappingProxyType({})

LARGEST_MAP = 2**20
"""Elements of a constant map beyond which none is made: 4 MiB in float32."""


@dataclass(frozen=True, slots=True)
class Pointwise:
    """A 1×1 conv without stride and padding; its weights need not be constant."""

    op: Op
    data: Value
    inputs: int
    outputs: int
    group: int

    def macs(self, positions: int) -> int:
        """MACs at so many positions of one image."""
        return positions * self.inputs * self.outputs // self.group


@dataclass(frozen=True, slots=True)
class Spatial:
    """An op that computes each channel alike, linear in it, from the positions of ``data``.

    Attributes:
        op: the op.
        data: its first operand.
        size: spatial size of ``data``, `LARGE` where it is not known.
        output: spatial size of the result, from that.
        work: additions or products for one channel, in MACs that take as long.
        shares: what becomes of ones (*output), None where they stay ones.
        unknown: why ``shares`` could not be told; empty otherwise.
        lists_channels: index of the operand that holds the result's shape, channels included.
        may_vanish: an open size may be so small that nothing is left, which no conv takes.
    """

    op: Op
    data: Value
    size: tuple[int, ...]
    output: tuple[int, ...]
    work: int
    shares: Array | None = None
    unknown: str = ""
    lists_channels: int | None = None
    may_vanish: bool = False

    @property
    def keeps_ones(self) -> bool:
        """True when a constant passes unchanged."""
        return self.shares is None and not self.unknown


def read_pointwise(op: Op) -> Pointwise:
    """The op as a `Pointwise`; raises NoMatch where it is none."""
    weight = op.operand(1)
    if op.domain or op.kind != "Conv" or weight is None or weight.shape is None:
        raise NoMatch
    shape = [d for d in weight.shape if isinstance(d, int)]
    if len(shape) != len(weight.shape) or max(shape[2:], default=0) != 1:
        raise NoMatch
    geometry = conv_geometry(op)
    if geometry is None or max(geometry.strides) > 1 or any(geometry.pads):
        raise NoMatch("the 1×1 conv has strides or padding")
    return Pointwise(op, operand(op), shape[1] * geometry.group, shape[0], geometry.group)


def sizes_at(graph: Graph, value: Value, rank: int) -> tuple[int | None, ...]:
    """The spatial sizes with named dims at the graph's; declines for another rank."""
    shape = value.shape
    if shape is None or len(shape) != rank:
        raise NoMatch("the shape is not known")
    return tuple(graph.sizes.get(d) if isinstance(d, str) else d for d in shape[2:])


def is_conv_first_cheaper(conv: Pointwise, spatial: Spatial) -> bool:
    """Whether the conv is better done before the other op: less work, and no more MACs."""
    (macs, work), (other_macs, other_work) = _costs(conv, spatial)
    return work < other_work and macs <= other_macs


def is_conv_last_cheaper(conv: Pointwise, spatial: Spatial) -> bool:
    """Whether the conv is better done after the other op: less work, and no more MACs."""
    (macs, work), (other_macs, other_work) = _costs(conv, spatial)
    return other_work < work and other_macs <= macs


def _costs(conv: Pointwise, spatial: Spatial) -> tuple[tuple[int, int], tuple[int, int]]:
    """MACs and work of the conv first and of the conv last."""
    first, last = conv.macs(prod(spatial.size)), conv.macs(prod(spatial.output))
    return (
        (first, first + conv.outputs * spatial.work),
        (last, last + conv.inputs * spatial.work),
    )


def walk_back(graph: Graph, value: Value) -> tuple[list[Elementwise], list[Value]]:
    """From ``value`` back over copies and scales and shifts per channel.

    Returns the scales and shifts in the order of computation, and the values on the way, of which
    the last one is made by something else.
    """
    links: list[Elementwise] = []
    path = trace(graph, value)
    while (link := _channelwise(graph, path[-1].op)) is not None:
        links.append(link)
        path += trace(graph, link.data)
    return links[::-1], path


def _channelwise(graph: Graph, op: Op) -> Elementwise | None:
    try:
        link = elementwise.read(graph, op)
    except NoMatch:
        return None
    shape = link.data.shape
    if shape is None or len(shape) < 3 or not isinstance(shape[1], int):
        return None
    parts = [per_channel(part, 1 - len(shape), shape[1]) for part in link.affine]
    return None if any(part is None for part in parts) else link


def swap_conv_last(
    graph: Graph, spatial: Spatial, links: Sequence[Elementwise], path: Sequence[Value]
) -> Rewrite:
    """conv, links, spatial → spatial, conv, links."""
    conv = read_pointwise(path[-1].op)
    if not is_conv_last_cheaper(conv, spatial):
        raise NoMatch(f"the {spatial.op.kind} is no cheaper before the 1×1 conv")
    if spatial.may_vanish:
        raise NoMatch(f"the {spatial.op.kind} may leave nothing of an open size")
    offset = _offset(conv, links, spatial)
    require_alone(graph, path)
    build = Replacement(graph)
    dims = dims_of(spatial.op.result)
    data = build.take(conv.data)
    value = moved(build, spatial, data, conv.inputs, dims)
    type_ = typed(value, conv.outputs, dims)
    if offset is None:
        value = again(build, conv.op, conv.data, value, type_)
    else:
        value = again(build, conv.op, conv.data, value, type_, {2: None})
        map_ = build.weight(offset, operand(conv.op, 2))
        value = build.op("Add", (value, map_), type_=type_)
    for link in links:
        value = again(build, link.op, link.data, value, value.type)
    note = f"{spatial.op.kind} before the 1×1 conv {conv.inputs}→{conv.outputs}"
    return build.rewrite({spatial.op.result: value}, note=note)


def swap_conv_first(
    graph: Graph,
    conv: Pointwise,
    spatial: Spatial,
    links: Sequence[Elementwise],
    path: Sequence[Value],
) -> Rewrite:
    """spatial, links, conv → links, conv, spatial."""
    if not is_conv_first_cheaper(conv, spatial):
        raise NoMatch(f"the {spatial.op.kind} is no cheaper after the 1×1 conv")
    if not spatial.keeps_ones and _has_shift(conv, links):
        raise NoMatch(f"the {spatial.op.kind} counts padding, which the bias would reach")
    require_alone(graph, path)
    build = Replacement(graph)
    value = build.take(spatial.data)
    for link in links:
        value = again(build, link.op, link.data, value, value.type)
    type_ = typed(value, conv.outputs, dims_of(spatial.data))
    value = again(build, conv.op, conv.data, value, type_)
    value = moved(build, spatial, value, conv.outputs, dims_of(spatial.op.result))
    note = f"{spatial.op.kind} after the 1×1 conv {conv.inputs}→{conv.outputs}"
    return build.rewrite({conv.op.result: value}, note=note)


def again(  # noqa: PLR0917  # the parts of one op
    build: Replacement,
    op: Op,
    old: Value,
    new: Value,
    type_: Type,
    others: Mapping[int, Value | None] = NOTHING,
) -> Value:
    """The op once more, on ``new`` in place of ``old`` and with ``others`` by their index."""
    operands = [
        others[i] if i in others else new if v is old else None if v is None else build.take(v)
        for i, v in enumerate(op.operands)
    ]
    while operands[-1] is None:
        operands.pop()
    return build.op(op.kind, operands, op.attributes, type_=type_, name=op.name)


def moved(
    build: Replacement, spatial: Spatial, data: Value, channels: int, dims: Sequence[Dim] | None
) -> Value:
    """The spatial op on ``data`` of another number of channels."""
    others: dict[int, Value | None] = {}
    if spatial.lists_channels is not None:
        shape = operand(spatial.op, spatial.lists_channels)
        assert shape.array is not None
        listed = [int(size) for size in shape.array.reshape(-1)]
        others[spatial.lists_channels] = build.ints([listed[0], channels, *listed[2:]], shape.name)
    type_ = typed(data, channels, dims)
    return again(build, spatial.op, spatial.data, data, type_, others)


def typed(like: Value, channels: int, dims: Sequence[Dim] | None) -> Type:
    """The type of a value of so many channels beside ``like``; None where that is not known."""
    if like.dtype is None or like.shape is None or dims is None:
        return None
    return TensorType(like.dtype, (like.shape[0], channels, *dims))


def dims_of(value: Value) -> Sequence[Dim] | None:
    """The spatial dims, None where they are not known."""
    return None if value.shape is None else value.shape[2:]


def _has_shift(conv: Pointwise, links: Sequence[Elementwise]) -> bool:
    bias = conv.op.operand(2)
    array = None if bias is None else known(bias)
    has_bias = bias is not None and (array is None or bool(array.any()))
    return has_bias or any(link.affine.shift.any() for link in links)


def _offset(conv: Pointwise, links: Sequence[Elementwise], spatial: Spatial) -> Array | None:
    """(1, K, *output): what the bias is behind the pool; None where it stays as it is."""
    if spatial.keeps_ones or not _has_shift(conv, links):
        return None
    if any(link.affine.shift.any() for link in links):
        raise NoMatch(f"the {spatial.op.kind} counts padding, which the shift before it reaches")
    bias = conv.op.operand(2)
    assert bias is not None
    array = known(bias)
    if array is None:
        raise NoMatch(f"the {spatial.op.kind} counts padding, and the bias is not constant")
    if spatial.shares is None:
        raise NoMatch(spatial.unknown)
    if array.size * spatial.shares.size > LARGEST_MAP:
        raise NoMatch(f"the map of the bias would exceed {LARGEST_MAP} elements")
    column = np.asarray(array, np.float64).reshape(1, -1, *(1 for _ in spatial.shares.shape))
    return storable(column * spatial.shares, bias)
