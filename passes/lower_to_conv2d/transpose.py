"""Transposed convolutions as convolutions: of stride 1, and phase by phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from convc.algebra import TransposeGeometry
from convc.algebra.arrays import Sizes
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
from convc.ir import Array, Attribute, Dim, Op, TensorType, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import constant, operand, require_small


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
    def outputs(self) -> int:
        """Output channels."""
        return int(self.kernel.shape[1]) * self.geometry.group

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
    result = interleave(build, build.concat(phases, 1), geometry.strides)
    note = f"ConvTranspose {layer.label} → {len(convs)} phase convs"
    return _finished(build, _cropped(build, result, less, surplus(geometry)), layer, note)


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
    result = interleave(build, result, layer.geometry.strides, by_filter=by_filter)
    note = f"ConvTranspose {layer.label} → one conv for {count} phases"
    return _finished(build, _cropped(build, result, less, surplus(whole)), layer, note)


def read_transposed(op: Op) -> Transposed:
    """Reads a ConvTranspose; declines where it is not constant or its geometry is unknown."""
    data, weight = operand(op), operand(op, 1)
    kernel = constant(weight)
    geometry = transpose_geometry(op)
    if geometry is None:
        raise NoMatch("the geometry depends on an unknown size")
    return Transposed(op, data, weight, kernel, op.operand(2), geometry)


def interleave(
    build: Replacement, data: Value, strides: Sequence[int], *, by_filter: bool = False
) -> Value:
    """(N, phases·K, *Q) to (N, K, *s·Q): the phases of each axis become neighbours.

    The phase of the last axis runs fastest. ``by_filter``: the channels are (K, phases) instead of
    (phases, K). It is a DepthToSpace where that says it, else Reshape, Transpose and Reshape,
    which decline where more than one spatial size is not known.
    """
    shape = data.shape
    if shape is None or not isinstance(shape[1], int):
        raise NoMatch("the number of channels is not known")
    count = shape[1] // prod(strides)
    square = len(strides) == 2 and len(set(strides)) == 1
    # Before opset 11 the channels of a DepthToSpace are phases first.
    if square and (build.opset >= 11 or not by_filter):
        attributes: dict[str, Attribute] = {"blocksize": strides[0]}
        if by_filter:
            attributes["mode"] = "CRD"
        dims = [_times(build.graph, d, s) for d, s in zip(shape[2:], strides, strict=True)]
        assert isinstance(data.type, TensorType)
        type_ = TensorType(data.type.dtype, (shape[0], count, *dims))
        return build.op("DepthToSpace", (data,), attributes, type_=type_)
    return _interleaved(build, data, strides, count, by_filter=by_filter)


def _interleaved(
    build: Replacement, data: Value, strides: Sequence[int], count: int, *, by_filter: bool
) -> Value:
    shape = data.shape
    assert shape is not None
    sizes = shape[2:]
    if sum(not isinstance(d, int) for d in sizes) > 1:
        raise NoMatch("the phases cannot be interleaved: the size is not known")
    known = [d if isinstance(d, int) else -1 for d in sizes]
    moved = [axis for axis, stride in enumerate(strides) if stride > 1]
    phases = [strides[axis] for axis in moved]
    channels = [count, *phases] if by_filter else [*phases, count]
    value = build.reshape(data, [0, *channels, *known])
    first = 2 if by_filter else 1  # where the phases are
    order = [0, 1 if by_filter else 1 + len(moved)]
    for axis in range(len(sizes)):
        order.append(2 + len(moved) + axis)
        if axis in moved:
            order.append(first + moved.index(axis))
    value = build.transpose(value, order)
    whole = [d * s if d > 0 else -1 for d, s in zip(known, strides, strict=True)]
    return build.reshape(value, [0, count, *whole])


def _strided(op: Op) -> Transposed:
    layer = read_transposed(op)
    if max(layer.geometry.strides) == 1:
        raise NoMatch
    if layer.data.shape is None:
        raise NoMatch("the rank of what the ConvTranspose takes is unknown")
    return layer


def _cropped(build: Replacement, value: Value, begin: Sizes, end: Sizes) -> Value:
    """Without the positions that the phases have too many of at each end."""
    axes = [axis for axis in range(len(begin)) if begin[axis] or end[axis]]
    if not axes:
        return value
    starts = [begin[axis] for axis in axes]
    # Counted from the end, since the size may not be known; INT_MAX is "to the end".
    ends = [-end[axis] if end[axis] else 2**31 - 1 for axis in axes]
    return build.slice(value, [axis + 2 for axis in axes], starts, ends)


def _finished(build: Replacement, result: Value, layer: Transposed, note: str) -> Rewrite:
    old = layer.op.result
    result.type = old.type or result.type
    result.op.name = layer.op.name
    return build.rewrite({old: result}, note=note)


def _times(graph: Graph, dim: Dim, factor: int) -> Dim:
    if isinstance(dim, int):
        return dim * factor
    size = None if dim is None else graph.sizes.get(dim)
    return graph.new_dim(None if size is None else size * factor)
