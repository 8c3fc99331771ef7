"""A 3-D convolution as a 2-D one over shifted slices of the depth.

With tap t along the depth, stride s, dilation d and padding p, output depth z is

    y[:, :, z] = Σ_t conv2d(x[:, :, s·z + d·t − p], W[:, :, t]),

a sum over t of 2-D convolutions, or one 2-D convolution over the slices put side by side as
channels. With the depth counted as batch that is one op for all z.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray
from convc.algebra.geometry import ConvGeometry


def depth_reads(geometry: ConvGeometry, size: int) -> NDArray[np.int64]:
    """Which slice of the depth each output and tap reads.

    Args:
        geometry: of the 3-D convolution; its first axis is the depth.
        size: depth of the input.

    Returns:
        (output depth, taps); where padding is read, ``size``: the slice behind the last one.

    Raises:
        ValueError: the kernel does not fit into the padded depth.
    """
    count = geometry.axis_output(0, size)
    if count < 1:
        raise ValueError(f"no output: depth {size} is too small for the geometry")
    starts = np.arange(count)[:, np.newaxis] * geometry.strides[0] - geometry.pads_begin[0]
    reads = starts + np.arange(geometry.kernel[0]) * geometry.dilations[0]
    return np.where((reads >= 0) & (reads < size), reads, size)


def flat_geometry(geometry: ConvGeometry) -> ConvGeometry:
    """The geometry without its first axis."""
    return ConvGeometry(
        geometry.kernel[1:],
        geometry.strides[1:],
        geometry.dilations[1:],
        geometry.pads_begin[1:],
        geometry.pads_end[1:],
        geometry.group,
    )


def stack_depth(w: AnyArray) -> AnyArray:
    """(K, C/group, k_d, k_h, k_w) to (K, k_d·C/group, k_h, k_w).

    The channels of a group are those of the first slice, then those of the second, and so on.
    """
    rows, columns, depth = w.shape[:3]
    return w.swapaxes(1, 2).reshape(rows, depth * columns, *w.shape[3:])
