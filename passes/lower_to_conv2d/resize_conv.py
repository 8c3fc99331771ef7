"""A Resize by whole factors and the conv behind it, as convs of the small image.

A nearest Resize repeats samples, so the taps of the conv that fall on copies of one sample add up:
the outputs of one phase are a conv of the small image with fewer taps. See
`convc.algebra.resample`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, prod

import numpy as np

from convc.algebra import ConvGeometry, DoesNotCompose, TransposeGeometry
from convc.algebra.resample import PhasedAxis, mixed, phased_axis
from convc.algebra.transpose import compose_transpose_then_conv
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import operand, require_small, sizes, storable, trace
from passes._conv_layers import Layer, read_layer
from passes._interleave import cropped, interleaved
from passes.lower_to_conv2d.resized import (
    Resized,
    edge_padded,
    read_resize,
    replaced,
    times,
)

MORE_PRODUCTS = "the phases have more products than the conv"


@dataclass(frozen=True)
class Pair:
    """A Resize and the Conv that reads it."""

    resized: Resized
    conv: Layer
    geometry: ConvGeometry
    size: tuple[int | None, ...]

    def axes(self, *, aligned: bool) -> list[PhasedAxis]:
        """Each axis as phases; declines where it is none."""
        geometry = self.geometry
        try:
            return [
                phased_axis(
                    phases,
                    geometry.kernel[axis],
                    stride=geometry.strides[axis],
                    dilation=geometry.dilations[axis],
                    pads=(geometry.pads_begin[axis], geometry.pads_end[axis]),
                    size=self.size[axis],
                    aligned=aligned,
                )
                for axis, phases in enumerate(self.resized.phases)
            ]
        except DoesNotCompose as decline:
            raise NoMatch(str(decline)) from decline


def resize_conv_as_phases(graph: Graph, op: Op) -> Rewrite:
    """One small conv for each phase of the output, concatenated and interleaved."""
    pair = _read_pair(graph, op)
    axes = pair.axes(aligned=False)
    _require_fewer(pair, axes)
    build = Replacement(graph)
    data = edge_padded(build, build.take(pair.resized.data), pair.resized.phases)
    bias = _bias(build, pair.conv, 1)
    parts = []
    for phase in product(*(range(axis.count) for axis in axes)):
        geometry = _phase_geometry(axes, phase, pair.geometry.group)
        mixes = [axis.readings[i].mix for axis, i in zip(axes, phase, strict=True)]
        weight = _weight(build, pair.conv, mixed(pair.conv.kernel, mixes))
        parts.append(build.conv(data, weight, bias, geometry))
    result = interleaved(build, build.concat(parts, 1), [axis.count for axis in axes])
    result = _cropped(build, result, axes)
    small = times([max(r.mix.shape[0] for r in axis.readings) for axis in axes])
    return _finish(build, pair, result, f"{len(parts)} convs {small}" if len(parts) > 1 else small)


def resize_conv_as_one_conv(graph: Graph, op: Op) -> Rewrite:
    """One conv with the filters of all phases, zeros where a phase has no tap, interleaved."""
    pair = _read_pair(graph, op)
    axes = pair.axes(aligned=True)
    counts = [axis.count for axis in axes]
    if prod(counts) == 1:
        raise NoMatch  # the phases are one conv already
    _require_fewer(pair, axes)
    group, kernel = pair.geometry.group, pair.conv.kernel
    filters = np.stack(
        [
            mixed(kernel, [axis.readings[i].mix for axis, i in zip(axes, phase, strict=True)])
            for phase in product(*map(range, counts))
        ]
    )
    # The outputs of one group stay together, so that within groups the phases come last.
    phases_first = group == 1
    if not phases_first:
        filters = filters.swapaxes(0, 1)
    build = Replacement(graph)
    data = edge_padded(build, build.take(pair.resized.data), pair.resized.phases)
    weight = _weight(build, pair.conv, filters.reshape(-1, *filters.shape[2:]))
    bias = _bias(build, pair.conv, prod(counts), phases_first=phases_first)
    result = build.conv(data, weight, bias, _phase_geometry(axes, [0] * len(axes), group))
    result = interleaved(build, result, counts, phases_first=phases_first)
    result = _cropped(build, result, axes)
    return _finish(build, pair, result, f"{times(filters.shape[3:])} to {prod(counts)} phases")


def resize_conv_as_transpose(graph: Graph, op: Op) -> Rewrite:
    """A ConvTranspose: a repetition is one with a kernel of ones, and the conv composes with it."""
    pair = _read_pair(graph, op)
    if not all(phases.is_repetition for phases in pair.resized.phases):
        raise NoMatch("the resize is no plain repetition")
    factors, channels = pair.resized.factors, pair.conv.channels[0]
    if all(s % f == 0 for s, f in zip(pair.geometry.strides, factors, strict=True)):
        raise NoMatch  # the phases are one conv already
    none, ones = (0,) * len(factors), (1,) * len(factors)
    # As large as the extent where samples are repeated: a dilated conv has zeros there.
    spread = [
        e if f == 1 else e + f - 1 for e, f in zip(pair.geometry.extent, factors, strict=True)
    ]
    require_small(prod(spread) * prod(pair.conv.kernel.shape[:2]))
    repetition = TransposeGeometry(factors, factors, ones, none, none, none, channels)
    try:
        geometry, kernel = compose_transpose_then_conv(
            np.ones((channels, 1, *factors)),
            pair.conv.kernel,
            repetition,
            pair.geometry,
            pair.size,
        )
    except DoesNotCompose as decline:
        raise NoMatch(str(decline)) from decline
    assert isinstance(geometry, TransposeGeometry)
    if prod(geometry.kernel) > prod(geometry.strides) * prod(pair.geometry.kernel):
        raise NoMatch(MORE_PRODUCTS)
    build = Replacement(graph)
    data = build.take(pair.resized.data)
    weight = _weight(build, pair.conv, kernel)
    result = build.conv_transpose(data, weight, _bias(build, pair.conv, 1), geometry)
    return _finish(build, pair, result, f"ConvTranspose {times(geometry.kernel)}")


def _read_pair(graph: Graph, op: Op) -> Pair:
    # The resize may have other users: what they need stays, and the conv reads less.
    resized = read_resize(graph, trace(graph, operand(op))[-1].op)
    conv = read_layer(op)
    geometry = conv.geometry
    assert isinstance(geometry, ConvGeometry)
    if geometry.ndim != len(resized.phases):
        raise NoMatch("the resize is not one of the spatial axes")
    stays = [f // gcd(f, s) for f, s in zip(resized.factors, geometry.strides, strict=True)]
    if max(geometry.kernel) == 1 and max(stays) > 1:
        raise NoMatch("a conv of one tap goes before the resize")
    require_small(conv.kernel.size * prod(resized.factors))
    return Pair(resized, conv, geometry, sizes(resized.data.shape, geometry.ndim))


def _require_fewer(pair: Pair, axes: Sequence[PhasedAxis]) -> None:
    """Declines where the phases multiply more than the conv does, output for output.

    They do where the taps of a dilated conv fall on no common grid: there are zeros between.
    """
    kernel = pair.geometry.kernel
    taps, before = prod(axis.taps for axis in axes), prod(axis.count for axis in axes)
    if taps > before * prod(kernel):
        raise NoMatch(MORE_PRODUCTS)


def _phase_geometry(axes: Sequence[PhasedAxis], phase: Sequence[int], group: int) -> ConvGeometry:
    chosen = [axis.readings[i] for axis, i in zip(axes, phase, strict=True)]
    pads = [axis.pads[i] for axis, i in zip(axes, phase, strict=True)]
    return ConvGeometry(
        kernel=tuple(reading.mix.shape[0] for reading in chosen),
        strides=tuple(axis.stride for axis in axes),
        dilations=tuple(reading.dilation for reading in chosen),
        pads_begin=tuple(begin for begin, _ in pads),
        pads_end=tuple(end for _, end in pads),
        group=group,
    )


def _cropped(build: Replacement, value: Value, axes: Sequence[PhasedAxis]) -> Value:
    return cropped(build, value, [0] * len(axes), [axis.crop for axis in axes])


def _weight(build: Replacement, conv: Layer, kernel: Array) -> Value:
    return build.weight(storable(kernel, conv.weight), conv.weight)


def _bias(
    build: Replacement, conv: Layer, phases: int, *, phases_first: bool = True
) -> Value | None:
    """The bias, once for each phase."""
    if conv.bias is None:
        return None
    values = np.tile(conv.bias, phases) if phases_first else np.repeat(conv.bias, phases)
    return build.weight(values, conv.bias_name)


def _finish(build: Replacement, pair: Pair, result: Value, became: str) -> Rewrite:
    note = f"{pair.resized.label} then {pair.conv.label} → {became}"
    return replaced(build, pair.conv.op, result, note)
