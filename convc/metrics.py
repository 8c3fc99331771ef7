"""How far a model's outputs are from the original's, over many inputs; in float64.

The error of an approximate model is measured, on inputs it was not fitted to, by the relative L2
error of its outputs unless the user has another measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from convc.errors import UsageError
from convc.ir import Array, is_real
from convc.judge import FLOOR_ULPS
from convc.user_metric import load_function

Outputs: TypeAlias = Mapping[str, Array]
"""A model's outputs for one input, by name."""

Measure: TypeAlias = Callable[[Sequence[Outputs], Sequence[Outputs]], float]
"""What a model's outputs are worth beside the original's, which come first, over all inputs."""

PRESETS: Mapping[str, Mapping[str, float]] = {
    "relative": {"safe": 0.003, "balanced": 0.006},
    "psnr": {"safe": 50.0, "balanced": 45.0},
    "share": {"safe": 0.005, "balanced": 0.01},
}
"""What ``safe`` and ``balanced`` mean by the unit of a metric."""


@dataclass(frozen=True, slots=True)
class Relative:
    """Relative L2 errors of one output over all inputs.

    Attributes:
        plain: ‖o' − o‖ / ‖o‖.
        centred: ‖o' − o‖ / ‖o − mean(o)‖ with the one mean of all the output's elements over all
            inputs; None where the output is constant but for rounding.
    """

    plain: float
    centred: float | None

    @property
    def worst(self) -> float:
        """The larger of both: an output far from zero hides its errors behind its mean."""
        return self.plain if self.centred is None else max(self.plain, self.centred)


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure and what its values mean.

    Attributes:
        name: as the user gives it; ``relative`` where he gives none.
        measure: the value for the original's outputs and another model's, one entry for each
            input. Where the other's hold NaN or infinity and the original's do not, or have
            another shape, it is the worst value there is. Raises UsageError where it cannot be had.
        unit: ``relative``, ``psnr`` (dB), ``share`` (of elements or samples that differ) or
            ``own`` (what a user's function returns).
        count: of a share, of how many decisions for the original's outputs.
    """

    name: str
    measure: Measure
    unit: str = "relative"
    count: Callable[[Sequence[Outputs]], int] | None = None

    @property
    def is_loss(self) -> bool:
        """True where less is better."""
        return self.unit != "psnr"

    def within(self, value: float, threshold: float) -> bool:
        """True where a value keeps to a threshold; NaN never does."""
        return value <= threshold if self.is_loss else value >= threshold

    def loss(self, reference: Sequence[Outputs], other: Sequence[Outputs]) -> float:
        """The value as a loss that the inputs show with confidence.

        A share of decisions is counted: that none of 100 differ does not show that fewer than 1 %
        would. Its loss is the upper end of the interval (`upper_share`).
        """
        value = self.measure(reference, other)
        return (
            self.as_loss(value) if self.count is None else upper_share(value, self.count(reference))
        )

    def as_loss(self, value: float) -> float:
        """A value or a threshold as a loss: of a PSNR in dB the error relative to the peak."""
        return value if self.is_loss else 10 ** (-value / 20)

    def from_loss(self, loss: float) -> float:
        """The value whose `as_loss` that is."""
        if self.is_loss:
            return loss
        return -20 * math.log10(loss) if loss > 0 else math.inf

    def show(self, value: float) -> str:
        """A value for people."""
        if self.unit == "psnr":
            return f"{value:.1f} dB"
        if self.unit == "share":
            return f"{value:.2%} differ"
        return f"{value:.2%}" if self.unit == "relative" else f"{value:.4g}"


def parse_metric(text: str = "") -> Metric:
    """The metric that ``--metric TEXT`` names.

    "" or ``relative``: see `relative_error`. ``psnr`` or ``psnr:PEAK``: see `psnr`. ``top1`` or
    ``top1:AXIS``: the share of decisions, each the largest along the class axis, that differ.
    ``agreement`` or ``agreement:AXIS``: the share of elements of integer outputs, and of decisions
    of floating ones, that differ. ``file.py:function``: a loss that the user computes, called with
    two lists, of the original's outputs and of the other model's, each a dict of arrays by name.
    The worst output counts.

    Raises UsageError, in one line, for other texts and for files without the function.
    """
    name, colon, argument = text.rpartition(":") if ":" in text else (text, "", "")
    if name in ("", "relative") and not colon:
        return Metric("relative", relative_error)
    if name == "psnr":
        peak = _peak(argument) if colon else None
        return Metric(text, partial(psnr, peak=peak), "psnr")
    if name in ("top1", "agreement"):
        axis = _axis(text, argument) if colon else None
        real_only = name == "top1"
        differ = partial(disagreement, axis=axis, real_only=real_only)
        count = partial(decisions, axis=axis, real_only=real_only)
        return Metric(text, differ, "share", count)
    if colon and name.endswith(".py"):
        return Metric(text, _guarded(load_function(name, argument)), "own")
    raise UsageError(
        f"--metric {text}: is none of relative, psnr, top1, agreement and file.py:function"
    )


def parse_max_error(text: str, metric: Metric | None = None) -> float:
    """The threshold that ``--max-error TEXT`` sets; 0 allows nothing approximate at all.

    ``safe`` and ``balanced`` are 0.3 % and 0.6 % of relative error, 50 and 45 dB of PSNR, 0.5 and
    1 % of disagreement. A number is the largest relative error or share (``0.01`` or ``1%``), the
    least PSNR (``45`` or ``45dB``), or the largest value that the user's function may return.

    Raises UsageError, in one line, where the text is none of these.
    """
    metric = metric or parse_metric()
    where = f"--max-error {text}"
    presets = PRESETS.get(metric.unit, {})
    if text in presets:
        return presets[text]
    if text in ("safe", "balanced"):
        raise UsageError(f"{where}: means nothing for {metric.name}: give a number")
    number = _threshold(text, metric.unit)
    if number is None:
        known = ", ".join([*presets, "or a number"]) if presets else "a number"
        raise UsageError(f"{where}: is {known}, for example {_example(metric.unit)}")
    if metric.unit in ("relative", "share") and not 0 <= number < 1:
        raise UsageError(
            f"{where}: is from 0 to below 1 (0.01 is 1%)"
            + ("; dB go with --metric psnr" if number > 20 else "")
        )
    if number < 0 and metric.unit == "psnr":
        raise UsageError(f"{where}: is a PSNR in dB, 0 or more")
    return number


def relative_error(reference: Sequence[Outputs], other: Sequence[Outputs]) -> float:
    """The worst output's `Relative.worst`; see `relative_errors`."""
    return max((e.worst for e in relative_errors(reference, other).values()), default=0.0)


def relative_errors(reference: Sequence[Outputs], other: Sequence[Outputs]) -> dict[str, Relative]:
    """The relative L2 errors of each output, pooled over all inputs.

    Integers and booleans are no quantities: both numbers are the share of elements that differ.
    Where the original itself is NaN or infinite, the other has to be so too, and these places do
    not count otherwise. An output that is all zeros has an error of 0 or infinity.
    """
    return {name: _relative(*_pairs(name, reference, other)) for name in _names(reference)}


def psnr(
    reference: Sequence[Outputs], other: Sequence[Outputs], peak: float | None = None
) -> float:
    """10·log₁₀(peak² / mean (o' − o)²) in dB, of the worst output; infinite for equal outputs.

    Args:
        reference: the original's outputs.
        other: another model's.
        peak: largest signal; by default each output's max − min in the original over all inputs.
    """
    return min(
        (_psnr(*_pairs(name, reference, other), peak) for name in _names(reference)),
        default=math.inf,
    )


def disagreement(
    reference: Sequence[Outputs],
    other: Sequence[Outputs],
    axis: int | None = None,
    real_only: bool = False,
) -> float:
    """The share of decisions that differ, of the worst output.

    Args:
        reference: the original's outputs.
        other: another model's.
        axis: of the classes. By default the only one after the first that is longer than 1; of
            several, the shorter of the second and the last.
        real_only: leave out outputs of integers and booleans, each of whose elements is a decision.

    Outputs without such an axis are left out; raises UsageError where none is left.
    """
    shares: list[float] = []
    for name in _names(reference):
        before, after = _pairs(name, reference, other)
        real = is_real(before[0].dtype)
        at = _classes(before[0], axis) if real else None
        if at is not None or not (real or real_only):
            shares.append(_share(before, after, at))
    if not shares and reference:
        along = "axis of classes" if axis is None else f"axis {axis}"
        raise UsageError(
            f"--metric: no output has an {along} to decide along: give another axis (top1:2) or "
            "a file.py:function"
        )
    return max(shares, default=0.0)


def decisions(
    reference: Sequence[Outputs], axis: int | None = None, real_only: bool = False
) -> int:
    """Of how many decisions `disagreement` is the share: those of the output that has fewest."""
    counts = [
        sum(
            outputs[name].size // (1 if at is None else outputs[name].shape[at])
            for outputs in reference
        )
        for name, at in _decided(reference, axis, real_only)
    ]
    return min(counts, default=0)


def upper_share(share: float, count: int, z: float = 1.645) -> float:
    """What a share may be where that is what ``count`` decisions show: Wilson's upper limit (1927).

    Args:
        share: seen, from 0 to 1; infinity stays.
        count: decisions; of none anything may be.
        z: quantile of the normal distribution; 1.645 leaves 5 % above.
    """
    if not math.isfinite(share) or not count:
        return math.inf
    spread = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return (share + z * z / (2 * count) + spread) / (1 + z * z / count)


def _decided(
    reference: Sequence[Outputs], axis: int | None, real_only: bool
) -> Iterator[tuple[str, int | None]]:
    """The outputs with decisions in them and their class axes, None of integers and booleans."""
    for name in _names(reference):
        first = reference[0][name]
        at = _classes(first, axis) if is_real(first.dtype) else None
        if at is not None or not (real_only or is_real(first.dtype)):
            yield name, at


def class_axis(shape: tuple[int, ...]) -> int | None:
    """The axis along which an output of this shape ranks its classes, None where it has none."""
    longer = [axis for axis in range(1, len(shape)) if shape[axis] > 1]
    if len(longer) < 2:
        return longer[0] if longer else None
    last = len(shape) - 1
    # Classes are fewer than positions, whether they come first or last.
    axis = 1 if len(shape) < 3 or shape[1] <= shape[last] else last
    return axis if shape[axis] > 1 else None


def _names(reference: Sequence[Outputs]) -> list[str]:
    return list(reference[0]) if reference else []


def _pairs(
    name: str, reference: Sequence[Outputs], other: Sequence[Outputs]
) -> tuple[list[Array], list[Array]]:
    """One output of both models for each input."""
    missing = any(name not in outputs for outputs in other)
    return [outputs[name] for outputs in reference], (
        [] if missing else [outputs[name] for outputs in other]
    )


def _comparable(before: Sequence[Array], after: Sequence[Array]) -> bool:
    """True where shapes are the same and NaN and infinity stand at the same places."""
    return len(before) == len(after) and all(map(_alike, before, after))


def _alike(a: Any, b: Any) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)) or a.shape != b.shape:
        return False
    if not is_real(a.dtype):
        return True
    if not is_real(b.dtype):
        return False
    x, y = a.astype(np.float64), b.astype(np.float64)
    odd = ~np.isfinite(x)
    return bool(np.isfinite(y[~odd]).all() and np.array_equal(x[odd], y[odd], equal_nan=True))


