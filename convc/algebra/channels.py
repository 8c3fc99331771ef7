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
REFERENCE = 1e6
"""Of a layer's largest value no more than this counts."""
DIGITS = 44
"""Bits to which two numbers must agree to count as equal: float64 has 53."""
NEAR = 2.0**-30
"""Keys of filters that are further apart do not belong to multiples of each other."""
SAMPLES = 4
"""Weights along each axis by which filters are first told apart."""
CHUNK = 2**18
"""Weights looked at together: a copy of all those of a large layer costs more than the layer."""

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


def negligible(filters: AnyArray, bias: AnyArray, roundoff: float) -> tuple[Mask, Array]:
    """Which filters give nothing but their bias, and by how much that is wrong.

    With ``M`` the layer's largest magnitude, or 10⁶ if that is less, filter k is negligible if

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
    rows = filters.reshape(len(filters), -1)
    offset = np.abs(as_float64(bias))
    largest, moved = offset.max(initial=0.0), np.zeros(len(rows))
    step = max(1, CHUNK // max(rows.shape[1], 1))
    for start in range(0, len(rows), step):
        magnitude = np.abs(as_float64(rows[start : start + step]))
        moved[start : start + step] = SPREAD * magnitude.sum(axis=1)
        largest = max(largest, magnitude.max(initial=0.0))
    scale = np.maximum(offset, min(largest, REFERENCE) * NEIGHBOUR)
    ratio = np.divide(moved, scale, out=np.zeros_like(moved), where=moved > 0)
    return np.less_equal(ratio, roundoff), ratio


def may_be_negligible(blocks: AnyArray, bias: AnyArray, roundoff: float) -> Mask:
    """(K,): false for filters that `negligible` surely does not name, by a few weights of each.

    Args:
        blocks: (G, K/G, C/G, T), weights by group, filter, input channel and tap.
        bias: (K,).
        roundoff: as there.
    """
    moved: Array = SPREAD * np.abs(_samples(blocks)).max(axis=2).reshape(-1)
    scale = np.maximum(np.abs(as_float64(bias)), REFERENCE * NEIGHBOUR)
    return np.less_equal(moved, roundoff * scale)


def read_by(blocks: AnyArray, counted: Mask | None = None) -> Mask:
    """(G, C/G): the input channels for which any filter has a weight other than 0.

    Filters are looked at until one is found for each channel: nearly always one will do.

    Args:
        blocks: (G, K/G, C/G, T), weights by group, filter, input channel and tap. With the middle
            axes swapped it is the filters that are told, by the channels they read.
        counted: (G, K/G), the filters that count; by default all.
    """
    found = np.zeros((blocks.shape[0], blocks.shape[2]), bool)
    start, step = 0, 1
    most = max(1, CHUNK * blocks.shape[1] // max(blocks.size, 1))
    while start < blocks.shape[1] and not found.all():
        part = slice(start, start + step)
        weights = (blocks[:, part] != 0).any(axis=3)
        if counted is not None:
            weights &= counted[:, part, np.newaxis]
        found |= weights.any(axis=1)
        start, step = start + step, min(2 * step, most)
    return found


def may_be_parallel(blocks: AnyArray) -> Mask:
    """(K,): false for filters that are surely no multiple of any other one of their group.

    A key is computed from a few weights of each filter, the same for all of its positive
    multiples but for rounding; sorted, the keys of such filters are neighbours.

    Args:
        blocks: (G, K/G, C/G, T), weights by group, filter, input channel and tap.
    """
    some = _samples(blocks)
    largest = np.abs(some).max(axis=2, keepdims=True)
    unit = np.divide(some, largest, out=np.zeros_like(some), where=largest > 0)
    keys = unit @ np.cos(1.0 + np.arange(some.shape[2]))
    order = np.argsort(keys, axis=1)
    near = np.diff(np.take_along_axis(keys, order, axis=1), axis=1) <= NEAR
    close = np.zeros(keys.shape, bool)
    close[:, 1:] |= near
    close[:, :-1] |= near
    result: Mask = np.empty_like(close)
    np.put_along_axis(result, order, close, axis=1)
    return result.reshape(-1)


def _samples(blocks: AnyArray) -> Array:
    """(G, K/G, n): at most `SAMPLES`² weights of each filter."""
    channels, taps = blocks.shape[2:]
    some = blocks[:, :, :: -(-channels // SAMPLES), :: -(-taps // SAMPLES)]
    return as_float64(some).reshape(*blocks.shape[:2], -1)


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
    blocks = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
    result = np.zeros(blocks.shape[:2])
    for g, c in np.argwhere(as_float64(values).reshape(group, -1)):
        result[g] += values[g * w.shape[1] + c] * as_float64(blocks[g, :, c]).sum(axis=1)
    return result.reshape(-1)


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
        return w[np.ix_(outputs, inputs)], 1
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
