"""Errors of real outputs: relative L2 errors and PSNR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from convc.ir import Array, is_real
from convc.judge import FLOOR_ULPS
from convc.metrics.outputs import Outputs, comparable, finite, names, norm, pairs, unequal


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


def relative_error(reference: Sequence[Outputs], other: Sequence[Outputs]) -> float:
    """The worst output's `Relative.worst`; see `relative_errors`."""
    return max((e.worst for e in relative_errors(reference, other).values()), default=0.0)


def relative_errors(reference: Sequence[Outputs], other: Sequence[Outputs]) -> dict[str, Relative]:
    """The relative L2 errors of each output, pooled over all inputs.

    Integers and booleans are no quantities: both numbers are the share of elements that differ.
    Where the original itself is NaN or infinite, the other has to be so too, and these places do
    not count otherwise. An output that is all zeros has an error of 0 or infinity.
    """
    return {name: _relative(*pairs(name, reference, other)) for name in names(reference)}


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
        (_psnr(*pairs(name, reference, other), peak) for name in names(reference)),
        default=math.inf,
    )


def _relative(before: Sequence[Array], after: Sequence[Array]) -> Relative:
    if not comparable(before, after):
        return Relative(math.inf, math.inf)
    if not is_real(before[0].dtype):
        share = unequal(before, after)
        return Relative(share, share)
    count = sum(x.size for x, _ in finite(before, after))
    mean = sum(float(x.sum()) for x, _ in finite(before, after)) / max(1, count)
    missed = norm(y - x for x, y in finite(before, after))
    size = norm(x for x, _ in finite(before, after))
    spread = norm(x - mean for x, _ in finite(before, after))
    # What rounding alone does to a constant is no variation.
    rounding = FLOOR_ULPS * _eps(before[0].dtype) / 2 * size
    return Relative(_over(missed, size), _over(missed, spread) if spread > rounding else None)


def _psnr(before: Sequence[Array], after: Sequence[Array], peak: float | None) -> float:
    if not comparable(before, after):
        return -math.inf
    missed = norm(y - x for x, y in finite(before, after))
    if missed == 0:
        return math.inf
    count = sum(x.size for x, _ in finite(before, after))
    if peak is None:
        highest = max(float(x.max(initial=-math.inf)) for x, _ in finite(before, after))
        lowest = min(float(x.min(initial=math.inf)) for x, _ in finite(before, after))
        peak = highest - lowest
    return 20 * math.log10(peak * math.sqrt(count) / missed) if peak > 0 else -math.inf


def _over(missed: float, size: float) -> float:
    if missed == 0:
        return 0.0
    return missed / size if size > 0 else math.inf


def _eps(dtype: np.dtype[Any]) -> float:
    return float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]  # untyped stubs
