"""A conv on a Concat as a sum of convs, where one of the parts is cheaper on its own.

The conditions are those of `passes.commute_linear.CommuteLinear`, third rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from convc.algebra import ConvGeometry
from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.kernels import KERNELS
from convc.rewrite import NoMatch, Replacement, Rewrite, Rule, rule
from passes._chains import constant, known, operand, require_alone, storable, trace
from passes.commute_linear.conv import (
    LARGEST_MAP,
    Pointwise,
    Spatial,
    dims_of,
    is_conv_first_cheaper,
    moved,
    read_pointwise,
    typed,
)
from passes.commute_linear.pool import KINDS as POOLS
from passes.commute_linear.pool import read_pool
from passes.commute_linear.resize import KINDS as RESIZES
from passes.commute_linear.resize import read_resize

ALIGNED = 4
"""onnxruntime's blocked layout takes input channels that are a multiple of this."""

LARGEST_MACS = 2**33
"""MACs of a conv of a constant beyond which it would take too long to compile."""

SAME = 2.0**-44
"""Difference within a map, relative to its largest value, that is float64 rounding."""


def rules() -> list[Rule]:
    """The one rule."""
    return [rule(split_concat, "Conv")]


@dataclass(frozen=True, slots=True)
class _Part:
    """One operand of the Concat, and the input channels of the conv that it is."""

    value: Value
    channels: range


@dataclass(slots=True)
class _Parts:
    """The operands by what becomes of them.

    Attributes:
        plain: they stay at the conv.
        constant: with their arrays; they become a bias or a map.
        broadcast: with what they repeat, (N, c, 1, ...); they become a bias of each image.
        resampled: with the Resize or pool that makes them; they are convolved before it.
        unaligned: they have a conv of their own.
        declined: why one that looked promising is plain.
    """

    plain: list[_Part] = field(default_factory=list)
    constant: list[tuple[_Part, Array]] = field(default_factory=list)
    broadcast: list[tuple[_Part, Value]] = field(default_factory=list)
    resampled: list[tuple[_Part, Spatial]] = field(default_factory=list)
    unaligned: list[_Part] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)

    def note(self) -> str:
        """How many there are of each, for people."""
        counts = {
            "resampled": len(self.resampled),
            "broadcast": len(self.broadcast),
            "constant": len(self.constant),
            "unaligned": len(self.unaligned),
        }
        return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


@dataclass(frozen=True, slots=True)
class _Site:
    """The conv, its kernel as stored, and its geometry."""

    op: Op
    kernel: Array
    geometry: ConvGeometry

    def columns(self, part: _Part) -> Array:
        """The kernel for the input channels of a part."""
        return self.kernel[:, part.channels.start : part.channels.stop]

    def name(self, number: int) -> str:
        """The name of one of the convs: they must differ, the first is called like the old one."""
        name = self.op.name or self.op.result.name
        return f"{name}_part{number}" if number else name


def split_concat(graph: Graph, op: Op) -> Rewrite:
    """Proposes a sum of convs for the conv ``op`` on a Concat of channels."""
    path = trace(graph, operand(op))
    concat, weight = path[-1].op, operand(op, 1)
    if concat.domain or concat.kind != "Concat" or weight.shape is None:
        raise NoMatch
    axis = concat.attributes.get("axis")
    if not isinstance(axis, int) or axis % len(weight.shape) != 1:
        raise NoMatch
    geometry = conv_geometry(op)
    if geometry is None:
        raise NoMatch("the geometry depends on a size that is not known")
    parts = _classified(graph, op, concat, geometry)
    if not parts.note():
        raise NoMatch(parts.declined[0] if parts.declined else "")
    if not (parts.plain or parts.resampled or parts.unaligned):
        raise NoMatch("every part of the Concat is constant or broadcast")
    if geometry.group != 1:
        raise NoMatch("the conv after the Concat is grouped")
    if graph.header.opset < 7:
        raise NoMatch("before opset 7 an Add does not broadcast")
    _require_users(graph, path)
    site = _Site(op, constant(weight), geometry)
    note = f"conv on a Concat of {len(concat.operands)} split: {parts.note()}"
    return _sum(graph, site, parts, note)


