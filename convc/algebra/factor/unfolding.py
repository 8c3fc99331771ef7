"""A kernel as a matrix between two convs: the one decomposition behind low rank and separability.

The first conv keeps some of the spatial axes, t, and the second the others, u::

    W[k, c, t, u] = Σ_r B[k, r, u]·A[r, c, t]

is a matrix of rank R with the rows (c, t) and the columns (k, u). No axis for the first conv is
low rank on the input side, all of them on the output side, anything between is separability. The
nearest of rank R is the truncated singular value decomposition (Eckart and Young 1936), in each
group on its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convc.algebra.arrays import AnyArray, Array, Sizes
from convc.algebra.factor.apart import singular_vectors
from convc.algebra.factor.factored import (
    FLOAT32,
    Factored,
    exact_bound,
    measured,
    scaled,
    signs,
)


def errors_by_rank(kernel: AnyArray, axes: Sequence[int], group: int = 1) -> Array:
    """How far the nearest kernel of each rank is.

    Args:
        kernel: (K, C/group, *taps).
        axes: the spatial axes of the first conv, 0 the first.
        group: number of groups; the rank is that of each.

    Returns:
        (full + 1,): ``‖W − W_R‖ / ‖W‖`` for R = 0 .. full, with full the shorter side of the
        matrix; the norms of the tails of the singular values.
    """
    tails = tail_norms(unfolded(scaled(kernel, group, per_channel=False)[0], axes))
    whole = np.linalg.norm(tails[:, 0])
    errors: Array = np.linalg.norm(tails, axis=0) / (whole if whole > 0 else 1.0)
    return errors


def smallest_rank(errors: AnyArray, max_error: float) -> int:
    """The smallest rank with an error of at most ``max_error``; ``errors`` by rank, falling."""
    return int(np.argmax(np.asarray(errors) <= max_error))


def exact_rank(
    kernel: AnyArray, axes: Sequence[int], group: int = 1, roundoff: float = FLOAT32
) -> int:
    """The rank, but for rounding.

    Every filter counts by its own norm. The rank R is the smallest whose tail of singular values
    is at most `exact_bound` of the norm of all, in every group. The factors of that rank that weigh
    every filter alike are then off by at most ``√(K/group)`` times that bound in any filter; by
    about the roundoff itself if the noise is spread.

    Args:
        kernel: (K, C/group, *taps).
        axes: the spatial axes of the first conv.
        group: number of groups.
        roundoff: unit roundoff of the stored dtype.

    Returns:
        0 for zeros, up to the shorter side of the matrix.
    """
    matrix = unfolded(scaled(kernel, group, per_channel=True)[0], axes)
    tails = tail_norms(matrix)
    within = tails <= exact_bound(max(matrix.shape[1:]), roundoff) * tails[:, :1]
    return int(np.argmax(within.all(axis=0)))


def two_kernels(
    kernel: AnyArray, rank: int, axes: Sequence[int], group: int = 1, per_channel: bool = False
) -> Factored:
    """The nearest product of two convs with ``rank`` channels between, in each group.

    The norms of the two factors of a term are equal, and the largest entry of the first positive.

    Args:
        kernel: (K, C/group, *taps).
        rank: R, 1 up to the shorter side of the matrix.
        axes: the spatial axes of the first conv; the second has the others.
        group: number of groups.
        per_channel: minimise ``Σ_k ‖W_k − Ŵ_k‖² / ‖W_k‖²`` instead of ``‖W − Ŵ‖²``.

    Returns:
        Kernels (group·R, C/group, *t) and (K, R, *u), where t and u are 1 on the other's axes.

    Raises:
        ValueError: no such rank, axis or number of groups.
    """
    w, scale = scaled(kernel, group, per_channel)
    matrix = unfolded(w, axes)
    require_rank(rank, min(matrix.shape[1:]))
    left, right = split(matrix, rank)
    taps = kernel.shape[2:]
    kept = tuple(t if i in axes else 1 for i, t in enumerate(taps))
    others = tuple(1 if i in axes else t for i, t in enumerate(taps))
    # (group, R, K/group, u): the scale of a filter goes to its row of the second kernel.
    rows = right.reshape(group, rank, w.shape[1], -1)
    rows = rows * scale.reshape(group, 1, -1, 1)
    first = left.swapaxes(1, 2).reshape(group, rank, -1)
    balance = _balance(first, rows.reshape(group, rank, -1))
    first = first * balance[:, :, np.newaxis]
    rows = rows / balance[:, :, np.newaxis, np.newaxis]
    kernels = (
        first.reshape(group * rank, w.shape[2], *kept),
        rows.swapaxes(1, 2).reshape(kernel.shape[0], rank, *others),
    )
    return measured(kernel, kernels, group)


def unfolded(w: Array, axes: Sequence[int]) -> Array:
    """A kernel by groups as matrices, the input channels and the taps of ``axes`` in the rows.

    Args:
        w: (group, K/group, C/group, *taps).
        axes: spatial axes.

    Returns:
        (group, C/group · t, K/group · u) with t the taps of ``axes``, u those of the others.

    Raises:
        ValueError: ``axes`` names an axis twice or one that is not there.
    """
    ndim = w.ndim - 3
    if len(set(axes)) < len(axes) or not set(axes) <= set(range(ndim)):
        raise ValueError(f"axes {tuple(axes)} of a kernel with {ndim} spatial axes")
    kept: Sizes = tuple(3 + axis for axis in range(ndim) if axis in axes)
    others: Sizes = tuple(3 + axis for axis in range(ndim) if axis not in axes)
    rows = w.shape[2] * int(np.prod([w.shape[axis] for axis in kept]))
    return w.transpose(0, 2, *kept, 1, *others).reshape(w.shape[0], rows, -1)


def split(matrices: Array, rank: int) -> tuple[Array, Array]:
    """Matrices (..., m, n) nearly as (..., m, R) @ (..., R, n), by truncated SVD.

    The columns of the first are of the same norms as the rows of the second, the largest entry of
    each column is positive.
    """
    u, s, v = singular_vectors(matrices)
    u, v = u[..., :rank], v[..., :rank, :]
    roots = np.sqrt(s[..., :rank]) * signs(u)
    return u * roots[..., np.newaxis, :], v * roots[..., :, np.newaxis]


def tail_norms(matrices: Array) -> Array:
    """(..., m, n) to (..., min(m, n) + 1): the norm of all singular values from the R-th on."""
    s = np.linalg.svd(matrices, compute_uv=False)
    squares = np.cumsum(np.square(s[..., ::-1]), axis=-1)[..., ::-1]
    tails: Array = np.sqrt(np.concatenate([squares, np.zeros((*s.shape[:-1], 1))], axis=-1))
    return tails


def require_rank(rank: int, full: int, what: str = "rank") -> None:
    """Raises ValueError unless ``1 ≤ rank ≤ full``."""
    if not 1 <= rank <= full:
        raise ValueError(f"{what} {rank} is not one of 1 .. {full}")


def _balance(first: Array, second: Array) -> Array:
    """(group, R): what makes rows (group, R, ·) of equal norm, times the first, over the second."""
    a, b = (np.linalg.norm(rows, axis=2) for rows in (first, second))
    both = (a > 0) & (b > 0)
    ratio: Array = np.sqrt(np.divide(b, a, where=both, out=np.ones_like(a)))
    return ratio
