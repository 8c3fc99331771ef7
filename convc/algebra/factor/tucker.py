"""Tucker-2: few channels in, few channels out, the spatial taps between.

::

    W[k, c, t] = Σ_{q, r} B[k, q]·G[q, r, t]·A[r, c]

1×1 to R₁ channels, *taps to R₂, 1×1 to K. It is exact if W has rank R₁ on the input side and R₂ on
the output side. Otherwise the two truncated SVDs (HOSVD) are within √2 of the nearest, and fitting
each side to the other in turn (higher-order orthogonal iteration; De Lathauwer, De Moor,
Vandewalle 2000) improves on it until nothing is gained: a local optimum.
"""

from __future__ import annotations

import numpy as np

from convc.algebra.arrays import AnyArray, Array
from convc.algebra.factor.apart import singular_vectors
from convc.algebra.factor.factored import FLOAT32, Factored, measured, scaled, signs
from convc.algebra.factor.low_rank import input_rank, output_rank
from convc.algebra.factor.unfolding import require_rank

_SWEEPS = 100
_GAIN = 1e-4
"""A sweep that captures no more than this part of the energy still missed is the last."""


def tucker_ranks(kernel: AnyArray, group: int = 1, roundoff: float = FLOAT32) -> tuple[int, int]:
    """The ranks (R₁, R₂) on the input and the output side, but for rounding.

    The factors of these ranks are off by at most √2 of what either side is off, since the squares
    of the two errors add: see `unfolding.exact_rank`.
    """
    return input_rank(kernel, group, roundoff), output_rank(kernel, group, roundoff)


def tucker_factors(
    kernel: AnyArray, ranks: tuple[int, int], group: int = 1, per_channel: bool = False
) -> Factored:
    """A nearly nearest kernel of ranks (R₁, R₂), in each group.

    The norms of the three kernels are equal, the largest entry of each row of the first and of each
    column of the last is positive (before the filters get their scale back).

    Args:
        kernel: (K, C/group, *taps).
        ranks: R₁ of 1 .. C/group and R₂ of 1 .. K/group.
        group: number of groups.
        per_channel: weigh every filter by its own norm.

    Returns:
        Kernels (group·R₁, C/group, 1..), (group·R₂, R₁, *taps), (K, R₂, 1..).

    Raises:
        ValueError: no such ranks or number of groups.
    """
    w, scale = scaled(kernel, group, per_channel)
    _, filters, columns = w.shape[:3]
    require_rank(ranks[0], columns, "input rank")
    require_rank(ranks[1], filters, "output rank")
    tensor = w.reshape(group, filters, columns, -1)
    rows, reads = _iterated(tensor, ranks)
    core = _projected(_projected(tensor, reads, 2), rows, 1)
    taps = kernel.shape[2:]
    ones = (1,) * len(taps)
    kernels = (
        reads.swapaxes(1, 2).reshape(group * ranks[0], columns, *ones),
        core.reshape(group * ranks[1], ranks[0], *taps),
        (rows * scale.reshape(group, filters, 1)).reshape(kernel.shape[0], ranks[1], *ones),
    )
    return measured(kernel, _balanced(kernels), group)


def _iterated(tensor: Array, ranks: tuple[int, int]) -> tuple[Array, Array]:
    """Bases (group, K, R₂) and (group, C, R₁), orthonormal or zero, of the most energy."""
    rows, reads = _leading(tensor, 1, ranks[1]), _leading(tensor, 2, ranks[0])
    whole = np.square(tensor).sum()
    captured = 0.0
    for _ in range(_SWEEPS):
        half = _projected(tensor, rows, 1)
        reads = _leading(half, 2, ranks[0])
        now = float(np.square(_projected(half, reads, 2)).sum())
        # Below 2⁻⁵⁰ of the whole it is rounding.
        if now - captured <= _GAIN * (whole - now) + 2.0**-50 * whole:
            break
        captured = now
        rows = _leading(_projected(tensor, reads, 2), 1, ranks[1])
    return rows, reads


def _leading(tensor: Array, axis: int, rank: int) -> Array:
    """(group, n, R): the leading left singular vectors of the unfolding along ``axis``.

    Those of the singular value zero may be zero.
    """
    turned = np.moveaxis(tensor, axis, 1)
    flat = turned.reshape(*turned.shape[:2], -1)
    if flat.shape[2] < rank:  # the full basis has the vectors that columns are missing for
        u = np.linalg.svd(flat, full_matrices=True)[0][:, :, :rank]
    else:
        u = singular_vectors(flat)[0][:, :, :rank]
    return u * signs(u)[:, np.newaxis]


def _projected(tensor: Array, basis: Array, axis: int) -> Array:
    """``tensor`` with ``axis`` in the coordinates of ``basis`` (group, n, R)."""
    turned = np.moveaxis(tensor, axis, 1)
    flat = basis.swapaxes(1, 2) @ turned.reshape(*turned.shape[:2], -1)
    return np.moveaxis(flat.reshape(*flat.shape[:2], *turned.shape[2:]), 1, axis)


def _balanced(kernels: tuple[Array, ...]) -> tuple[Array, ...]:
    """The same chain with kernels of equal norms; as it is where one of them is zero."""
    norms = np.array([np.linalg.norm(kernel) for kernel in kernels])
    if not norms.all():
        return kernels
    target = np.exp(np.log(norms).mean())
    return tuple(kernel * (target / norm) for kernel, norm in zip(kernels, norms, strict=True))
