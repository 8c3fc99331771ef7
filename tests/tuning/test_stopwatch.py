"""When a comparison ends, and what it says."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from convc.timing import LEAST, WARM_UP
from convc.tuning.stopwatch import LOOKS, measure


def clock(
    seconds: float, spread: float = 0.0, seed: int = 0
) -> tuple[Callable[[], float], list[float]]:
    """A run that takes so long, give or take; and the list of what it said."""
    rng = np.random.default_rng(seed)
    said: list[float] = []

    def run() -> float:
        said.append(seconds * float(1 + spread * rng.standard_normal()))
        return said[-1]

    return run, said


def test_a_clear_difference_ends_at_the_first_look() -> None:
    slow, asked = clock(2.0, 0.01)
    fast, _ = clock(1.0, 0.01, seed=1)
    found = measure(slow, fast, seconds=60)
    assert len(asked) == WARM_UP + LOOKS[0]
    assert found.faster
    assert not found.slower
    assert 1.9 < found.ratio.ratio < 2.1
    assert abs(found.before - 2.0) < 0.1
    back = measure(fast, slow, seconds=60)
    assert back.slower
    assert not back.faster


def test_no_difference_is_looked_for_to_the_end() -> None:
    one, asked = clock(1.0, 0.02)
    other, _ = clock(1.0, 0.02, seed=1)
    found = measure(one, other, seconds=60)
    assert len(asked) == WARM_UP + LOOKS[-1]
    assert not found.faster
    assert not found.slower


def test_less_than_luck_is_no_gain() -> None:
    slow, _ = clock(1.004)
    fast, _ = clock(1.0)
    assert not measure(slow, fast, seconds=60).faster


def test_the_time_is_kept_but_for_the_fewest_rounds() -> None:
    one, asked = clock(1.0, 0.02)
    other, _ = clock(1.0, 0.02, seed=1)
    measure(one, other, seconds=0.0)
    assert len(asked) == WARM_UP + LEAST


@pytest.mark.parametrize(("gain", "rounds"), [(2.0, 10), (1.01, LEAST + 1)])
def test_one_disturbed_run_costs_patience_where_there_is_a_gain(
    monkeypatch: pytest.MonkeyPatch, gain: float, rounds: int
) -> None:
    passed = itertools.count()
    monkeypatch.setattr("convc.tuning.stopwatch.perf_counter", lambda: float(next(passed)))
    slow, asked = clock(gain)
    fast, _ = clock(1.0)
    disturbed = iter([1.0] * WARM_UP + [5.0])

    def fast_but_once() -> float:
        return next(disturbed, None) or fast()

    # The clock is looked at from the last of the fewest rounds on, and moves by one each time.
    found = measure(slow, fast_but_once, seconds=1.5)
    assert len(asked) == WARM_UP + rounds
    assert found.faster is (gain == 2.0)


def test_turns_change_places() -> None:
    order: list[str] = []
    names = itertools.cycle("ab")

    def run_as(name: str) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return 1.0

        return run

    measure(run_as(next(names)), run_as(next(names)), seconds=0.0, rounds=LEAST, sweep=True)
    assert "".join(order) == "aabb" + "abba" * (LEAST // 2)


def test_a_clock_that_stands_still_has_a_ratio() -> None:
    assert measure(lambda: 0.0, lambda: 0.0, seconds=0.0).ratio.ratio == 1.0
