"""Low rank over the channels: a kernel and a 1×1 conv in place of one kernel.

On the output side the K filters are mixtures of R filters::

    W[k, c, t] = Σ_r B[k, r]·A[r, c, t]        *taps to R channels, then 1×1 to K

on the input side only R mixtures of the C channels matter::

    W[k, c, t] = Σ_r B[k, r, t]·A[r, c]        1×1 to R channels, then *taps to K

Both are unfoldings of the kernel: see `unfolding`. With T taps they cost ``R·(C·T + K)`` and
``R·(C + K·T)`` MACs an output instead of ``C·K·T``, if the stride is 1.
"""

from __future__ import annotations

from convc.algebra.arrays import AnyArray, Array
from convc.algebra.factor.factored import FLOAT32, Factored
from convc.algebra.factor.unfolding import errors_by_rank, exact_rank, two_kernels


def output_rank(kernel: AnyArray, group: int = 1, roundoff: float = FLOAT32) -> int:
    """The rank on the output side, but for rounding: see `unfolding.exact_rank`."""
    return exact_rank(kernel, range(kernel.ndim - 2), group, roundoff)


def input_rank(kernel: AnyArray, group: int = 1, roundoff: float = FLOAT32) -> int:
    """The rank on the input side, but for rounding: see `unfolding.exact_rank`."""
    return exact_rank(kernel, (), group, roundoff)


def output_errors(kernel: AnyArray, group: int = 1) -> Array:
    """The relative error of each rank on the output side, from 0 on."""
    return errors_by_rank(kernel, range(kernel.ndim - 2), group)


def input_errors(kernel: AnyArray, group: int = 1) -> Array:
    """The relative error of each rank on the input side, from 0 on."""
    return errors_by_rank(kernel, (), group)


def output_factors(
    kernel: AnyArray, rank: int, group: int = 1, per_channel: bool = False
) -> Factored:
    """The nearest kernel whose filters are mixtures of ``rank`` ones, in each group.

    Args:
        kernel: (K, C/group, *taps).
        rank: R, 1 up to the smaller of K/group and C/group · taps.
        group: number of groups.
        per_channel: weigh every filter by its own norm; see `unfolding.two_kernels`.

    Returns:
        Kernels (group·R, C/group, *taps), (K, R, 1..).
    """
    return two_kernels(kernel, rank, range(kernel.ndim - 2), group, per_channel)


def input_factors(
    kernel: AnyArray, rank: int, group: int = 1, per_channel: bool = False
) -> Factored:
    """The nearest kernel that reads ``rank`` mixtures of the channels, in each group.

    Args:
        kernel: (K, C/group, *taps).
        rank: R, 1 up to the smaller of C/group and K/group · taps.
        group: number of groups.
        per_channel: weigh every filter by its own norm; see `unfolding.two_kernels`.

    Returns:
        Kernels (group·R, C/group, 1..), (K, R, *taps).
    """
    return two_kernels(kernel, rank, (), group, per_channel)
