"""Two models timed in turn until one is clearly the faster, or the time is up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

from convc.timing import LEAST, WARM_UP, Ratio, Run, ratio

SWEPT = 32 * 2**20
"""Bytes that are touched between two runs, so that weights come from memory as they do in a
network, not from the cache that the same region's last run left them in."""

LOOKS = (LEAST, 8, 10, 14, 20, 40, 80, 160)
"""Rounds after which the interval is looked at: looking after each would find a difference sooner
or later where there is none."""

PATIENCE = 4.0
"""Times the given seconds that a comparison may take where the second model looks faster but one
run in the first few, disturbed by something else, still hides it."""

PROMISING = 0.02
"""Part by which it has to look faster for that."""

LUCK = 0.005
"""Part by which two sessions of one model differ for good: where their memory came to lie."""


TICK = 1e-9
"""Seconds that a run takes at least: a coarse clock may say 0, which has no ratio."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The outcome of one comparison: how much faster the second is, and the median seconds."""

    ratio: Ratio
    before: float
    after: float

    @property
    def faster(self) -> bool:
        """The interval lies above 1, by more than luck."""
        return self.ratio.low > 1 + LUCK

    @property
    def slower(self) -> bool:
        """The interval lies below 1, by more than luck."""
        return self.ratio.high < 1 - LUCK


def measure(
    before: Run, after: Run, *, seconds: float, sweep: bool = False, rounds: int = LOOKS[-1]
) -> Measured:
    """Times two runs in turn, in changing order.

    Args:
        before: the first.
        after: the other.
        seconds: no round begins after this time, but `LEAST` are made whatever it takes, and
            `PATIENCE` times as many seconds where the second is `PROMISING`.
        sweep: empty the caches before each run.
        rounds: how many at the most.

    It ends early, at one of `LOOKS`, where the interval is clear of 1.
    """
    start = perf_counter()
    clean = _sweeper() if sweep else _nothing
    times: tuple[list[float], list[float]] = ([], [])
    for run in (before, after):
        for _ in range(WARM_UP):
            run()
    for number in range(1, rounds + 1):
        for i in (0, 1) if number % 2 else (1, 0):
            clean()
            times[i].append(max((before, after)[i](), TICK))
        if number < LEAST:
            continue
        found = _measured(times)
        if number in LOOKS and (found.faster or found.slower):
            return found
        promising = found.ratio.ratio > 1 + PROMISING
        if perf_counter() - start > seconds * (PATIENCE if promising else 1.0):
            break
    return _measured(times)


def _measured(times: tuple[list[float], list[float]]) -> Measured:
    return Measured(ratio(*times), median(times[0]), median(times[1]))


def _sweeper() -> Callable[[], None]:
    memory = np.zeros(SWEPT // 8)

    def sweep() -> None:
        np.add(memory, 1.0, out=memory)

    return sweep


def _nothing() -> None:
    """The caches stay as they are."""