def _relative(before: Sequence[Array], after: Sequence[Array]) -> Relative:
    if not _comparable(before, after):
        return Relative(math.inf, math.inf)
    if not is_real(before[0].dtype):
        share = _unequal(before, after)
        return Relative(share, share)
    count = sum(x.size for x, _ in _finite(before, after))
    mean = sum(float(x.sum()) for x, _ in _finite(before, after)) / max(1, count)
    missed = _norm(y - x for x, y in _finite(before, after))
    size = _norm(x for x, _ in _finite(before, after))
    spread = _norm(x - mean for x, _ in _finite(before, after))
    # What rounding alone does to a constant is no variation.
    rounding = FLOOR_ULPS * _eps(before[0].dtype) / 2 * size
    return Relative(_over(missed, size), _over(missed, spread) if spread > rounding else None)


def _psnr(before: Sequence[Array], after: Sequence[Array], peak: float | None) -> float:
    if not _comparable(before, after):
        return -math.inf
    missed = _norm(y - x for x, y in _finite(before, after))
    if missed == 0:
        return math.inf
    count = sum(x.size for x, _ in _finite(before, after))
    if peak is None:
        highest = max(float(x.max(initial=-math.inf)) for x, _ in _finite(before, after))
        lowest = min(float(x.min(initial=math.inf)) for x, _ in _finite(before, after))
        peak = highest - lowest
    return 20 * math.log10(peak * math.sqrt(count) / missed) if peak > 0 else -math.inf


