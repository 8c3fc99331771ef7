"""Matrix products."""

from __future__ import annotations

import numpy as np

from .support import Array, Attributes, Inputs, KernelError, broadcasts_to, optional, required


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
