"""Judging one output of two models: what rounding may do, and what it may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

import numpy as np

from convc.ir import Array, is_real

FACTOR = 4.0
"""How many times the original's own rounding error a model may have and still be `EQUAL`.
Another order of summation changes the error of a sum by such factors, a wrong weight by many."""

FLOOR_ULPS = 16.0
"""Errors below this many units in the last place of an output's scale are rounding whatever the
original's were: a short sum may happen to be exact."""

CLEAR = 64.0
"""How many times the original's own rounding error is no rounding at all, in whatever order: tiles
of Toom–Cook amplify it by 3 to 20."""

OWN_SCALE = 100.0
"""How many tolerances of its own size a channel may be off by, if that is clearly no rounding.
Scores beside box coordinates are a thousandth of the output's largest magnitude: a tolerance
relative to that alone would pass scores that are wrong by a tenth."""

ENOUGH = 32
"""Values a channel needs for its root-mean-square error to mean something on its own."""

Triple: TypeAlias = tuple[Array, Array, Array]
"""The original's output, the other model's, and float64's."""


class Verdict(Enum):
    """What a comparison found, best first."""

    IDENTICAL = "identical"
    """The same bits."""
    EQUAL = "equal"
    """An error against float64 of at most `FACTOR` times the original's own."""
    WITHIN_TOLERANCE = "within-tolerance"
    """At most the tolerance, relative to the output's largest magnitude."""
    WITHIN_BUDGET = "within-budget"
    """Approximate, and at most the error that was asked for."""
    UNVERIFIED = "unverified"
    """It could not be run."""
    DIFFERENT = "different"
    """More than rounding and more than the tolerance."""

    @property
    def good(self) -> bool:
        """True where the models may be exchanged for each other."""
        return self not in (Verdict.UNVERIFIED, Verdict.DIFFERENT)


def worst_of(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts; `Verdict.IDENTICAL` of none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.IDENTICAL)


@dataclass(frozen=True, slots=True)
class Finding:
    """What `judge` found for one output; figures as in `Comparison`."""

    verdict: Verdict
    max_abs: float = 0.0
    max_rel: float = 0.0
    original_error: float = 0.0
    error: float = 0.0
    why: str = ""


def judge(
    before: Any,
    after: Any,
    exact: Array | None,
    tolerance: float = 1e-4,
    *,
    by_channel: bool = True,
    again: Any = None,
) -> Finding:
    """Judges one output of two models.

    Args:
        before: the original's output.
        after: the other model's.
        exact: the original's output in float64, None where that is not to be had: then nothing but
            the tolerance decides.
        tolerance: see `convc.check.compare`.
        by_channel: hold each channel to the rule of `Verdict.EQUAL` by itself, too; off where its
            values do not vary, so that its errors are no statistic.
        again: the original's output from another way of computing it. Its own error is then, at
            each place, that of the worse of the two.
    """
    wrong = _structure(before, after)
    if wrong:
        return Finding(Verdict.DIFFERENT, np.inf, np.inf, 0.0, np.inf, wrong)
    if not isinstance(before, np.ndarray) or _same_bits(before, after):
        return Finding(Verdict.IDENTICAL)
    if not is_real(before.dtype):
        if np.array_equal(before, after):
            return Finding(Verdict.IDENTICAL)
        return Finding(Verdict.DIFFERENT, np.inf, np.inf, 0.0, np.inf, "discrete values differ")
    a, b = before.astype(np.float64), after.astype(np.float64)
    finite = np.isfinite(a)
    if (
        not np.array_equal(a[~finite], b[~finite], equal_nan=True)
        or not np.isfinite(b[finite]).all()
    ):
        return Finding(
            Verdict.DIFFERENT, np.inf, np.inf, 0.0, np.inf, "NaN or infinity at other places"
        )
    if not finite.any():
        return Finding(Verdict.EQUAL)
    # Where a selection went another way in float64, the result has another shape: no judge then.
    if exact is not None and np.shape(exact) != a.shape:
        exact = None
    truth = a if exact is None else np.where(np.isfinite(exact) & finite, exact, a)
    a, b, truth = (np.where(finite, array, 0.0) for array in (a, b, truth))
    apart = float(np.abs(a - b).max())
    if again is not None and not _structure(before, again):
        other = np.where(finite & np.isfinite(again), again, truth)
        a = np.where(np.abs(other - truth) > np.abs(a - truth), other, a)
    arrays = (a, b, truth)
    floor = FLOOR_ULPS * _ulp(before)
    finding = _judge_numbers(arrays, apart, floor, exact is not None, tolerance)
    if finding.verdict is not Verdict.EQUAL or not by_channel:
        return finding
    if _spread_equal(arrays, floor) and _channels_equal(arrays, floor):
        return finding
    # Wrong somewhere, though not by more than the original is somewhere else.
    if finding.max_rel <= max(tolerance, floor):
        return replace(finding, verdict=Verdict.WITHIN_TOLERANCE)
    return replace(finding, verdict=Verdict.DIFFERENT, why=_apart(finding.max_rel))


