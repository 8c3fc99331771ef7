"""Tiles on all axes, computed on plain matrices: one product for each row of Bᵀ."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from convc.algebra import ConvGeometry
from convc.graph import Graph
from convc.ir import Op, Value
from convc.rewrite import Replacement, Rewrite
from passes.lower_to_winograd.tiling import (
    Tiling,
    bias_of_products,
    cropped_input,
    cut_surplus,
    finished,
    outputs_of_products,
    put_together,
    read_tiling,
    reshaped,
    stored,
    with_bias,
)


def lower_tiles(graph: Graph, op: Op, tile: int, tolerance: float) -> Rewrite:
    """Products by MatMul; the outputs of a tile are phases, which are interleaved."""
    tiling = read_tiling(op, tile, tolerance)
    build = Replacement(graph)
    products = _multiplied(build, tiling, _transformed(build, tiling))
    phases = outputs_of_products(build, tiling, products)
    value = put_together(build, tiling, phases, tiling.tiles)
    return finished(build, tiling, with_bias(build, tiling, value), "tiles")


def lower_tiles_last(graph: Graph, op: Op, tile: int, tolerance: float) -> Rewrite:
    """Products by MatMul; the outputs of a tile are neighbours, whose rows are put in order."""
    tiling = read_tiling(op, tile, tolerance)
    build = Replacement(graph)
    products = _multiplied(build, tiling, _transformed(build, tiling))
    turned = build.transpose(products, (1, 0) if tiling.batch == 1 else (0, 2, 1))
    matrix = stored(build, tiling, tiling.matrix().T, "outputs")
    value = _side_by_side(build, tiling, build.op("MatMul", (turned, matrix)))
    value = cut_surplus(build, tiling, value)
    return finished(build, tiling, with_bias(build, tiling, value), "tiles-last")


def lower_grouped(graph: Graph, op: Op, tile: int, tolerance: float) -> Rewrite:
    """All products by one 1×1 conv with a group for each row of Bᵀ."""
    tiling = read_tiling(op, tile, tolerance)
    build = Replacement(graph)
    inputs, outputs = tiling.channels
    width, places = inputs * tiling.phases, prod(tiling.tiles)
    transformed = _transformed(build, tiling)
    value = reshaped(build, tiling, transformed, [width, tiling.products, places])
    value = build.transpose(value, (0, 2, 1, 3))
    value = reshaped(build, tiling, value, [tiling.products * width, *tiling.tiles])
    ones = (1,) * len(tiling.tiles)
    group = tiling.products * tiling.group
    filters = tiling.filters.reshape(tiling.products * outputs, width // tiling.group, *ones)
    pointwise = ConvGeometry(ones, ones, ones, (0,) * len(ones), (0,) * len(ones), group)
    weight = stored(build, tiling, filters, "filters")
    products = build.conv(value, weight, bias_of_products(build, tiling), pointwise)
    products = reshaped(build, tiling, products, [tiling.products, outputs * places])
    phases = outputs_of_products(build, tiling, products)
    return finished(build, tiling, put_together(build, tiling, phases, tiling.tiles), "grouped")


def _transformed(build: Replacement, tiling: Tiling) -> Value:
    """The transformed input, every channel an image: (N·C, phases × products, *tiles)."""
    data = cropped_input(build, tiling)
    count = tiling.batch * tiling.channels[0] if tiling.batch > 0 else -1
    images = build.reshape(data, [count, 1, *tiling.size])
    kernels = tiling.kernels()
    kernels = kernels.reshape(-1, 1, *kernels.shape[2:])
    return build.conv(images, stored(build, tiling, kernels, "inputs"), None, tiling.window)


def _multiplied(build: Replacement, tiling: Tiling, transformed: Value) -> Value:
    """The products: (N, products, K × tiles), without the N where it is one."""
    inputs, outputs = tiling.channels
    width, places = inputs // tiling.group * tiling.phases, prod(tiling.tiles)
    groups = [] if tiling.group == 1 else [tiling.group]
    filters = tiling.filters.reshape(tiling.products, *groups, outputs // tiling.group, width)
    value = _by_image(build, tiling, transformed, [*groups, width, tiling.products, places])
    # The products go before the channels. Where those are the first two of three axes, the runtime
    # makes that a part of the MatMul.
    first, last = int(tiling.batch != 1), len(groups) + 1 + int(tiling.batch != 1)
    order = [*range(first), last, *range(first, last), last + 1]
    value = build.transpose(value, order)
    value = build.op("MatMul", (stored(build, tiling, filters, "filters"), value))
    return _by_image(build, tiling, value, [tiling.products, outputs * places])


def _by_image(build: Replacement, tiling: Tiling, data: Value, shape: Sequence[int]) -> Value:
    """``data`` as (N, *shape), or as ``shape`` where N is one."""
    return build.reshape(data, shape) if tiling.batch == 1 else reshaped(build, tiling, data, shape)


def _side_by_side(build: Replacement, tiling: Tiling, tiles: Value) -> Value:
    """(N, K × tiles, outputs of a tile) to (N, K, *size covered)."""
    rank, outputs = len(tiling.axes), tiling.channels[1]
    tile = [axis.m for axis in tiling.axes]
    value = reshaped(build, tiling, tiles, [outputs, *tiling.tiles, *tile])
    if rank > 1:
        order = [i for axis in range(rank) for i in (2 + axis, 2 + rank + axis)]
        value = build.transpose(value, [0, 1, *order])
    covered = [count * m for count, m in zip(tiling.tiles, tile, strict=True)]
    return reshaped(build, tiling, value, [outputs, *covered])
