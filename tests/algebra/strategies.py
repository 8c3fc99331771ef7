"""Pairs of convolutions over the attribute space, with the smallest sizes that show each border."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from convc.algebra import ConvGeometry, TransposeGeometry
from convc.algebra.border import reached, seen
from convc.algebra.geometry import Geometry

Array = NDArray[np.float64]
Draw = st.DrawFn


@dataclass(frozen=True)
class Pair:
    """Two maps with random kernels and biases, and an input on which both are defined."""

    first: Geometry
    second: Geometry
    w1: Array
    w2: Array
    b1: Array | None
    b2: Array | None
    x: Array

    @property
    def size(self) -> tuple[int, ...]:
        return self.x.shape[2:]


def ndims() -> st.SearchStrategy[int]:
    return st.sampled_from([1, 1, 1, 2, 2, 3])


@st.composite
def conv_geometries(
    draw: Draw, ndim: int, group: int = 1, min_pad: int = -2, max_stride: int = 3
) -> ConvGeometry:
    axis = partial(_axis, draw, ndim)
    return ConvGeometry(
        kernel=axis(1, 4 if ndim < 3 else 2),
        strides=axis(1, max_stride if ndim < 3 else min(2, max_stride)),
        dilations=axis(1, 3 if ndim < 3 else 2),
        pads_begin=axis(min_pad, 4 if ndim < 3 else 2),
        pads_end=axis(min_pad, 4 if ndim < 3 else 2),
        group=group,
    )


@st.composite
def transpose_geometries(
    draw: Draw, ndim: int, group: int = 1, max_stride: int = 3
) -> TransposeGeometry:
    conv = draw(conv_geometries(ndim, group, min_pad=0, max_stride=max_stride))
    return TransposeGeometry(
        kernel=conv.kernel,
        strides=conv.strides,
        dilations=conv.dilations,
        pads_begin=conv.pads_begin,
        pads_end=conv.pads_end,
        output_padding=tuple(draw(st.integers(0, s - 1)) for s in conv.strides),
        group=group,
    )


@st.composite
def conv_pairs(draw: Draw, min_pad: int = -2, room: int = 7) -> Pair:
    ndim, groups = draw(ndims()), draw(_groups())
    first = draw(conv_geometries(ndim, groups[0], min_pad))
    second = draw(conv_geometries(ndim, groups[1], min_pad))
    return _filled(draw, first, second, room)


@st.composite
def conv_transpose_pairs(draw: Draw) -> Pair:
    ndim, groups = draw(ndims()), draw(_groups())
    max_stride = draw(st.sampled_from([1, 1, 1, 3]))
    first = draw(conv_geometries(ndim, groups[0], 0, max_stride))
    second = draw(transpose_geometries(ndim, groups[1]))
    return _filled(draw, first, second)


@st.composite
def transpose_conv_pairs(draw: Draw) -> Pair:
    ndim, groups = draw(ndims()), draw(_groups())
    first = draw(transpose_geometries(ndim, groups[0]))
    max_stride = draw(st.sampled_from([1, 3]))
    second = draw(conv_geometries(ndim, groups[1], -1, max_stride))
    return _filled(draw, first, second)


def kernel_for(geometry: Geometry, inputs: int, outputs: int, rng: np.random.Generator) -> Array:
    rows, columns = (outputs, inputs) if isinstance(geometry, ConvGeometry) else (inputs, outputs)
    return rng.standard_normal((rows, columns // geometry.group, *geometry.kernel))


def smallest_size(first: Geometry, second: Geometry, axis: int) -> int:
    size = 1
    while (
        first.axis_output(axis, size) < 1
        or second.axis_output(axis, first.axis_output(axis, size)) < 1
    ):
        size += 1
    return size


def on_axis(geometry: Geometry, axis: int) -> Geometry:
    """One axis of a geometry as a geometry of its own."""
    values: dict[str, Any] = {
        field.name: (getattr(geometry, field.name)[axis],)
        for field in dataclasses.fields(geometry)
        if field.name != "group"
    }
    return dataclasses.replace(geometry, **values)


def sees_nothing(pair: Pair) -> bool:
    """Whether on some axis no path leads from an input to an output: the sequence is constant."""
    for axis, size in enumerate(pair.size):
        between = reached(pair.first, axis, size)
        outputs = pair.second.axis_output(axis, pair.first.axis_output(axis, size))
        if not np.intersect1d(between, seen(pair.second, axis, outputs)).size:
            return True
    return False


def _filled(draw: Draw, first: Geometry, second: Geometry, room: int = 7) -> Pair:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs = first.group * draw(st.integers(1, 2))
    between = math.lcm(first.group, second.group) * draw(st.integers(1, 2))
    outputs = second.group * draw(st.integers(1, 2))
    larger = st.integers(0, room if first.ndim < 3 else room // 2)
    size = tuple(smallest_size(first, second, axis) + draw(larger) for axis in range(first.ndim))
    return Pair(
        first=first,
        second=second,
        w1=kernel_for(first, inputs, between, rng),
        w2=kernel_for(second, between, outputs, rng),
        b1=rng.standard_normal(between) if draw(st.booleans()) else None,
        b2=rng.standard_normal(outputs) if draw(st.booleans()) else None,
        x=rng.standard_normal((draw(st.integers(1, 2)), inputs, *size)),
    )


def _groups() -> st.SearchStrategy[tuple[int, int]]:
    group = st.sampled_from([1, 1, 2, 3, 4])
    return st.one_of(st.tuples(group, group), group.map(lambda g: (g, g)))


def _axis(draw: Draw, ndim: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(low, high)) for _ in range(ndim))