def _judge_numbers(
    arrays: Triple, apart: float, floor: float, known: bool, tolerance: float
) -> Finding:
    a, b, truth = arrays
    scale = float(np.abs(truth).max()) or float(np.abs(b).max()) or 1.0
    own, error = float(np.abs(a - truth).max()), float(np.abs(b - truth).max())
    figures = (apart, apart / scale, own / scale, error / scale)
    for axis in _channel_axes(truth):
        lost = _lost_channel(arrays, axis, floor * scale, tolerance)
        if lost is not None:
            why = f"index {lost} of axis {axis} is not the original's"
            return Finding(Verdict.DIFFERENT, *figures, why)
    if known and error <= max(FACTOR * own, floor * scale):
        return Finding(Verdict.EQUAL, *figures)
    if apart <= max(tolerance, floor) * scale:
        return Finding(Verdict.WITHIN_TOLERANCE, *figures)
    return Finding(Verdict.DIFFERENT, *figures, _apart(apart / scale))


def _apart(relative: float) -> str:
    return f"differs by {relative:.1e} of the output's scale"


def _spread_equal(arrays: Triple, floor: float) -> bool:
    """The rule of `EQUAL` for the median and the ninth decile of the errors.

    Where the original itself is far from float64 in a few places (a value beside a jump), the
    largest error says nothing, and a model that is wrong everywhere would hide behind it.
    """
    a, b, truth = arrays
    own, error = (np.quantile(np.abs(array - truth), (0.5, 0.9)) for array in (a, b))
    return bool((error <= np.maximum(FACTOR * own, floor * np.abs(truth).max())).all())


def _rms(array: Array, axis: int) -> Array:
    """Root mean square of each index of ``axis``."""
    axes = tuple(other for other in range(array.ndim) if other != axis)
    return np.asarray(np.sqrt(np.mean(np.square(array), axis=axes)))


def _channel_axes(array: Array) -> list[int]:
    """Axis 1, and the last one where channels (or a detector's classes) come last."""
    axes = {1, array.ndim - 1} if array.ndim >= 2 else set()
    return [axis for axis in sorted(axes) if array.size // max(1, array.shape[axis]) >= ENOUGH]


def _channels_equal(arrays: Triple, floor: float) -> bool:
    """The rule of `EQUAL` for each channel by itself, on root mean squares."""
    a, b, truth = arrays
    if 1 not in _channel_axes(truth):
        return True
    own, error, size = _rms(a - truth, 1), _rms(b - truth, 1), _rms(truth, 1)
    return bool((error <= np.maximum(FACTOR * own, floor * size)).all())


def _lost_channel(arrays: Triple, axis: int, rounding: float, tolerance: float) -> int | None:
    """A channel that is wrong by half its own size, however small beside the other channels.

    Or by less, down to `OWN_SCALE` tolerances, where that is clearly no rounding: neither by the
    original's own errors there, nor beside the largest values, which it may be computed with.
    """
    a, b, truth = arrays
    own, error, size = _rms(a - truth, axis), _rms(b - truth, axis), _rms(truth, axis)
    lost = (error > 0.5 * size) & (error > FACTOR * own) & (size > 1e-10 * size.max())
    wrong = (error > OWN_SCALE * tolerance * size) & (error > np.maximum(CLEAR * own, rounding))
    lost |= wrong
    return int(np.argmax(lost)) if lost.any() else None


def _structure(before: Any, after: Any) -> str:
    if type(before) is not type(after):
        return "is of another type"
    if not isinstance(before, np.ndarray):
        return "" if _same_nested(before, after) else "sequences differ"
    if before.dtype != after.dtype:
        return f"is {after.dtype} where the original has {before.dtype}"
    if before.shape != after.shape:
        return f"has shape {after.shape} where the original has {before.shape}"
    return ""


def _same_nested(before: Any, after: Any) -> bool:
    if isinstance(before, Mapping):
        return before.keys() == after.keys() and all(
            _same_nested(before[key], after[key]) for key in before
        )
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_same_nested, before, after))
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        if _structure(before, after):
            return False
        if _same_bits(before, after):  # NaN too is what it was
            return True
    return bool(np.array_equal(before, after))


def _ulp(array: Array) -> float:
    """Unit roundoff of the stored dtype."""
    return 2.0**-8 if array.dtype.name == "bfloat16" else float(np.finfo(array.dtype).eps) / 2


def matches(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """True when all outputs are tensors of the same type, shape and bits."""
    return len(before) == len(after) and all(
        isinstance(a, np.ndarray)
        and isinstance(b, np.ndarray)
        and not _structure(a, b)
        and _same_bits(a, b)
        for a, b in zip(before, after, strict=True)
    )


def _same_bits(a: Array, b: Array) -> bool:
    if a.dtype == np.dtype(object):
        return bool(np.array_equal(a, b))
    return a.tobytes() == b.tobytes()
