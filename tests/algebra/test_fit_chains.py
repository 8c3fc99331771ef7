"""Fits of two and three convs in place of one."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convc.algebra.fit import (
    effective,
    fit_low_rank_in,
    fit_low_rank_out,
    fit_separable,
    fit_separable_depthwise,
    fit_tucker,
    pair,
    refit,
    ridged,
)
from convc.algebra.fit.tucker import nearest_tucker
from convc.algebra.moments import Moments, white
from tests.algebra.fit_layers import (
    PAIRS,
    Case,
    cases,
    correlated,
    gathered,
    loss_of,
    observed,
    responses,
    unfolded,
)

names = st.sampled_from(sorted(PAIRS))


def full_rank(kernel: np.ndarray, group: int, name: str) -> int:
    return min(unfolded(kernel, group, name).shape[1:])


@given(cases(least_axes=2), names, st.data())
def test_shapes(case: Case, name: str, data: st.DataObject) -> None:
    moments, kernel = observed(case)
    rank = data.draw(st.integers(1, full_rank(kernel, case.group, name)))
    first, second = PAIRS[name](moments, kernel, rank, None)
    one = (1,) * len(case.taps)
    axis = int(name[-1]) if name.startswith("separable") else None
    taps = {"low-rank-out": case.taps, "low-rank-in": one}.get(
        name, tuple(n if a == axis else 1 for a, n in enumerate(case.taps))
    )
    rest = tuple(n if one_tap == 1 else 1 for n, one_tap in zip(case.taps, taps, strict=True))
    rest = one if name == "low-rank-out" else rest
    assert first.shape == (case.group * rank, case.inputs, *taps)
    assert second.shape == (case.group * case.rows, rank, *rest)
    assert first.dtype == second.dtype == np.float64
    again = PAIRS[name](moments, kernel, rank, None)
    np.testing.assert_array_equal(first, again[0])
    np.testing.assert_array_equal(second, again[1])


@given(cases(least_axes=2), names, st.data())
def test_white_moments_give_the_nearest_kernel(case: Case, name: str, data: st.DataObject) -> None:
    kernel = case.rng().standard_normal(case.shape)
    moments = white(kernel, case.group)
    rank = data.draw(st.integers(1, full_rank(kernel, case.group, name)))
    values = np.linalg.svd(unfolded(kernel, case.group, name), compute_uv=False)
    nearest = np.square(values[:, rank:]).sum() / np.square(values).sum()
    found = loss_of(moments, PAIRS[name](moments, kernel, rank, None))
    assert found == pytest.approx(nearest, rel=1e-6, abs=1e-14)


@given(cases(least_axes=2), names, st.sampled_from([None, 0.0, 1e-3]), st.data())
def test_never_worse_than_the_weights_alone(
    case: Case, name: str, ridge: float | None, data: st.DataObject
) -> None:
    moments, kernel = observed(case)
    rank = data.draw(st.integers(1, full_rank(kernel, case.group, name)))
    alone = loss_of(moments, PAIRS[name](white(kernel, case.group), kernel, rank, None))
    assert loss_of(moments, PAIRS[name](moments, kernel, rank, ridge)) <= alone * (1 + 1e-9) + 1e-12


@given(cases(least_axes=2), names)
def test_full_rank_is_the_refit(case: Case, name: str) -> None:
    moments, kernel = observed(case)
    rank = full_rank(kernel, case.group, name)
    first, second = PAIRS[name](moments, kernel, rank, 1e-3)
    wanted = refit(moments, kernel, 1e-3)
    np.testing.assert_allclose(
        effective(first, second, group=case.group), wanted, atol=1e-7 * np.abs(wanted).max()
    )


@given(cases(least_axes=2), st.integers(1, 3), st.integers(1, 3))
def test_tucker(case: Case, inner: int, outer: int) -> None:
    assume(inner <= min(case.inputs, case.rows * prod(case.taps)))
    assume(outer <= min(case.rows, inner * prod(case.taps)))
    moments, kernel = observed(case)
    factors = fit_tucker(moments, kernel, (inner, outer))
    one = (1,) * len(case.taps)
    assert [factor.shape for factor in factors] == [
        (case.group * inner, case.inputs, *one),
        (case.group * outer, inner, *case.taps),
        (case.group * case.rows, outer, *one),
    ]
    alone = fit_tucker(white(kernel, case.group), kernel, (inner, outer))
    assert loss_of(moments, factors) <= loss_of(moments, alone) * (1 + 1e-6) + 1e-12
    # Not below what one of the two ranks alone must miss.
    noisy = ridged(moments, kernel)
    for rank, limited in ((inner, fit_low_rank_in), (outer, fit_low_rank_out)):
        if limited is fit_low_rank_out or inner == case.inputs:
            bound = loss_of(noisy, limited(moments, kernel, rank))
            assert loss_of(noisy, factors) >= bound * (1 - 1e-6) - 1e-12


def test_tucker_of_full_ranks_is_the_refit() -> None:
    moments, kernel = observed(Case(2, 3, 4, (2, 3), 0))
    chain = effective(*fit_tucker(moments, kernel, (4, 3), 1e-3), group=2)
    np.testing.assert_allclose(chain, refit(moments, kernel, 1e-3), atol=1e-7)


def test_tucker_of_white_moments_is_stationary() -> None:
    kernel = np.random.default_rng(0).standard_normal((6, 5, 3, 3))
    first, core, last = fit_tucker(white(kernel), kernel, (2, 3))
    fitted = effective(first, core, last)
    # The optimality of Tucker: each basis spans the main directions left by the other.
    basis, _ = np.linalg.qr(first[:, :, 0, 0].T)
    reduced = np.einsum("kcij,cr->krij", kernel, basis).reshape(6, -1)
    best = np.square(np.linalg.svd(reduced, compute_uv=False)[:3]).sum()
    assert np.square(fitted).sum() == pytest.approx(best, rel=1e-9)
    basis, _ = np.linalg.qr(last[:, :, 0, 0])
    reduced = np.einsum("kcij,kr->rijc", kernel, basis).reshape(-1, 5)
    best = np.square(np.linalg.svd(reduced, compute_uv=False)[:2]).sum()
    assert np.square(fitted).sum() == pytest.approx(best, rel=1e-3)


PLANTED = {
    "low-rank-out": [(3, 6, 3, 3), (8, 3, 1, 1)],
    "low-rank-in": [(3, 6, 1, 1), (8, 3, 3, 3)],
    "separable-0": [(5, 6, 3, 1), (8, 5, 1, 3)],
    "separable-1": [(5, 6, 1, 3), (8, 5, 3, 1)],
    "tucker": [(3, 6, 1, 1), (4, 3, 3, 3), (8, 4, 1, 1)],
}


def fit_planted(name: str, moments: Moments, kernel: np.ndarray) -> tuple[np.ndarray, ...]:
    if name == "tucker":
        return fit_tucker(moments, kernel, (3, 4), 1e-9)
    return PAIRS[name](moments, kernel, PLANTED[name][0][0], 1e-9)


@pytest.mark.parametrize("name", sorted(PLANTED))
@pytest.mark.parametrize("seed", range(4))
def test_planted_structure_is_found(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    planted = effective(*(rng.standard_normal(shape) for shape in PLANTED[name]))
    x = correlated(rng, 1, planted[0].size, 400)
    # The layer has other weights than the ones that explain the responses.
    kernel = planted + 0.5 * rng.standard_normal(planted.shape)
    moments = gathered(x, responses(x, planted))
    assert moments.loss(kernel) > 1e-2
    assert loss_of(moments, fit_planted(name, moments, kernel)) < 1e-6


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_data_beats_weights_on_correlated_inputs(name: str) -> None:
    ratios = []
    for seed in range(5):
        moments, kernel = observed(Case(1, 8, 6, (3, 3), seed), noise=0.0, count=500)
        with_data = loss_of(moments, fit_planted(name, moments, kernel))
        ratios.append(with_data / loss_of(moments, fit_planted(name, white(kernel), kernel)))
    assert max(ratios) < 1
    assert np.mean(ratios) < 0.6


@given(cases(least_axes=2), st.data())
@settings(max_examples=50)
def test_every_turn_lowers_the_loss(case: Case, data: st.DataObject) -> None:
    moments, kernel = observed(case, noise=0.5)
    unfolding = pair.Unfolding.of(kernel, case.group, (0,))
    rank = data.draw(st.integers(1, unfolding.full_rank))
    limit = data.draw(st.sampled_from([None, 1, 2]))
    problem = pair.problem_of(moments, kernel, unfolding, 1e-3)
    noisy = ridged(moments, kernel, 1e-3)
    inverse = np.linalg.inv(problem.inputs())
    rows = pair.orthonormal(case.rng().standard_normal((case.group, rank, unfolding.width)))
    last, total = np.inf, problem.yy.sum()
    for _ in range(4):
        second, missed = pair.best_second(problem, rows, limit)
        assert np.all(missed <= last + 1e-10 * total)
        chain = effective(*unfolding.fold(rows, second), group=case.group)
        np.testing.assert_allclose(
            missed.sum(), noisy.residual(chain).sum(), rtol=1e-6, atol=1e-9 * total
        )
        last = missed
        rows = pair.orthonormal(pair.better_first(problem, rows, second, inverse))


def test_the_turns_end_where_none_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "FALL", 1e-9)
    monkeypatch.setattr(pair, "SWEEPS", 500)
    moments, kernel = observed(Case(2, 4, 3, (3, 3), 1))
    unfolding = pair.Unfolding.of(kernel, 2, (1,))
    problem = pair.problem_of(moments, kernel, unfolding, 1e-3)
    rows = pair.orthonormal(np.random.default_rng(0).standard_normal((2, 3, unfolding.width)))
    _, before = pair.best_second(problem, rows, None)
    first, second = pair.fit_pair(problem, [rows])
    # The gradient for P: what is missed, seen through B.
    fitted = (second @ first[:, np.newaxis]).reshape(2, 4, -1) @ problem.xx.reshape(2, 27, 27)
    missing = fitted - np.moveaxis(problem.xy, 3, 1).reshape(2, 4, -1)
    gradient = np.einsum("gkjr,gkji->gri", second, missing.reshape(2, 4, 3, -1))
    scale = np.abs(np.einsum("gkjr,gjik->gri", second, problem.xy)).max()
    np.testing.assert_allclose(gradient, 0, atol=1e-3 * scale)
    _, after = pair.best_second(problem, pair.orthonormal(first), None)
    assert np.all(after < before / 2)


def test_the_best_start_is_taken_for_every_group() -> None:
    moments, kernel = observed(Case(2, 4, 3, (3, 3), 1))
    unfolding = pair.Unfolding.of(kernel, 2, (0,))
    problem = pair.problem_of(moments, kernel, unfolding, 1e-3)
    good = pair.weighted_rows(problem, 3)
    bad = np.random.default_rng(0).standard_normal(good.shape)
    mixed = np.stack([good[0], bad[1]]), np.stack([bad[0], good[1]])
    wanted = pair.fit_pair(problem, [good])
    for found, one in zip(pair.fit_pair(problem, mixed), wanted, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-9)


def test_one_step_is_enough_where_channels_and_taps_are_independent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    taps, channels = (half @ half.T for half in (rng.standard_normal((n, n)) for n in (3, 12)))
    gram = np.kron(channels, taps)[np.newaxis]
    kernel = rng.standard_normal((5, 4, 3, 3))
    xy = gram @ rng.standard_normal((1, 36, 5))
    moments = Moments(100, np.zeros((1, 36)), np.zeros(5), gram, xy, np.full(5, 1e6))
    unfolding = pair.Unfolding.of(kernel, 1, (0,))
    problem = pair.problem_of(moments, kernel, unfolding, 0.0)
    inverse = np.linalg.inv(problem.inputs())
    second = rng.standard_normal((1, 5, 3, 2))
    start = rng.standard_normal((1, 2, 12))
    monkeypatch.setattr(pair, "STEPS", 1)
    once = pair.better_first(problem, start, second, inverse)
    monkeypatch.setattr(pair, "STEPS", 50)
    monkeypatch.setattr(pair, "RESIDUAL", 1e-9)
    often = pair.better_first(problem, start, second, inverse)
    np.testing.assert_allclose(once, often, atol=1e-6 * np.abs(often).max())


def test_the_nearest_tucker_start_is_stationary() -> None:
    kernel = np.random.default_rng(0).standard_normal((1, 6, 9, 5))
    (basis,) = nearest_tucker(kernel, 2, 3)
    reduced = (kernel[0] @ basis.T).reshape(6, -1)
    main = np.linalg.svd(reduced)[0][:, :3]
    reduced = np.einsum("kji,kr->rji", kernel[0], main).reshape(-1, 5)
    values = np.linalg.svd(reduced, compute_uv=False)
    kept = np.square(reduced @ basis.T).sum()
    assert kept == pytest.approx(np.square(values[:2]).sum(), rel=1e-8)


def test_balance_keeps_the_product() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 3, 5)) * 1e3, rng.standard_normal((2, 4, 2, 3)) * 1e-3
    rows, columns = pair.balanced(first, second)
    np.testing.assert_allclose(columns @ rows[:, None], second @ first[:, None], atol=1e-12)
    inner = rows @ rows.swapaxes(1, 2)
    flat = columns.reshape(2, 8, 3)
    np.testing.assert_allclose(flat.swapaxes(1, 2) @ flat, inner, atol=1e-10)
    np.testing.assert_allclose(inner, np.eye(3) * inner, atol=1e-10)


@pytest.mark.parametrize("terms", [1, 2, 3])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_terms_are_fitted_channel_by_channel(
    terms: int, multiplier: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # When a channel stops depends on the others: let none stop early.
    monkeypatch.setattr(pair, "FALL", -np.inf)
    monkeypatch.setattr(pair, "RESIDUAL", 0.0)
    moments, kernel = observed(Case(4, multiplier, 1, (5, 3), 3))
    first, second = fit_separable_depthwise(moments, kernel, terms)
    assert first.shape == (4 * terms, 1, 5, 1)
    assert second.shape == (4 * multiplier, terms, 1, 3)
    for c in range(4):
        own = slice(c * multiplier, (c + 1) * multiplier)
        alone = Moments(
            moments.count,
            moments.mean_x[c : c + 1],
            moments.mean_y[own],
            moments.xx[c : c + 1],
            moments.xy[c : c + 1],
            moments.yy[own],
        )
        part = effective(first, second, group=4)[own]
        single = fit_separable(alone, kernel[own], terms)
        assert alone.loss(part) == pytest.approx(loss_of(alone, single), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("ridge", [None, 0.0])
@pytest.mark.parametrize("name", sorted(PAIRS))
def test_inputs_that_do_not_vary_or_are_the_same(name: str, ridge: float | None) -> None:
    rng = np.random.default_rng(7)
    kernel = rng.standard_normal((6, 4, 3, 3))
    x = correlated(rng, 1, 36, 100).reshape(1, 100, 4, 9)
    x[:, :, 1] = 1.0
    x[:, :, 2] = x[:, :, 3]
    x = x.reshape(1, 100, 36)
    moments = gathered(x, responses(x, kernel))
    found = loss_of(moments, PAIRS[name](moments, kernel, 3, ridge))
    alone = loss_of(moments, PAIRS[name](white(kernel), kernel, 3, None))
    assert found <= alone
    assert np.isfinite(loss_of(moments, fit_tucker(moments, kernel, (2, 3), ridge)))


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_nothing_varies(name: str) -> None:
    kernel = np.random.default_rng(0).standard_normal((4, 3, 3, 2))
    moments = gathered(np.ones((1, 10, 18)), np.ones((10, 4)))
    nearest = loss_of(white(kernel), PAIRS[name](white(kernel), kernel, 2, None))
    found = PAIRS[name](moments, kernel, 2, None)
    assert loss_of(white(kernel), found) == pytest.approx(nearest)


def test_a_layer_of_zeros() -> None:
    zeros = np.zeros((4, 3, 3, 2))
    for factors in (
        *(fit(white(zeros), zeros, 2, None) for fit in PAIRS.values()),
        fit_tucker(white(zeros), zeros, (2, 2)),
    ):
        np.testing.assert_array_equal(effective(*factors), zeros)


@pytest.mark.parametrize("rank", [0, 19])
@pytest.mark.parametrize("name", sorted(PAIRS))
def test_ranks_that_are_none(name: str, rank: int) -> None:
    kernel = np.ones((6, 4, 3, 3))
    with pytest.raises(ValueError, match=f"a rank of {rank}: from 1 to "):
        PAIRS[name](white(kernel), kernel, rank, None)


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ((0, 1), "a first rank of 0: from 1 to 4"),
        ((5, 1), "a first rank of 5: from 1 to 4"),
        ((4, 0), "a second rank of 0: from 1 to 6"),
        ((4, 7), "a second rank of 7: from 1 to 6"),
        ((1, 4), "a second rank of 4: from 1 to 3"),
    ],
)
def test_tucker_ranks_that_are_none(ranks: tuple[int, int], message: str) -> None:
    kernel = np.ones((6, 4, 3, 1))
    with pytest.raises(ValueError, match=message):
        fit_tucker(white(kernel), kernel, ranks)


def test_what_cannot_be_separated() -> None:
    line = np.ones((6, 4, 3))
    with pytest.raises(ValueError, match="no two spatial axes"):
        fit_separable(white(line), line, 1)
    plane = np.ones((6, 4, 3, 3))
    with pytest.raises(ValueError, match="axis 2 of 2"):
        fit_separable(white(plane), plane, 1, axis=2)
    with pytest.raises(ValueError, match="not depthwise"):
        fit_separable_depthwise(white(plane), plane, 1)
