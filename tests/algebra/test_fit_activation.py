"""Targets for the error behind a rectifier."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.algebra.fit import adjusted_targets, fit_low_rank_out, refit
from convc.algebra.fit.common import effective
from tests.algebra.fit_layers import correlated, gathered, responses

reals = st.floats(-10, 10)


def activated(values: np.ndarray | float, slope: np.ndarray | float) -> np.ndarray:
    return np.where(np.asarray(values) > 0, values, np.multiply(slope, values))


def missed(prediction: float, wanted: float, slope: float) -> float:
    return float(np.square(activated(prediction, slope) - activated(wanted, slope)))


@given(reals, reals, reals, st.floats(0, 1))
def test_the_parabola_is_above_where_the_docstring_says(
    wanted: float, now: float, then: float, slope: float
) -> None:
    (target,) = adjusted_targets(np.array([wanted]), np.array([now]), slope)
    lifted = missed(now, wanted, slope) - (now - target) ** 2
    above = lifted + (then - target) ** 2 - missed(then, wanted, slope)
    covered = slope == 0 or wanted > 0 or (now <= 0 and (1 + slope) * now <= slope * wanted)
    rounding = 1e-12 * 400
    if covered:
        assert above >= -rounding
    elif now > 0:
        assert above >= -((slope * wanted) ** 2) * (1 - slope) / (1 + slope) - rounding


@given(reals, reals)
def test_targets_of_relu(wanted: float, now: float) -> None:
    (target,) = adjusted_targets(np.array([wanted]), np.array([now]))
    if wanted <= 0:
        assert target == min(now, 0)
    elif now <= 0:
        assert target == now
    else:
        assert target == pytest.approx(wanted)


@given(reals, reals)
def test_a_slope_of_one_is_no_activation(wanted: float, now: float) -> None:
    (target,) = adjusted_targets(np.array([wanted]), np.array([now]), 1.0)
    assert target == pytest.approx(wanted, abs=1e-12)


def falls(slope: float, seed: int, rank: int | None) -> bool:
    """Whether three turns of targets and fits each lower the error behind the activation."""
    rng = np.random.default_rng(seed)
    x = correlated(rng, 1, 8, 300)
    kernel = rng.standard_normal((5, 8))
    slopes = np.full(5, slope)
    wanted = responses(x, kernel)
    wanted = wanted - np.quantile(wanted, rng.random(), axis=0)
    seen = x + 0.3 * x.std() * rng.standard_normal(x.shape)
    targets, last = wanted, np.inf
    for turn in range(4):
        moments = gathered(seen, targets)
        fitted = refit(moments, kernel, 0.0)
        if rank is not None:
            fitted = effective(*fit_low_rank_out(moments, kernel, rank, 0.0))
        predicted = responses(seen, fitted) + moments.bias(fitted)
        error = np.square(activated(predicted, slopes) - activated(wanted, slopes)).sum()
        if turn and not error <= last * (1 + 1e-9):
            return False
        last = error
        targets = adjusted_targets(wanted, predicted, slopes)
        assert np.isfinite(targets).all()
    return True


@pytest.mark.parametrize("rank", [None, 2])
def test_the_error_behind_relu_always_falls(rank: int | None) -> None:
    assert sum(falls(0.0, seed, rank) for seed in range(100)) == 100


@pytest.mark.parametrize("slope", [0.01, 0.1, 0.25, 0.5, 2.0])
def test_the_error_behind_leaky_relu_nearly_always_falls(slope: float) -> None:
    assert sum(falls(slope, seed, None) for seed in range(60)) >= 57


@pytest.mark.parametrize("seed", range(4))
def test_what_relu_hides_no_longer_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = correlated(rng, 1, 6, 1000)
    true = responses(x, rng.standard_normal((5, 6)))
    # Linear where it is positive, and anything below zero elsewhere.
    wanted = np.where(true > 0, true, -10 * true.std() * rng.random(true.shape))
    targets, errors = wanted, []
    for _ in range(100):
        moments = gathered(x, targets)
        fitted = refit(moments, np.zeros((5, 6)), 0.0)
        predicted = responses(x, fitted) + moments.bias(fitted)
        errors.append(np.square(activated(predicted, 0) - activated(wanted, 0)).sum())
        targets = adjusted_targets(wanted, predicted)
    assert np.all(np.diff(errors) <= 0)
    assert errors[-1] < errors[0] / 4


def test_slopes_per_channel_and_their_shape() -> None:
    wanted, now = np.array([[-1.0, -1.0]]), np.array([[-3.0, -3.0]])
    np.testing.assert_allclose(adjusted_targets(wanted, now, np.array([0.0, 0.5])), [[-3, -2.5]])
    with pytest.raises(ValueError, match=r"wanted \(1, 2\), predicted \(2, 2\)"):
        adjusted_targets(wanted, np.zeros((2, 2)))
