"""Two convs in place of one, where one has some of the taps and the other has the rest.

The kernel is unfolded to W[k, j, i]: i is a channel with a tap of the first conv, j a tap of the
second one. The first conv P (R, I) and the second one B (K, J, R) give W[k, j, :] = B[k, j, :]·P.
For one P the best B is a small least-squares problem in closed form; for one B the best P solves
normal equations with M ⊗ G in them, M = BᵀB, which are solved by conjugate gradients and never
written down. Taking turns lowers the loss in every turn.

All arrays have the groups g in front; R, I and J are those of one group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np

from convc.algebra.arrays import Array, Sizes
from convc.algebra.fit.common import (
    EPS,
    conjugate_gradients,
    least_squares,
    ridged,
    root,
    solve,
)
from convc.algebra.moments import Moments

SWEEPS = 20
"""The most turns; most fits need fewer than ten."""

FALL = 1e-3
"""The turns end where one lowers the loss by less than this part. The loss itself is known from n
samples to sqrt(2/n), 1e-2 for 16 thousand."""

STEPS = 8
"""The most steps of conjugate gradients in one turn: a better P for a B that moves on is wasted."""

RESIDUAL = 0.05
"""Conjugate gradients stop where the residual has fallen to this part."""


@dataclass(frozen=True, slots=True)
class Unfolding:
    """How a kernel (K, C/g, *taps) is cut in two: the axes of the first conv's taps, the rest.

    Attributes:
        group: g.
        outputs: K/g.
        inputs: C/g.
        taps: of the kernel.
        first: the spatial axes whose taps the first conv has, ascending.
    """

    group: int
    outputs: int
    inputs: int
    taps: Sizes
    first: Sizes

    @classmethod
    def of(cls, kernel: Array, group: int, first: Sizes) -> Unfolding:
        """The cut of one kernel."""
        rows, columns, *taps = kernel.shape
        return cls(group, rows // group, columns, tuple(taps), first)

    @property
    def second(self) -> Sizes:
        """The spatial axes whose taps the second conv has."""
        return tuple(axis for axis in range(len(self.taps)) if axis not in self.first)

    @property
    def width(self) -> int:
        """I: channels times taps of the first conv."""
        return self.inputs * int(np.prod([self.taps[axis] for axis in self.first], dtype=int))

    @property
    def slots(self) -> int:
        """J: taps of the second conv."""
        return int(np.prod([self.taps[axis] for axis in self.second], dtype=int))

    @property
    def full_rank(self) -> int:
        """The rank that gives every kernel."""
        return min(self.outputs * self.slots, self.width)

    def columns(self, array: Array) -> Array:
        """(g, n, C/g · taps) in the order of a kernel to (g, n, J, I)."""
        group, rows = array.shape[:2]
        split = array.reshape(group, rows, self.inputs, *self.taps)
        order = (0, 1, *(3 + a for a in self.second), 2, *(3 + a for a in self.first))
        return split.transpose(order).reshape(group, rows, self.slots, self.width)

    def fold(self, first: Array, second: Array) -> tuple[Array, Array]:
        """P (g, R, I) and B (g, K/g, J, R) to kernels (g·R, C/g, *k1) and (K, R, *k2)."""
        rank = first.shape[1]
        taps1 = tuple(n if a in self.first else 1 for a, n in enumerate(self.taps))
        taps2 = tuple(n if a in self.second else 1 for a, n in enumerate(self.taps))
        kernel1 = first.reshape(self.group * rank, self.inputs, *taps1)
        kernel2 = second.swapaxes(2, 3).reshape(self.group * self.outputs, rank, *taps2)
        return kernel1, kernel2


@dataclass(frozen=True, slots=True)
class Problem:
    """What a pair is fitted to, ridge included.

    Attributes:
        xx: (g, J, I, J·I), the Gram matrix.
        xy: (g, J, I, K).
        yy: (g,), the responses' variance.
        original: (g, K, J, I), the layer's kernel.
        best: (g, K, J, I), the kernel with the least loss.
    """

    xx: Array
    xy: Array
    yy: Array
    original: Array
    best: Array

    def taps(self) -> Array:
        """(g, J, J): the second conv's taps as they go with each other, on average."""
        group, slots, width, _ = self.xx.shape
        blocks = self.xx.reshape(group, slots, width, slots, width)
        sums: Array = np.einsum("gjiki->gjk", blocks)
        return sums

    def inputs(self) -> Array:
        """(g, I, I): the Gram matrix of the first conv, on average over the second one's taps."""
        group, slots, width, _ = self.xx.shape
        blocks = self.xx.reshape(group, slots, width, slots, width)
        sums: Array = np.einsum("gjijk->gik", blocks)
        return sums


