"""Graphs for the pass lower-to-gemm, drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.graph import Graph
from convc.ir import Dim, Value
from tests.algebra.strategies import conv_geometries, kernel_for, transpose_geometries
from tests.lower_strategies import opened, smallest
from tests.strategies import finished, layer, new_graph, seeds

OPSETS = (6, 7, 9, 10, 11, 13, 17, 21)
NDIMS = st.sampled_from([1, 2, 2, 3])


def convs() -> st.SearchStrategy[Graph]:
    """A Conv over all of its attributes, one of five with ``auto_pad``."""
    return _convs(0)


def pointwise_convs() -> st.SearchStrategy[Graph]:
    """A Conv of one tap, with strides, pads and groups."""
    return _convs(1)


@st.composite
def _convs(draw: st.DrawFn, taps: int) -> Graph:
    ndim, group = draw(NDIMS), draw(st.sampled_from([1, 1, 2, 3]))
    geometry = draw(conv_geometries(ndim, group, 0))
    if taps:
        geometry = replace(geometry, kernel=(taps,) * ndim)
        if draw(st.booleans()):
            geometry = replace(geometry, pads_begin=(0,) * ndim, pads_end=(0,) * ndim)
    if draw(st.booleans()):
        geometry = replace(geometry, dilations=(1,) * ndim)
    room = st.integers(0, 4 if ndim < 3 else 2)
    size = [smallest(geometry, axis) + draw(room) for axis in range(ndim)]
    graph = draw(_graph(geometry, size, draw(st.sampled_from([1, 1, 2]))))
    # onnxruntime refuses auto_pad with a dilation; with a stride the pads depend on the size.
    plain = max(geometry.dilations) == 1 and (max(geometry.strides) == 1 or not graph.sizes)
    if not plain or draw(st.integers(0, 2)):
        return graph
    conv = next(op for op in graph.ops() if op.kind == "Conv")
    mode = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    if mode == "VALID" and any(n < e for n, e in zip(size, geometry.extent, strict=True)):
        return graph
    return _with_auto_pad(graph, conv.result, mode)


def _with_auto_pad(graph: Graph, y: Value, mode: str) -> Graph:
    from convc.opset import infer_types

    kept = {k: v for k, v in y.op.attributes.items() if k != "pads"}
    y.op.attributes = {**kept, "auto_pad": mode}
    (y.type,) = infer_types(graph, y.op)
    for user, _ in graph.uses(y):
        if user is not graph.output:
            user.result.type = y.type
    return graph


@st.composite
def patch_convs(draw: st.DrawFn) -> Graph:
    """A Conv whose stride is its kernel, on any size."""
    ndim, group = draw(NDIMS), draw(st.sampled_from([1, 1, 2]))
    geometry = draw(conv_geometries(ndim, group, 0))
    kernel = tuple(draw(st.integers(1, 4 if ndim < 3 else 2)) for _ in range(ndim))
    if max(kernel) == 1:
        kernel = (2, *kernel[1:])
    geometry = replace(geometry, kernel=kernel, strides=kernel, dilations=(1,) * ndim)
    if draw(st.booleans()):
        geometry = replace(geometry, pads_begin=(0,) * ndim, pads_end=(0,) * ndim)
    size = [smallest(geometry, axis) + draw(st.integers(0, 6)) for axis in range(ndim)]
    return draw(_graph(geometry, size, draw(st.sampled_from([0, 1]))))


@st.composite
def full_convs(draw: st.DrawFn) -> Graph:
    """A Conv with one output that reads all of its input, perhaps padding beside it."""
    ndim, group = draw(NDIMS), draw(st.sampled_from([1, 1, 2]))
    geometry = draw(conv_geometries(ndim, group, 0))
    size, begin, end, dilations = [], [], [], []
    for k in geometry.kernel:
        wide = draw(st.integers(1, 3)) if k > 1 and draw(st.integers(0, 3)) == 0 else 1
        n = draw(st.integers(1, k)) if wide == 1 else 1
        before = draw(st.integers(0, (k - n) if wide == 1 else k - 1)) * wide
        size.append(n)
        dilations.append(wide)
        begin.append(before)
        end.append(wide * (k - 1) + 1 - n - before)
    geometry = replace(
        geometry, dilations=tuple(dilations), pads_begin=tuple(begin), pads_end=tuple(end)
    )
    return draw(_graph(geometry, size, 0))


@st.composite
def transposed_convs(draw: st.DrawFn) -> Graph:
    """A ConvTranspose over all of its attributes, half of them strided alike on all axes."""
    ndim, group = draw(NDIMS), draw(st.sampled_from([1, 1, 2, 3]))
    geometry = draw(transpose_geometries(ndim, group))
    if draw(st.booleans()):
        geometry = replace(geometry, dilations=(1,) * ndim)
    if draw(st.booleans()):
        least = max(*geometry.strides, *geometry.output_padding, 1)
        geometry = replace(geometry, strides=(least,) * ndim)
    room = st.integers(0, 3 if ndim < 3 else 1)
    size = [smallest(geometry, axis) + draw(room) for axis in range(ndim)]
    return draw(_graph(geometry, size, 1))


@st.composite
def _graph(draw: st.DrawFn, geometry: ConvGeometry, size: Sequence[int], most_open: int) -> Graph:
    """The conv with random weights; ``most_open``: 0 leaves the batch open at most, 2 all sizes."""
    ndim, group = geometry.ndim, geometry.group
    inputs, outputs = (group * draw(st.integers(1, 3)) for _ in range(2))
    shape = [draw(st.integers(1, 3)), inputs, *size]
    dims: list[Dim] = list(shape)
    sizes: dict[str, int] = {}
    if most_open == 2:
        dims = [f"d{i}" if i != 1 else inputs for i in range(ndim + 2)]
        sizes = {str(d): n for d, n in zip(dims, shape, strict=True) if isinstance(d, str)}
    elif draw(st.booleans()):
        dims, sizes = opened(draw, shape, [0, *range(2, ndim + 2)] if most_open else [0])
    rng: np.random.Generator = draw(seeds())
    build, x = new_graph(dims, int(rng.choice(OPSETS)), sizes=sizes)
    bias = rng.standard_normal(outputs) if rng.integers(2) else None
    y = layer(build, x, geometry, kernel_for(geometry, inputs, outputs, rng), bias)
    return finished(build, build.op("Relu", (y,)) if draw(st.booleans()) else y)