def _require_users(graph: Graph, path: Sequence[Value]) -> None:
    """Declines unless the Concat goes away, once its other users have been looked at, too."""
    users = [user for user, _ in graph.uses(path[0])]
    if len(path) > 1 or len(users) == 1:
        require_alone(graph, path)
        return
    for user in users:
        try:
            alike = read_pointwise(user).group == 1
        except NoMatch:
            alike = False
        if not alike:
            raise NoMatch("the Concat has other users than 1×1 convs")


def _classified(graph: Graph, op: Op, concat: Op, geometry: ConvGeometry) -> _Parts:
    parts = _Parts()
    start = 0
    for value in concat.operands:
        count = None if value is None or value.shape is None else value.shape[1]
        if value is None or not isinstance(count, int):
            raise NoMatch("the channels of a part of the Concat are not known")
        part = _Part(value, range(start, start + count))
        start += count
        try:
            _sort(graph, op, part, geometry, parts)
        except NoMatch as decline:
            parts.plain.append(part)
            parts.declined += [decline.reason] if decline.reason else []
    odd = [part for part in parts.plain if len(part.channels) % ALIGNED]
    whole = sum(len(part.channels) for part in parts.plain) % ALIGNED == 0
    if odd and len(odd) < len(parts.plain) and not whole:
        parts.plain = [part for part in parts.plain if part not in odd]
        parts.unaligned = odd
    return parts


def _sort(graph: Graph, op: Op, part: _Part, geometry: ConvGeometry, parts: _Parts) -> None:
    """Puts the part where it belongs; declines where it is plain."""
    array = known(part.value)
    if array is not None:
        _require_small(array, op, geometry)
        parts.constant.append((part, array))
        return
    source = trace(graph, part.value)[-1]
    repeated = _repeated(graph, source)
    if repeated is not None:
        if any(geometry.pads):
            raise NoMatch("border: the padding cuts the value that is broadcast")
        parts.broadcast.append((part, repeated))
        return
    spatial = _spatial(graph, source.op)
    one = read_pointwise(op)
    conv = Pointwise(op, part.value, len(part.channels), one.outputs, 1)
    kind = source.op.kind
    if not is_conv_first_cheaper(conv, spatial):
        raise NoMatch(f"the {kind} before the Concat is no cheaper after the 1×1 conv")
    if not spatial.keeps_ones:
        raise NoMatch(f"the {kind} before the Concat counts padding, which the bias would reach")
    _require_own(graph, part.value)
    parts.resampled.append((part, spatial))


def _spatial(graph: Graph, op: Op) -> Spatial:
    if not op.domain and op.kind in RESIZES:
        return read_resize(graph, op)
    if not op.domain and op.kind in POOLS:
        return read_pool(graph, op)
    raise NoMatch


def _require_own(graph: Graph, value: Value) -> None:
    """Declines where the values up to the Resize or pool are needed elsewhere, too."""
    for step in trace(graph, value):
        if len(graph.uses(step)) > 1:
            raise NoMatch("what resamples a part of the Concat has other users")


def _repeated(graph: Graph, value: Value) -> Value | None:
    """The value (N, c, 1, ...) that is repeated over all positions, None where none is."""
    op = value.op
    if op.domain or op.kind not in ("Expand", "Tile", *RESIZES):
        return None
    data = operand(op)
    shape, whole = data.shape, value.shape
    if shape is None or whole is None or len(shape) != len(whole):
        return None
    if shape[:2] != whole[:2] or None in shape[:2] or any(d != 1 for d in shape[2:]):
        return None
    if op.kind in RESIZES:
        try:
            read_resize(graph, op)
        except NoMatch:
            return None
    return data


def _require_small(array: Array, op: Op, geometry: ConvGeometry) -> None:
    weight = operand(op, 1)
    assert weight.shape is not None
    outputs = weight.shape[0]
    if not isinstance(outputs, int) or array.ndim != geometry.ndim + 2:
        raise NoMatch
    positions = [geometry.axis_output(axis, n) for axis, n in enumerate(array.shape[2:])]
    if min(positions) < 1:
        raise NoMatch("the conv has no output at its size")
    elements = array.shape[0] * outputs * prod(positions)
    if elements > LARGEST_MAP:
        raise NoMatch(f"the map of the constant part would exceed {LARGEST_MAP} elements")
    if elements * array.shape[1] * prod(geometry.kernel) > LARGEST_MACS:
        raise NoMatch("the conv of the constant part takes too long to compute")


