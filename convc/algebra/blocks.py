"""Grouped convolutions as block-diagonal ones of wider groups.

As a matrix over the channels a convolution in g groups is block-diagonal: g blocks, and zeros
beside them. Blocks of blocks are blocks too, so that any divisor of g will do as the number of
groups once the zeros between are stored.
"""

from __future__ import annotations

import numpy as np

from convc.algebra.arrays import AnyArray


def regroup(w: AnyArray, group: int, new_group: int) -> AnyArray:
    """The same map with fewer groups: zeros between the blocks that share one of the new groups.

    With b = group / new_group, block j of new group i is the old group b·i + j: its rows take the
    j-th part of the new group's columns and zeros from the others.

    Args:
        w: (K, C/group, *taps) of a Conv, or (C, K/group, *taps) of a ConvTranspose: the transpose
            of a block-diagonal matrix is the block-diagonal matrix of the transposes.
        group: of ``w``.
        new_group: a divisor of ``group``.

    Returns:
        (K, C/new_group, *taps), or (C, K/new_group, *taps), in the dtype of ``w``.

    Raises:
        ValueError: ``new_group`` does not divide ``group``, or ``group`` not the rows of ``w``.
    """
    if group % new_group or w.shape[0] % group:
        raise ValueError(f"{w.shape[0]} channels in {group} groups cannot be in {new_group}")
    parts, rows, columns = group // new_group, w.shape[0] // group, w.shape[1]
    wide = np.zeros((new_group, parts, rows, parts, columns, *w.shape[2:]), w.dtype)
    blocks = w.reshape(new_group, parts, rows, columns, *w.shape[2:])
    index = np.arange(parts)
    wide[:, index, :, index] = blocks.swapaxes(0, 1)
    return wide.reshape(w.shape[0], parts * columns, *w.shape[2:])


def wider_groups(group: int, inputs: int, outputs: int, width: int) -> int:
    """Into how many groups to put a convolution, so that none is narrower than a block.

    Args:
        group: number of groups.
        inputs: input channels of a group.
        outputs: output channels of a group.
        width: channels in a block.

    Returns:
        The largest divisor of ``group`` whose groups have whole blocks of channels in and out;
        where none has, the largest whose groups have at least a block of each; else 1.
    """
    fewer = [group // parts for parts in range(1, group + 1) if group % parts == 0]
    sizes = {new: (group // new * inputs, group // new * outputs) for new in fewer}
    whole = [new for new in fewer if all(size % width == 0 for size in sizes[new])]
    filled = [new for new in fewer if min(sizes[new]) >= width]
    return next(iter([*whole, *filled]), 1)
