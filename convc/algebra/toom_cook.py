"""Toom–Cook: m neighbouring outputs of a k-tap kernel from m + k − 1 products.

A strip of ``n = m + k − 1`` inputs d gives m outputs of the correlation with a kernel g,

    y[o] = Σ_t g[t]·d[o + t],    o = 0 … m−1,

and the n products of ``y = Aᵀ[(G·g) ∘ (Bᵀ·d)]`` suffice for it, where the sum takes m·k.

**Where the matrices come from.** Multiply two polynomials, u with m coefficients and g with k. The
product has n coefficients, and n of its values fix it: those at n − 1 points a_i, each
``u(a_i)·g(a_i)``, and the leading coefficient ``u[m−1]·g[k−1]``, the value "at infinity". With the
matrix E_r of all these values of a polynomial of r coefficients (row i the powers of a_i, the last
row the last unit vector), the product is ``E_n⁻¹[(E_m·u) ∘ (E_k·g)]``. For a fixed g that is a
matrix that takes u to the full convolution, and the correlation is its transpose:

    y = E_mᵀ [(E_k·g) ∘ (E_n⁻ᵀ·d)].

The columns of E_n⁻¹ are read off Lagrange's form of a polynomial s of n coefficients,
``s = Σ_i s(a_i)·M_i/M_i(a_i) + s[n−1]·M`` with ``M = Π_j (x − a_j)`` and ``M_i = M/(x − a_i)``.

**Scaling.** Row i of G, row i of Bᵀ and column i of Aᵀ may be scaled by factors whose product is
one. Here the rows of Bᵀ and the columns of Aᵀ are integers without a common divisor, and all the
fractions are in G, which is applied once per kernel and in float64. What runs on the data has no
rounded entries.

Sources: Toom 1963 and Cook 1966 (the product), Winograd 1980 (n products are the fewest, and the
transposition), Lavin & Gray 2016, arXiv:1509.09308 (the use in networks). The derivation above is
written from the definitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod, sqrt
from typing import TypeAlias

import numpy as np

from convc.algebra.arrays import Array

Matrix: TypeAlias = tuple[tuple[Fraction, ...], ...]

POINTS: tuple[Fraction, ...] = (
    Fraction(0),
    *(Fraction(1), Fraction(-1)),
    *(Fraction(1, 2), Fraction(-2)),
    *(Fraction(-1, 2), Fraction(2)),
    *(Fraction(-3, 4), Fraction(4, 3)),
    *(Fraction(-4), Fraction(1, 4)),
    *(Fraction(-5, 4), Fraction(4, 5)),
    *(Fraction(-1, 4), Fraction(4)),
    *(Fraction(-3, 2), Fraction(2, 3)),
)
"""The finite points, of which the first n − 1 are taken; infinity is always the last.

