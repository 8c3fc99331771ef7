"""The arithmetic of pruning against loops."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.algebra.channels import (
    directions,
    distinct,
    may_be_negligible,
    may_be_parallel,
    merge_inputs,
    negligible,
    read_by,
    response,
    restrict,
    rounded,
    rounded_up,
)
from tests.algebra.naive import apply

RNG = np.random.default_rng(4)
ROUNDOFF = 2.0**-24


def pointwise(group: int, taps: int = 1) -> ConvGeometry:
    return ConvGeometry((taps,), (1,), (1,), (0,), (0,), group)


def convolved(x: np.ndarray, w: np.ndarray, group: int) -> np.ndarray:
    """A 1-D conv of (C, size) without padding."""
    return apply(x[np.newaxis], w, None, pointwise(group, w.shape[2]))[0]


@pytest.mark.parametrize("group", [1, 2, 3])
def test_response_is_what_a_constant_gives(group: int) -> None:
    w, values = RNG.standard_normal((6, 2, 3)), RNG.standard_normal(2 * group)
    x = np.repeat(values[:, np.newaxis], 3, axis=1)
    np.testing.assert_allclose(response(w, values, group), convolved(x, w, group)[:, 0], rtol=1e-12)


@pytest.mark.parametrize("group", [1, 2])
def test_merged_channels_are_not_read(group: int) -> None:
    w, x = RNG.standard_normal((4, 3, 2)), RNG.standard_normal((3 * group, 5))
    last = 3 * group - 1
    into = [(0, 1, -2.0), (last, last - 1, 0.5)] if group > 1 else [(0, 1, -2.0), (2, 1, 0.5)]
    for channel, other, ratio in into:
        x[channel] = ratio * x[other]
    merged = merge_inputs(w, into, group)
    assert merged.shape == w.shape
    np.testing.assert_allclose(convolved(x, merged, group), convolved(x, w, group), rtol=1e-12)
    noise = x.copy()
    noise[[channel for channel, *_ in into]] = RNG.standard_normal((2, 5))
    np.testing.assert_array_equal(convolved(noise, merged, group), convolved(x, merged, group))


def test_merging_leaves_the_original_alone() -> None:
    w = RNG.standard_normal((4, 3, 2))
    before = w.copy()
    merge_inputs(w, [(0, 1, 2.0)])
    np.testing.assert_array_equal(w, before)


@given(st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_restricted_kernels_compute_the_channels_that_stay(group: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w, x = rng.standard_normal((3 * group, 3, 2)), rng.standard_normal((3 * group, 5))
    few, many = (int(n) for n in rng.integers(1, 4, 2))
    blocks = rng.permutation(group)[: rng.integers(1, group + 1)] if group > 1 else [0]
    outputs, inputs = (
        np.sort(np.concatenate([3 * g + rng.permutation(3)[:count] for g in blocks]))
        for count in (few, many)
    )
    gone = np.setdiff1d(np.arange(3 * group), inputs)
    x[gone] = 0
    small, left = restrict(w, outputs, inputs, group)
    assert small.shape[:2] == (len(outputs), many)
    assert left == len(blocks)
    whole = convolved(x, w, group)
    np.testing.assert_allclose(convolved(x[inputs], small, left), whole[outputs], rtol=1e-12)


@pytest.mark.parametrize(
    ("outputs", "inputs"), [([0, 1, 2], [0, 2]), ([0, 2], [0, 1, 2]), ([0], [0, 2]), ([], [])]
)
def test_groups_must_stay_equal(outputs: list[int], inputs: list[int]) -> None:
    w = RNG.standard_normal((4, 2, 1))
    with pytest.raises(ValueError, match="different numbers"):
        restrict(w, np.array(outputs, np.intp), np.array(inputs, np.intp), 2)


def test_negligible_is_measured_by_bias_and_neighbours() -> None:
    w = np.array([[4.0, -2.0], [0.0, 0.0], [1e-16, 1e-16], [1e-16, 1e-16], [1e-10, 0.0]])
    b = np.array([0.0, 3.0, 0.0, 1.0, 10.0])
    mask, ratio = negligible(w, b, ROUNDOFF)
    assert mask.tolist() == [False, True, True, True, True]
    # The layer's largest magnitude is the last bias, 10: a millionth of it is 1e-5.
    expected = [6 / 1e-5, 0.0, 2e-16 / 1e-5, 2e-16 / 1.0, 1e-10 / 10]
    np.testing.assert_allclose(ratio, 2**10 * np.array(expected))


def test_what_a_negligible_filter_gives_is_lost_in_rounding() -> None:
    """For inputs a thousand times larger than those of the bias, in float32."""
    for scale in 10.0 ** np.arange(-14, -5):
        w, b = np.full((1, 8), scale), np.array([1.0])
        mask, _ = negligible(w, b, ROUNDOFF)
        moved = np.float32(1.0 + w.sum() * 2.0**10)
        assert mask[0] == (w.sum() * 2.0**10 <= ROUNDOFF)
        assert not mask[0] or moved == np.float32(1.0)


def test_rounding_makes_near_numbers_equal() -> None:
    values = RNG.standard_normal(1000) * 10.0 ** RNG.uniform(-30, 30, 1000)
    near = rounded(values)
    assert (np.abs(near - values) <= 2.0**-44 * np.abs(values)).all()
    np.testing.assert_array_equal(rounded(near), near)
    assert (rounded(values * (1 + 2.0**-40)) != near).all()


def test_equal_rows_have_equal_ids() -> None:
    nan = np.nan
    columns = [
        np.array([1, 1, 2, 1, nan, nan]),
        np.array([[0.1], [0.1 + 1e-16], [0.1], [0.2], [0], [0]]),
    ]
    ids = distinct(columns)
    assert ids[0] == ids[1]
    assert len(set(ids.tolist())) == 5


def test_directions_times_scales_are_the_filters() -> None:
    w, b = RNG.standard_normal((5, 2, 3)), RNG.standard_normal(5)
    w[1], b[1] = 0, 0
    w[3], b[3] = 4 * w[2], 4 * b[2]
    rows, scale = directions(w, b)
    np.testing.assert_allclose(rows * scale[:, np.newaxis], np.column_stack([w.reshape(5, -1), b]))
    np.testing.assert_array_equal(rows[3], rows[2])
    assert (scale > 0).all()
    assert scale[3] == 4 * scale[2]


@pytest.mark.parametrize(
    ("kept", "count", "block", "rounded_to"),
    [(0, 8, 1, 1), (5, 8, 1, 5), (5, 8, 16, 5), (0, 8, 16, 1), (1, 40, 16, 16), (33, 40, 16, 40)],
)
def test_counts_are_rounded_up(kept: int, count: int, block: int, rounded_to: int) -> None:
    assert rounded_up(kept, count, block) == rounded_to


def sparse(rng: np.random.Generator) -> np.ndarray:
    """Kernels (G, K/G, C/G, T), mostly zero."""
    shape = tuple(int(n) for n in rng.integers(1, [3, 9, 9, 10]))
    return rng.standard_normal(shape) * (rng.random(shape) < rng.choice([0.02, 0.1, 0.5, 1.0]))


@given(st.integers(0, 2**32 - 1))
def test_what_is_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = sparse(rng)
    np.testing.assert_array_equal(read_by(w), w.any(axis=(1, 3)))
    np.testing.assert_array_equal(read_by(w.swapaxes(1, 2)), w.any(axis=(2, 3)))
    counted = rng.random(w.shape[:2]) < 0.5
    masked = w * counted[:, :, np.newaxis, np.newaxis]
    np.testing.assert_array_equal(read_by(w, counted), masked.any(axis=(1, 3)))


def test_no_more_filters_are_read_than_needed() -> None:
    """One filter tells here: what the others hold is not looked at."""
    w = np.ones((1, 2**12, 2**9, 1), np.float32)
    tracemalloc.start()
    assert read_by(w).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**14


@given(st.integers(0, 2**32 - 1))
def test_multiples_are_suspected(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers([1, 2, 1, 1], [3, 9, 9, 10]))
    w = rng.standard_normal(shape).astype(np.float32).astype(np.float64)
    group, factor = rng.integers(shape[0]), rng.choice([1.0, 3.0, 0.1, 1e-20, 2.0**40])
    one, other = rng.permutation(shape[1])[:2]
    w[group, one] = factor * w[group, other]
    assert may_be_parallel(w).reshape(shape[:2])[group, [one, other]].all()


def test_others_are_not_suspected() -> None:
    w = RNG.standard_normal((2, 64, 8, 9))
    w[1] = -w[0]
    assert not may_be_parallel(w).any()
    w[0, 3] = -w[0, 7]
    assert not may_be_parallel(w).any()


@given(st.integers(0, 2**32 - 1))
def test_the_negligible_are_suspected(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = sparse(rng)
    w *= 10.0 ** rng.uniform(-20, 0, (*w.shape[:2], 1, 1))
    filters = w.reshape(w.shape[0] * w.shape[1], -1)
    bias = rng.standard_normal(len(filters)) * rng.choice([0.0, 1.0, 1e7], len(filters))
    mask, _ = negligible(filters, bias, ROUNDOFF)
    assert not (mask & ~may_be_negligible(w, bias, ROUNDOFF)).any()


def test_a_huge_weight_makes_no_other_negligible() -> None:
    """Its neighbours are measured by 10⁶ at most."""
    w = np.array([[1e20], [1e-9], [1e-14]])
    mask, ratio = negligible(w, np.zeros(3), ROUNDOFF)
    assert mask.tolist() == [False, False, True]
    np.testing.assert_allclose(ratio[1:], 2**10 * np.array([1e-9, 1e-14]))


def test_large_layers_are_measured_in_parts() -> None:
    w = RNG.standard_normal((3000, 1000)).astype(np.float32)
    w[2999] *= np.float32(1e-20)
    tracemalloc.start()
    mask, ratio = negligible(w, np.zeros(3000), ROUNDOFF)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.flatnonzero(mask).tolist() == [2999]
    largest = np.abs(w).max().astype(np.float64)
    expected = 2**10 * np.abs(w[2999].astype(np.float64)).sum() / (largest * 1e-6)
    np.testing.assert_allclose(ratio[2999], expected)
    assert peak < w.nbytes
