"""Products of polynomials in two variables: what kernels do when convolutions are composed.

The kernel K (h, w) is the polynomial ``Σ K[i, j]·xⁱ·yʲ``, of degree h − 1 in x and w − 1 in y.
The composition of two convolutions has the product of their polynomials: the full convolution of
the kernels, of shape (h1 + h2 − 1, w1 + w2 − 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import accumulate

import numpy as np

from convc.algebra.arrays import Array, as_float64

EPS = float(np.finfo(np.float64).eps)
_STEPS = 60
_LEAST_DAMPING = 1e-11
"""Rescaling the factors changes nothing, so that the normal matrix is singular without damping."""


def product(*factors: Array) -> Array:
    """The full convolution of kernels (h, w); of none, the 1×1 kernel one."""
    return reduce(_pair_product, factors, np.ones((1, 1)))


def _pair_product(a: Array, b: Array) -> Array:
    if a.size > b.size:
        a, b = b, a
    if a.size == 1:
        return float(a[0, 0]) * b
    (h1, w1), (h2, w2) = a.shape, b.shape
    result = np.zeros((h1 + h2 - 1, w1 + w2 - 1))
    for (i, j), tap in np.ndenumerate(a):
        result[i : i + h2, j : j + w2] += tap * b
    return result


def multiplication_matrix(f: Array, shape: tuple[int, int]) -> Array:
    """The matrix of ``a ↦ a·f`` on kernels of ``shape``, both sides flattened row by row."""
    (h, w), (h1, w1) = f.shape, shape
    matrix = np.zeros((h + h1 - 1, w + w1 - 1, h1, w1))
    for i, j in np.ndindex(h1, w1):
        matrix[i : i + h, j : j + w, i, j] = f
    return matrix.reshape(-1, h1 * w1)


def quotient(f: Array, divisor: Array) -> Array:
    """The a that brings ``a·divisor`` nearest to ``f`` in the Frobenius norm."""
    shape = (f.shape[0] - divisor.shape[0] + 1, f.shape[1] - divisor.shape[1] + 1)
    matrix = multiplication_matrix(divisor, shape)
    return as_float64(np.linalg.lstsq(matrix, f.reshape(-1), rcond=None)[0]).reshape(shape)


def derivative(f: Array) -> Array:
    """∂f/∂x, with one row less (at least one row, of zeros)."""
    if f.shape[0] == 1:
        return np.zeros_like(f)
    return f[1:] * np.arange(1.0, f.shape[0])[:, None]


def balanced(factors: Sequence[Array]) -> tuple[Array, ...]:
    """The factors of the same product scaled to equal norms.

    In all but the last the tap of the largest magnitude is positive. A factor of zeros makes all
    of them zeros, as it makes the product.
    """
    norms = [float(np.linalg.norm(f)) for f in factors]
    if min(norms) == 0.0:
        return tuple(np.zeros_like(f) for f in factors)
    scale = math.exp(sum(map(math.log, norms)) / len(norms))
    signs = [float(np.sign(f.flat[int(np.argmax(np.abs(f)))])) for f in factors[:-1]]
    signs.append(math.prod(signs))
    return tuple(f * (s * scale / norm) for f, s, norm in zip(factors, signs, norms, strict=True))


def refine(
    factors: Sequence[Array],
    kernel: Array,
    goal: float = EPS,
    damping: float = 1e-9,
    settled: float = 1e-3,
) -> tuple[tuple[Array, ...], float]:
    """The nearest local minimum of ``‖kernel − product(factors)‖`` by Levenberg–Marquardt.

    Args:
        factors: starting point; the shape of their product is the kernel's.
        kernel: (h, w), not zero.
        goal: a residual that is small enough to stop at.
        damping: first damping relative to the mean square of the Jacobian's columns; small near a
            solution, where the damping only fixes what rescaling the factors leaves open.
        settled: a relative change of the residual that ends the search when it comes twice.

    Returns:
        The balanced factors, and the residual relative to ``‖kernel‖``.
    """
    norm = float(np.linalg.norm(kernel))
    target = kernel.reshape(-1) / norm
    current = _scaled_to(balanced(factors), target)
    missing = target - product(*current).reshape(-1)
    residual = float(np.linalg.norm(missing))
    idle = 0
    for _ in range(_STEPS):
        if residual <= goal or idle == 2 or damping > 1e6:
            break
        trial = _step(current, missing, damping)
        trial_missing = target - product(*trial).reshape(-1)
        trial_residual = float(np.linalg.norm(trial_missing))
        idle = idle + 1 if abs(trial_residual - residual) < settled * residual else 0
        if not trial_residual < residual:
            damping *= 10.0
            continue
        current, missing, residual = balanced(trial), trial_missing, trial_residual
        damping = max(0.2 * damping, _LEAST_DAMPING)
    scale = norm ** (1.0 / len(current))
    return tuple(f * scale for f in current), residual


def _scaled_to(factors: tuple[Array, ...], target: Array) -> tuple[Array, ...]:
    """The factors with the last one scaled so that the product is nearest to ``target``."""
    whole = product(*factors).reshape(-1)
    square = float(whole @ whole)
    if square == 0.0:
        return factors
    return balanced((*factors[:-1], factors[-1] * float(whole @ target) / square))


def _step(factors: tuple[Array, ...], missing: Array, damping: float) -> tuple[Array, ...]:
    jacobian = np.hstack(
        [
            multiplication_matrix(others, f.shape)
            for others, f in zip(_others(factors), factors, strict=True)
        ]
    )
    normal = jacobian.T @ jacobian
    size = len(normal)
    normal.flat[:: size + 1] += damping * float(np.trace(normal)) / size + 1e-300
    change = np.linalg.solve(normal, jacobian.T @ missing)
    cuts = np.cumsum([f.size for f in factors])[:-1]
    return tuple(
        f + part.reshape(f.shape) for f, part in zip(factors, np.split(change, cuts), strict=True)
    )


def _others(factors: tuple[Array, ...]) -> list[Array]:
    """For each factor the product of all others."""
    before = list(accumulate(factors[:-1], _pair_product, initial=np.ones((1, 1))))
    after = list(accumulate(factors[:0:-1], _pair_product, initial=np.ones((1, 1))))
    return [_pair_product(a, b) for a, b in zip(before, reversed(after), strict=True)]
