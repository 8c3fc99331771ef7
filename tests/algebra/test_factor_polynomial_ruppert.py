"""Ruppert's matrix: the equation it stands for, its rank, and the bounds drawn from it."""

import numpy as np
import pytest

from convc.algebra.factor.products import product
from convc.algebra.factor.ruppert import (
    closed_forms,
    distance_over_complex,
    distance_over_reals,
    ruppert_matrix,
    ruppert_norm,
)

SHAPES = [(2, 2), (2, 4), (4, 2), (3, 3), (3, 5), (6, 4)]


def value(f, x, y, dx=0, dy=0):
    """A polynomial or its derivative at a point, by the definition."""
    total = 0.0
    for (i, j), tap in np.ndenumerate(f):
        if i >= dx and j >= dy:
            total += tap * (i if dx else 1) * (j if dy else 1) * x ** (i - dx) * y ** (j - dy)
    return total


@pytest.mark.parametrize("shape", SHAPES)
def test_the_matrix_is_the_equation(shape):
    rng = np.random.default_rng(1)
    m, n = shape[0] - 1, shape[1] - 1
    f, g = rng.standard_normal(shape), rng.standard_normal((m, n + 1))
    h = rng.standard_normal((m + 1, n - 1))
    result = ruppert_matrix(f) @ np.concatenate([g.reshape(-1), h.reshape(-1)])
    for x, y in rng.uniform(-1, 1, (5, 2)):
        expected = (
            value(f, x, y) * (value(g, x, y, dy=1) - value(h, x, y, dx=1))
            + value(h, x, y) * value(f, x, y, dx=1)
            - value(g, x, y) * value(f, x, y, dy=1)
        )
        assert value(result.reshape(2 * m, 2 * n - 1), x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("factors", [1, 2, 3, 4])
def test_the_null_space_counts_the_factors(factors):
    rng = np.random.default_rng(2)
    f = product(*(rng.standard_normal((2, 3)) for _ in range(factors)))
    values, forms = closed_forms(f)
    assert int((values < 1e-9 * values[-1]).sum()) == factors - 1
    for singular, (g, h) in zip(values, forms, strict=True):
        vector = np.concatenate([g.reshape(-1), h.reshape(-1)])
        assert np.linalg.norm(ruppert_matrix(f) @ vector) == pytest.approx(singular, abs=1e-10)


@pytest.mark.parametrize("border", [np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]])
def test_a_border_of_zeros_counts_as_a_factor(border):
    f = np.random.default_rng(3).standard_normal((4, 4))
    assert distance_over_complex(f) > 1e-4
    f[border] = 0.0
    assert distance_over_complex(f) == 0.0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_norm_bounds_the_matrix(shape):
    rng = np.random.default_rng(4)
    monomials = np.eye(shape[0] * shape[1]).reshape(-1, *shape)
    for f in (*monomials, *rng.standard_normal((50, *shape)), np.ones(shape)):
        size = np.linalg.norm(ruppert_matrix(f), 2)
        assert size <= ruppert_norm(shape) * np.linalg.norm(f) * (1 + 1e-12)


def test_the_bounds_hold_near_products():
    """Of real factors, equal, nearly equal or not, and of any size of change."""
    rng = np.random.default_rng(5)
    positive = 0
    for case in range(400):
        a = rng.standard_normal(2 * rng.integers(1, 3, 2) - 1 + (case % 3 == 0))
        if a.size == 1:
            continue
        b = a + 10.0 ** rng.uniform(-8, 0) * rng.standard_normal(a.shape)
        f = product(a, b)
        move = rng.standard_normal(f.shape)
        move *= 10.0 ** rng.uniform(-9, 0) * np.linalg.norm(f) / np.linalg.norm(move)
        if min(f.shape) < 2:
            continue
        size = np.linalg.norm(move) / np.linalg.norm(f + move)
        real = distance_over_reals(f + move)
        assert max(real, distance_over_complex(f + move)) <= size
        positive += real > 0.0
    assert positive > 0


def test_the_real_bound_sees_what_the_complex_one_cannot():
    rng = np.random.default_rng(6)
    for _ in range(30):
        p, q = rng.standard_normal((2, 2, 2))
        f = product(p, p) + product(q, q)
        # Exactly reducible over the complex numbers but for rounding.
        assert distance_over_complex(f) < 1e-14
        bound = distance_over_reals(f)
        nearest = min(np.linalg.norm(product(p, p)), np.linalg.norm(product(q, q)))
        assert 1e-8 < bound <= nearest / np.linalg.norm(f)
