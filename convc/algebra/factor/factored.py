"""What all factorisations of a kernel share: how far they are off, and when that is nothing.

Stored weights are rounded. A kernel that is a product in real numbers is stored as W = A + E with
``|E| ≤ c·u·|W|`` entry by entry, where u is the unit roundoff of the stored dtype and c the number
of roundings that each entry saw. So ``‖E‖_F ≤ c·u·‖W‖_F``, and the nearest product to W is no
farther than A. Conversely a product that near cannot be told from what was stored. Hence *exact*
means here: a relative error of at most ``c·u``.

The outputs of a conv are of any scale, so each filter counts by its own norm in that test: with
D = diag(‖W_k‖), the scaled kernel D⁻¹W has noise of at most c·u in each filter, and rows of a last
factor scaled by D bring W back. A filter a million times smaller than the others is not lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64

FLOAT32 = 2.0**-24
"""Unit roundoff of float32."""

ROUNDINGS = 4
"""As many as an entry may have seen: the product, a sum, the division by a sum, the cast."""


@dataclass(frozen=True, slots=True)
class Factored:
    """A chain of convs in place of one, and how far it is off.

    Attributes:
        kernels: in the order in which they are applied, ONNX layout, float64.
        error: ‖W − Ŵ‖ / ‖W‖, Frobenius.
        channel_error: the largest ‖W_k − Ŵ_k‖ / ‖W_k‖ of an output channel k; infinite where a
            filter of zeros is not kept.
    """

    kernels: tuple[Array, ...]
    error: float
    channel_error: float


def measured(kernel: AnyArray, kernels: tuple[Array, ...], group: int) -> Factored:
    """``kernels`` with their errors as a factorisation of ``kernel`` (K, C/group, *taps)."""
    error, channel_error = distances(kernel, recompose(kernels, group))
    return Factored(kernels, error, channel_error)


def distances(kernel: AnyArray, other: AnyArray) -> tuple[float, float]:
    """The relative distance of two kernels (K, C/group, *taps): of all, and the worst channel's."""
    w = as_float64(kernel)
    missed, norms = _channel_norms(w - other), _channel_norms(w)
    whole = np.linalg.norm(norms)
    if whole == 0:
        return (np.inf, np.inf) if missed.any() else (0.0, 0.0)
    by_channel = np.divide(missed, norms, where=norms > 0, out=np.where(missed > 0, np.inf, 0.0))
    return float(np.linalg.norm(missed) / whole), float(by_channel.max())


def recompose(kernels: tuple[Array, ...], group: int = 1) -> Array:
    """The kernel of a chain of convs of which no two extend over the same spatial axis.

    ``W[k, c, t, u] = Σ_m B[k, m, u]·A[m, c, t]``, without convolving anything.

    Args:
        kernels: (M, C/group, *k), then (·, M/g, *k) with any multiple g of ``group`` as the number
            of groups, which follows from the shape.
        group: groups of the first conv.

    Returns:
        (K, C/group, *k), float64.

    Raises:
        ValueError: the channels of two kernels do not match, or both have several taps on an axis.
    """
    return reduce(lambda whole, kernel: _after(whole, kernel, group), map(as_float64, kernels))


def _after(first: Array, second: Array, group: int) -> Array:
    between, columns = second.shape[1], first.shape[1]
    blocks = first.shape[0] // between
    fits = blocks * between == first.shape[0] and second.shape[0] % max(blocks, 1) == 0
    if not fits or blocks % group:
        raise ValueError(f"kernel {second.shape} cannot follow {first.shape} of {group} groups")
    taps = list(zip(second.shape[2:], first.shape[2:], strict=True))
    if any(min(pair) > 1 for pair in taps):
        raise ValueError(f"kernels {first.shape} and {second.shape} share a spatial axis")
    rows = second.shape[0] // blocks
    ndim = len(taps)
    left = np.moveaxis(second.reshape(blocks, rows, between, *second.shape[2:]), 2, -1)
    product = left.reshape(blocks, -1, between) @ first.reshape(blocks, between, -1)
    parts = product.reshape(blocks * rows, *second.shape[2:], columns, *first.shape[2:])
    # (K, second taps, C, first taps) to (K, C, and the two taps of each axis beside each other).
    pairs = [axis for i in range(ndim) for axis in (1 + i, 2 + ndim + i)]
    sizes = [u * t for u, t in taps]
    return parts.transpose(0, 1 + ndim, *pairs).reshape(blocks * rows, columns, *sizes)


def exact_bound(size: int, roundoff: float = FLOAT32) -> float:
    """The relative error below which a factorisation is exact.

    Args:
        size: the longer side of the matrix that is decomposed: the decomposition itself is off by
            no more than ``size·2⁻⁵²``.
        roundoff: u of the stored dtype.
    """
    return ROUNDINGS * roundoff + size * 2.0**-52


def scaled(kernel: AnyArray, group: int, per_channel: bool) -> tuple[Array, Array]:
    """A kernel by groups, and by what its output channels are to be multiplied in the end.

    Args:
        kernel: (K, C/group, *taps).
        group: number of groups.
        per_channel: whether each filter is divided by its norm.

    Returns:
        (group, K/group, C/group, *taps) and (K,). The latter is 0 where a filter is, so that it
        stays so.

    Raises:
        ValueError: it is not a kernel, is empty or not finite, or has not that many groups.
    """
    w = as_float64(kernel)
    if w.ndim < 2 or not w.size:
        raise ValueError(f"a kernel is (K, C/group, *taps), not {w.shape}")
    if group < 1 or w.shape[0] % group:
        raise ValueError(f"{w.shape[0]} output channels in {group} groups")
    if not np.isfinite(w).all():
        raise ValueError("the kernel has entries that are not finite")
    norms = _channel_norms(w)
    alive = norms > 0
    scale = norms if per_channel else alive.astype(np.float64)
    by = np.where(alive, scale, 1.0).reshape(-1, *[1] * (w.ndim - 1))
    return (w / by).reshape(group, w.shape[0] // group, *w.shape[1:]), scale


def signs(vectors: Array) -> Array:
    """(..., R): the signs of the largest entries of columns (..., n, R); of equals, the first."""
    sizes = np.abs(vectors)
    # Entries that are equal but for rounding count as equal, else the sign would be noise.
    place = np.argmax(sizes >= (1 - 2.0**-20) * sizes.max(axis=-2, keepdims=True), axis=-2)
    largest = np.take_along_axis(vectors, place[..., np.newaxis, :], axis=-2)[..., 0, :]
    return np.where(largest < 0, -1.0, 1.0)


def _channel_norms(w: Array) -> Array:
    rows = np.abs(w.reshape(w.shape[0], -1))
    # By the largest entry first: the squares of tiny ones would be zero.
    largest = rows.max(axis=1)
    unit = rows / np.where(largest > 0, largest, 1.0)[:, np.newaxis]
    norms: Array = largest * np.linalg.norm(unit, axis=1)
    return norms
