"""A Conv or ConvTranspose after a Conv or ConvTranspose, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd, prod

import numpy as np

from convc.algebra import (
    ConvGeometry,
    DoesNotCompose,
    Patch,
    TransposeGeometry,
    border_map,
    border_strips,
    compose_bias,
    compose_conv_then_transpose,
    compose_geometry,
    compose_kernels,
    compose_transpose_then_conv,
    ring_condition,
    split_crop,
    swap_layout,
)
from convc.algebra.geometry import Geometry
from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Value
from convc.kernels import KERNELS
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import fixed, known, operand, require_alone, require_small, sizes, storable
from passes._conv_layers import Layer, read_chain, read_layer, require_near, require_output

LARGEST_MAP_MACS = 2**33
"""MACs of sending a constant map through a conv beyond which it would take too long to compile."""

SAME = 2.0**-44
"""Difference of two rows of a map, relative to its largest value, that is float64 rounding."""

MaybeSizes = tuple[int | None, ...]


def fuse_conv(graph: Graph, op: Op, border: str) -> Rewrite:
    """Proposes one conv for ``op`` and the conv before it."""
    first, path = read_chain(graph, operand(op))
    require_alone(graph, path)
    second = read_layer(op)
    if first.geometry.ndim != second.geometry.ndim or first.channels[1] != second.channels[0]:
        raise NoMatch("the shapes of the two convs do not fit")
    size = sizes(first.data.shape, first.geometry.ndim)
    require_output(first.geometry, second.geometry, size)
    require_near(first.geometry, second.geometry, size)
    require_small(_weights_at_most(first, second))

    ring = ring_condition(first.geometry, second.geometry, size)
    if ring.input is not None:
        whole = _require_border(f"border: {ring.input}", size, border)
        return _with_strips(graph, first, second, whole)
    bias_lost = ring.bias if first.bias is not None else None
    if bias_lost is None and first.offset is None:
        return _as_one(graph, first, second, size)
    whole = _require_border(bias_lost or "border: a constant map is added between", size, border)
    if graph.header.opset < 7:  # Add does not broadcast yet
        return _with_strips(graph, first, second, whole)
    return _with_map(graph, first, second, whole)


def _require_border(reason: str, size: MaybeSizes, border: str) -> tuple[int, ...]:
    whole = fixed(size)
    if border == "decline":
        raise NoMatch(reason)
    if whole is None:
        raise NoMatch(f"{reason}; the size is not known")
    return whole


def _as_one(graph: Graph, first: Layer, second: Layer, size: MaybeSizes) -> Rewrite:
    """One conv; the biases are one bias."""
    one = _composed(first, second, size)
    build = Replacement(graph)
    result = _emit(build, one, size)
    return _finish(build, result, second, f"{first.label} ∘ {second.label} → {one.label}")


def _with_map(graph: Graph, first: Layer, second: Layer, size: tuple[int, ...]) -> Rewrite:
    """One conv without bias, and what the biases give at each position added."""
    one = replace(_composed(first, second, size), bias=None)
    values = _constant_part(graph, first, second, size)
    build = Replacement(graph)
    result = build.add(_emit(build, one, size), _map(build, values, second))
    note = f"{first.label} ∘ {second.label} → {one.label} + border map"
    return _finish(build, result, second, note)


def _with_strips(graph: Graph, first: Layer, second: Layer, size: tuple[int, ...]) -> Rewrite:
    """One conv for the interior, the two convs for each strip around it."""
    geometry1, geometry2 = first.geometry, second.geometry
    if first.offset is not None:
        raise NoMatch("border: a constant map is added between")
    if not isinstance(geometry1, ConvGeometry) or not isinstance(geometry2, ConvGeometry):
        raise NoMatch("border: there are no strips for a strided transposed conv")
    try:
        parts = border_strips(geometry1, geometry2, size, first_bias_zero=first.bias is None)
    except DoesNotCompose as decline:
        raise NoMatch(f"border: {decline}") from decline
    one = _composed(first, second, size)
    build = Replacement(graph)
    data = build.take(first.data)
    inner = [_weights(build, one)]
    outer = [_weights(build, first), _weights(build, second)]

    result = _patch(build, data, parts.interior, inner, size)
    count = 0
    for axis in reversed(range(geometry1.ndim)):
        begin, end = (
            [] if strip is None else [_patch(build, data, strip, outer, size)]
            for strip in (parts.begin[axis], parts.end[axis])
        )
        count += len(begin) + len(end)
        result = build.concat([*begin, result, *end], axis + 2)
    note = f"{first.label} ∘ {second.label} → {one.label} + {count} border strips"
    return _finish(build, result, second, note)


def _finish(build: Replacement, result: Value, second: Layer, note: str) -> Rewrite:
    old = second.op.result
    result.type = old.type or result.type
    result.op.name = second.op.name
    return build.rewrite({old: result}, note=note)


def _weights_at_most(first: Layer, second: Layer) -> int:
    """At least the number of weights of the composition."""
    one, two = first.geometry, second.geometry
    channels = first.channels[0] * second.channels[1] // gcd(one.group, two.group)
    if isinstance(one, ConvGeometry) and isinstance(two, ConvGeometry):
        return channels * prod(compose_geometry(one, two).kernel)
    spread = two.strides if isinstance(two, TransposeGeometry) else (1,) * two.ndim
    return channels * prod(
        s * (e1 - 1) + e2 for s, e1, e2 in zip(spread, one.extent, two.extent, strict=True)
    )


def _composed(first: Layer, second: Layer, size: MaybeSizes) -> Layer:
    """The composition, with the bias it has where the second conv reads no padding."""
    one, two = first.geometry, second.geometry
    w1, w2 = first.kernel, second.kernel
    geometry: Geometry
    try:
        if isinstance(one, ConvGeometry) and isinstance(two, ConvGeometry):
            geometry, kernel = compose_geometry(one, two), compose_kernels(w1, w2, one, two)
        elif isinstance(one, ConvGeometry) and isinstance(two, TransposeGeometry):
            geometry, kernel = compose_conv_then_transpose(w1, w2, one, two, size)
        elif isinstance(one, TransposeGeometry) and isinstance(two, ConvGeometry):
            geometry, kernel = compose_transpose_then_conv(w1, w2, one, two, size)
        else:
            raise NoMatch("both are strided transposed convs")
    except DoesNotCompose as decline:
        raise NoMatch(str(decline)) from decline
    bias = _bias(first, second)
    return replace(second, data=first.data, kernel=kernel, bias=bias, geometry=geometry)


def _bias(first: Layer, second: Layer) -> Array | None:
    if first.bias is None:
        return second.bias
    kernel, geometry = second.kernel, second.geometry
    if isinstance(geometry, TransposeGeometry):
        kernel = swap_layout(kernel, geometry.group)
    return compose_bias(first.bias, kernel, second.bias, geometry.group)


def _constant_part(graph: Graph, first: Layer, second: Layer, size: tuple[int, ...]) -> Array:
    """(1, K, *output size): what the sequence gives for a zero input."""
    between = first.geometry.output_size(size)
    require_small(second.channels[1] * prod(second.geometry.output_size(between)))
    if first.offset is None:
        return border_map(
            second.kernel, first.bias, second.bias, first.geometry, second.geometry, size
        )
    outputs = second.geometry.output_size(between)
    if second.kernel.size * max(prod(between), prod(outputs)) > LARGEST_MAP_MACS:
        raise NoMatch("border: the constant map takes too long to compute")
    bias = np.zeros(first.channels[1]) if first.bias is None else first.bias
    column = bias.reshape(1, -1, *(1 for _ in between))
    values = np.broadcast_to(first.offset + column, (1, bias.size, *between))
    operands = [values, np.asarray(known(second.weight), np.float64), second.bias]
    return KERNELS[second.op.kind](operands, second.op.attributes, graph.header.opset)[0]


def _map(build: Replacement, values: Array, second: Layer) -> Value:
    """A constant map: equal rows and columns stored once and gathered where that is smaller."""
    core, picks = values, []
    for axis in range(2, values.ndim):
        kept, pick = _distinct(core, axis)
        core = np.take(core, kept, axis)
        picks.append(pick)
    like = second.bias_name
    if core.size + sum(len(pick) for pick in picks) >= values.size:
        return build.weight(storable(values, like), like)
    result = build.weight(storable(core, like), like)
    for axis, pick in enumerate(picks, start=2):
        if len(pick) == core.shape[axis]:
            continue
        assert isinstance(result.type, TensorType)
        assert result.shape is not None
        shape = (*result.shape[:axis], len(pick), *result.shape[axis + 1 :])
        type_ = TensorType(result.type.dtype, shape)
        result = build.op("Gather", (result, build.ints(pick)), {"axis": axis}, type_=type_)
    return result


def _distinct(values: Array, axis: int) -> tuple[list[int], list[int]]:
    """Where runs of equal slices start along ``axis``, and for each position its run."""
    steps = np.abs(np.diff(values, axis=axis))
    others = tuple(i for i in range(values.ndim) if i != axis)
    changes = steps.max(axis=others) > SAME * np.abs(values).max()
    starts = [0, *(int(i) + 1 for i in np.flatnonzero(changes))]
    return starts, [0, *(int(i) for i in np.cumsum(changes))]


def _patch(
    build: Replacement,
    data: Value,
    patch: Patch,
    weights: Sequence[tuple[Value, Value | None]],
    size: tuple[int, ...],
) -> Value:
    cut = [axis for axis, span in enumerate(patch.inputs) if span != (0, size[axis])]
    if cut:
        starts, ends = ([patch.inputs[axis][side] for axis in cut] for side in (0, 1))
        data = build.slice(data, [axis + 2 for axis in cut], starts, ends)
    for (weight, bias), geometry in zip(weights, patch.convs, strict=True):
        data = build.conv(data, weight, bias, geometry)
    return data


def _weights(build: Replacement, layer: Layer) -> tuple[Value, Value | None]:
    weight = build.weight(storable(layer.kernel, layer.weight), layer.weight)
    if layer.bias is None:
        return weight, None
    return weight, build.weight(storable(layer.bias, layer.weight), layer.bias_name)


def _emit(build: Replacement, layer: Layer, size: MaybeSizes) -> Value:
    """The op of a layer, behind a Slice where its pads are negative."""
    data, geometry = build.take(layer.data), layer.geometry
    weight, bias = _weights(build, layer)
    if isinstance(geometry, TransposeGeometry):
        return build.conv_transpose(data, weight, bias, geometry)
    begin, end, uncropped = split_crop(geometry)
    axes = [axis for axis in range(geometry.ndim) if begin[axis] or end[axis]]
    for axis in axes:
        _require_room(geometry, axis, size[axis])
    if axes:
        starts = [begin[axis] for axis in axes]
        # Counted from the end, since the size may not be known; INT_MAX is "to the end".
        ends = [-end[axis] if end[axis] else 2**31 - 1 for axis in axes]
        data = build.slice(data, [axis + 2 for axis in axes], starts, ends)
    return build.conv(data, weight, bias, uncropped)


def _require_room(geometry: ConvGeometry, axis: int, size: int | None) -> None:
    """Declines where a crop may take all there is, which padding would fill up again."""
    pads = geometry.pads_begin[axis], geometry.pads_end[axis]
    if size is None and max(pads) <= 0:
        return
    if size is None or size <= sum(max(0, -pad) for pad in pads):
        raise NoMatch("the composed conv crops more than the input may have")
