"""Channels that a layer does not need: constant ones, duplicates, and layers without them.

Kernels are given as a Conv has them, (K, C/group, *taps), filters in front; a matrix is
(outputs, inputs).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray, Array, as_float64

NEIGHBOUR = 1e-6
"""A filter is measured by at least this part of the layer's largest value."""
SPREAD = 2.0**10
"""How much larger the input of a negligible weight may be than that of the largest one."""
DIGITS = 44
"""Bits to which two numbers must agree to count as equal: float64 has 53."""

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


def negligible(filters: AnyArray, bias: AnyArray, roundoff: float) -> tuple[Mask, Array]:
    """Which filters give nothing but their bias, and by how much that is wrong.

    With ``M`` the layer's largest magnitude, filter k is negligible if

        2¹⁰ · Σ|w_k| ≤ roundoff · max(|b_k|, M·1e-6)

    so inputs a thousand times larger than those of the largest weight move the channel by less
    than half a unit in the last place: of its bias, or of a millionth of what its neighbours give.

    Args:
        filters: (K, ...), any number of weights each.
        bias: (K,).
        roundoff: unit roundoff of the stored dtype, 2⁻²⁴ in float32.

    Returns:
        (K,) true for a negligible filter; (K,) the ratio of the left side to the maximum, 0 for a
        filter of zeros.
    """
    magnitude = np.abs(as_float64(filters)).reshape(len(filters), -1)
    offset = np.abs(as_float64(bias))
    largest = max(magnitude.max(initial=0.0), offset.max(initial=0.0))
    moved = SPREAD * magnitude.sum(axis=1)
    scale = np.maximum(offset, largest * NEIGHBOUR)
    ratio = np.divide(moved, scale, out=np.zeros_like(moved), where=moved > 0)
    return np.less_equal(ratio, roundoff), ratio


def rounded(values: AnyArray) -> Array:
    """``values`` to `DIGITS` bits; what rounds alike counts as equal."""
    mantissa, exponent = np.frexp(as_float64(values))
    result: Array = np.ldexp(np.round(mantissa * 2.0**DIGITS) / 2.0**DIGITS, exponent)
    return result + 0.0  # -0.0 becomes 0.0


def distinct(columns: Sequence[AnyArray]) -> Indices:
    """An id for each row of ``columns`` side by side: equal rows have equal ids.

    A row that is not finite equals no other.

    Args:
        columns: arrays (C,) or (C, n).
    """
    rows = np.column_stack([as_float64(column) for column in columns])
    whole = np.logical_and.reduce(np.isfinite(rows), axis=1)
    table = np.where(whole[:, np.newaxis], rounded(np.where(np.isfinite(rows), rows, 0.0)), 0.0)
    alone = np.where(whole, 0, 1 + np.arange(len(rows)))
    keyed = np.column_stack([alone, table])
    ids: Indices = np.unique(keyed, axis=0, return_inverse=True)[1].reshape(-1)
    return ids


def directions(filters: AnyArray, bias: AnyArray) -> tuple[Array, Array]:
    """Filters and biases as unit rows times positive scales, by the largest magnitude in a row.

    Args:
        filters: (K, ...).
        bias: (K,).

    Returns:
        Rows (K, n + 1) and scales (K,); a filter of zeros with a bias of zero has scale 1.
    """
    rows = np.column_stack([as_float64(filters).reshape(len(filters), -1), as_float64(bias)])
    scale = np.abs(rows).max(axis=1)
    scale = np.where(scale > 0, scale, 1.0)
    return rows / scale[:, np.newaxis], scale


def response(w: AnyArray, values: AnyArray, group: int = 1) -> Array:
    """(K,): the sum over all taps for an input that is constant per channel.

    Args:
        w: (K, C/group, *taps).
        values: (C,).
        group: of the layer.
    """
    sums = as_float64(w).reshape(group, w.shape[0] // group, w.shape[1], -1).sum(axis=3)
    blocks = as_float64(values).reshape(group, -1)
    result: Array = np.einsum("gkc,gc->gk", sums, blocks).reshape(-1)
    return result


def merge_inputs(w: AnyArray, into: Sequence[tuple[int, int, float]], group: int = 1) -> Array:
    """The kernel when some input channels are multiples of others and are no longer read.

    Args:
        w: (K, C/group, *taps).
        into: triples (channel, other, ratio): ``x[channel] = ratio·x[other]``, the other in the
            same group and not itself merged.
        group: of the layer.

    Returns:
        A kernel of the same shape, zero for the merged channels.
    """
    merged = np.array(w, np.float64)
    rows, columns = w.shape[0] // group, w.shape[1]
    for channel, other, ratio in into:
        block, index = divmod(channel, columns)
        filters = slice(block * rows, (block + 1) * rows)
        merged[filters, other % columns] += ratio * merged[filters, index]
        merged[filters, index] = 0.0
    return merged


def restrict(
    w: AnyArray, outputs: Indices, inputs: Indices, group: int = 1
) -> tuple[AnyArray, int]:
    """The kernel between the given channels, and its number of groups.

    Args:
        w: (K, C/group, *taps).
        outputs: sorted filters that stay.
        inputs: sorted input channels that stay.
        group: of the layer.

    Raises:
        ValueError: the groups that have any channel left do not have equally many.
    """
    rows, columns = w.shape[0] // group, w.shape[1]
    if group == 1:
        return w[outputs][:, inputs], 1
    blocks = [
        w[outputs[outputs // rows == g]][:, inputs[inputs // columns == g] % columns]
        for g in range(group)
    ]
    left = [block for block in blocks if block.shape[0] or block.shape[1]]
    if not left or len({block.shape for block in left}) > 1 or 0 in left[0].shape[:2]:
        raise ValueError("the groups have different numbers of channels left")
    return np.concatenate(left), len(left)


def rounded_up(kept: int, count: int, block: int) -> int:
    """How many of ``count`` channels to keep where ``kept`` are needed: a multiple of ``block``.

    Layers of fewer than ``block`` channels are not rounded; at least one channel stays.
    """
    if count < block:
        return max(kept, 1)
    return min(count, -(-max(kept, 1) // block) * block)
