"""Timing: intervals cover, rounds alternate, other processes serve; never how fast anything is."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from convc.errors import UsageError
from convc.runtime import (
    RunError,
    Session,
    Settings,
    newest_opset,
    physical_cores,
    provider,
    version,
)  # fmt: skip
from convc.timing import (
    CONFIDENCE,
    WARM_UP,
    Ratio,
    in_own_process,
    interleave,
    ratio,
    run_of,
)  # fmt: skip
from tests.tiny import kernel, model, node

RELU = model([node("Relu", "x", "y")])
BROKEN = model([node("Mystery", "x", "y", domain="nowhere")], domains=["nowhere"])
FEEDS = {"x": kernel(1, 1, 4, 12, 10)}


@pytest.mark.parametrize("rounds", [10, 25, 60])
@pytest.mark.parametrize("tail", ["symmetric", "heavy"])
def test_the_interval_covers_the_true_ratio(rounds: int, tail: str) -> None:
    """Both models wander together (drift), each with noise of its own; the true ratio is 1.5."""
    rng = np.random.default_rng(7)
    trials, hits = 2000, 0
    for _ in range(trials):
        drift = np.exp(np.cumsum(rng.normal(0, 0.05, rounds)))
        noise = rng.normal(0, 0.1, (2, rounds))
        if tail == "heavy":
            noise += rng.exponential(0.3, (2, rounds))
        first, other = 1.5 * drift * np.exp(noise[0]), drift * np.exp(noise[1])
        found = ratio(first.tolist(), other.tolist())
        assert found.low <= found.ratio <= found.high
        hits += found.low <= 1.5 <= found.high
    # The sign test is exact: at least CONFIDENCE, less four standard errors of the count.
    slack = 4 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / trials)
    assert hits / trials >= CONFIDENCE - slack
    # And not by being much too wide: one order statistic further in, it would miss more.
    below = sum(comb(rounds, i) for i in range(rounds + 1) if 2 * cdf(rounds, i) <= 1 - CONFIDENCE)
    assert hits / trials <= 1 - 2 * below / 2.0**rounds + slack


def cdf(n: int, k: int) -> float:
    return sum(comb(n, i) for i in range(k + 1)) / 2.0**n


def test_ratio_of_few_rounds_is_the_whole_range() -> None:
    found = ratio([2.0, 4.0, 6.0], [2.0, 2.0, 2.0])
    assert found == Ratio(2.0, 1.0, 3.0)
    assert ratio([3.0], [2.0]) == Ratio(1.5, 1.5, 1.5)


def test_direction_and_clearness() -> None:
    slow, fast = [2.0 + 0.01 * i for i in range(20)], [1.0 + 0.01 * i for i in range(20)]
    assert ratio(slow, fast).ratio > 1
    assert ratio(slow, fast).low > 1
    assert ratio(fast, slow).high < 1
    assert ratio(fast, slow).high < 1
    mixed = [1.0, 2.0] * 10
    assert ratio(mixed, mixed[::-1]).low <= 1 <= ratio(mixed, mixed[::-1]).high


def test_rounds_alternate_and_warm_up_is_not_counted() -> None:
    order: list[str] = []
    counts = {"a": 0, "b": 0, "c": 0}

    def run(name: str) -> float:
        order.append(name)
        counts[name] += 1
        return counts[name] + ord(name) / 1000

    seen: list[int] = []
    runs = [lambda name=name: run(name) for name in "abc"]
    times = interleave(runs, rounds=4, on_round=seen.append)
    warm, timed = order[: 3 * WARM_UP], order[3 * WARM_UP :]
    assert sorted(warm) == sorted("abc" * WARM_UP)
    assert "".join(timed) == "abccbabcaacb"
    assert seen == [1, 2, 3, 4]
    for name, spent in zip("abc", times, strict=True):
        assert spent == [WARM_UP + i + ord(name) / 1000 for i in range(1, 5)]


def test_no_time_left_still_makes_the_least_rounds() -> None:
    assert [len(t) for t in interleave([lambda: 1.0, lambda: 2.0], rounds=50, seconds=0)] == [6, 6]
    assert [len(t) for t in interleave([lambda: 1.0], rounds=3, seconds=0)] == [3]


def test_own_process_times_and_ends() -> None:
    settings = Settings(threads=1, denormal_as_zero=True)
    with in_own_process(RELU, settings, FEEDS) as run:
        spent = [run() for _ in range(3)]
    assert all(0 < seconds < 60 for seconds in spent)
    with pytest.raises(RunError, match="died"):
        run()


def test_own_process_reports_a_broken_model() -> None:
    with in_own_process(BROKEN, Settings(), FEEDS) as run:
        for _ in range(2):
            with pytest.raises(RunError, match=r"Mystery|nowhere"):
                run()
    wrong = {"wrong": FEEDS["x"]}
    with in_own_process(RELU, Settings(), wrong) as run, pytest.raises(RunError, match="wrong"):
        run()


def test_own_process_left_alone_ends_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    with in_own_process(BROKEN, Settings(), FEEDS):
        pass
    assert "Traceback" not in capfd.readouterr().err


def test_run_of_times_a_session() -> None:
    assert run_of(Session(RELU, Settings(threads=1)), FEEDS)() > 0


def test_sessions() -> None:
    session = Session(RELU, Settings(threads=1))
    assert (session.input_names, session.output_names) == (["x"], ["y"])
    (y,) = session.run(FEEDS)
    np.testing.assert_array_equal(y, np.maximum(FEEDS["x"], 0))
    for wrong in ({}, {"x": FEEDS["x"][0]}, {"x": FEEDS["x"].astype(np.float64)}):
        with pytest.raises(RunError) as caught:
            session.run(wrong)
        assert "\n" not in str(caught.value)
    for broken in (b"", b"text", BROKEN):
        with pytest.raises(RunError):
            Session(broken)


def test_runtime_facts() -> None:
    assert provider("cpu") == provider("CPUExecutionProvider") == "CPUExecutionProvider"
    with pytest.raises(UsageError, match=r"this onnxruntime has .*CPU"):
        provider("Quantum")
    assert physical_cores() >= 1
    assert newest_opset() >= 17
    assert version()[0].isdigit()
