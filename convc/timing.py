"""Timing models against each other: interleaved, with an interval for the ratio.

Absolute times move with the machine's mood; two models timed in turn move together. So what is
reported is the ratio of times measured next to each other, its median and an interval.
"""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import comb
from statistics import median
from time import perf_counter
from typing import Any

from convc.errors import ConvcError
from convc.feeds import Feeds
from convc.runtime import Model, RunError, Session, Settings

CONFIDENCE = 0.95
"""Of the interval of a ratio's median."""

WARM_UP = 2
"""Untimed runs before the first timed one: the arena grows and weights are packed meanwhile."""

LEAST = 6
"""Rounds below which no interval of a median has its `CONFIDENCE`: 2 · 2⁻⁶ is below 5 %, 2 · 2⁻⁵
is not."""

BURST = 0.005
"""Seconds a model must take before one run of it says something about the next."""

Run = Callable[[], float]
"""Runs a model and returns the seconds that a run took."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much faster one model is than another: medians and an interval over rounds.

    Attributes:
        ratio: median over the rounds of (time of the first) / (time of the other).
        low: lower end of the `CONFIDENCE` interval of that median.
        high: upper end.
    """

    ratio: float
    low: float
    high: float


def run_of(session: Session, feeds: Feeds) -> Run:
    """Times a session in this process.

    A model that is done in less than `BURST` is run over and over that long and the mean is taken.
    Its first run is left out: it pays for the caches that the model before it has filled.
    """

    def run() -> float:
        start = perf_counter()
        session.run(feeds)
        begin = perf_counter()
        if begin - start >= BURST:
            return begin - start
        count, elapsed = 0, 0.0
        while elapsed < BURST:
            session.run(feeds)
            count += 1
            elapsed = perf_counter() - begin
        return elapsed / count

    return run


def single_run(session: Session, feeds: Feeds) -> Run:
    """Times one run of a session in this process, with the caches as they are."""

    def run() -> float:
        start = perf_counter()
        session.run(feeds)
        return perf_counter() - start

    return run


@contextmanager
def in_own_process(model: Model, settings: Settings, feeds: Feeds) -> Iterator[Run]:
    """Times runs in a process of its own, where a session's process-wide flags do hold.

    A run raises RunError where the session cannot be made there, or the process dies.
    """
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, model, settings, dict(feeds)))
    process.start()
    there.close()

    def ask() -> float:
        try:
            here.send(None)
            answer = here.recv()
        except (EOFError, OSError) as error:
            raise RunError("the process that times the model has died") from error
        if isinstance(answer, str):
            raise RunError(answer)
        return float(answer)

    try:
        yield ask
    finally:
        here.close()
        process.join(timeout=10)
        if process.is_alive():
            process.terminate()
            process.join()


def _serve(pipe: Any, model: Model, settings: Settings, feeds: Feeds) -> None:
    try:
        run = run_of(Session(model, settings), feeds)
    except ConvcError as error:
        run = partial(_raise, error)
    # The pipe ends with the parent, whatever ended it.
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            pipe.recv()
            try:
                pipe.send(run())
            except ConvcError as error:
                pipe.send(str(error))


def _raise(error: Exception) -> float:
    raise error


def interleave(
    runs: Sequence[Run],
    *,
    rounds: int,
    seconds: float = float("inf"),
    on_round: Callable[[int], None] | None = None,
) -> list[list[float]]:
    """Seconds of each run in each round; the order turns, and every other round goes backwards.

    Args:
        runs: what to time, in turn.
        rounds: how many rounds at the most.
        seconds: no round begins after this time, but `LEAST` are made whatever it takes.
        on_round: called after each round with its number.
    """
    start = perf_counter()
    for run in runs:
        for _ in range(WARM_UP):
            run()
            if perf_counter() - start > seconds:
                break
    times: list[list[float]] = [[] for _ in runs]
    for number in range(rounds):
        for i in _order(len(runs), number):
            times[i].append(runs[i]())
        if on_round is not None:
            on_round(number + 1)
        if number + 1 >= LEAST and perf_counter() - start > seconds:
            break
    return times


def _order(count: int, number: int) -> list[int]:
    turned = [(i + number // 2) % count for i in range(count)]
    return turned if number % 2 == 0 else turned[::-1]


def ratio(first: Sequence[float], other: Sequence[float]) -> Ratio:
    """The ratio of two models timed in the same rounds."""
    ratios = sorted(a / b for a, b in zip(first, other, strict=True))
    skip = _order_statistic(len(ratios))
    return Ratio(median(ratios), ratios[skip], ratios[-1 - skip])


def _order_statistic(n: int) -> int:
    """How many values at either end lie outside the interval of the median (sign test).

    The number of values below the median is binomial(n, 1/2); the interval between the order
    statistics k and n − 1 − k misses it with probability 2·P(X ≤ k).
    """
    below, k = 0.0, -1
    while k + 1 < n // 2:
        below += comb(n, k + 1) / 2.0**n
        if 2 * below > 1 - CONFIDENCE:
            break
        k += 1
    return max(k, 0)
