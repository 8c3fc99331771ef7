"""Random graphs of one or two layers, and the pass that rewrites each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from convc.algebra import ConvGeometry, TransposeGeometry
from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.pipeline import Pass
from passes import (
    BlockDiagonal,
    CommuteLinear,
    FactorKernels,
    FlushSubnormals,
    FoldAffine,
    FuseConvs,
    LowerActivations,
    LowerToConv2d,
    LowerToGemm,
    LowerToWinograd,
    MergeBranches,
)
from tests.rounding.drawing import Draw
from tests.strategies import finished, new_graph

Kind = Callable[[Draw], tuple[Graph, Pass]]


def _pointwise(ndim: int) -> ConvGeometry:
    ones, zeros = (1,) * ndim, (0,) * ndim
    return ConvGeometry(ones, ones, ones, zeros, zeros, 1)


def _plain(draw: Draw, most: int = 5) -> tuple[Builder, Value]:
    """A conv of one group with a bias."""
    geometry = draw.geometry(draw.ndim(), most=most)
    build, x = draw.start(draw.channels(), geometry)
    outputs = draw.channels()
    return build, draw.conv(build, x, outputs, geometry, draw.bias(outputs))


def _grouped(draw: Draw) -> tuple[Builder, Value]:
    """A conv of several groups, depthwise at times."""
    group = draw.common or draw.between(2, 6)
    each = 1 if draw.common else draw.among(1, 1, 2, 3)
    geometry = draw.geometry(draw.ndim(), group)
    build, x = draw.start(group * each, geometry)
    outputs = group * (1 if draw.common else draw.between(1, 3))
    return build, draw.conv(build, x, outputs, geometry, draw.bias(outputs))


def folded(draw: Draw) -> tuple[Graph, Pass]:
    """A conv, dense or grouped, and per-channel numbers or a batch norm behind it."""
    build, y = draw.among(_plain, _grouped)(draw)
    assert y.shape is not None
    count = int(str(y.shape[1]))
    shape = (count, *(1,) * (len(y.shape) - 2))
    kind = draw.among("Mul", "Add", "BatchNormalization")
    if kind == "BatchNormalization":
        stats = [draw.constant(build, count) for _ in range(3)]
        spread = build.constant(draw.rng.uniform(0.1, 2, count).astype(np.float32))
        y = build.op(kind, (y, *stats, spread), type_=y.type)
    else:
        y = build.op(kind, (y, draw.constant(build, *shape)))
    return finished(build, y), FoldAffine()


def fused(draw: Draw) -> tuple[Graph, Pass]:
    """Two convs in sequence."""
    ndim = draw.ndim()
    first = draw.geometry(ndim, most=3)
    second = draw.among(draw.geometry(ndim, most=3), _pointwise(ndim))
    if draw.common:
        second = _pointwise(ndim)
    build, x = draw.start(draw.channels(12), first, second)
    between, outputs = draw.channels(12), draw.channels(12)
    y = draw.conv(build, x, between, first, draw.bias(between))
    y = draw.conv(build, y, outputs, second, draw.bias(outputs))
    return finished(build, y), FuseConvs()


def fused_products(draw: Draw) -> tuple[Graph, Pass]:
    """Gemm or MatMul, twice."""
    width, between, outputs = (draw.channels(64) for _ in range(3))
    build, y = new_graph((draw.between(1, 16), width))
    for inner, outer in ((width, between), (between, outputs)):
        matrix = build.constant(draw.array(outer, inner).T.astype(np.float32))
        if draw.between(0, 1):
            y = build.op("Gemm", (y, matrix, draw.constant(build, outer)))
        else:
            y = build.op("MatMul", (y, matrix))
    return finished(build, y), FuseConvs()


def branches(draw: Draw) -> tuple[Graph, Pass]:
    """The sum of convs on one input or on two, of a conv and its input (RepVGG)."""
    ndim = draw.ndim()
    geometry = replace(
        draw.geometry(ndim, plain=True),
        kernel=(3,) * ndim,
        pads_begin=(1,) * ndim,
        pads_end=(1,) * ndim,
    )
    build, x = draw.start(draw.channels(), geometry)
    assert x.shape is not None
    channels = int(str(x.shape[1]))
    one = draw.conv(build, x, channels, geometry, draw.bias(channels))
    other = x
    if draw.between(0, 1):
        other = draw.conv(build, x, channels, _pointwise(ndim), draw.bias(channels))
    return finished(build, build.add(one, other)), MergeBranches(grow=True)


def joined(draw: Draw) -> tuple[Graph, Pass]:
    """The sum of convs on different inputs."""
    geometry = draw.geometry(2)
    build, x = draw.start(draw.channels(), geometry)
    z = build.graph.add_input("z", x.type)
    outputs = draw.channels()
    one, other = (draw.conv(build, v, outputs, geometry, draw.bias(outputs)) for v in (x, z))
    return finished(build, build.add(one, other)), MergeBranches(grow=True)


def pooled(draw: Draw) -> tuple[Graph, Pass]:
    """A pointwise conv and an average pool, which change places."""
    build, x = new_graph((1, draw.channels(), 2 * draw.between(1, 10), 2 * draw.between(1, 10)))
    outputs = draw.channels()
    y = draw.conv(build, x, outputs, _pointwise(2), draw.bias(outputs))
    if draw.between(0, 1):
        y = build.op("GlobalAveragePool", (y,))
    else:
        y = build.op("AveragePool", (y,), {"kernel_shape": (2, 2), "strides": (2, 2)})
    return finished(build, y), CommuteLinear()


def enlarged(draw: Draw) -> tuple[Graph, Pass]:
    """Nearest neighbours and a conv: four phases, or the conv first."""
    geometry = draw.geometry(2, plain=True)
    if draw.between(0, 1):
        geometry = _pointwise(2)
    build, x = draw.start(draw.channels(), geometry)
    assert x.shape is not None
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    attributes = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    batch, channels, height, width = (int(str(d)) for d in x.shape)
    type_ = TensorType(np.dtype(np.float32), (batch, channels, 2 * height, 2 * width))
    y = build.op("Resize", (x, None, scales), attributes, type_=type_)
    outputs = draw.channels()
    y = draw.conv(build, y, outputs, geometry, draw.bias(outputs))
    return finished(build, y), draw.among(LowerToConv2d(), CommuteLinear())


def factored(draw: Draw) -> tuple[Graph, Pass]:
    """A kernel of low rank, as float32 has it: separable, or of few channels."""
    if draw.between(0, 1):
        channels, taps = draw.channels(), 7 if draw.common else draw.between(3, 9)
        column, row = draw.array(channels, 1, taps, 1), draw.array(channels, 1, 1, taps)
        half = (taps // 2,) * 2
        geometry = ConvGeometry((taps, taps), (1, 1), (1, 1), half, half, channels)
        kernel = column * row * taps
    else:
        channels = draw.common or draw.between(16, 40)
        rank = max(channels // 8, 1)
        geometry = replace(draw.geometry(2, plain=True), kernel=(3, 3))
        inner = draw.array(rank, channels * 9)
        kernel = (draw.array(channels, rank) @ inner).reshape(channels, channels, 3, 3)
    build, x = draw.start(channels, geometry)
    y = draw.conv(build, x, len(kernel), geometry, draw.bias(len(kernel)), kernel=kernel)
    return finished(build, y), FactorKernels(block=1)


def blocks(draw: Draw) -> tuple[Graph, Pass]:
    """Small groups, which are made wider, or hidden ones."""
    geometry = draw.geometry(2, draw.among(4, 8))
    build, x = draw.start(geometry.group * draw.among(2, 4), geometry)
    outputs = geometry.group * draw.among(2, 4)
    y = draw.conv(build, x, outputs, geometry, draw.bias(outputs))
    return finished(build, y), BlockDiagonal()


def transposed(draw: Draw) -> tuple[Graph, Pass]:
    """A transposed conv of stride 1 or more."""
    ndim = 2 if draw.common else draw.among(1, 2, 2)
    group = 1 if draw.common else draw.among(1, 1, 2)
    strides = (2,) * ndim if draw.common else tuple(draw.between(1, 3) for _ in range(ndim))
    kernel = tuple(draw.between(s, 5) for s in strides)
    begin = tuple(draw.between(0, (k - 1) // 2) for k in kernel)
    extra = tuple(draw.between(0, s - 1) for s in strides)
    ones = (1,) * ndim
    geometry = TransposeGeometry(kernel, strides, ones, begin, begin, extra, group)
    inputs, outputs = group * draw.channels(12), draw.channels(12)
    build, x = draw.start(inputs, geometry)
    kernel_ = draw.array(inputs, outputs, *kernel)
    bias = draw.bias(group * outputs)
    y = draw.conv(build, x, outputs, geometry, bias, kernel=kernel_)
    forms = {1: LowerToConv2d(), 0: LowerToGemm()}
    return finished(build, y), forms[draw.between(0, 1)]


def lines(draw: Draw) -> tuple[Graph, Pass]:
    """One- and three-dimensional convs in two dimensions."""
    geometry = draw.geometry(1 if draw.common else draw.among(1, 3), most=7)
    build, x = draw.start(draw.channels(12), geometry)
    outputs = draw.channels(12)
    y = draw.conv(build, x, outputs, geometry, draw.bias(outputs))
    return finished(build, y), LowerToConv2d()


def products(draw: Draw) -> tuple[Graph, Pass]:
    """A conv as a matrix product: pointwise, patches, full extent, columns."""
    ndim = draw.ndim()
    form = draw.among("pointwise", "patches", "full", "any", "any")
    geometry = draw.geometry(ndim, 1 if draw.common else draw.among(1, 1, 1, 2))
    if form == "pointwise":
        geometry = _pointwise(ndim)
    if form == "patches":
        zeros = (0,) * ndim
        kernel = tuple(draw.between(2, 4) for _ in range(ndim))
        geometry = ConvGeometry(kernel, kernel, (1,) * ndim, zeros, zeros, 1)
    build, x = draw.start(geometry.group * draw.channels(), geometry)
    if form == "full":
        assert x.shape is not None
        zeros, kernel = (0,) * ndim, tuple(int(str(d)) for d in x.shape[2:])
        geometry = ConvGeometry(kernel, (1,) * ndim, (1,) * ndim, zeros, zeros, geometry.group)
    outputs = geometry.group * draw.channels()
    y = draw.conv(build, x, outputs, geometry, draw.bias(outputs))
    return finished(build, y), LowerToGemm()


def winograd(draw: Draw) -> tuple[Graph, Pass]:
    """Tiles."""
    form = draw.among("planes", "rows", "rows-apart")
    tile = 4 if draw.common else draw.among(2, 3, 4)
    geometry = draw.geometry(2, plain=True)
    if not draw.common:
        kernel = tuple(draw.between(2, 5) for _ in range(2))
        geometry = replace(geometry, kernel=kernel, pads_begin=(1, 1), pads_end=(1, 1))
    channels, outputs = max(draw.channels(48), 2), draw.channels(48)
    if draw.common:
        build, x = draw.start(channels, geometry)
    else:
        sizes = [k + draw.between(tile, 16) for k in geometry.kernel]
        build, x = new_graph((draw.between(1, 2), channels, *sizes))
    y = draw.conv(build, x, outputs, geometry, draw.bias(outputs))
    return finished(build, y), LowerToWinograd((form,), (tile,), np.inf)


def flushed(draw: Draw) -> tuple[Graph, Pass]:
    """A conv some of whose weights are next to nothing."""
    geometry = draw.geometry(2)
    build, x = draw.start(draw.channels(), geometry)
    assert x.shape is not None
    outputs = draw.channels()
    kernel = draw.array(outputs, int(str(x.shape[1])), *geometry.kernel)
    kernel = np.where(draw.rng.random(kernel.shape) < 0.2, 1e-38 * kernel, kernel)
    y = draw.conv(build, x, outputs, geometry, draw.bias(outputs), kernel=kernel)
    return finished(build, y), FlushSubnormals()


def activated(draw: Draw) -> tuple[Graph, Pass]:
    """PRelu in other words."""
    channels = draw.channels()
    build, x = new_graph((1, channels, draw.between(1, 12), draw.between(1, 12)))
    y = build.op("PRelu", (x, draw.constant(build, channels, 1, 1)), type_=x.type)
    return finished(build, y), LowerActivations()


KINDS: Mapping[str, Kind] = {
    function.__name__.replace("_", " "): function
    for function in (
        folded,
        fused,
        fused_products,
        branches,
        joined,
        pooled,
        enlarged,
        factored,
        blocks,
        transposed,
        lines,
        products,
        winograd,
        flushed,
        activated,
    )
}

COMMON_KINDS = ("folded", "fused", "branches", "factored", "transposed", "products", "winograd")
"""Kinds that layers of common size are drawn from."""
