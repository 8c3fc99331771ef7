"""Tucker-2: a 1×1 conv, a conv between few channels, a 1×1 conv."""

from __future__ import annotations

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.fit.common import require_rank
from convc.algebra.fit.pair import (
    Unfolding,
    fit_pair,
    nearest_rows,
    principal,
    problem_of,
    weighted_rows,
)
from convc.algebra.moments import Moments

TURNS = 50
"""The most turns of the start's higher-order orthogonal iteration, which are cheap."""


def fit_tucker(
    moments: Moments, kernel: AnyArray, ranks: tuple[int, int], ridge: float | None = None
) -> tuple[Array, Array, Array]:
    """A 1×1 conv to R1 channels, a conv to R2, a 1×1 conv to all (Kim et al. 2016, fitted to data).

    For one first conv the best of the two others are a reduced-rank regression on what it gives, in
    closed form; for these, the first is improved by conjugate gradients; and so on by turns, from
    the better of two starts: the nearest kernel of this form, and the best input channels if
    channels and taps go with each other independently.

    Args:
        moments: of the layer, with g groups.
        kernel: the original weights, (K, C/g, *taps).
        ranks: R1 and R2, for each group.
        ridge: towards the original weights, see `refit`.

    Returns:
        (g·R1, C/g, 1, ...), (g·R2, R1, *taps) and (K, R2, 1, ...), all convs of g groups.

    Raises:
        ValueError: R1 is below 1 or above min(C/g, K/g · taps), R2 below 1 or above
            min(K/g, R1 · taps); kernel and moments do not fit each other, or are not finite.
    """
    w = as_float64(kernel)
    inner, outer = ranks
    unfolding = Unfolding.of(w, moments.group, ())
    require_rank(inner, unfolding.full_rank, "first rank")
    require_rank(outer, min(unfolding.outputs, inner * unfolding.slots), "second rank")
    problem = problem_of(moments, w, unfolding, ridge)
    starts = nearest_tucker(problem.original, inner, outer), weighted_rows(problem, inner)
    first, both = fit_pair(problem, starts, outputs=outer)
    core, last = _split(both, outer)
    kernel1, kernel2 = Unfolding(unfolding.group, outer, unfolding.inputs, unfolding.taps, ()).fold(
        first, core
    )
    return kernel1, kernel2, last.reshape(w.shape[0], outer, *(1 for _ in unfolding.taps))


def nearest_tucker(kernel: Array, inner: int, outer: int) -> Array:
    """(g, R1, I): the first conv of the Tucker-2 form nearest to a kernel (g, K, J, I).

    Higher-order orthogonal iteration (De Lathauwer, De Moor and Vandewalle 2000): by turns the best
    input channels for the output channels, and the other way round. It ends in a minimum near the
    truncated SVDs that it starts from.
    """
    group, outputs, slots, width = kernel.shape
    rows = nearest_rows(kernel, inner)
    kept = 0.0
    for _ in range(TURNS):
        reduced = (kernel @ rows[:, np.newaxis].swapaxes(2, 3)).reshape(group, outputs, -1)
        main, _ = principal(reduced @ reduced.swapaxes(1, 2), outer)
        reduced = main.swapaxes(1, 2) @ kernel.reshape(group, outputs, -1)
        flat = reduced.reshape(group, outer * slots, width)
        vectors, values = principal(flat.swapaxes(1, 2) @ flat, inner)
        rows = vectors.swapaxes(1, 2)
        energy = float(values.sum())
        if energy - kept <= 1e-9 * energy:
            break
        kept = energy
    return rows


def _split(both: Array, rank: int) -> tuple[Array, Array]:
    """(g, K, J, R1), of a rank (K, J·R1) of R2, to (g, R2, J, R1) and (g, K, R2) in balance."""
    group, outputs, slots, inner = both.shape
    u, values, v = np.linalg.svd(both.reshape(group, outputs, slots * inner), full_matrices=False)
    scale = np.sqrt(values[:, :rank])
    core = scale[:, :, np.newaxis] * v[:, :rank]
    return core.reshape(group, rank, slots, inner), u[:, :, :rank] * scale[:, np.newaxis, :]
