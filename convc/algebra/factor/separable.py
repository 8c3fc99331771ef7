"""Spatial separability: a column and a row in place of a rectangle.

Jointly, over all channels at once::

    W[k, c, y, x] = Σ_r H[k, r, x]·V[r, c, y]        k_h×1 to R channels, then 1×k_w to K

or the row first. With more than two spatial axes any of them may be in the first conv and the
others in the second. It is an unfolding of the kernel (see `unfolding`), and costs
``R·(C·k_h + K·k_w)`` MACs an output instead of ``C·K·k_h·k_w``.

Each slice for itself::

    W[k, c, y, x] = Σ_t H_t[k, c, x]·V_t[k, c, y]

where each of the terms is a pair of depthwise convs if W is depthwise (C/group = 1), and so for the
one filter of a single channel. With several channels it is no chain of convs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convc.algebra.arrays import AnyArray, Array
from convc.algebra.factor.factored import FLOAT32, Factored, distances, exact_bound, scaled
from convc.algebra.factor.unfolding import (
    errors_by_rank,
    exact_rank,
    require_rank,
    split,
    tail_norms,
    two_kernels,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """A kernel as a sum of products of two kernels, slice by slice.

    Attributes:
        pairs: (K, C/group, *t) and (K, C/group, *u) of each term, the largest term of each slice
            first; t is 1 but on the axis that was split off, u is 1 there.
        error: ‖W − Ŵ‖ / ‖W‖, Frobenius.
        channel_error: the largest of that of an output channel.
    """

    pairs: tuple[tuple[Array, Array], ...]
    error: float
    channel_error: float


def separable_rank(
    kernel: AnyArray, axes: Sequence[int] = (0,), group: int = 1, roundoff: float = FLOAT32
) -> int:
    """The number of channels between two convs that are exactly this one, but for rounding.

    Args:
        kernel: (K, C/group, *taps), two spatial axes or more.
        axes: the spatial axes of the first conv.
        group: number of groups; the rank is that of the worst.
        roundoff: unit roundoff of the stored dtype.
    """
    _require_split(kernel, axes)
    return exact_rank(kernel, axes, group, roundoff)


def separable_errors(kernel: AnyArray, axes: Sequence[int] = (0,), group: int = 1) -> Array:
    """The relative error of the nearest separable kernel of each rank, from 0 on."""
    _require_split(kernel, axes)
    return errors_by_rank(kernel, axes, group)


def separable_factors(
    kernel: AnyArray,
    rank: int,
    axes: Sequence[int] = (0,),
    group: int = 1,
    per_channel: bool = False,
) -> Factored:
    """The nearest jointly separable kernel.

    Args:
        kernel: (K, C/group, *taps), two spatial axes or more.
        rank: R, the channels between of each group.
        axes: the spatial axes of the first conv: (0,) is the column first, (1,) the row.
        group: number of groups.
        per_channel: weigh every filter by its own norm; see `unfolding.two_kernels`.

    Returns:
        Kernels (group·R, C/group, *t), (K, R, *u): (R, C, k_h, 1) and (K, R, 1, k_w).

    Raises:
        ValueError: no such rank or axis, or one of the two convs would have no axis.
    """
    _require_split(kernel, axes)
    return two_kernels(kernel, rank, axes, group, per_channel)


def terms_rank(kernel: AnyArray, axis: int = 0, roundoff: float = FLOAT32) -> int:
    """How many terms all slices (k, c) need, but for rounding; each is judged by its own norm.

    Args:
        kernel: (K, C/group, *taps), two spatial axes or more.
        axis: the spatial axis that is split off.
        roundoff: unit roundoff of the stored dtype.
    """
    slices = _slices(kernel, axis)
    tails = tail_norms(slices)
    within = tails <= exact_bound(max(slices.shape[2:]), roundoff) * tails[..., :1]
    return int(np.argmax(within, axis=-1).max())


def separable_terms(kernel: AnyArray, terms: int, axis: int = 0) -> Terms:
    """Each slice (k, c) of a kernel as the nearest sum of so many products.

    Both factors of a product have equal norms, the largest entry of the first is positive.

    Args:
        kernel: (K, C/group, *taps), two spatial axes or more.
        terms: 1 up to the number of taps on the axis or on all others, if these are fewer.
        axis: the spatial axis that is split off.

    Raises:
        ValueError: no such number of terms, or no such axis.
    """
    slices = _slices(kernel, axis)
    require_rank(terms, min(slices.shape[2:]), "number of terms")
    left, right = split(slices, terms)
    taps = kernel.shape[2:]
    column = [t if i == axis else 1 for i, t in enumerate(taps)]
    rest = [1 if i == axis else t for i, t in enumerate(taps)]
    pairs = tuple(
        (
            left[..., term].reshape(*kernel.shape[:2], *column),
            right[..., term, :].reshape(*kernel.shape[:2], *rest),
        )
        for term in range(terms)
    )
    return Terms(pairs, *distances(kernel, recompose_terms(pairs)))


def recompose_terms(pairs: Sequence[tuple[Array, Array]]) -> Array:
    """(K, C/group, *taps): the sum of the products."""
    whole: Array = np.sum([first * second for first, second in pairs], axis=0)
    return whole


def _slices(kernel: AnyArray, axis: int) -> Array:
    """(K, C/group, taps of the axis, all other taps)."""
    _require_split(kernel, (axis,))
    w = scaled(kernel, 1, per_channel=False)[0][0]
    slices: Array = np.moveaxis(w, 2 + axis, 2).reshape(*w.shape[:2], w.shape[2 + axis], -1)
    return slices


def _require_split(kernel: AnyArray, axes: Sequence[int]) -> None:
    ndim = kernel.ndim - 2
    if ndim < 2:
        raise ValueError(f"a kernel of shape {kernel.shape} has fewer than two spatial axes")
    if not set(axes) <= set(range(ndim)) or not 0 < len(set(axes)) < ndim:
        raise ValueError(f"axes {tuple(axes)} do not split {ndim} spatial axes in two")
