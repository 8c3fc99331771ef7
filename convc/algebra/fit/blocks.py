"""Grouped convolutions and what mixes their groups, fitted to what a layer reads and should give.

The kernel is replaced by one whose q × b blocks have rank r each (see
`convc.algebra.block_factors`). With all blocks of the other input channels fixed, those of one
part of the input channels are reduced-rank regressions, one for each part of the outputs, which
have a closed form (Izenman 1975). With the first factor fixed the second is a linear regression.
Taking these in turn never raises the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.block_factors import (
    BlockFactors,
    Partition,
    best_partition,
    diagonal_partition,
    grouped_partitions,
    shuffled_partitions,
    truncated,
)
from convc.algebra.fit.common import ridged, root, solve
from convc.algebra.moments import Moments

SWEEPS = 30
"""Rounds over all blocks at the most."""

LOOK = 2
"""Rounds after which one of several orders of the channels is chosen."""

SETTLED = 5e-4
"""Part of the loss that a sweep must gain for another one to follow."""


def fit_diagonal(moments: Moments, kernel: AnyArray, blocks: int) -> BlockFactors:
    """A convolution in b groups, and nothing that mixes these, in the place of a dense one.

    Args, Raises: as of `fit_grouped`.

    Returns:
        The grouped convolution; the channels are sorted to keep most of their energy.
    """
    found = _ridged(moments, kernel)
    partition = diagonal_partition(kernel, blocks, response_energies(moments, kernel))
    problem = _problem(found, partition)
    size, rows = len(problem.xx) // blocks, problem.xy.shape[1] // blocks
    parts = [
        (slice(j * size, (j + 1) * size), slice(j * rows, (j + 1) * rows)) for j in range(blocks)
    ]
    wanted = np.stack([problem.xy[reads, gives] for reads, gives in parts])
    first = solve(np.stack([problem.xx[reads, reads] for reads, _ in parts]), wanted)
    return partition.alone(first.swapaxes(1, 2).reshape(len(kernel), -1, *kernel.shape[2:]))


def fit_grouped(moments: Moments, kernel: AnyArray, blocks: int) -> BlockFactors:
    """A convolution in b groups and a dense one of one tap in the place of a dense one.

    Args:
        moments: of the layer, in one group.
        kernel: (K, C, *taps), its weights in the original.
        blocks: b, a divisor of K and of C.

    Returns:
        The factors; the bias is that of their kernel and goes to the second. The input channels are
        in another order only where that clearly lowers the loss.

    Raises:
        ValueError: the layer has groups, or b does not divide the channels.
    """
    found = _ridged(moments, kernel)
    partitions = grouped_partitions(kernel, blocks, response_energies(moments, kernel))
    return _best(found, kernel, partitions)


def fit_shuffled(moments: Moments, kernel: AnyArray, blocks: int) -> BlockFactors:
    """A convolution in b groups, a shuffle and one tap in b groups in the place of a dense one.

    Args, Raises: as of `fit_grouped`.

    Returns:
        The factors; the bias is that of their kernel and goes to the second, in the order before
        ``rows``. Channels are in another order only where that clearly lowers the loss.
    """
    found = _ridged(moments, kernel)
    partitions = shuffled_partitions(kernel, blocks, response_energies(moments, kernel))
    return _best(found, kernel, partitions)


def response_energies(moments: Moments, kernel: AnyArray) -> Array:
    """(K, C): the variance of what each input channel, alone, brings to each output."""
    w = as_float64(kernel)
    outputs, inputs = w.shape[:2]
    taps = prod(w.shape[2:])
    index = np.arange(inputs)
    own = moments.xx[0].reshape(inputs, taps, inputs, taps)[index, :, index]
    w = w.reshape(outputs, inputs, taps)
    found = np.einsum("kct,ctu,kcu->kc", w, own, w, optimize=True)
    return np.asarray(np.maximum(found, 0.0))


@dataclass(frozen=True, slots=True)
class _Problem:
    """The moments with the channels in a partition's places.

    Attributes:
        xx: (D, D).
        xy: (D, K).
        roots: (b, D/b, D/b), L of each diagonal block L·Lᵀ of ``xx``.
        inverses: (b, D/b, D/b), of these blocks.
    """

    xx: Array
    xy: Array
    roots: Array
    inverses: Array

    def loss(self, w: Array) -> float:
        """What (K, D) misses, less the variance of the responses."""
        return float(np.sum((w @ self.xx - 2.0 * self.xy.T) * w))


def _best(moments: Moments, kernel: AnyArray, partitions: Sequence[Partition]) -> BlockFactors:
    """The factors of the partition that does best, of those that clearly beat the first."""
    chosen = partitions[0]
    if len(partitions) > 1:
        look = partial(_fitted, moments, kernel, sweeps=LOOK)
        chosen = best_partition(partitions, lambda partition: (look(partition)[0], partition))
    return _fitted(moments, kernel, chosen, sweeps=SWEEPS)[1]


def _fitted(
    moments: Moments, kernel: AnyArray, partition: Partition, *, sweeps: int
) -> tuple[float, BlockFactors]:
    """The loss and the factors of one partition."""
    w = partition.sorted(kernel)
    problem = _problem(moments, partition)
    total = float(moments.yy.sum())
    left, right = truncated(w, partition)
    before = np.inf
    for _ in range(sweeps):
        left, right = _swept(problem, left, right)
        left = _mixed(problem, left, right)
        now = total + problem.loss(_product(left, right))
        if now > (1.0 - SETTLED) * before:
            break
        before = now
    factors = partition.factors(left, right, kernel.shape[2:])
    return moments.loss(factors.kernel()), factors


def _problem(moments: Moments, partition: Partition) -> _Problem:
    xx, xy = moments.xx[0], moments.xy[0]
    if partition.columns is not None:
        taps = len(xx) // partition.columns.size
        places = (partition.columns[:, np.newaxis] * taps + np.arange(taps)).reshape(-1)
        xx, xy = xx[np.ix_(places, places)], xy[places]
    if partition.rows is not None:
        xy = xy[:, partition.rows]
    size = len(xx) // partition.blocks
    own = [xx[at : at + size, at : at + size] for at in range(0, len(xx), size)]
    blocks = np.stack(own)
    every = np.broadcast_to(np.eye(size), blocks.shape)
    return _Problem(xx, xy, root(blocks), solve(blocks, every))


def _swept(problem: _Problem, left: Array, right: Array) -> tuple[Array, Array]:
    """Every block anew, those of one part of the input channels at a time.

    ``left`` (q, b, K/q, r), ``right`` (q, b, r, D/b).
    """
    left, right = left.copy(), right.copy()
    q, b, rows, rank = left.shape
    size = right.shape[3]
    w = _product(left, right)
    for j in range(b):
        at = slice(j * size, (j + 1) * size)
        wanted = problem.xy[at] - problem.xx[at] @ w.T + problem.xx[at, at] @ w[:, at].T
        best = problem.inverses[j] @ wanted
        best = best.reshape(size, q, rows).transpose(1, 2, 0)
        # Of responses without correlation the best map of rank r is that of the r largest
        # singular values of what is seen.
        seen = best @ problem.roots[j]
        main = np.linalg.eigh(seen @ seen.swapaxes(1, 2))[1][..., : -rank - 1 : -1]
        left[:, j] = main
        right[:, j] = main.swapaxes(1, 2) @ best
        w[:, at] = (left[:, j] @ right[:, j]).reshape(q * rows, size)
    return left, right


def _mixed(problem: _Problem, left: Array, right: Array) -> Array:
    """The best second factor behind the first one."""
    q, b, rows, rank = left.shape
    size = right.shape[3]
    new = np.empty_like(left)
    for i in range(q):
        # What the first factor gives to the i-th group of the second, (b·r,): its second moments
        # with the patches, with itself and with the responses.
        read = (right[i] @ problem.xx.reshape(b, size, -1)).reshape(b * rank, b, size)
        seen = np.einsum("mjd,jrd->mjr", read, right[i], optimize=True).reshape(b * rank, -1)
        responses = problem.xy[:, i * rows : (i + 1) * rows].reshape(b, size, rows)
        wanted = (right[i] @ responses).reshape(b * rank, rows)
        found = solve(seen[np.newaxis], wanted[np.newaxis])[0]
        new[i] = found.T.reshape(rows, b, rank).swapaxes(0, 1)
    return new


def _product(left: Array, right: Array) -> Array:
    """(K, D), from (q, b, K/q, r) and (q, b, r, D/b)."""
    blocks = left @ right
    q, b, rows, size = blocks.shape
    return blocks.swapaxes(1, 2).reshape(q * rows, b * size)


def _ridged(moments: Moments, kernel: AnyArray) -> Moments:
    if moments.group != 1:
        raise ValueError(f"a layer in {moments.group} groups is not dense")
    return ridged(moments, kernel)
