"""Fewer channels between two convs: a narrow conv and a 1×1, or a 1×1 and a narrow conv."""

from __future__ import annotations

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.fit.common import least_squares, require_rank, ridged
from convc.algebra.fit.pair import (
    Unfolding,
    balanced,
    fit_pair,
    nearest_rows,
    principal,
    problem_of,
    weighted_rows,
)
from convc.algebra.moments import Moments


def fit_low_rank_out(
    moments: Moments, kernel: AnyArray, rank: int, ridge: float | None = None
) -> tuple[Array, Array]:
    """A conv to ``rank`` channels and a 1×1 conv to all: W = U·Uᵀ W*, the best there is.

    Reduced-rank regression (Izenman 1975): W* has the least loss of all kernels, and U the
    eigenvectors of W* G W*ᵀ, the covariance of its responses, with the largest eigenvalues.

    Args:
        moments: of the layer, with g groups.
        kernel: the original weights, (K, C/g, *taps).
        rank: R, channels between for each group.
        ridge: towards the original weights, see `refit`.

    Returns:
        (g·R, C/g, *taps) and (K, R, 1, ...), both convs of g groups.

    Raises:
        ValueError: the rank is below 1 or above min(K/g, D); kernel and moments do not fit each
            other, or are not finite.
    """
    w = as_float64(kernel)
    given = ridged(moments, w, ridge)
    # All taps are those of the first conv.
    unfolding = Unfolding.of(w, moments.group, tuple(range(w.ndim - 2)))
    require_rank(rank, unfolding.full_rank)
    best = least_squares(given, w)
    main, _ = principal(best @ given.xy, rank)
    first = main.swapaxes(1, 2) @ best
    return unfolding.fold(*balanced(first, main[:, :, np.newaxis]))


def fit_low_rank_in(
    moments: Moments, kernel: AnyArray, rank: int, ridge: float | None = None
) -> tuple[Array, Array]:
    """A 1×1 conv to ``rank`` channels and a conv from these, by alternating least squares.

    Args:
        moments: of the layer, with g groups.
        kernel: the original weights, (K, C/g, *taps).
        rank: R, channels between for each group.
        ridge: towards the original weights, see `refit`.

    Returns:
        (g·R, C/g, 1, ...) and (K, R, *taps), both convs of g groups.

    Raises:
        ValueError: the rank is below 1 or above min(C/g, K/g · taps); kernel and moments do not fit
            each other, or are not finite.
    """
    w = as_float64(kernel)
    unfolding = Unfolding.of(w, moments.group, ())
    require_rank(rank, unfolding.full_rank)
    problem = problem_of(moments, w, unfolding, ridge)
    starts = nearest_rows(problem.original, rank), weighted_rows(problem, rank)
    return unfolding.fold(*fit_pair(problem, starts))