def problem_of(
    moments: Moments, kernel: Array, unfolding: Unfolding, ridge: float | None = None
) -> Problem:
    """The moments with a ridge towards ``kernel`` (K, C/g, *taps), unfolded."""
    given = ridged(moments, kernel, ridge)
    group, width = given.mean_x.shape
    slots, inner = unfolding.slots, unfolding.width
    rows = unfolding.columns(given.xx).reshape(group, width, width).swapaxes(1, 2)
    xy = unfolding.columns(given.xy.swapaxes(1, 2))
    return Problem(
        xx=unfolding.columns(rows)
        .reshape(group, width, slots, inner)
        .reshape(group, slots, inner, width),
        xy=np.ascontiguousarray(np.moveaxis(xy, 1, 3)),
        yy=given.yy.reshape(group, -1).sum(axis=1),
        original=unfolding.columns(kernel.reshape(group, -1, width)),
        best=unfolding.columns(least_squares(given, kernel)),
    )


def nearest_rows(kernel: Array, rank: int) -> Array:
    """(g, R, I): the first conv of the pair nearest to a kernel (g, K, J, I): Eckart and Young."""
    group, outputs, slots, width = kernel.shape
    flat = kernel.reshape(group, outputs * slots, width)
    return np.linalg.svd(flat, full_matrices=False)[2][:, :rank]


def weighted_rows(problem: Problem, rank: int) -> Array:
    """(g, R, I): the first conv of the best pair, if the Gram matrix were a Kronecker product.

    With G = T ⊗ Γ, T = L Lᵀ and Γ = N Nᵀ, what a kernel W loses against the best one W* is
    ‖Lᵀ(W − W*)N‖²: truncate the SVD of Lᵀ W* N. Its left vectors U give P = Uᵀ Lᵀ W*, which needs
    no inverse of N. With J = 1 this is reduced-rank regression (Izenman 1975), and exact.
    """
    group, outputs, slots, width = problem.best.shape
    taps = root(problem.taps()).swapaxes(1, 2)[:, np.newaxis]
    rows = (taps @ problem.best).reshape(group, outputs * slots, width)
    left = np.linalg.svd(rows @ root(problem.inputs()), full_matrices=False)[0][:, :, :rank]
    return left.swapaxes(1, 2) @ rows


def fit_pair(
    problem: Problem, starts: Iterable[Array], outputs: int | None = None
) -> tuple[Array, Array]:
    """P and B with a small loss, by turns from the best of the starts.

    Args:
        problem: what to fit.
        starts: first convs (g, R, I) to start from.
        outputs: the most that the rank of B as a matrix (K, J·R) may be; None for no limit.

    Returns:
        P (g, R, I) and B (g, K, J, R), of a loss not above that of any start with the best B for
        it.
    """
    tried = [_Turn.of(problem, start, outputs) for start in starts]
    best = reduce(_Turn.better, tried)
    rounding = EPS * problem.xx.shape[3] * float(problem.yy.sum())
    inverse = _inverse(problem.inputs())
    for _ in range(SWEEPS):
        rows = better_first(problem, best.first, best.second, inverse)
        last, best = best, best.better(_Turn.of(problem, rows, outputs))
        missed = float(best.missed.sum())
        if float(last.missed.sum()) - missed <= FALL * missed + rounding:
            break
    return balanced(best.first, best.second)


@dataclass(frozen=True, slots=True)
class _Turn:
    """P (g, R, I), the best B (g, K, J, R) for it, and what they miss, (g,)."""

    first: Array
    second: Array
    missed: Array

    @classmethod
    def of(cls, problem: Problem, start: Array, outputs: int | None) -> _Turn:
        first = orthonormal(start)
        return cls(first, *best_second(problem, first, outputs))

    def better(self, other: _Turn) -> _Turn:
        """The better of two, group by group."""
        less = other.missed < self.missed
        wide, wider = less[:, np.newaxis, np.newaxis], less[:, np.newaxis, np.newaxis, np.newaxis]
        return _Turn(
            np.where(wide, other.first, self.first),
            np.where(wider, other.second, self.second),
            np.where(less, other.missed, self.missed),
        )


