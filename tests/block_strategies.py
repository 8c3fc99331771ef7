"""Graphs for the exact and the approximate kinds of block-diagonal, drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from convc.algebra import ConvGeometry, regroup, swap_layout
from convc.build import Builder
from convc.conv import geometry_attributes, transpose_attributes
from convc.graph import Graph
from convc.ir import Value
from tests.algebra.strategies import conv_geometries, ndims, transpose_geometries
from tests.lower_strategies import OPSETS, UNARY, opened, smallest
from tests.strategies import finished, new_graph, random_conv, seeds


def hidden_kernel(
    rng: np.random.Generator, groups: int, size: tuple[int, int], taps: Sequence[int]
) -> np.ndarray:
    """(K, C, *taps), dense blocks under random permutations, in float32."""
    w = rng.standard_normal((groups * size[0], size[1], *taps)).astype(np.float32)
    wide = regroup(w, groups, 1)
    rows, columns = (rng.permutation(n) for n in wide.shape[:2])
    return wide[rows][:, columns]


@st.composite
def hidden(draw: st.DrawFn) -> Graph:
    """A Conv or ConvTranspose of hidden blocks over all attributes, often between dense convs.

    Two to four blocks of two or three channels each, in one group or in two. Elementwise ops may
    be between; some values are outputs as well.
    """
    ndim, kind = draw(ndims()), draw(st.sampled_from(["Conv", "Conv", "ConvTranspose"]))
    conv, group = kind == "Conv", draw(st.sampled_from([1, 1, 2]))
    geometry = draw(conv_geometries(ndim, group, 0) if conv else transpose_geometries(ndim, group))
    rng, blocks = draw(seeds()), draw(st.integers(2, 4))
    width = draw(st.tuples(st.integers(2, 3), st.integers(2, 3)))
    parts = [hidden_kernel(rng, blocks, width, geometry.kernel) for _ in range(group)]
    kernel = np.concatenate(parts)
    room = st.integers(0, 4 if ndim < 3 else 2)
    size = [smallest(geometry, axis) + draw(room) for axis in range(ndim)]
    channels = kernel.shape[1] * group
    before, behind = draw(st.booleans()), draw(st.booleans())
    shape = [draw(st.integers(1, 2)), 3 if before else channels, *size]
    dims, sizes = opened(draw, shape, [0, *range(2, ndim + 2)])
    build, x = new_graph(dims, draw(st.sampled_from(OPSETS)), sizes=sizes)
    between = st.lists(st.sampled_from(UNARY), max_size=2)
    if before:
        x = random_conv(build, x, channels, (1,) * ndim, bias=draw(st.booleans()))
        x = _elementwise(build, x, draw(between))
    seen = [x] if before and draw(st.integers(0, 3)) == 0 else []
    weight = kernel if conv else swap_layout(kernel, group)
    operands = [x, build.constant(weight, name="weight")]
    if draw(st.booleans()):
        bias = rng.standard_normal(kernel.shape[0]).astype(np.float32)
        operands.append(build.constant(bias, name="bias"))
    attributes = (geometry_attributes if conv else transpose_attributes)(geometry)
    y = build.op(kind, operands, attributes, name="hidden")
    seen += [y] if draw(st.integers(0, 3)) == 0 else []
    y = _elementwise(build, y, draw(between))
    if behind:
        y = random_conv(build, y, 2, (1,) * ndim)
    return finished(build, *dict.fromkeys([y, *seen]))


@st.composite
def dense_convs(draw: st.DrawFn, blocks: int) -> tuple[Graph, ConvGeometry]:
    """A dense Conv over all attributes, its channels multiples of ``blocks``; its geometry."""
    ndim = draw(ndims())
    geometry = draw(conv_geometries(ndim, 1, 0))
    if max(geometry.kernel) == 1 and draw(st.booleans()):
        geometry = replace(geometry, kernel=(2,) * ndim)
    rng = draw(seeds())
    outputs, inputs = (blocks * draw(st.integers(1, 4)) for _ in range(2))
    size = [smallest(geometry, axis) + draw(st.integers(0, 3)) for axis in range(ndim)]
    shape = [draw(st.integers(1, 2)), inputs, *size]
    dims, sizes = opened(draw, shape, [0, *range(2, ndim + 2)])
    build, x = new_graph(dims, draw(st.sampled_from(OPSETS)), sizes=sizes)
    kernel = rng.standard_normal((outputs, inputs, *geometry.kernel)).astype(np.float32)
    operands = [x, build.constant(kernel, name="weight")]
    if draw(st.booleans()):
        operands.append(build.constant(rng.standard_normal(outputs).astype(np.float32)))
    y = build.op("Conv", operands, geometry_attributes(geometry), name="dense")
    return finished(build, y), geometry


def _elementwise(build: Builder, value: Value, kinds: Sequence[str]) -> Value:
    for kind in kinds:
        value = build.op(kind, (value,), type_=value.type)
    return value
