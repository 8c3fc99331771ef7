"""A convolution that computes several neighbouring outputs at once, as channels of one output.

Output ``p·q + j`` of an axis, the one at j in block q of p, reads input ``s·(p·q + j) + d·t − pad``
by tap t. So the blocks are the outputs of a convolution of stride ``s·p``, whose filter for j has
tap t at ``s·j + d·t``. All of these lie on a grid of step g. Per axis:

    stride     s·p
    dilation   g = gcd(s, d), where a single output or a single tap drops out
    kernel     1 + (s(p − 1) + d(k − 1)) / g
    pads       p_begin, p_end + s·m

The last block may reach m < p outputs beyond the last one: ``m = −H_out mod p``. With m = p − 1
there are as many blocks, whatever the size.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.geometry import ConvGeometry


def widen_geometry(
    geometry: ConvGeometry, phases: Sequence[int], surplus: Sequence[int] | None = None
) -> ConvGeometry:
    """The geometry of the convolution whose outputs are blocks.

    Args:
        geometry: of the convolution.
        phases: how many outputs of each axis are in a block.
        surplus: how many outputs of each axis the last block has too many; ``phases − 1`` where
            the size is not known.

    Returns:
        The geometry, with ``⌈H_out / phases⌉`` outputs per axis.
    """
    extra = [p - 1 for p in phases] if surplus is None else surplus
    ends = zip(geometry.pads_end, geometry.strides, extra, strict=True)
    return ConvGeometry(
        kernel=tuple(int(_reach(geometry, axis, p).max()) + 1 for axis, p in enumerate(phases)),
        strides=tuple(s * p for s, p in zip(geometry.strides, phases, strict=True)),
        dilations=tuple(_step(geometry, axis, p) for axis, p in enumerate(phases)),
        pads_begin=geometry.pads_begin,
        pads_end=tuple(pad + s * m for pad, s, m in ends),
        group=geometry.group,
    )


def widen_kernel(w: AnyArray, geometry: ConvGeometry, phases: Sequence[int]) -> Array:
    """The filters for all outputs of a block, with zeros where an output reads nothing.

    Args:
        w: (K, C/group, *k).
        geometry: of the convolution.
        phases: how many outputs of each axis are in a block.

    Returns:
        (prod(phases), K, C/group, *k'), the output along the last axis running fastest, with k'
        the kernel of `widen_geometry`.
    """
    kernel = as_float64(w)
    size = widen_geometry(geometry, phases).kernel
    wide = np.zeros((prod(phases), *kernel.shape[:2], *size))
    reaches = [_reach(geometry, axis, p) for axis, p in enumerate(phases)]
    for i, places in enumerate(product(*reaches)):
        wide[i][np.ix_(range(kernel.shape[0]), range(kernel.shape[1]), *places)] = kernel
    return wide


def _step(geometry: ConvGeometry, axis: int, phases: int) -> int:
    stride, dilation = geometry.strides[axis], geometry.dilations[axis]
    return gcd(stride if phases > 1 else 0, dilation if geometry.kernel[axis] > 1 else 0) or 1


def _reach(geometry: ConvGeometry, axis: int, phases: int) -> NDArray[np.int64]:
    """(phases, k): the place of each tap of each output in the wide kernel."""
    step = _step(geometry, axis, phases)
    starts = geometry.strides[axis] * np.arange(phases)[:, np.newaxis]
    return (starts + geometry.dilations[axis] * np.arange(geometry.kernel[axis])) // step