def _sum(graph: Graph, site: _Site, parts: _Parts, note: str) -> Rewrite:
    op, weight = site.op, operand(site.op, 1)
    build = Replacement(graph)
    offset, maps = _constants(graph, site, parts)
    bias = _bias(build, site, offset)

    convs: list[tuple[list[_Part], Spatial | None]] = [
        (group, None) for group in (parts.plain, parts.unaligned) if group
    ]
    convs += [([part], spatial) for part, spatial in parts.resampled]
    # A conv or a Resize of the whole size comes first: it gives the sum its shape.
    terms = [
        _conv(build, site, group, spatial, None if i else bias, site.name(i))
        for i, (group, spatial) in enumerate(convs)
    ]
    terms += [
        _pointed(build, site, part, data, site.name(i))
        for i, (part, data) in enumerate(parts.broadcast, start=len(terms))
    ]
    terms += [build.weight(storable(values, weight), weight) for values in maps]
    result = terms[0]
    for term in terms[1:]:
        result = build.op("Add", (result, term), type_=op.result.type)
    return build.rewrite({op.result: result}, note=note)


def _bias(build: Replacement, site: _Site, offset: Array | None) -> Value | None:
    """The bias of the first conv, with what the constant parts add to it."""
    bias = site.op.operand(2)
    if offset is None:
        return None if bias is None else build.take(bias)
    if bias is None:
        weight = operand(site.op, 1)
        return build.weight(storable(offset, weight), weight)
    return build.weight(storable(offset + constant(bias, "the biases"), bias), bias)


def _conv(  # noqa: PLR0917  # the parts of one op
    build: Replacement,
    site: _Site,
    group: Sequence[_Part],
    spatial: Spatial | None,
    bias: Value | None,
    name: str,
) -> Value:
    """The conv of some parts, or of one before the Resize or pool that makes it."""
    op, weight = site.op, operand(site.op, 1)
    picked = np.concatenate([site.columns(part) for part in group], axis=1)
    taken = build.constant(picked, weight.dtype, weight.name)
    if spatial is None:
        data, type_ = build.concat([build.take(part.value) for part in group], 1), op.result.type
    else:
        data = build.take(spatial.data)
        type_ = typed(data, site.kernel.shape[0], dims_of(spatial.data))
    operands = [data, taken] if bias is None else [data, taken, bias]
    value = build.op("Conv", operands, op.attributes, type_=type_, name=name)
    if spatial is None:
        return value
    large = moved(build, spatial, value, site.kernel.shape[0], dims_of(op.result))
    # The op that it is a copy of may live on, and the names of ops must differ.
    large.op.name = ""
    return large


def _pointed(build: Replacement, site: _Site, part: _Part, data: Value, name: str) -> Value:
    """(N, K, 1, ...): the conv of a value that is alike at all positions, none of them padding."""
    weight, columns = operand(site.op, 1), site.columns(part)
    if prod(site.geometry.kernel) > 1:
        axes = tuple(range(2, columns.ndim))
        sums = np.asarray(columns, np.float64).sum(axis=axes, keepdims=True)
        taken = build.weight(storable(sums, weight), weight)
    else:
        taken = build.constant(columns, weight.dtype, weight.name)
    ones, none = (1,) * site.geometry.ndim, (0,) * site.geometry.ndim
    unit = ConvGeometry(ones, ones, ones, none, none)
    return build.conv(build.take(data), taken, None, unit, name=name)


def _constants(graph: Graph, site: _Site, parts: _Parts) -> tuple[Array | None, list[Array]]:
    """What the constant parts add: (K,) or None, and the maps (N, K, *output) of what varies."""
    bias: Array | None = None
    maps: list[Array] = []
    for part, array in parts.constant:
        inputs = [np.asarray(array, np.float64), np.asarray(site.columns(part), np.float64), None]
        values = KERNELS["Conv"](inputs, site.op.attributes, graph.header.opset)[0]
        first = values[:1, :, *(slice(1) for _ in values.shape[2:])]
        if np.abs(values - first).max() <= SAME * np.abs(values).max():
            bias = first.reshape(-1) if bias is None else bias + first.reshape(-1)
        else:
            maps.append(values)
    return bias, maps
