"""Convs whose kernels are built of factors, drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.conv import geometry_attributes
from convc.graph import Graph
from convc.ir import Array, TensorType
from tests.lower_strategies import OPSETS, opened, smallest
from tests.strategies import finished, new_graph, seeds

Planted = tuple[ConvGeometry, Array]
"""A geometry and a kernel (K, C/g, *k) of factors."""

Draw = st.DrawFn


@st.composite
def planted(draw: Draw, kind: str, noise: float = 0.0) -> Graph:
    """A Conv over all of its attributes, whose kernel is built of the factors of ``kind``.

    The bias is a constant, an input or not there; one of four has ``auto_pad``.

    Args:
        draw: of Hypothesis.
        kind: one of `PLANTS`.
        noise: is added, this part of the kernel's root mean square.
    """
    geometry, kernel = PLANTS[kind](draw, draw(seeds()))
    if noise:
        scale = noise * np.sqrt(np.square(kernel).mean())
        kernel = kernel + scale * draw(seeds()).standard_normal(kernel.shape)
    ndim, group = geometry.ndim, geometry.group
    automatic = draw(st.integers(0, 3)) == 0
    if automatic:  # onnxruntime takes no dilation then
        none, ones = (0,) * ndim, (1,) * ndim
        geometry = replace(geometry, pads_begin=none, pads_end=none, dilations=ones)
    room = st.integers(9, 13) if kind == "composed" else st.integers(0, 5)
    size = [smallest(geometry, axis) + draw(room) for axis in range(ndim)]
    shape = [draw(st.integers(1, 2)), group * kernel.shape[1], *size]
    # SAME crops where a stride is larger than the kernel: such a conv stays as it is.
    dims, sizes = opened(draw, shape, [] if automatic else [0, *range(2, ndim + 2)])
    build, x = new_graph(dims, draw(st.sampled_from(OPSETS)), sizes=sizes)
    operands = [x, build.constant(kernel.astype(np.float32), name="weight")]
    bias = draw(st.sampled_from(["constant", "input", "none"]))
    if bias == "constant":
        rng = draw(seeds())
        operands.append(build.constant(rng.standard_normal(len(kernel)).astype(np.float32)))
    if bias == "input":
        type_ = TensorType(np.dtype(np.float32), (len(kernel),))
        operands.append(build.graph.add_input("bias", type_))
    attributes = geometry_attributes(geometry)
    if automatic:
        attributes = {k: v for k, v in attributes.items() if k != "pads"}
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    y = build.op("Conv", operands, attributes, name="conv")
    results = [build.op("Relu", (y,), type_=y.type) if draw(st.booleans()) else y]
    if draw(st.integers(0, 3)) == 0:
        results.append(y)
    return finished(build, *dict.fromkeys(results))


def _geometry(draw: Draw, kernel: Sequence[int], group: int, most_stride: int = 2) -> ConvGeometry:
    """Strides, dilations and pads for a kernel; three of four have stride 1."""
    ndim = len(kernel)
    largest = draw(st.sampled_from([1, 1, 1, most_stride]))

    def axes(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(ndim))

    return ConvGeometry(
        kernel=tuple(kernel),
        strides=axes(1, largest),
        dilations=axes(1, 2),
        pads_begin=axes(0, 3),
        pads_end=axes(0, 3),
        group=group,
    )


def _taps(draw: Draw, low: int, high: int, ndims: Sequence[int] = (2, 2, 3)) -> list[int]:
    ndim = draw(st.sampled_from(ndims))
    return [draw(st.integers(low, high if ndim < 3 else low)) for _ in range(ndim)]


def _separable(draw: Draw, rng: np.random.Generator) -> Planted:
    """Groups of rank 1 or 2 in the unfolding of one axis and the rest."""
    taps = _taps(draw, 3, 6)
    group, rank = draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(1, 2))
    inputs, outputs = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    first = rng.standard_normal((group, rank, inputs, taps[0]))
    rest = rng.standard_normal((group, outputs, rank, prod(taps[1:])))
    kernel = np.einsum("grch,gkrw->gkchw", first, rest)
    kernel = kernel.reshape(group * outputs, inputs, *taps)
    if draw(st.booleans()):
        kernel, taps = kernel.swapaxes(2, -1), [taps[-1], *taps[1:-1], taps[0]]
    return _geometry(draw, taps, group), np.ascontiguousarray(kernel)


def _terms(draw: Draw, rng: np.random.Generator) -> Planted:
    """Filters of one channel, each a sum of one or two separables of its own."""
    taps = _taps(draw, 6, 7, (2,))
    group, filters = draw(st.sampled_from([1, 3, 4])), draw(st.integers(1, 3))
    terms = draw(st.integers(1, 2))
    one, other = (rng.standard_normal((group * filters, terms, k)) for k in taps)
    kernel = np.einsum("kth,ktw->khw", one, other)[:, np.newaxis]
    return _geometry(draw, taps, group), kernel


def _low_rank_out(draw: Draw, rng: np.random.Generator) -> Planted:
    """Groups in which few filters make all."""
    taps, rank = _taps(draw, 2, 4, (1, 2, 2, 3)), draw(st.integers(1, 2))
    group, inputs = draw(st.sampled_from([1, 1, 2])), draw(st.integers(2, 4))
    filters = rng.standard_normal((group, rank, inputs, prod(taps)))
    mixes = rng.standard_normal((group, draw(st.integers(4, 7)), rank))
    kernel = np.einsum("grct,gkr->gkct", filters, mixes)
    return _geometry(draw, taps, group), kernel.reshape(-1, inputs, *taps)


def _low_rank_in(draw: Draw, rng: np.random.Generator) -> Planted:
    """Groups in which few sums of channels are read."""
    taps, rank = _taps(draw, 3, 4, (1, 2, 2)), draw(st.integers(1, 2))
    group, outputs = draw(st.sampled_from([1, 1, 2])), draw(st.integers(3, 5))
    inputs = draw(st.integers(5, 7))
    sums = rng.standard_normal((group, rank, inputs))
    filters = rng.standard_normal((group, outputs, rank, prod(taps)))
    kernel = np.einsum("grc,gkrt->gkct", sums, filters)
    return _geometry(draw, taps, group), kernel.reshape(-1, inputs, *taps)


def _tucker(draw: Draw, rng: np.random.Generator) -> Planted:
    """Few filters of few sums of channels."""
    taps = _taps(draw, 3, 4, (1, 2, 2))
    inputs, outputs = draw(st.integers(6, 8)), draw(st.integers(6, 8))
    core = rng.standard_normal((2, draw(st.integers(1, 2)), prod(taps)))
    into = rng.standard_normal((core.shape[1], inputs))
    out = rng.standard_normal((outputs, 2))
    kernel = np.einsum("rc,srt,ks->kct", into, core, out)
    return _geometry(draw, taps, 1), kernel.reshape(outputs, inputs, *taps)


def _cp(draw: Draw, rng: np.random.Generator) -> Planted:
    """One or two products of a vector for each axis and for the channels."""
    taps, rank = _taps(draw, 3, 4, (2,)), draw(st.integers(1, 2))
    shape = (draw(st.integers(3, 6)), draw(st.integers(3, 6)), *taps)
    vectors = [rng.standard_normal((rank, n)) for n in shape]
    return _geometry(draw, taps, 1), np.einsum("rk,rc,rh,rw->kchw", *vectors)


def _composed(draw: Draw, rng: np.random.Generator) -> Planted:
    """Filters of one channel that are two smaller ones, one after the other."""
    ones, others = (_taps(draw, 3, 4, (2,)) for _ in range(2))
    group, filters = draw(st.sampled_from([1, 3])), draw(st.integers(1, 2))
    kernels = []
    for _ in range(group * filters):
        one, other = (rng.standard_normal(taps) for taps in (ones, others))
        kernels.append(full_product(one, other))
    kernel = np.stack(kernels)[:, np.newaxis]
    return _geometry(draw, kernel.shape[2:], group, 1), kernel


def full_product(one: Array, other: Array) -> Array:
    """All of the sums of products of two kernels."""
    whole = np.zeros([a + b - 1 for a, b in zip(one.shape, other.shape, strict=True)])
    for (i, j), value in np.ndenumerate(one):
        whole[i : i + other.shape[0], j : j + other.shape[1]] += value * other
    return whole


PLANTS: dict[str, Callable[[Draw, np.random.Generator], Planted]] = {
    "separable": _separable,
    "terms": _terms,
    "low-rank-out": _low_rank_out,
    "low-rank-in": _low_rank_in,
    "tucker": _tucker,
    "cp": _cp,
    "composed": _composed,
}