def _share(before: Sequence[Array], after: Sequence[Array], axis: int | None) -> float:
    if not _comparable(before, after):
        return math.inf
    if axis is None:
        return _unequal(before, after)
    return _unequal(*([np.argmax(a, axis) for a in arrays] for arrays in (before, after)))


def _classes(array: Array, axis: int | None) -> int | None:
    """The class axis of an output; None where it is none, or has no second class."""
    if axis is None:
        return class_axis(array.shape)
    return axis if axis < array.ndim and array.shape[axis] > 1 else None


def _unequal(before: Sequence[Array], after: Sequence[Array]) -> float:
    """Share of the elements that differ."""
    count = sum(array.size for array in before)
    differ = sum(int(np.count_nonzero(a != b)) for a, b in zip(before, after, strict=True))
    return differ / count if count else 0.0


def _finite(before: Sequence[Array], after: Sequence[Array]) -> Iterator[tuple[Array, Array]]:
    """The finite elements of both in float64, input by input: never all at once."""
    for a, b in zip(before, after, strict=True):
        x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
        finite = np.isfinite(x)
        yield (x, y) if finite.all() else (x[finite], y[finite])


def _norm(parts: Iterable[Array]) -> float:
    return math.sqrt(math.fsum(float(np.dot(part, part)) for part in parts))


