"""The judge of one output: every wrong array is found, every rounding is not."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from convc.ir import Array
from convc.judge import Verdict, judge, matches, worst_of

RNG = np.random.default_rng(5)
TRUTH = RNG.standard_normal((2, 6, 12, 10)) * np.array([1, 1, 1e-6, 3, 1, 1])[:, None, None]
ERROR = 2.0**-22
"""Of a float32 sum of a few dozen terms, relative to its scale."""


def rounded(seed: int, truth: Array = TRUTH, error: float = ERROR) -> Array:
    """What float32 might make of ``truth``, each channel with errors of its own scale."""
    rng = np.random.default_rng(seed)
    scale = np.abs(truth).max(axis=(0, *range(2, truth.ndim)), keepdims=True)
    noise = np.clip(rng.standard_normal(truth.shape), -3, 3) / 3
    return (truth + error * scale * noise).astype(np.float32)


BEFORE = rounded(1)


def changed(place: object, value: object) -> Array:
    result = rounded(2)
    result[place] = value  # type: ignore[call-overload]
    return result


def border(*place: object) -> Array:
    result = rounded(2)
    result[(..., *place)] *= 1.01  # type: ignore[index]
    return result


WRONG: dict[str, Callable[[], Array]] = {
    "scaled by a thousandth": lambda: rounded(2) * np.float32(1 + 1e-3),
    "halved": lambda: rounded(2) * np.float32(0.5),
    "negated": lambda: -rounded(2),
    "moved by one pixel": lambda: np.roll(rounded(2), 1, axis=-1),
    "offset": lambda: rounded(2) + np.float32(2e-3),
    "transposed values": lambda: np.flip(rounded(2), -2).copy(),
    "channels permuted": lambda: rounded(2)[:, [0, 1, 2, 3, 5, 4]],
    "batch swapped": lambda: np.flip(rounded(2), 0).copy(),
    "first row": lambda: border(0, slice(None)),
    "last column": lambda: border(slice(None), -1),
    "one corner": lambda: changed((0, 3, -1, -1), TRUTH[0, 3, -1, -1] + 0.01),
    "NaN planted": lambda: changed((1, 4, 5, 5), np.nan),
    "infinity planted": lambda: changed((1, 4, 5, 5), np.inf),
    "constant": lambda: np.full_like(BEFORE, BEFORE.mean()),
    "all zero": lambda: np.zeros_like(BEFORE),
    "all NaN": lambda: np.full_like(BEFORE, np.nan),
    "another dtype": lambda: rounded(2).astype(np.float64),
    "half precision": lambda: rounded(2).astype(np.float16),
    "another shape": lambda: rounded(2)[..., :-1],
    "another rank": lambda: rounded(2)[None],
    "another order of axes": lambda: rounded(2).reshape(2, 6, 10, 12),
    "small channel lost": lambda: changed((slice(None), 2), 0.0),
    "small channel of another": lambda: changed((slice(None), 2), rounded(2)[:, 0] * 1e-6),
    "negative only": lambda: np.where(BEFORE < 0, rounded(2) * np.float32(1.001), rounded(2)),
    "large only": lambda: np.clip(rounded(2), -2.5, 2.5),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("exact", [TRUTH, None], ids=["float64", "tolerance"])
def test_wrong_outputs_are_different(wrong: str, exact: Array | None) -> None:
    finding = judge(BEFORE, WRONG[wrong](), exact)
    assert finding.verdict is Verdict.DIFFERENT
    assert finding.why
    assert ("NaN" in finding.why) == any(word in wrong for word in ("NaN", "infinity"))


def test_the_original_is_identical_and_other_rounding_equal() -> None:
    assert judge(BEFORE, BEFORE.copy(), TRUTH).verdict is Verdict.IDENTICAL
    finding = judge(BEFORE, rounded(2), TRUTH)
    assert finding.verdict is Verdict.EQUAL
    # By construction the largest error is ERROR of the largest channel's scale.
    assert 0.5 * ERROR < finding.original_error <= 1.1 * ERROR
    assert 0.5 * ERROR < finding.error <= 1.1 * ERROR
    assert finding.max_rel <= 2.2 * ERROR
    assert finding.max_abs == pytest.approx(finding.max_rel * np.abs(TRUTH).max())


def test_another_order_of_summation_is_equal() -> None:
    terms = RNG.standard_normal((4000, 8, 40))
    single = terms.astype(np.float32)
    truth = single.astype(np.float64).sum(axis=0)
    forwards, backwards = np.zeros((2, 8, 40), np.float32)
    for one, other in zip(single, single[::-1], strict=True):
        forwards, backwards = forwards + one, backwards + other
    assert not np.array_equal(forwards, backwards)
    assert judge(forwards, backwards, truth).verdict is Verdict.EQUAL


def test_half_precision_rounds_coarsely_but_not_to_half() -> None:
    before, after = BEFORE.astype(np.float16), rounded(2, error=2.0**-9).astype(np.float16)
    assert judge(before, after, TRUTH).verdict.good
    for factor in (0.5, -1.0, 1.05):
        wrong = (TRUTH * factor).astype(np.float16)
        assert judge(before, wrong, TRUTH).verdict is Verdict.DIFFERENT


def test_bfloat16_is_a_number_type() -> None:
    before = TRUTH.astype(ml_dtypes.bfloat16)
    after = (TRUTH * (1 + 2.0**-8)).astype(ml_dtypes.bfloat16)
    assert judge(before, after, TRUTH).verdict.good
    assert judge(before, (-TRUTH).astype(ml_dtypes.bfloat16), TRUTH).verdict is Verdict.DIFFERENT


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_discrete_outputs_are_exact(dtype: type) -> None:
    before = RNG.integers(0, 2, (3, 50)).astype(dtype)
    after = before.copy()
    assert judge(before, after, None).verdict is Verdict.IDENTICAL
    after[1, 7] ^= dtype(1)
    finding = judge(before, after, before)
    assert finding.verdict is Verdict.DIFFERENT
    assert "discrete" in finding.why


def test_error_between_rounding_and_tolerance() -> None:
    after = rounded(2, error=1e-5)
    finding = judge(BEFORE, after, TRUTH)
    assert finding.verdict is Verdict.WITHIN_TOLERANCE
    assert 0.5e-5 < finding.error < 1.1e-5
    assert judge(BEFORE, after, TRUTH, tolerance=1e-6).verdict is Verdict.DIFFERENT
    # Without float64 rounding cannot be told from a small error.
    assert judge(BEFORE, rounded(2), None).verdict is Verdict.WITHIN_TOLERANCE
    assert judge(BEFORE, rounded(2), None, tolerance=0.0).verdict.good


def test_one_channel_with_more_than_rounding_is_not_equal() -> None:
    after = rounded(2)
    after[:, 1] += np.float32(1.0) * rounded(3, error=1.0)[:, 1] * np.float32(3e-6)
    finding = judge(BEFORE, after, TRUTH)
    assert finding.verdict is Verdict.WITHIN_TOLERANCE


def test_small_errors_in_constant_channels_are_no_statistic() -> None:
    truth = np.broadcast_to(RNG.standard_normal((1, 6, 1, 1)), (1, 6, 8, 8))
    before = truth.astype(np.float32)
    after = before.copy()
    after[:, 1] *= np.float32(1 + 40 * 2.0**-24)
    before[:, 0] *= np.float32(1 + 200 * 2.0**-24)
    assert judge(before, after, truth).verdict is Verdict.WITHIN_TOLERANCE
    assert judge(before, after, truth, by_channel=False).verdict is Verdict.EQUAL


def test_nan_and_infinity_must_stay_where_they_are() -> None:
    before, after = BEFORE.copy(), rounded(2)
    for array in (before, after):
        array[0, 0, 3, 3], array[0, 0, 4, 4], array[0, 0, 5, 5] = np.nan, np.inf, -np.inf
    assert judge(before, after, TRUTH).verdict is Verdict.EQUAL
    for moved in ((3, 4), (4, 5)):
        wrong = after.copy()
        i, j = moved
        wrong[0, 0, i, i], wrong[0, 0, j, j] = after[0, 0, j, j], after[0, 0, i, i]
        assert judge(before, wrong, TRUTH).verdict is Verdict.DIFFERENT
    gone = after.copy()
    gone[0, 0, 3, 3] = 0.0
    assert judge(before, gone, TRUTH).verdict is Verdict.DIFFERENT
    # What is wrong elsewhere does not hide behind them.
    assert judge(before, after * np.float32(1.001), TRUTH).verdict is Verdict.DIFFERENT


def test_a_few_places_far_from_float64_hide_nothing() -> None:
    """Where the original itself jumped the other way, its largest error is no measure."""
    truth = TRUTH.copy()
    truth[0, 3, 4, 4] += 5.0
    truth[1, 3, 2, 2] -= 5.0
    assert judge(BEFORE, rounded(2), truth).verdict.good
    assert judge(BEFORE, rounded(2) * np.float32(1.001), truth).verdict is Verdict.DIFFERENT
    assert judge(BEFORE, rounded(2) + np.float32(0.01), truth).verdict is Verdict.DIFFERENT


def test_a_small_class_in_the_last_axis_is_not_lost() -> None:
    truth = RNG.standard_normal((1, 400, 5)) * np.array([640, 640, 1e-3, 1, 1])
    before = truth.astype(np.float32)
    wrong = before.copy()
    wrong[..., 2] = wrong[::-1, ::-1, 2]
    assert judge(before, wrong, truth).verdict is Verdict.DIFFERENT


def test_float64_of_another_shape_is_no_judge() -> None:
    """A selection may keep another number of boxes in float64."""
    for exact in (TRUTH[:1], TRUTH[..., :3], np.zeros(())):
        assert judge(BEFORE, rounded(2), exact).verdict is Verdict.WITHIN_TOLERANCE
        assert judge(BEFORE, -BEFORE, exact).verdict is Verdict.DIFFERENT


def test_empty_scalar_and_zero_outputs() -> None:
    empty = np.zeros((0, 4), np.float32)
    assert judge(empty, empty.copy(), empty).verdict is Verdict.IDENTICAL
    assert judge(empty, np.zeros((1, 4), np.float32), empty).verdict is Verdict.DIFFERENT
    zero = np.zeros((3, 4), np.float32)
    assert judge(zero, -zero, zero.astype(float)).verdict is Verdict.EQUAL
    assert judge(zero, zero + np.float32(1), zero.astype(float)).verdict is Verdict.DIFFERENT
    one = np.float32([2.5])
    assert judge(one, one + np.float32(1e-3), one.astype(float)).verdict is Verdict.DIFFERENT


def test_sequences_and_maps_are_compared_inside() -> None:
    before = [np.ones(3), {"a": np.zeros(2)}]
    assert judge(before, [np.ones(3), {"a": np.zeros(2)}], None).verdict is Verdict.IDENTICAL
    for wrong in ([np.ones(3)], [np.ones(3), {"b": np.zeros(2)}], [np.ones(3), {"a": np.ones(2)}]):
        assert judge(before, wrong, None).verdict is Verdict.DIFFERENT
    assert judge(before, np.ones(3), None).verdict is Verdict.DIFFERENT


def test_nan_inside_a_sequence_is_what_it_was() -> None:
    before = [np.float32([np.nan, 1]), np.array(["a"], object)]
    same = [np.float32([np.nan, 1]), np.array(["a"], object)]
    assert judge(before, same, None).verdict is Verdict.IDENTICAL
    for wrong in ([np.float32([1, 1]), same[1]], [np.float64([np.nan, 1]), same[1]]):
        assert judge(before, wrong, None).verdict is Verdict.DIFFERENT
    assert judge([np.ones(2)], [np.ones(2, np.int64)], None).verdict is Verdict.DIFFERENT


def test_matches_is_about_bits() -> None:
    zero = np.zeros(3, np.float32)
    assert matches([zero], [zero.copy()])
    assert not matches([zero], [-zero])
    assert not matches([zero], [zero.astype(np.float64)])
    assert not matches([zero], [])
    nan = np.float32([np.nan])
    assert matches([nan], [nan.copy()])
    words = np.array(["a", "b"], object)
    assert matches([words], [words.copy()])
    assert not matches([words], [words[::-1]])


def test_order_of_verdicts() -> None:
    assert worst_of([]) is Verdict.IDENTICAL
    assert worst_of([Verdict.EQUAL, Verdict.DIFFERENT, Verdict.UNVERIFIED]) is Verdict.DIFFERENT
    assert worst_of([Verdict.EQUAL, Verdict.UNVERIFIED]) is Verdict.UNVERIFIED
    assert [v for v in Verdict if not v.good] == [Verdict.UNVERIFIED, Verdict.DIFFERENT]


def test_a_wrong_channel_does_not_hide_behind_the_original_being_off_in_one_place() -> None:
    truth = np.random.default_rng(0).standard_normal((1, 64, 10, 10))
    before, after = truth.copy(), truth.copy()
    scale = np.abs(truth).max()
    before[0, 0, 0, 0] += 1e-3 * scale
    after[0, 1] += 9e-4 * scale
    wrong = judge(before.astype(np.float32), after.astype(np.float32), truth, 1e-4)
    assert wrong.verdict is Verdict.DIFFERENT
    slight = np.where(np.arange(64)[:, None, None] == 1, truth + 5e-5 * scale, truth)
    before[0, 0, 0, 0] = truth[0, 0, 0, 0] + 4e-5 * scale
    small = judge(before.astype(np.float32), slight.astype(np.float32), truth, 1e-4)
    assert small.verdict is Verdict.WITHIN_TOLERANCE


SMALL = np.array([1, 1, 1, 1, 1e-4, 1e-4])[:, None, None]
"""Four channels of boxes, in pixels, and two of scores."""


def test_scores_a_tenth_off_beside_boxes_are_different() -> None:
    truth = RNG.standard_normal((1, 6, 12, 10)) * SMALL
    before, after = rounded(1, truth), rounded(2, truth)
    assert judge(before, after, truth).verdict is Verdict.EQUAL
    after[:, 5] *= 1.1
    finding = judge(before, after, truth)
    assert finding.max_rel < 1e-4
    assert finding.verdict is Verdict.DIFFERENT
    assert "index 5 of axis 1" in finding.why


@pytest.mark.parametrize("factor", [3.0, 20.0])
def test_small_channels_may_have_the_rounding_of_large_ones(factor: float) -> None:
    truth = RNG.standard_normal((1, 6, 12, 10)) * SMALL
    noise = RNG.standard_normal(truth.shape) * 2.0**-24
    before, after = ((truth + f * noise).astype(np.float32) for f in (1.0, -factor))
    assert judge(before, after, truth).verdict.good


def test_amplified_rounding_of_a_channel_that_cancels_is_no_difference() -> None:
    truth = RNG.standard_normal((1, 6, 12, 10)) * SMALL
    noise = RNG.standard_normal(truth.shape) * 1e-7
    before, after = ((truth + f * noise).astype(np.float32) for f in (1.0, 20.0))
    assert judge(before, after, truth).verdict is Verdict.WITHIN_TOLERANCE
