"""Transforms by depthwise convs and products by grouped ones, in the runtime's layout for convs.

What follows the products is as in `tiles`: a runtime interleaves in no other layout than ONNX's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from convc.algebra import ConvGeometry
from convc.algebra.winograd import AxisTile
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes.lower_to_winograd.tiling import (
    Tiling,
    bias_of_products,
    cropped_input,
    finished,
    outputs_of_products,
    put_together,
    read_tiling,
    reshaped,
    stored,
)

MOST_PLANES = 64
"""Planes beyond which there are more calls than work."""


@dataclass(frozen=True)
class Plane:
    """One transformed input: (N, C, *tiles), of a product and a phase, each by axis."""

    product: tuple[int, ...]
    phase: tuple[int, ...]
    value: Value


def lower_planes(graph: Graph, op: Op, tile: int, tolerance: float) -> Rewrite:
    """Tiles on all axes: depthwise convs along one axis after the other, one grouped 1×1 conv."""
    tiling = read_tiling(op, tile, tolerance)
    if tiling.products * tiling.phases > MOST_PLANES:
        raise NoMatch(f"there would be more than {MOST_PLANES} planes")
    return _by_groups(graph, tiling, "planes")


def lower_rows(graph: Graph, op: Op, tile: int, tolerance: float) -> Rewrite:
    """Tiles on the first axis: the others are left to one conv with a group for each product."""
    return _by_groups(graph, read_tiling(op, tile, tolerance, rows=True), "rows")


def _by_groups(graph: Graph, tiling: Tiling, form: str) -> Rewrite:
    """All planes side by side as channels, and one conv with a group for each product."""
    build = Replacement(graph)
    data = build.concat([plane.value for plane in _planes(build, tiling)], 1)
    products = _product_conv(build, tiling, data, 0, tiling.products)
    return _finished(build, tiling, products, form)


def lower_rows_apart(graph: Graph, op: Op, tile: int, tolerance: float) -> Rewrite:
    """Tiles on the first axis: the others are left to a conv for each product."""
    tiling = read_tiling(op, tile, tolerance, rows=True)
    build = Replacement(graph)
    planes = _planes(build, tiling)
    parts = []
    for i in range(tiling.products):
        of_one = [plane.value for plane in planes if plane.product == (i,)]
        parts.append(_product_conv(build, tiling, build.concat(of_one, 1), i, i + 1))
    return _finished(build, tiling, build.concat(parts, 1), "rows-apart")


def _planes(build: Replacement, tiling: Tiling) -> list[Plane]:
    """All transformed inputs, in the order of the filters: products, then phases."""
    if tiling.group > 1 and tiling.phases > 1:
        raise NoMatch("the phases of a strided conv in groups are apart")
    planes = [Plane((), (), cropped_input(build, tiling))]
    for number, axis in enumerate(tiling.axes):
        geometry = _along(tiling, number, axis)
        if axis.reach == axis.step == 1 and not any(geometry.pads):
            planes = [Plane((*p.product, 0), (*p.phase, 0), p.value) for p in planes]
            continue
        kernels = [
            (phase, i, _depthwise(build, tiling, number, axis.data()[phase, i]))
            for phase in range(axis.phases)
            for i in range(axis.n)
        ]
        planes = [
            Plane(
                (*plane.product, i),
                (*plane.phase, phase),
                build.conv(plane.value, kernel, None, geometry),
            )
            for plane in planes
            for phase, i, kernel in kernels
        ]
    return sorted(planes, key=lambda plane: (plane.product, plane.phase))


def _along(tiling: Tiling, number: int, axis: AxisTile) -> ConvGeometry:
    """The depthwise conv that transforms one axis."""

    def only(value: int, other: int) -> tuple[int, ...]:
        rank = tiling.geometry.ndim
        return (*(other,) * number, value, *(other,) * (rank - number - 1))

    window = tiling.window
    return ConvGeometry(
        kernel=only(axis.reach, 1),
        strides=only(axis.step, 1),
        dilations=only(1, 1),
        pads_begin=only(window.pads_begin[number], 0),
        pads_end=only(window.pads_end[number], 0),
        group=tiling.channels[0],
    )


def _depthwise(build: Replacement, tiling: Tiling, number: int, row: Array) -> Value:
    """A row of Bᵀ along one axis as the kernel of every channel."""
    shape = [1] * tiling.geometry.ndim
    shape[number] = len(row)
    kernels = np.tile(row.reshape(1, 1, *shape), (tiling.channels[0], 1, *(1,) * len(shape)))
    return stored(build, tiling, kernels, "inputs")


def _product_conv(build: Replacement, tiling: Tiling, data: Value, first: int, last: int) -> Value:
    """Products ``first`` up to ``last`` by one conv, over what axes the tile leaves."""
    rank = len(tiling.axes)
    left = tiling.geometry
    rest = left.kernel[rank:]
    ones, zeros = (1,) * rank, (0,) * rank
    geometry = replace(
        left,
        kernel=(*ones, *rest),
        strides=(*ones, *left.strides[rank:]),
        dilations=(1,) * left.ndim,
        pads_begin=(*zeros, *left.pads_begin[rank:]),
        pads_end=(*zeros, *left.pads_end[rank:]),
        group=(last - first) * left.group,
    )
    # The filters are (products, K, C × taps that are left, phases).
    part = tiling.filters[first:last]
    count, outputs, _, phases = part.shape
    width = tiling.channels[0] // left.group
    part = part.reshape(count * outputs, width, prod(rest), phases).transpose(0, 3, 1, 2)
    part = part.reshape(count * outputs, phases * width, *ones, *rest)
    bias = bias_of_products(build, tiling, first, last)
    return build.conv(data, stored(build, tiling, part, "filters"), bias, geometry)


def _finished(build: Replacement, tiling: Tiling, products: Value, form: str) -> Rewrite:
    places: Sequence[int] = (*tiling.tiles, *tiling.outputs[len(tiling.axes) :])
    shape = [tiling.products, tiling.channels[1] * prod(places)]
    phases = outputs_of_products(build, tiling, reshaped(build, tiling, products, shape))
    return finished(build, tiling, put_together(build, tiling, phases, places), form)
