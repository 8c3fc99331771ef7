"""Products of kernels on a common grid of taps: what all compositions share."""

from __future__ import annotations

import math

import numpy as np

from convc.algebra.arrays import Array, Sizes
from convc.algebra.blocks import regroup


def swap_layout(w: Array, group: int) -> Array:
    """Conv layout (K, C/group, *k) to ConvTranspose layout (C, K/group, *k), and back.

    ``group`` divides the first axis of ``w``.
    """
    rows, columns = w.shape[0] // group, w.shape[1]
    blocks = w.reshape(group, rows, columns, *w.shape[2:]).swapaxes(1, 2)
    return blocks.reshape(group * columns, rows, *w.shape[2:])


def flip(w: Array) -> Array:
    """``w`` with every spatial axis reversed."""
    return np.flip(w, axis=tuple(range(2, w.ndim)))


def common_grid(kernel1: int, step1: int, kernel2: int, step2: int) -> int:
    """Distance of the coarsest grid that holds all sums of two tap positions, on one axis.

    A kernel of one tap has no step, so its own drops out; without any step the distance is 1.
    """
    return math.gcd(step1 if kernel1 > 1 else 0, step2 if kernel2 > 1 else 0) or 1


def compose_taps(
    w1: Array, w2: Array, groups: tuple[int, int], steps1: Sizes, steps2: Sizes
) -> Array:
    """Sum over the channels between, at position ``step1·t + step2·u`` for taps t of w1, u of w2.

    Args:
        w1: (M, C/g1, *k1), the map that is applied first.
        w2: (K, M/g2, *k2).
        groups: (g1, g2).
        steps1: distance of two taps of w1 in the result, per axis.
        steps2: distance of two taps of w2 in the result, per axis.

    Returns:
        (K, C/G, *k) with ``G = gcd(g1, g2)`` and ``k = step1(k1−1) + step2(k2−1) + 1``.

        The M channels between are cut by g1 into blocks of M/g1 and by g2 into blocks of M/g2.
        Both cuts fall together at the multiples of ``lcm(M/g1, M/g2) = M/G`` and nowhere else: the
        composition has G groups, and no more, since within one of them the blocks overlap in a
        chain. (Blocks far apart in the chain leave zeros in the kernel.)

    Raises:
        ValueError: the channel counts do not fit each other or the groups.
    """
    kernel1, kernel2 = w1.shape[2:], w2.shape[2:]
    common, left, right = _channel_blocks(w1, w2, groups)
    batch, rows, inner = right.shape[:3]
    columns = left.shape[2]
    # One tap of w2 meets all of w1 in one matrix product per block.
    flat = left.reshape(batch, inner, -1)
    by_tap = np.moveaxis(right.reshape(batch, rows, inner, -1), -1, 0)
    size = tuple(
        s1 * (k1 - 1) + s2 * (k2 - 1) + 1
        for s1, k1, s2, k2 in zip(steps1, kernel1, steps2, kernel2, strict=True)
    )
    result = np.zeros((batch, rows, columns, *size))
    for tap, matrix in zip(np.ndindex(*kernel2), by_tap, strict=True):
        window = tuple(
            slice(s2 * u, s2 * u + s1 * (k1 - 1) + 1, s1)
            for s1, k1, s2, u in zip(steps1, kernel1, steps2, tap, strict=True)
        )
        result[:, :, :, *window] += (matrix @ flat).reshape(batch, rows, columns, *kernel1)
    return _join_blocks(result, common, w2.shape[0])


def _channel_blocks(w1: Array, w2: Array, groups: tuple[int, int]) -> tuple[int, Array, Array]:
    """The common groups G, and both kernels as batches of matrices over the channels between.

    The batch is G times the finer of the two cuts, so that no depthwise kernel is made dense:
    left is (batch, inner, columns, *k1), right is (batch, rows, inner, *k2).
    """
    group1, group2 = groups
    between = w1.shape[0]
    if between % group1 or w2.shape[0] % group2:
        raise ValueError(f"{between} and {w2.shape[0]} channels in {group1} and {group2} groups")
    if w2.shape[1] * group2 != between:
        raise ValueError(
            f"the second kernel takes {w2.shape[1] * group2} channels, the first gives {between}"
        )
    common = math.gcd(group1, group2)
    parts1, parts2 = group1 // common, group2 // common
    rows, columns = w2.shape[0] // common, w1.shape[1]
    if parts1 > 1 and parts2 > 1:
        w2, parts2 = regroup(w2, group2, common), 1
    if parts2 == 1:
        inner = between // group1
        right = w2.reshape(common, rows, parts1, inner, *w2.shape[2:]).swapaxes(1, 2)
        right = right.reshape(common * parts1, rows, inner, *w2.shape[2:])
        return common, w1.reshape(common * parts1, inner, columns, *w1.shape[2:]), right
    inner = between // group2
    left = w1.reshape(common * parts2, inner, columns, *w1.shape[2:])
    right = w2.reshape(common * parts2, rows // parts2, inner, *w2.shape[2:])
    return common, left, right


def _join_blocks(blocks: Array, common: int, rows: int) -> Array:
    """(batch, r, c, *k) to (K, C/G, *k): a batch within a group splits either rows or columns."""
    batch, block_rows, block_columns = blocks.shape[:3]
    size = blocks.shape[3:]
    parts = batch // common
    split = blocks.reshape(common, parts, block_rows, block_columns, *size)
    if common * block_rows == rows:
        return split.swapaxes(1, 2).reshape(rows, parts * block_columns, *size)
    return split.reshape(rows, block_columns, *size)
