"""What the fits share, and the refit of a layer as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.algebra.fit import default_ridge, effective, refit, ridged
from convc.algebra.fit.common import conjugate_gradients, root, solve
from convc.algebra.moments import white
from tests.algebra.fit_layers import Case, cases, correlated, gathered, observed, responses


def positive(rng: np.random.Generator, group: int, size: int) -> np.ndarray:
    half = rng.standard_normal((group, size, size + 2))
    return half @ half.swapaxes(1, 2)


@given(cases(), st.sampled_from([1e-6, 1e-2, 1.0]))
def test_refit_is_the_minimum(case: Case, ridge: float) -> None:
    moments, kernel = observed(case, noise=0.5)
    rng = case.rng()
    kernel = kernel + rng.standard_normal(kernel.shape)
    found = refit(moments, kernel, ridge)
    assert found.shape == kernel.shape
    assert moments.loss(found) <= moments.loss(kernel)
    # The gradient of loss and ridge is zero, group by group.
    group, width = moments.mean_x.shape
    w, original = (a.reshape(group, -1, width) for a in (found, kernel))
    share = ridge * np.trace(moments.xx, axis1=1, axis2=2)[:, None, None] / width
    gradient = w @ moments.xx - moments.xy.swapaxes(1, 2) + share * (w - original)
    scale = np.abs(moments.xx).max() * np.abs(w).max() * width
    np.testing.assert_allclose(gradient, 0, atol=1e-12 * scale)


@given(cases())
def test_the_ridge_is_noise_that_the_original_answers(case: Case) -> None:
    moments, kernel = observed(case)
    other = case.rng().standard_normal(kernel.shape)
    given_noise = ridged(moments, kernel, 0.3)
    group, width = moments.mean_x.shape
    share = 0.3 * np.trace(moments.xx, axis1=1, axis2=2) / width
    distance = np.square(other - kernel).reshape(group, -1).sum(axis=1)
    wanted = moments.residual(other).sum() + (share * distance).sum()
    np.testing.assert_allclose(given_noise.residual(other).sum(), wanted)
    np.testing.assert_array_equal(given_noise.bias(other), moments.bias(other))


def test_default_ridge_falls_with_the_samples() -> None:
    rng = np.random.default_rng(0)
    x = correlated(rng, 1, 6, 500)
    few, many = (gathered(x[:, :n], responses(x[:, :n], np.ones((2, 6)))) for n in (50, 500))
    assert default_ridge(few) == pytest.approx(10 * default_ridge(many))


def test_refit_to_white_moments_keeps_the_weights() -> None:
    kernel = np.random.default_rng(0).standard_normal((4, 2, 3, 3))
    np.testing.assert_allclose(refit(white(kernel, 2), kernel), kernel, rtol=1e-12)


@pytest.mark.parametrize("ridge", [None, 0.0])
def test_weights_of_inputs_that_do_not_vary_stay(ridge: float | None) -> None:
    rng = np.random.default_rng(1)
    x = correlated(rng, 1, 6, 100)
    x[:, :, [1, 4]] = 2.5
    kernel = rng.standard_normal((3, 6))
    found = refit(gathered(x, responses(x, rng.standard_normal((3, 6)))), kernel, ridge)
    np.testing.assert_array_equal(found[:, [1, 4]], kernel[:, [1, 4]])
    assert np.abs(found - kernel).max() > 0.1


@pytest.mark.parametrize("ridge", [None, 0.0])
def test_refit_of_inputs_that_are_the_same(ridge: float | None) -> None:
    rng = np.random.default_rng(2)
    x = np.repeat(correlated(rng, 1, 3, 100), 2, axis=2)
    kernel, true = rng.standard_normal((2, 3, 6))
    moments = gathered(x, responses(x, true))
    found = refit(moments, kernel, ridge)
    assert moments.loss(found) < (0.05 if ridge is None else 1e-12)
    if ridge is None:
        # Only what the two do together is known; what they do against each other stays.
        np.testing.assert_allclose(
            found[:, ::2] - found[:, 1::2], kernel[:, ::2] - kernel[:, 1::2], atol=1e-9
        )
    else:
        assert np.abs(found).max() < 100


def test_refit_without_any_variance() -> None:
    x = np.full((2, 10, 4), 3.0)
    kernel = np.random.default_rng(0).standard_normal((4, 2, 2))
    moments = gathered(x, np.ones((10, 4)))
    np.testing.assert_array_equal(refit(moments, kernel), kernel)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), st.integers(0, 99))
def test_solve_and_root(group: int, size: int, right: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gram = positive(rng, group, size)
    wanted = rng.standard_normal((group, size, right))
    np.testing.assert_allclose(solve(gram, gram @ wanted), wanted, rtol=1e-6, atol=1e-8)
    factor = root(gram)
    np.testing.assert_allclose(factor @ factor.swapaxes(1, 2), gram, atol=1e-10)
    # Not positive definite, and by rounding not even semidefinite.
    gram[:, 0] = gram[:, :, 0] = 0
    gram[:, 0, 0] = -1e-17
    factor = root(gram)
    np.testing.assert_allclose(factor @ factor.swapaxes(1, 2), gram, atol=1e-10)
    wanted[:, 0] = 0
    np.testing.assert_allclose(solve(gram, gram @ wanted), wanted, rtol=1e-6, atol=1e-8)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 99))
def test_conjugate_gradients(group: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gram, preconditioner = positive(rng, group, size), positive(rng, group, size)
    wanted, start = rng.standard_normal((2, group, size, 1))
    right = gram @ wanted

    def missed(x: np.ndarray) -> np.ndarray:
        return ((x - wanted) * (gram @ (x - wanted))).sum(axis=(1, 2))

    def run(steps: int) -> np.ndarray:
        return conjugate_gradients(
            lambda x: gram @ x, right, start, lambda x: preconditioner @ x, steps=steps, fall=1e-12
        )

    np.testing.assert_array_equal(run(0), start)
    losses = np.array([missed(run(steps)) for steps in range(size + 1)])
    assert np.all(np.diff(losses, axis=0) <= 1e-9 * losses[0])
    np.testing.assert_allclose(run(4 * size), wanted, rtol=1e-4, atol=1e-4)


def test_effective_is_the_chain() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((3, 2, 5, 1)), rng.standard_normal((4, 3, 1, 2))
    wanted = np.einsum("rci,krj->kcij", first[..., 0], second[:, :, 0])
    np.testing.assert_allclose(effective(first, second), wanted)
    last = rng.standard_normal((6, 4, 1, 1))
    wanted = np.einsum("nk,kcij->ncij", last[:, :, 0, 0], wanted)
    np.testing.assert_allclose(effective(first, second, last), wanted)


def test_effective_in_groups() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((6, 2, 1, 3)), rng.standard_normal((4, 3, 2, 1))
    halves = [effective(a, b) for a, b in zip(np.split(first, 2), np.split(second, 2), strict=True)]
    np.testing.assert_allclose(effective(first, second, group=2), np.concatenate(halves))


@pytest.mark.parametrize("shape", [(3, 2, 3), (4, 2, 2), (4, 6, 1)])
def test_a_kernel_of_another_shape(shape: tuple[int, ...]) -> None:
    moments = white(np.ones((4, 3, 3)))
    with pytest.raises(ValueError, match="for moments of 4 outputs and patches of 9"):
        refit(moments, np.ones(shape))


def test_what_is_not_finite() -> None:
    kernel = np.ones((2, 3))
    with pytest.raises(ValueError, match="not finite"):
        refit(white(np.array([[1, np.nan, 2], [1, 1, 1]])), kernel)
    with pytest.raises(ValueError, match="not finite"):
        refit(white(kernel), kernel * np.inf)


@pytest.mark.parametrize("ridge", [-1e-3, np.nan])
def test_a_negative_ridge(ridge: float) -> None:
    with pytest.raises(ValueError, match="a ridge of"):
        refit(white(np.ones((2, 3))), np.ones((2, 3)), ridge)
