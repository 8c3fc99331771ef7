"""Moments against the samples they are made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.algebra.moments import Gathering, Moments, joined, white


def gathered(x: np.ndarray, y: np.ndarray, cuts: list[int]) -> Moments:
    """The moments of patches (g, n, D) and responses (n, K), given in pieces."""
    gathering = Gathering(x.shape[0], x.shape[2], y.shape[1])
    for part, wanted in zip(np.split(x, cuts, axis=1), np.split(y, cuts), strict=True):
        gathering.add(part, wanted)
    return gathering.moments()


@given(
    st.integers(1, 3), st.integers(2, 9), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99)
)
def test_moments_are_those_of_the_samples(
    group: int, count: int, width: int, rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((group, count, width)) + 3
    y = rng.standard_normal((count, group * rows)) - 2
    moments = gathered(x, y, [count // 2])
    assert moments.count == count
    assert moments.group == group
    np.testing.assert_allclose(moments.mean_x, x.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(moments.mean_y, y.mean(axis=0), atol=1e-12)
    for g in range(group):
        own = slice(g * rows, (g + 1) * rows)
        joint = np.cov(x[g].T, y[:, own].T, bias=True)
        np.testing.assert_allclose(moments.xx[g], joint[:width, :width], atol=1e-12)
        np.testing.assert_allclose(moments.xy[g], joint[:width, width:], atol=1e-12)
    np.testing.assert_allclose(moments.yy, y.var(axis=0), atol=1e-12)


@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99)
)
def test_loss_and_bias_are_those_on_the_samples(
    group: int, inputs: int, taps: int, rows: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((group, 20, inputs * taps)) + 1
    y = rng.standard_normal((20, group * rows)) + 1
    kernel = rng.standard_normal((group * rows, inputs, taps))
    moments = gathered(x, y, [7])
    flat = kernel.reshape(group, rows, -1)
    given_back = np.concatenate([x[g] @ flat[g].T for g in range(group)], axis=1)
    missed = y - given_back - moments.bias(kernel)
    np.testing.assert_allclose(missed.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(moments.residual(kernel), np.square(missed).mean(axis=0))
    np.testing.assert_allclose(moments.loss(kernel), missed.var() * y.shape[1] / y.var(0).sum())


def test_a_large_mean_does_not_drown_the_variance() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 4000, 3)) * 1e-3 + 1e5
    x[:, :, 1] = 7.3
    moments = gathered(x, x[0] @ np.ones((3, 1)), [1000])
    # E x² − (E x)² in float64 would have errors of 1e10 · 2⁻⁵³ = 1e-6, as large as the variances.
    exact = np.cov(x[0].T, bias=True)
    np.testing.assert_allclose(moments.xx[0], exact, atol=1e-12)
    np.testing.assert_allclose(moments.xx[0, 1], 0, atol=1e-20)
    np.testing.assert_allclose(moments.mean_x, x.mean(axis=1))


@given(st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_loss_of_white_moments_is_the_distance_of_the_weights(group: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, other = rng.standard_normal((2, 4, 3, 2, 3))
    moments = white(kernel, group)
    distance = np.square(kernel - other).sum() / np.square(kernel).sum()
    np.testing.assert_allclose(moments.loss(other), distance)
    assert moments.loss(kernel) < 1e-15
    assert np.all(moments.residual(kernel) >= 0)
    np.testing.assert_array_equal(moments.bias(other), 0)


def test_rounding_leaves_no_negative_residual() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((50, 6))
    x = rng.standard_normal((1, 100, 6))
    residual = gathered(x, x[0] @ kernel.T, []).residual(kernel)
    assert np.all(residual >= 0)
    np.testing.assert_allclose(residual, 0, atol=1e-13)


def test_responses_that_do_not_vary() -> None:
    x = np.random.default_rng(0).standard_normal((1, 10, 2))
    moments = gathered(x, np.full((10, 1), 3.0), [])
    assert moments.loss(np.zeros((1, 2))) == 0
    assert moments.loss(np.ones((1, 2))) == 1
    np.testing.assert_allclose(moments.bias(np.zeros((1, 2))), 3)


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        Gathering(1, 2, 1).moments()


def test_moments_of_two_halves_join_to_those_of_all() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 50, 4)) + 3.0
    y = rng.standard_normal((50, 6)) - 2.0
    whole, first, second = (Gathering(2, 4, 6) for _ in range(3))
    whole.add(x, y)
    first.add(x[:, :13], y[:13])
    second.add(x[:, 13:], y[13:])
    a, b = whole.moments(), joined(first.moments(), second.moments())
    assert a.count == b.count
    for name in ("mean_x", "mean_y", "xx", "xy", "yy"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), atol=1e-12)


def test_a_wrong_bias_is_missed_too() -> None:
    kernel = np.ones((2, 3, 1, 1))
    moments = white(kernel)
    assert moments.misses(kernel, moments.bias(kernel)) == pytest.approx(0.0, abs=1e-12)
    assert moments.misses(kernel, np.array([3.0, 0.0])) == pytest.approx(9.0 / 6.0)
