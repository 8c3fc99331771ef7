"""Transposed convolutions as convolutions: of stride 1, and phase by phase."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from convc.algebra import TransposeGeometry
from convc.algebra.phases import (
    best_shift,
    common_window,
    phase_convs,
    phase_windows,
    shifted,
    stacked_phases,
    surplus,
    taps_of,
)
from convc.conv import transpose_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import constant, operand, require_small, sizes
from passes._conv_layers import require_output
from passes._interleave import cropped, interleaved

MOST_PHASES = 4096
"""Phases of a stride that are looked into: 64 an axis, beyond what any network has."""


@dataclass(frozen=True)
class Transposed:
    """A ConvTranspose with constant weights: ``kernel`` (C, K/group, *k), ``bias`` (K,) or None."""

    op: Op
    data: Value
    weight: Value
    kernel: Array
    bias: Value | None
    geometry: TransposeGeometry

    @property
    def label(self) -> str:
        """Kernel and strides for people: 4×4/2×2."""
        kernel, strides = self.geometry.kernel, self.geometry.strides
        return f"{'×'.join(map(str, kernel))}/{'×'.join(map(str, strides))}"


def lower_stride_one(graph: Graph, op: Op) -> Rewrite:
    """A ConvTranspose of stride 1 as a Conv of the flipped kernel."""
    layer = read_transposed(op)
    if max(layer.geometry.strides) > 1:
        raise NoMatch
    ((geometry, kernel),) = phase_convs(layer.kernel, layer.geometry)
    require_small(kernel.size)
    build = Replacement(graph)
    data, bias = build.take(layer.data), None if layer.bias is None else build.take(layer.bias)
    result = build.conv(data, build.weight(kernel, layer.weight), bias, geometry)
    return _finished(build, result, layer, f"ConvTranspose {layer.label} → Conv")


def lower_phases(graph: Graph, op: Op) -> Rewrite:
    """A strided ConvTranspose as a Conv for each phase, interleaved."""
    layer = _strided(op)
    less = best_shift(layer.geometry, phase_windows)
    geometry = shifted(layer.geometry, less)
    if taps_of(geometry, common_window) <= taps_of(geometry, phase_windows):
        raise NoMatch("one conv for all phases has no more MACs than one for each")
    build = Replacement(graph)
    data, bias = build.take(layer.data), None if layer.bias is None else build.take(layer.bias)
    convs = phase_convs(layer.kernel, geometry)
    phases = [
        build.conv(data, build.weight(kernel, layer.weight), bias, phase) for phase, kernel in convs
    ]
    result = interleaved(build, build.concat(phases, 1), geometry.strides)
    note = f"ConvTranspose {layer.label} → {len(convs)} phase convs"
    return _finished(build, cropped(build, result, less, surplus(geometry)), layer, note)


def lower_stacked(graph: Graph, op: Op) -> Rewrite:
    """A strided ConvTranspose as one Conv for all phases, interleaved."""
    layer = _strided(op)
    less = best_shift(layer.geometry, common_window)
    whole = shifted(layer.geometry, less)
    require_small(layer.kernel.shape[0] * layer.kernel.shape[1] * taps_of(whole, common_window))
    build = Replacement(graph)
    geometry, kernels = stacked_phases(layer.kernel, whole)
    count = kernels.shape[0]
    # With groups the phases of one filter have to be neighbours, or they would mix the groups.
    by_filter = geometry.group > 1
    kernel = (kernels.swapaxes(0, 1) if by_filter else kernels).reshape(-1, *kernels.shape[2:])
    bias = None
    if layer.bias is not None:
        values = np.asarray(constant(layer.bias, "the biases"), np.float64)
        repeated = np.repeat(values, count) if by_filter else np.tile(values, count)
        bias = build.weight(repeated, layer.bias)
    data = build.take(layer.data)
    result = build.conv(data, build.weight(kernel, layer.weight), bias, geometry)
    result = interleaved(build, result, layer.geometry.strides, phases_first=not by_filter)
    note = f"ConvTranspose {layer.label} → one conv for {count} phases"
    return _finished(build, cropped(build, result, less, surplus(whole)), layer, note)


def read_transposed(op: Op) -> Transposed:
    """Reads a ConvTranspose; declines where it is not constant or its geometry is unknown."""
    data, weight = operand(op), operand(op, 1)
    kernel = constant(weight)
    if not np.isfinite(kernel).all():
        raise NoMatch("the weights are not finite: zeros in the padding would become NaN")
    geometry = transpose_geometry(op)
    if geometry is None:
        raise NoMatch("the geometry depends on an unknown size")
    require_output(geometry, None, sizes(data.shape, geometry.ndim))
    return Transposed(op, data, weight, kernel, op.operand(2), geometry)


def _strided(op: Op) -> Transposed:
    layer = read_transposed(op)
    if max(layer.geometry.strides) == 1:
        raise NoMatch
    if prod(layer.geometry.strides) > MOST_PHASES:
        raise NoMatch("the ConvTranspose has too many phases")
    if layer.data.shape is None:
        raise NoMatch("the rank of what the ConvTranspose takes is unknown")
    return layer


def _finished(build: Replacement, result: Value, layer: Transposed, note: str) -> Rewrite:
    old = layer.op.result
    result.type = old.type or result.type
    result.op.name = layer.op.name
    return build.rewrite({old: result}, note=note)
