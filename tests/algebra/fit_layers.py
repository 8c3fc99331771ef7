"""Layers with samples, for the tests of the fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from convc.algebra.fit import effective, fit_low_rank_in, fit_low_rank_out, fit_separable
from convc.algebra.moments import Gathering, Moments


@dataclass(frozen=True)
class Case:
    """A layer's shape: kernels (g·rows, inputs, *taps)."""

    group: int
    rows: int
    inputs: int
    taps: tuple[int, ...]
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.group * self.rows, self.inputs, *self.taps)

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


def cases(least_axes: int = 1) -> st.SearchStrategy[Case]:
    """Small layers of one to three spatial axes, in groups or not."""
    taps = st.lists(st.integers(1, 3), min_size=least_axes, max_size=3).map(tuple)
    return st.builds(
        Case, st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), taps, st.integers(0, 999)
    )


def correlated(rng: np.random.Generator, group: int, width: int, count: int) -> np.ndarray:
    """(g, n, D): patches whose covariance has eigenvalues from 1 down to 1e-4."""
    mixed = rng.standard_normal((group, width, width)) * np.geomspace(1, 1e-2, width)[:, None]
    return rng.standard_normal((group, count, width)) @ mixed + rng.standard_normal(width)


def responses(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(n, K): what a kernel (K, C/g, *taps) gives for patches (g, n, D)."""
    group, count, _ = x.shape
    flat = kernel.reshape(group, kernel.shape[0] // group, -1)
    return (x @ flat.swapaxes(1, 2)).swapaxes(0, 1).reshape(count, -1)


def gathered(x: np.ndarray, y: np.ndarray) -> Moments:
    """The moments of patches (g, n, D) and responses (n, K)."""
    gathering = Gathering(x.shape[0], x.shape[2], y.shape[1])
    gathering.add(x, y)
    return gathering.moments()


def observed(case: Case, noise: float = 0.1, count: int = 200) -> tuple[Moments, np.ndarray]:
    """Moments of correlated patches and noisy responses, and the layer's kernel."""
    rng = case.rng()
    kernel = rng.standard_normal(case.shape)
    x = correlated(rng, case.group, kernel[0].size, count)
    y = responses(x, kernel)
    return gathered(x, y + noise * y.std() * rng.standard_normal(y.shape)), kernel


Factors = tuple[np.ndarray, ...]
Fit = Callable[[Moments, np.ndarray, int, float | None], Factors]

PAIRS: dict[str, Fit] = {
    "low-rank-out": fit_low_rank_out,
    "low-rank-in": fit_low_rank_in,
    "separable-0": lambda m, w, rank, ridge: fit_separable(m, w, rank, 0, ridge),
    "separable-1": lambda m, w, rank, ridge: fit_separable(m, w, rank, 1, ridge),
}


def unfolded(kernel: np.ndarray, group: int, name: str) -> np.ndarray:
    """(g, n, m): the matrices whose rank is limited, group by group."""
    axes = kernel.ndim - 2
    first = {"low-rank-out": range(axes), "low-rank-in": (), "separable-0": (0,)}.get(name, (1,))
    second = [axis for axis in range(axes) if axis not in first]
    split = kernel.reshape(group, -1, *kernel.shape[1:])
    order = [0, 1, *(3 + a for a in second), 2, *(3 + a for a in first)]
    rows = split.shape[1] * int(np.prod([kernel.shape[2 + a] for a in second]))
    return split.transpose(order).reshape(group, rows, -1)


def loss_of(moments: Moments, factors: Factors) -> float:
    return moments.loss(effective(*factors, group=moments.group))
