"""Weights with something in them that a pass looks for: zeros, low rank, hidden blocks, scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Rng = np.random.Generator


def kernel(rng: Rng, shape: Sequence[int], *, fan: int | None = None) -> Array:
    """A kernel (filters, channels, taps...) whose responses are about as large as its input."""
    shape = tuple(shape)
    fan = fan or max(1, prod(shape[1:]))
    plain = rng.standard_normal(shape) / np.sqrt(fan)
    if rng.random() < 0.55:
        return plain
    form = FORMS[rng.integers(len(FORMS))]
    return np.asarray(form(rng, plain))


def bias(rng: Rng, size: int) -> Array:
    """A bias: noise, zeros, a few values, or one that is much larger than the responses."""
    plain = rng.standard_normal(size) * 0.3
    form = rng.integers(8)
    if form == 0:
        return np.zeros(size)
    if form == 1:
        return np.round(plain * 4)
    if form == 2:
        return plain * 100.0
    return plain


def _zero_filters(rng: Rng, w: Array) -> Array:
    return w * (rng.random(len(w)) < 0.5).reshape(-1, *(1,) * (w.ndim - 1))


def _zero_channels(rng: Rng, w: Array) -> Array:
    return w * (rng.random(w.shape[1]) < 0.5).reshape(1, -1, *(1,) * (w.ndim - 2))


def _zero(_: Rng, w: Array) -> Array:
    return np.zeros_like(w)


def _sparse(rng: Rng, w: Array) -> Array:
    return w * (rng.random(w.shape) < 0.3)


def _subnormal(rng: Rng, w: Array) -> Array:
    return w * np.where(rng.random(w.shape) < 0.3, 10.0 ** rng.uniform(-44, -21), 1.0)


def _dead_small(rng: Rng, w: Array) -> Array:
    small = np.where(rng.random(len(w)) < 0.4, 10.0 ** rng.uniform(-40, -9), 1.0)
    return w * small.reshape(-1, *(1,) * (w.ndim - 1))


def _magnitudes(rng: Rng, w: Array) -> Array:
    scale = 10.0 ** rng.uniform(-3, 2, len(w))
    return w * scale.reshape(-1, *(1,) * (w.ndim - 1))


def _integers(_: Rng, w: Array) -> Array:
    return np.round(w * np.sqrt(max(1, prod(w.shape[1:]))))


def _separable(rng: Rng, w: Array) -> Array:
    out = w[(..., *(slice(0, 1),) * (w.ndim - 2))].copy()
    for axis in range(2, w.ndim):
        line = rng.standard_normal(w.shape[axis])
        out = out * line.reshape(*(-1 if i == axis else 1 for i in range(w.ndim)))
    return out


def _low_rank(rng: Rng, w: Array) -> Array:
    rank = int(rng.integers(1, 3))
    flat = w.reshape(len(w), -1)
    mix = rng.standard_normal((len(w), min(rank, len(w)))) / np.sqrt(rank)
    return (mix @ flat[: mix.shape[1]]).reshape(w.shape)


def _low_rank_taps(rng: Rng, w: Array) -> Array:
    if w.ndim < 4:
        return _low_rank(rng, w)
    taps = prod(w.shape[2:])
    one = rng.standard_normal((w.shape[0], w.shape[1])) / np.sqrt(prod(w.shape[1:]))
    return (one[..., None] * rng.standard_normal(taps)).reshape(w.shape)


def _blocks(rng: Rng, w: Array) -> Array:
    parts = int(rng.integers(2, 4))
    rows = rng.integers(0, parts, len(w))
    columns = rng.integers(0, parts, w.shape[1])
    mask = rows[:, None] == columns[None, :]
    return w * mask.reshape(*mask.shape, *(1,) * (w.ndim - 2))


def _dirac(_: Rng, w: Array) -> Array:
    out = np.zeros_like(w)
    for i in range(min(w.shape[:2])):
        out[(i, i, *(size // 2 for size in w.shape[2:]))] = 1.0
    return out


def _permutation(rng: Rng, w: Array) -> Array:
    return _dirac(rng, w)[rng.permutation(len(w))]


def _multiples(rng: Rng, w: Array) -> Array:
    out = w.copy()
    for i in range(1, len(w)):
        if rng.random() < 0.5:
            out[i] = out[rng.integers(i)] * rng.choice([1.0, -1.0, 2.0, 0.5])
    return out


def _constant_filters(_: Rng, w: Array) -> Array:
    return np.broadcast_to(w.mean(axis=tuple(range(1, w.ndim)), keepdims=True), w.shape).copy()


def _blur(_: Rng, w: Array) -> Array:
    out = np.ones_like(w)
    for axis in range(2, w.ndim):
        line = 1.0 - np.abs(np.linspace(-1, 1, w.shape[axis] + 2)[1:-1])
        out = out * line.reshape(*(-1 if i == axis else 1 for i in range(w.ndim)))
    return out / max(out[0, 0].sum() * out.shape[1], 1e-9)


FORMS: tuple[Callable[[Rng, Array], Array], ...] = (
    _zero_filters,
    _zero_filters,
    _zero_channels,
    _zero,
    _sparse,
    _subnormal,
    _dead_small,
    _magnitudes,
    _integers,
    _separable,
    _separable,
    _low_rank,
    _low_rank,
    _low_rank_taps,
    _blocks,
    _blocks,
    _dirac,
    _permutation,
    _multiples,
    _constant_filters,
    _blur,
)
"""What is done to a kernel of noise; those that many rules look for more than once."""
