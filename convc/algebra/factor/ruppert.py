"""Ruppert's matrix of a polynomial in two variables, and how far it is from a product.

f of degrees (m, n) in x and y is a product of two complex polynomials of smaller degrees that add
up to (m, n) if and only if the linear system

    f·∂g/∂y − g·∂f/∂y − f·∂h/∂x + h·∂f/∂x = 0,    deg g ≤ (m − 1, n),  deg h ≤ (m, n − 2)

has a solution (g, h) other than zero (Ruppert 1999; n, m ≥ 1). It says that the 1-form
``(g·dx + h·dy)/f`` is closed; for ``f = a·b`` the logarithmic derivatives of a and b are such
forms, and with (m₁, n₁) the degrees of a and (m₂, n₂) those of b the combination
``n₂·da/a − n₁·db/b`` keeps the degree of h.

The matrix R(f) of the system is linear in f, so that a reducible f + δ has
``σ_min(R(f)) ≤ ‖R(δ)‖ ≤ c·‖δ‖``: a lower bound on the distance (Kaltofen and May, "On approximate
irreducibility of polynomials in several variables", 2003).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from convc.algebra.arrays import Array, as_float64
from convc.algebra.factor.products import EPS, derivative, multiplication_matrix, product


def ruppert_matrix(f: Array) -> Array:
    """The matrix R(f) of the system above: (2m·(2n−1), m·(n+1) + (m+1)·(n−1)).

    Args:
        f: (m + 1, n + 1), m and n at least 1.

    Returns:
        Rows by the powers of x and y of the equation, columns by those of g and then of h.
    """
    m, n = f.shape[0] - 1, f.shape[1] - 1
    rows, columns = np.arange(m + 1.0)[:, None], np.arange(n + 1.0)
    by_rows, by_columns = rows * f, columns * f
    matrix = np.zeros((2 * m + 1, 2 * n + 1, m * (n + 1) + (m + 1) * (n - 1)))
    for index, (a, b) in enumerate(np.ndindex(m, n + 1)):
        matrix[a + 1 : a + m + 2, b : b + n + 1, index] = b * f - by_columns
    for index, (a, b) in enumerate(np.ndindex(m + 1, n - 1), m * (n + 1)):
        matrix[a : a + m + 1, b + 1 : b + n + 2, index] = by_rows - a * f
    return matrix[1:, 1:-1].reshape(-1, matrix.shape[2])


@cache
def ruppert_norm(shape: tuple[int, int]) -> float:
    """A c with ``‖R(f)‖₂ ≤ c·‖f‖`` for all f of ``shape``, Frobenius norm on the right.

    Each entry of R(f) is one coefficient of f times an integer, so that R is a tensor with three
    indices (row, column, coefficient) in which two determine the third. Of the three matrices it
    unfolds into, the norms of all bound ‖R(f)‖₂ for ``‖f‖ = 1``, and each is its longest slice.
    """
    m, n = shape[0] - 1, shape[1] - 1
    squares = ruppert_matrix(np.ones(shape)) ** 2
    i, j = np.arange(m + 1.0), np.arange(n + 1.0)
    of_g = m * ((j[:, None] - j) ** 2).sum(axis=0)
    of_h = (n - 1) * ((i[:, None] - i) ** 2).sum(axis=0)
    coefficients = of_g[None, :] + of_h[:, None]
    slices = (squares.sum(axis=0), squares.sum(axis=1), coefficients)
    return math.sqrt(min(float(s.max()) for s in slices))


def closed_forms(f: Array) -> tuple[Array, list[tuple[Array, Array]]]:
    """Solutions of the system in the order of how well they solve it.

    Args:
        f: (m + 1, n + 1), m and n at least 1.

    Returns:
        The singular values of R(f), ascending, and for each the g (m, n + 1) and h (m + 1, n − 1)
        of its right singular vector, together of norm one.
    """
    m, n = f.shape[0] - 1, f.shape[1] - 1
    _, values, vectors = np.linalg.svd(np.linalg.qr(ruppert_matrix(f), mode="r"))
    cut = m * (n + 1)
    pairs = [(v[:cut].reshape(m, n + 1), v[cut:].reshape(m + 1, n - 1)) for v in vectors[::-1]]
    return values[::-1], pairs


def distance_over_complex(f: Array) -> float:
    """A lower bound on ``‖f − a·b‖ / ‖f‖`` over all complex a and b of smaller degrees.

    σ_min(R(f)) / c, less what rounding may add to a singular value; of f and its transpose, whose
    matrices differ, the better.
    """
    unit = f / np.linalg.norm(f)
    return max(
        _smallest(unit) / ruppert_norm(unit.shape), _smallest(unit.T) / ruppert_norm(unit.T.shape)
    )


def _smallest(f: Array) -> float:
    matrix = ruppert_matrix(f)
    values = as_float64(np.linalg.svd(matrix, compute_uv=False))
    return _surely(values, len(matrix), -1)


def _surely(values: Array, rows: int, index: int) -> float:
    """A singular value, descending, less what rounding may have added to it."""
    return max(0.0, float(values[index]) - rows * EPS * float(values[0]))


def distance_over_reals(f: Array) -> float:
    """A lower bound on ``‖f − a·b‖ / ‖f‖`` over all real a and b, good where f is near p·p̄.

    There R(f) has one small singular value for the pair of complex factors, with the vector
    (g, h), and for some s and q

        a·g² + s·g·∂f/∂x + p·(∂f/∂x)² + q·f = 0,    deg q ≤ (m − 2, n),  a·p > 0.

    A real product has a solution with ``a·p ≤ 0``: with ``g = n₂·b·∂a/∂x − n₁·a·∂b/∂x`` the
    equation is ``(g − n₂·∂f/∂x)·(g + n₁·∂f/∂x) = −n²·f·∂a/∂x·∂b/∂x``. (Where that g is zero, the
    product is a limit of others.) For δ the change of f, the new g lies within an angle θ of the
    old one, ``sin θ ≤ c·‖δ‖/σ₂``; its equation's matrix M differs by at most E(‖δ‖) from the old
    one, and the new (a, s, p, q) lies within an angle φ of the old one, ``sin φ ≤ E/τ₂``, σ₂ and
    τ₂ the second smallest singular values. While ``tan φ < min(|a|, |p|)`` no real product can be
    that near.

    Returns:
        The bound, zero where this argument gives none.
    """
    m, n = f.shape[0] - 1, f.shape[1] - 1
    if m % 2 or n % 2 or min(m, n) < 2:
        return 0.0
    unit = f / np.linalg.norm(f)
    values, forms = closed_forms(unit)
    second = _surely(values[::-1], 2 * m * (2 * n - 1), -2)
    size = float(np.linalg.norm(derivative(unit)))
    if second == 0.0 or size == 0.0:
        return 0.0
    g, slope = forms[0][0], derivative(unit) / size
    matrix = np.column_stack(
        [
            product(g, g).reshape(-1),
            product(g, slope).reshape(-1),
            product(slope, slope).reshape(-1),
            multiplication_matrix(unit, (m - 1, n + 1)),
        ]
    )
    _, taus, vectors = np.linalg.svd(matrix, full_matrices=False)
    outer = vectors[-1]
    if outer[0] * outer[2] <= 0.0:
        return 0.0
    room = min(abs(float(outer[0])), abs(float(outer[2])))
    limit = _surely(taus, len(matrix), -2) * room / math.hypot(1.0, room)
    of_g, of_slope = _gain(g), _gain(slope)
    many = math.sqrt(m * (n + 1))

    def change(delta: float) -> float:
        """E(δ), infinite where the angle θ is not bounded."""
        sine = ruppert_norm(unit.shape) * delta / second
        if sine >= 1.0:
            return math.inf
        dg, ds = sine / math.sqrt(1.0 - sine * sine), m * delta / size
        return math.hypot(
            2.0 * of_g * dg + many * dg * dg,
            of_g * ds + of_slope * dg + many * dg * ds,
            2.0 * of_slope * ds + many * ds * ds,
            math.sqrt((m - 1) * (n + 1)) * delta,
        )

    return 0.999 * _largest_below(change, limit)


def _gain(f: Array) -> float:
    """The norm of multiplying kernels of the shape of ``f`` by ``f``."""
    return float(np.linalg.norm(multiplication_matrix(f, f.shape), 2))


def _largest_below(increasing: Callable[[float], float], limit: float) -> float:
    """The largest delta in [0, 1] with ``increasing(delta) <= limit``, from below."""
    low, high = 0.0, 1.0
    while increasing(high) > limit and high > EPS:
        high /= 4.0
    if high <= EPS:
        return 0.0
    low, high = high, min(1.0, 4.0 * high)
    for _ in range(12):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if increasing(middle) <= limit else (low, middle)
    return low