They grow in pairs, each the pair of ``±p/q`` with p and q up to 5 that gives the least
`error_growth` with three taps; with five the same ones come out. The kind is known from
Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for deep neural
networks", 2020, arXiv:1803.10986: small fractions, of which the reciprocals and negatives are in
the set too. A set of its own for a single n can do better: by the same measure 0, ±2/3, ±3/2 takes
another 31 % off F(4×4, 3×3); `convc.algebra.points` has one for each n.
"""


@dataclass(frozen=True, slots=True)
class Transforms:
    """The matrices of F(m, k), with ``n = m + k − 1``: ``y = Aᵀ[(G·g) ∘ (Bᵀ·d)]``, exactly.

    In two dimensions ``y = Aᵀ[(G·g·Gᵀ) ∘ (Bᵀ·d·B)]·A``; each axis may have its own matrices.

    Attributes:
        m: outputs per tile.
        k: taps of the kernel.
        points: the n − 1 finite points; the last row stands for infinity.
        at: Aᵀ, (m, n), integers.
        g: G, (n, k).
        bt: Bᵀ, (n, n), integers.
    """

    m: int
    k: int
    points: tuple[Fraction, ...]
    at: Matrix
    g: Matrix
    bt: Matrix

    @property
    def n(self) -> int:
        """Inputs per tile, and products: ``m + k − 1``."""
        return self.m + self.k - 1

    def arrays(self) -> tuple[Array, Array, Array]:
        """Aᵀ, G and Bᵀ in float64."""
        at, g, bt = (np.array(matrix, dtype=np.float64) for matrix in (self.at, self.g, self.bt))
        return at, g, bt


def transforms(m: int, k: int, points: Sequence[Fraction | int] | None = None) -> Transforms:
    """The matrices of F(m, k): m outputs of a kernel of k taps, stride 1, dilation 1.

    Args:
        m: outputs per tile, at least 1.
        k: taps, at least 1.
        points: m + k − 2 different numbers; the first of `POINTS` unless given.

    Raises:
        ValueError: m or k below 1, points too few, too many or repeated.
    """
    if m < 1 or k < 1:
        raise ValueError(f"F({m}, {k}): outputs and taps must be positive")
    count = m + k - 2
    if points is None and count > len(POINTS):
        raise ValueError(f"F({m}, {k}) needs {count} points; of itself it knows {len(POINTS)}")
    chosen = POINTS[:count] if points is None else tuple(map(Fraction, points))
    if len(chosen) != count or len(set(chosen)) != count:
        raise ValueError(f"F({m}, {k}) needs {count} different points, not {len(chosen)}")

    whole = _monic(chosen)
    quotients = [_without(whole, point) for point in chosen]
    divisors = [_value(q, point) for q, point in zip(quotients, chosen, strict=True)]
    columns = [_homogeneous(point, m) for point in chosen] + [_unit(m)]
    rows = [_integers((*q, Fraction(0))) for q in quotients] + [_integers(whole)]
    # The factors by which the rows of Bᵀ and the columns of Aᵀ are larger than the definition's.
    lead = [
        _leading(row) * point.denominator ** (m - 1)
        for row, point in zip(rows[:-1], chosen, strict=True)
    ]
    g = [
        tuple(point**t / (divisor * factor) for t in range(k))
        for point, divisor, factor in zip(chosen, divisors, lead, strict=True)
    ]
    last = tuple(value / _leading(rows[-1]) for value in _unit(k))
    return Transforms(m, k, chosen, tuple(zip(*columns, strict=True)), (*g, last), tuple(rows))


def multiplications_per_output(m: int, k: int, ndim: int = 1) -> Fraction:
    """Products per output of F(m, k) on each of ``ndim`` axes: ``((m + k − 1)/m)^ndim``.

    The direct sum takes ``k^ndim``. For axes that differ, multiply the numbers of each.
    """
    return Fraction(m + k - 1, m) ** ndim


def matrix_operations(matrix: Matrix) -> int:
    """Multiplications and additions of a matrix times a vector, row by row.

    Entries 0 and ±1 need no multiplication. Sums that rows share are not looked for.
    """
    filled = [[entry for entry in row if entry] for row in matrix]
    products = sum(abs(entry) != 1 for row in filled for entry in row)
    return products + sum(max(len(row) - 1, 0) for row in filled)


def error_growth(*axes: Transforms) -> float:
    """By how much rounding errors exceed those of the direct sum: a quotient of rms errors.

    The model: data and weights are independent, of mean 0 and variance 1, and each product is
    rounded with a relative error of mean 0 and the same variance, which is all that is rounded.
    Product i has the variance ``‖G_i‖²·‖Bᵀ_i‖²`` (rows) and reaches output o by ``Aᵀ_oi``. The
    direct sum has k products of variance 1. So on one axis

        growth² = Σ_i ‖Aᵀ_i‖²·‖G_i‖²·‖Bᵀ_i‖² / (m·k)

    with the columns of Aᵀ, and no scaling of rows changes it. Norms of Kronecker products are
    products of norms: on several axes the growths multiply.

    That is for a single input channel. Where the C products of many channels are added one after
    the other, the rounding of the sums outweighs all else, the direct sum has k^ndim times as many
    terms, and the quotient tends to ``growth / √(k^ndim)``.

    Args:
        axes: the transforms of each axis; none is the direct sum.

    Returns:
        The quotient, 1 for the direct sum. In float32 simulations with one channel and up to 8
        outputs a tile it comes within a factor of 2 (`tests/algebra/test_toom_cook.py`). Barabasz
        et al. 2020 bound the worst case by norms of whole matrices instead, which is larger and
        depends on the scaling.
    """
    return prod(sqrt(_squared_growth(axis)) for axis in axes)


def _squared_growth(axis: Transforms) -> Fraction:
    columns = zip(*axis.at, strict=True)
    total = sum(
        _square(column) * _square(g) * _square(b)
        for column, g, b in zip(columns, axis.g, axis.bt, strict=True)
    )
    return Fraction(total) / (axis.m * axis.k)


def _square(values: Sequence[Fraction]) -> Fraction:
    return sum((value * value for value in values), Fraction(0))


def _monic(roots: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """``Π (x − root)``; polynomials are coefficients, the constant one first."""
    found = [Fraction(1)]
    for root in roots:
        lower = [Fraction(0), *found]
        higher = [*found, Fraction(0)]
        found = [a - root * b for a, b in zip(lower, higher, strict=True)]
    return tuple(found)


def _without(polynomial: Sequence[Fraction], root: Fraction) -> tuple[Fraction, ...]:
    """``polynomial / (x − root)`` for one of its roots, by Horner's scheme."""
    found: list[Fraction] = []
    carry = Fraction(0)
    for coefficient in reversed(polynomial[1:]):
        carry = coefficient + root * carry
        found.append(carry)
    return tuple(reversed(found))


def _value(polynomial: Sequence[Fraction], x: Fraction) -> Fraction:
    total = Fraction(0)
    for coefficient in reversed(polynomial):
        total = total * x + coefficient
    return total


def _homogeneous(point: Fraction, size: int) -> tuple[Fraction, ...]:
    """The powers of p/q times ``q^(size − 1)``: integers without a common divisor."""
    p, q = point.numerator, point.denominator
    return tuple(Fraction(p**i * q ** (size - 1 - i)) for i in range(size))


def _unit(size: int) -> tuple[Fraction, ...]:
    return (*(Fraction(0),) * (size - 1), Fraction(1))


def _integers(values: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """``values``, one of which is 1, as the least multiple in integers.

    A common divisor of those would divide the factor, and the factor would not be the least.
    """
    factor = lcm(*(value.denominator for value in values))
    return tuple(value * factor for value in values)


def _leading(values: Sequence[Fraction]) -> Fraction:
    """The last coefficient that is not zero: of a multiple of a monic polynomial, the multiple."""
    return next(value for value in reversed(values) if value)
