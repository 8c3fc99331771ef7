"""Kernels to factor: random ones, and ones made of factors and stored in float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[np.float64]
Stored = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Case:
    """A kernel (K, C/group, *taps) and its groups."""

    kernel: Array
    group: int


@dataclass(frozen=True)
class Planted:
    """A float32 kernel made of factors of known rank, below the full one."""

    kernel: Stored
    group: int
    rank: int
    axes: tuple[int, ...] = ()


@st.composite
def kernels(draw: st.DrawFn, min_axes: int = 1, max_axes: int = 3) -> Case:
    """Dense, grouped and depthwise; 1 to 5 taps an axis; filters of any scale."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    ndim = draw(st.integers(min_axes, max_axes))
    taps = [draw(st.integers(1, 5 if ndim < 3 else 3)) for _ in range(ndim)]
    kernel = rng.standard_normal((group * rows, columns, *taps))
    if draw(st.booleans()):
        kernel *= 10.0 ** rng.integers(-6, 3, (group * rows, *[1] * (ndim + 1)))
    return Case(kernel, group)


def planted_separable(rng: Rng) -> Planted:
    """Columns and rows, or with three axes an axis and the other two, either first."""
    group = int(rng.choice([1, 1, 2, 4]))
    sides = _sizes(rng, 2, 1, 5)
    taps = _sizes(rng, int(rng.choice([2, 2, 2, 3])), 2, 5)
    first = int(rng.integers(len(taps)))
    axes = (first,) if rng.random() < 0.5 else tuple(i for i in range(len(taps)) if i != first)
    return _two(rng, group, sides, taps, axes)


def planted_output(rng: Rng) -> Planted:
    """Filters that are mixtures of a few."""
    group = int(rng.choice([1, 1, 2, 3]))
    sides = _sizes(rng, 2, 2, 9)
    taps = _sizes(rng, int(rng.integers(1, 4)), 1, 4)
    return _two(rng, group, sides, taps, tuple(range(len(taps))))


def planted_input(rng: Rng) -> Planted:
    """Filters that read a few mixtures of the channels."""
    group = int(rng.choice([1, 1, 2, 3]))
    sides = _sizes(rng, 2, 2, 9)
    return _two(rng, group, sides, _sizes(rng, int(rng.integers(1, 4)), 1, 4), ())


def planted_terms(rng: Rng) -> Planted:
    """Slices that are each a sum of a few products: depthwise, single-channel and others."""
    rows, columns = (int(rng.integers(1, 9)), 1) if rng.random() < 0.7 else _sizes(rng, 2, 1, 4)
    height, width = _sizes(rng, 2, 2, 11)
    rank = int(rng.integers(1, min(height, width)))
    column, row = (rng.standard_normal((rows, columns, rank, n)) for n in (height, width))
    return Planted(_stored(np.einsum("kcry,kcrx->kcyx", column, row)), 1, rank)


def planted_tucker(rng: Rng) -> tuple[Planted, tuple[int, int]]:
    """A small kernel between two 1×1 ones; with its ranks."""
    group = int(rng.choice([1, 1, 2]))
    rows, columns = _sizes(rng, 2, 3, 10)
    taps = _sizes(rng, int(rng.integers(1, 4)), 2, 4)
    reads, writes = int(rng.integers(1, columns)), int(rng.integers(1, rows))
    # An unfolding of the core has no larger rank than it has columns.
    count = int(np.prod(taps))
    reads, writes = min(reads, writes * count), min(writes, reads * count)
    kernel = np.einsum(
        "gkq,gqrt,grc->gkct",
        rng.standard_normal((group, rows, writes)),
        rng.standard_normal((group, writes, reads, count)),
        rng.standard_normal((group, reads, columns)),
    )
    return Planted(_stored(kernel.reshape(-1, columns, *taps)), group, 0), (reads, writes)


def planted_cp(rng: Rng) -> Planted:
    """A sum of products of vectors, of few enough terms to be the only one.

    With one spatial axis fewer than there are channels on either side; with more than one also
    fewer than the products of an input channel and a tap.
    """
    group = int(rng.choice([1, 1, 1, 2]))
    rows, columns = _sizes(rng, 2, 3, 12)
    taps = _sizes(rng, int(rng.integers(1, 4)), 2, 5)
    inputs = columns * (taps[0] if len(taps) > 1 and rng.random() < 0.5 else 1)
    rank = int(rng.integers(1, min(rows, inputs)))
    kernel = np.ones((group, rank))
    for n in (rows, columns, *taps):
        vectors = rng.standard_normal((group, *[1] * (kernel.ndim - 2), n, rank))
        kernel = kernel[..., np.newaxis, :] * vectors
    return Planted(_stored(kernel.sum(axis=-1).reshape(-1, columns, *taps)), group, rank)


def generic(rng: Rng) -> Planted:
    """A dense, grouped or depthwise kernel of no structure; at least 2×2 taps."""
    group = int(rng.choice([1, 1, 2, 6]))
    rows, columns = _sizes(rng, 2, 1, 8)
    height, width = _sizes(rng, 2, 2, 7)
    return Planted(_stored(rng.standard_normal((group * rows, columns, height, width))), group, 0)


def _two(
    rng: Rng, group: int, sides: tuple[int, ...], taps: tuple[int, ...], axes: tuple[int, ...]
) -> Planted:
    """Two random factors with fewer channels between than the kernel has on either side."""
    rows, columns = sides
    first = tuple(n if i in axes else 1 for i, n in enumerate(taps))
    second = tuple(1 if i in axes else n for i, n in enumerate(taps))
    full = min(columns * int(np.prod(first)), rows * int(np.prod(second)))
    rank = int(rng.integers(1, full)) if full > 1 else 1
    a = rng.standard_normal((group, 1, rank, columns, *first))
    b = rng.standard_normal((group, rows, rank, 1, *second))
    kernel = (a * b).sum(axis=2).reshape(group * rows, columns, *taps)
    return Planted(_stored(kernel), group, rank, axes)


def _sizes(rng: Rng, count: int, least: int, most: int) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(least, most + 1, count))


def _stored(kernel: Array) -> Stored:
    return kernel.astype(np.float32)
