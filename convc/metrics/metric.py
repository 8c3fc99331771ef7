"""A metric and its threshold, as the user names them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from convc.errors import UsageError
from convc.metrics.errors import psnr, relative_error
from convc.metrics.outputs import Measure, Outputs, comparable, names, pairs
from convc.metrics.shares import decisions, disagreement, upper_share
from convc.metrics.user import load_function

PRESETS: Mapping[str, Mapping[str, float]] = {
    "relative": {"safe": 0.003, "balanced": 0.006},
    "psnr": {"safe": 50.0, "balanced": 45.0},
    "share": {"safe": 0.005, "balanced": 0.01},
}
"""What ``safe`` and ``balanced`` mean by the unit of a metric."""


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


def _guarded(function: Measure) -> Measure:
    """A user's loss, infinite where the outputs cannot be compared at all."""

    def measure(reference: Sequence[Outputs], other: Sequence[Outputs]) -> float:
        if not all(comparable(*pairs(name, reference, other)) for name in names(reference)):
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
