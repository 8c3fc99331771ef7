"""Sums of separable kernels: a conv along one axis, then a conv along the others."""

from __future__ import annotations

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.fit.common import require_rank
from convc.algebra.fit.pair import Unfolding, fit_pair, nearest_rows, problem_of, weighted_rows
from convc.algebra.moments import Moments


def fit_separable(
    moments: Moments, kernel: AnyArray, rank: int, axis: int = 0, ridge: float | None = None
) -> tuple[Array, Array]:
    """A conv along one axis to ``rank`` channels and a conv along the others from these.

    By alternating least squares from the better of two starts: the nearest kernel of this form
    (Jaderberg, Vedaldi and Zisserman 2014), and the one that is best if channels and taps go with
    each other independently.

    Args:
        moments: of the layer, with g groups.
        kernel: the original weights, (K, C/g, *taps), 2 spatial axes or more.
        rank: R, channels between for each group.
        axis: the spatial axis of the first conv's taps: 0 is the vertical of two.
        ridge: towards the original weights, see `refit`.

    Returns:
        For axis 0 of two: (g·R, C/g, k_h, 1) and (K, R, 1, k_w), both convs of g groups.

    Raises:
        ValueError: fewer than two spatial axes, or no such axis; the rank is below 1 or above
            min(C/g · taps of the first, K/g · taps of the second); kernel and moments do not fit
            each other, or are not finite.
    """
    w = as_float64(kernel)
    axes = w.ndim - 2
    if axes < 2:
        raise ValueError(f"a kernel of shape {w.shape} has no two spatial axes to separate")
    if not 0 <= axis < axes:
        raise ValueError(f"axis {axis} of {axes}")
    unfolding = Unfolding.of(w, moments.group, (axis,))
    require_rank(rank, unfolding.full_rank)
    problem = problem_of(moments, w, unfolding, ridge)
    starts = nearest_rows(problem.original, rank), weighted_rows(problem, rank)
    return unfolding.fold(*fit_pair(problem, starts))


def fit_separable_depthwise(
    moments: Moments, kernel: AnyArray, terms: int, axis: int = 0, ridge: float | None = None
) -> tuple[Array, Array]:
    """Every channel of a depthwise conv as a sum of ``terms`` separable kernels.

    Args:
        moments: of the layer, with as many groups as it has input channels.
        kernel: the original weights, (K, 1, *taps), 2 spatial axes or more.
        terms: R, how many for each channel.
        axis: the spatial axis of the first conv's taps.
        ridge: towards the original weights, see `refit`.

    Returns:
        For axis 0 of two: (C·R, 1, k_h, 1) and (K, R, 1, k_w), both convs of C groups.

    Raises:
        ValueError: not depthwise; otherwise as `fit_separable`.
    """
    if kernel.shape[1] != 1:
        raise ValueError(f"a kernel of shape {kernel.shape} is not depthwise")
    return fit_separable(moments, kernel, terms, axis, ridge)
