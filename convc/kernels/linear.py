"""Matrix products."""

from __future__ import annotations

import numpy as np

from .support import (
    Array,
    Attributes,
    Inputs,
    KernelError,
    broadcasts_to,
    normalized_axis,
    optional,
    required,
)


def gemm(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Gemm: alpha A' B' + beta C with A (M, K), B (K, N) after transposition, C to (M, N).

    C is left out when missing or when beta is 0, so that a NaN in it does not pass.
    """
    a, b, c = required(inputs, 0, "A"), required(inputs, 1, "B"), optional(inputs, 2)
    if a.ndim != 2 or b.ndim != 2:
        raise KernelError(f"Gemm of {a.shape} and {b.shape}: both must be matrices")
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    if a.shape[1] != b.shape[0]:
        raise KernelError(f"Gemm of {a.shape} and {b.shape}: inner sizes differ")
    alpha, beta = float(attributes.get("alpha", 1.0)), float(attributes.get("beta", 1.0))
    result = _scaled(np.matmul(a, b), alpha)
    if c is None or beta == 0:
        return [result]
    if not broadcasts_to(c.shape, result.shape):
        raise KernelError(f"C {c.shape} does not broadcast to {result.shape}")
    return [result + _scaled(c, beta)]


def _scaled(x: Array, factor: float) -> Array:
    if factor == 1:
        return x
    # Integer matrices (allowed from opset 9 on) keep their type.
    return (x * factor).astype(x.dtype, copy=False)


def matmul(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """MatMul with numpy's rules for vectors and stacks of matrices."""
    a, b = required(inputs, 0, "A"), required(inputs, 1, "B")
    if not a.ndim or not b.ndim:
        raise KernelError("MatMul of a scalar")
    try:
        return [np.asarray(np.matmul(a, b))]
    except ValueError as error:
        raise KernelError(f"MatMul of {a.shape} and {b.shape}") from error


def dequantize_linear(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """DequantizeLinear: (x − zero point) · scale.

    Scales are one for all, one for each index of ``axis`` (1 by default), or, with ``block_size``,
    one for each block of so many indices of it.
    """
    x, scale = required(inputs, 0, "x"), required(inputs, 1, "x_scale")
    zero = optional(inputs, 2)
    shift = np.zeros_like(scale) if zero is None else zero.astype(np.float64)
    if scale.size == 1:
        factors = [scale.reshape(()), shift.reshape(())]
    else:
        axis = normalized_axis(int(attributes.get("axis", 1)), x.ndim)
        factors = [_along(array, x, axis, attributes) for array in (scale, shift)]
    return [(x.astype(np.float64) - factors[1]) * factors[0]]


def _along(array: Array, x: Array, axis: int, attributes: Attributes) -> Array:
    """Factors of an axis, or of blocks of it, in a shape that broadcasts to ``x``."""
    block = int(attributes.get("block_size", 0))
    if block:
        if array.ndim != x.ndim:
            raise KernelError(f"scales {array.shape} of blocks of {x.shape}")
        array = np.repeat(array, block, axis)
        array = array[(*(slice(None),) * axis, slice(x.shape[axis]))]
    elif array.ndim == 1:
        array = array.reshape(tuple(-1 if other == axis else 1 for other in range(x.ndim)))
    if not broadcasts_to(array.shape, x.shape):
        raise KernelError(f"scales of axis {axis} do not fit {x.shape}")
    return array
