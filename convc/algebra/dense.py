"""Compositions with a fully connected layer."""

from __future__ import annotations

import numpy as np

from convc.algebra.arrays import AnyArray, Array, Sizes, as_float64, channels
from convc.algebra.compose import require_kernel
from convc.algebra.geometry import ConvGeometry


def compose_gemm(
    w1: AnyArray, b1: AnyArray | None, w2: AnyArray, b2: AnyArray | None
) -> tuple[Array, Array]:
    """``(x·w1 + b1)·w2 + b2`` as ``x·w + b``.

    Args:
        w1: (I, M).
        b1: (M,), one value, or None.
        w2: (M, O).
        b2: (O,), one value, or None.

    Returns:
        w (I, O) and b (O,), float64.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    if w1.ndim != 2 or w2.ndim != 2 or w1.shape[1] != w2.shape[0]:
        raise ValueError(f"matrices of {w1.shape} and {w2.shape} have no product")
    left, right = as_float64(w1), as_float64(w2)
    return left @ right, channels(b1, w2.shape[0]) @ right + channels(b2, w2.shape[1])


def conv_into_gemm(  # noqa: PLR0917  (two ops have that many parameters)
    w: AnyArray,
    b: AnyArray | None,
    geometry: ConvGeometry,
    size: Sizes,
    matrix: AnyArray,
    offset: AnyArray | None,
) -> tuple[Array, Array]:
    """A conv, a Flatten of all its output, and a Gemm as one conv of full extent.

    Each connected output is a sum over conv outputs, and each conv output a sum over a window: the
    matrix is scattered back through the conv (its transpose). The result has N·C·H·W weights.

    Args:
        w: (K, C/group, *k), the conv's kernel.
        b: (K,) or None.
        geometry: of the conv.
        size: spatial input size.
        matrix: (K·(product of the output size), N), with the flattened output in C order.
        offset: (N,), one value, or None.

    Returns:
        Kernel (N, C, *size) of a conv without padding, and bias (N,). ``kernel.reshape(N, -1).T``
        is the matrix of one Gemm on the flattened input.

    Raises:
        ValueError: the matrix does not have as many rows as the conv has outputs.
    """
    require_kernel(w, geometry)
    out = geometry.output_size(size)
    group, count, inner = geometry.group, w.shape[0], w.shape[1]
    if matrix.ndim != 2 or matrix.shape[0] != count * int(np.prod(out)):
        raise ValueError(f"matrix of {matrix.shape} after {count} channels of {out}")
    units = matrix.shape[1]
    weights = as_float64(matrix).T.reshape(units, group, count // group, *out)
    kernel = as_float64(w).reshape(group, count // group, inner, *geometry.kernel)
    result = np.zeros((units, group, inner, *size))
    for tap in np.ndindex(*geometry.kernel):
        part = np.einsum("ngk...,gkc->ngc...", weights, kernel[:, :, :, *tap], optimize=True)
        windows = [_in_bounds(geometry, axis, t, size[axis]) for axis, t in enumerate(tap)]
        target = tuple(inputs for _, inputs in windows)
        source = tuple(outputs for outputs, _ in windows)
        result[:, :, :, *target] += part[:, :, :, *source]
    sums = weights.reshape(units, count, -1).sum(axis=2)
    bias: Array = channels(offset, units) + sums @ channels(b, count)
    return result.reshape(units, group * inner, *size), bias


def _in_bounds(geometry: ConvGeometry, axis: int, tap: int, size: int) -> tuple[slice, slice]:
    """The outputs whose ``tap`` meets an input, and those inputs."""
    stride = geometry.strides[axis]
    start = geometry.dilations[axis] * tap - geometry.pads_begin[axis]
    lo = max(0, -(start // stride))
    hi = min(geometry.axis_output(axis, size), (size - 1 - start) // stride + 1)
    if hi <= lo:
        return slice(0, 0), slice(0, 0)
    return slice(lo, hi), slice(start + stride * lo, start + stride * (hi - 1) + 1, stride)
