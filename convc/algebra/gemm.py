"""Convolutions as matrices, whatever the kernel's size, strides, dilations, groups and rank.

A convolution is linear, so on an input of given size it is one matrix that multiplies the flattened
input: with one channel and one axis a Toeplitz matrix, constant along its diagonals, with more axes
a block Toeplitz matrix of such blocks, one for each pair of channels. Nearly all of it is zeros.

The same products without the zeros: put what each output reads into a column (im2col), and one
small matrix, the flattened kernel, multiplies all columns.

    >>> import numpy as np
    >>> from convc.algebra import geometry_of, to_columns, to_matrix
    >>> kernel = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).reshape(1, 1, 3, 2)
    >>> geometry = geometry_of(kernel)
    >>> to_matrix(kernel, geometry, (3, 3)).astype(int)
    array([[1, 2, 0, 3, 4, 0, 5, 6, 0],
           [0, 1, 2, 0, 3, 4, 0, 5, 6]])
    >>> to_matrix(kernel, geometry).astype(int)
    array([[1, 2, 3, 4, 5, 6]])
    >>> image = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> to_columns(image, geometry)[0].T.astype(int)
    array([[0, 1, 3, 4, 6, 7],
           [1, 2, 4, 5, 7, 8]])
    >>> to_matrix(kernel, geometry, (3, 3)) @ image.reshape(-1)
    array([ 99., 120.])
    >>> (to_matrix(kernel, geometry) @ to_columns(image, geometry)[0])[0]
    array([ 99., 120.])
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray, Array, Sizes, as_float64
from convc.algebra.compose import require_kernel
from convc.algebra.geometry import ConvGeometry, Geometry, TransposeGeometry


def to_matrix(w: AnyArray, geometry: Geometry, size: Sizes | None = None) -> Array:
    """The matrix of a convolution, exact: a copy of its weights, and zeros.

    Args:
        w: kernel, (K, C/group, *k) of a Conv or (C, K/group, *k) of a ConvTranspose.
        geometry: of either.
        size: spatial input size, or None for the form that does not depend on it.

    Returns:
        With ``size`` the (block) Toeplitz matrix (K·P, C·S) for P output and S input positions,
        which acts on flattened arrays: ``y.reshape(-1) = T @ x.reshape(-1)``, channels first.
        That of a ConvTranspose is the transpose of a Conv's. Dense: 8·K·P·C·S bytes.

        Without, the flattened kernel (K, C/group·T) of T taps, which acts on the columns of
        `to_columns`; the rows of each group on the rows of its channels. That of a ConvTranspose
        is (K/group·T, C): column c is what input channel c adds, at each position, to the
        positions that the kernel reaches.

    Raises:
        ValueError: the kernel is not of ``geometry``, or ``size`` has no output.
    """
    if isinstance(geometry, TransposeGeometry):
        out = None if size is None else geometry.output_size(size)
        return to_matrix(w, _conv_of(geometry), out).T
    require_kernel(w, geometry)
    count, inputs = w.shape[:2]
    taps = as_float64(w).reshape(count, inputs, -1)
    if size is None:
        return taps.reshape(count, -1).copy()
    positions, outputs, group = prod(size), prod(geometry.output_size(size)), geometry.group
    # The columns of the unit vectors: one where a tap reads a position for an output.
    units = np.eye(positions).reshape(positions, 1, *size)
    reads = to_columns(units, replace(geometry, group=1))
    blocks = np.tensordot(taps, reads, axes=(2, 1)).transpose(0, 3, 1, 2)
    result = np.zeros((group, count // group, outputs, group, inputs, positions))
    index = np.arange(group)
    result[index, :, :, index] = blocks.reshape(group, -1, outputs, inputs, positions)
    return result.reshape(count * outputs, group * inputs * positions)


def to_columns(x: AnyArray, geometry: ConvGeometry) -> Array:
    """What each output of a convolution reads, as a column (im2col).

    Args:
        x: (N, C, *size).
        geometry: of the convolution; its groups do not matter.

    Returns:
        (N, C·T, P) for T taps and P output positions: row ``c·T + t`` has what tap t meets in
        channel c, 0 in the padding, and column p what output position p reads. With one group
        ``to_matrix(w, geometry) @ to_columns(x, geometry)`` is (N, K, P), the output. T times the
        input at stride 1.

    Raises:
        ValueError: the kernel does not fit into the padded input.
    """
    batch, channels, *size = x.shape
    out = geometry.output_size(size)
    value = np.pad(as_float64(x), [(0, 0), (0, 0), *((0, 1) for _ in size)])
    for axis in range(geometry.ndim):
        # Each axis becomes two: (taps, outputs).
        value = np.take(value, _reads(geometry, axis, size[axis], out[axis]), 2 + 2 * axis)
    taps = range(2, 2 + 2 * geometry.ndim, 2)
    value = value.transpose(0, 1, *taps, *(axis + 1 for axis in taps))
    return value.reshape(batch, channels * prod(geometry.kernel), prod(out))


def covers(geometry: ConvGeometry, size: Sizes) -> bool:
    """Whether one output position reads all of the input: the conv is a fully connected layer."""
    axes = [(axis, entry) for axis, entry in enumerate(size)]
    if any(geometry.axis_output(axis, entry) != 1 for axis, entry in axes):
        return False
    return all(set(range(n)) <= set(_reads(geometry, axis, n, 1)[:, 0]) for axis, n in axes)


def _reads(geometry: ConvGeometry, axis: int, size: int, out: int) -> NDArray[np.int64]:
    """(taps, outputs): which input position each reads, ``size`` where it is padding."""
    taps = np.arange(geometry.kernel[axis])[:, np.newaxis] * geometry.dilations[axis]
    reads = taps + np.arange(out) * geometry.strides[axis] - geometry.pads_begin[axis]
    return np.where((reads >= 0) & (reads < size), reads, size)


def _conv_of(geometry: TransposeGeometry) -> ConvGeometry:
    """The Conv whose matrix is the transpose: from the output back to the input."""
    return ConvGeometry(
        geometry.kernel,
        geometry.strides,
        geometry.dilations,
        geometry.pads_begin,
        geometry.crop_end,
        geometry.group,
    )