def _over(missed: float, size: float) -> float:
    if missed == 0:
        return 0.0
    return missed / size if size > 0 else math.inf


def _eps(dtype: np.dtype[Any]) -> float:
    return float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]  # untyped stubs


def _guarded(function: Measure) -> Measure:
    """A user's loss, infinite where the outputs cannot be compared at all."""

    def measure(reference: Sequence[Outputs], other: Sequence[Outputs]) -> float:
        if not all(_comparable(*_pairs(name, reference, other)) for name in _names(reference)):
            return math.inf
        return function(reference, other)

    return measure


def _peak(text: str) -> float:
    try:
        peak = float(text)
    except ValueError:
        peak = math.nan
    if not 0 < peak < math.inf:
        raise UsageError(f"--metric psnr:{text}: the peak is a positive number, as in psnr:255")
    return peak


def _axis(metric: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise UsageError(f"--metric {metric}: the class axis is a number from 0, as in top1:1")
    return int(text)


def _threshold(text: str, unit: str) -> float | None:
    """The finite number that a text says in the unit, else None."""
    factor = 1.0
    stripped = text.strip()
    if unit in ("relative", "share") and stripped.endswith("%"):
        stripped, factor = stripped[:-1], 0.01
    if unit == "psnr" and stripped.lower().endswith("db"):
        stripped = stripped[:-2]
    try:
        number = float(stripped) * factor
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _example(unit: str) -> str:
    return {"psnr": "45 or 45dB", "own": "0.5"}.get(unit, "0.01 or 1%")