def best_second(problem: Problem, first: Array, outputs: int | None) -> tuple[Array, Array]:
    """The best B (g, K, J, R) for P, and the variance that it misses, (g,).

    Where its rank (K, J·R) is limited, it is the reduced-rank regression on what P gives: the best
    B without the limit, projected on the eigenvectors of its responses' covariance.
    """
    group, rank, width = first.shape
    slots = problem.xx.shape[1]
    rows = (first[:, np.newaxis] @ problem.xx).reshape(group, -1, width)
    gram = (rows @ first.swapaxes(1, 2)).reshape(group, slots * rank, slots * rank)
    shared = (first[:, np.newaxis] @ problem.xy).reshape(group, slots * rank, -1)
    found = solve(gram, shared)
    if outputs is None:
        explained = (found * shared).sum(axis=(1, 2))
    else:
        main, values = principal(found.swapaxes(1, 2) @ shared, outputs)
        found = found @ main @ main.swapaxes(1, 2)
        explained = values.sum(axis=1)
    second = np.moveaxis(found.reshape(group, slots, rank, -1), 3, 1)
    return np.ascontiguousarray(second), np.maximum(problem.yy - explained, 0.0)


def principal(covariance: Array, count: int) -> tuple[Array, Array]:
    """The eigenvectors (g, n, count) of the largest eigenvalues (g, count), largest first."""
    values, vectors = np.linalg.eigh((covariance + covariance.swapaxes(1, 2)) / 2.0)
    return vectors[:, :, ::-1][:, :, :count], values[:, ::-1][:, :count]


def better_first(problem: Problem, first: Array, second: Array, inverse: Array) -> Array:
    """A better P for B, by conjugate gradients on its normal equations.

    The preconditioner is the exact inverse for a Gram matrix T ⊗ Γ: the normal matrix is then
    S ⊗ Γ with S[r, s] = Σ_k Σ_jj' B[k, j, r] T[j, j'] B[k, j', s].

    Args:
        problem: what to fit.
        first: P, (g, R, I), to start from.
        second: B, (g, K, J, R).
        inverse: of Γ, (g, I, I).
    """
    group, rank, width = first.shape
    slots, outputs = problem.xx.shape[1], second.shape[1]
    # The same product, from a B with orthonormal columns: the equations are better conditioned.
    flat, mixed = np.linalg.qr(second.reshape(group, outputs * slots, rank))
    start = mixed @ first
    by_tap = flat.reshape(group, outputs, slots, rank).transpose(0, 2, 3, 1)
    matrix = by_tap.reshape(group, slots * rank, outputs)
    pairs = matrix @ matrix.swapaxes(1, 2)
    right = (by_tap @ problem.xy.swapaxes(2, 3)).sum(axis=1)
    turned = problem.xx.swapaxes(2, 3)

    def normal(rows: Array) -> Array:
        spread = pairs.reshape(group, -1, rank) @ rows
        by_slot = spread.reshape(group, slots, rank, slots * width)
        image: Array = (by_slot @ turned).sum(axis=1)
        return image

    weighted = problem.taps()[:, np.newaxis] @ flat.reshape(group, outputs, slots, rank)
    mixing = flat.swapaxes(1, 2) @ weighted.reshape(group, outputs * slots, rank)
    unmixed = _inverse(mixing)

    def precondition(rows: Array) -> Array:
        result: Array = unmixed @ rows @ inverse
        return result

    return conjugate_gradients(normal, right, start, precondition, steps=STEPS, fall=RESIDUAL)


def orthonormal(rows: Array) -> Array:
    """(g, R, I): orthonormal rows that span the given ones, R ≤ I, others added where they do not.

    With these the second conv's Gram matrix is conditioned as well as the whole one.
    """
    return np.linalg.qr(rows.swapaxes(1, 2))[0].swapaxes(1, 2)


def balanced(first: Array, second: Array) -> tuple[Array, Array]:
    """The same product with P Pᵀ and BᵀB equal and diagonal, the largest first.

    So neither conv's weights nor the values between the two are large or small for no reason.
    """
    group, outputs, slots, rank = second.shape
    left, inner1 = np.linalg.qr(second.reshape(group, outputs * slots, rank))
    right, inner2 = np.linalg.qr(first.swapaxes(1, 2))
    u, values, v = np.linalg.svd(inner1 @ inner2.swapaxes(1, 2))
    scale = np.sqrt(values)
    rows = scale[:, :, np.newaxis] * (v @ right.swapaxes(1, 2))
    columns = (left @ u) * scale[:, np.newaxis, :]
    return rows, columns.reshape(group, outputs, slots, rank)


def _inverse(gram: Array) -> Array:
    inverse = solve(gram, np.broadcast_to(np.eye(gram.shape[1]), gram.shape))
    result: Array = (inverse + inverse.swapaxes(1, 2)) / 2.0
    return result
