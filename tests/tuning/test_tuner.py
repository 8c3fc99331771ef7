"""What the tuner decides, on a watch whose answers are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from convc.graph import Graph
from convc.rewrite import Rule, Stats
from convc.runtime import Settings
from convc.tuning import Store, Tuner
from convc.tuning.judge import Contender
from convc.tuning.region import Trial
from convc.tuning.stopwatch import Measured
from tests.tuning_helpers import MUL, PRICES, SUB, BrokenWatch, PricedWatch, chain, kinds, priced

RULES = (SUB, MUL)
NETWORK = ("Abs", "Neg", "Relu", "Neg", "Relu")


def tuned(
    watch: PricedWatch, store: Store, *, budget: float = 60.0, rules: tuple[Rule, ...] = RULES
) -> tuple[Graph, Stats, Tuner]:
    tuner = Tuner(Settings(threads=1), budget, store, watch=watch)
    graph = chain(*NETWORK)
    stats = tuner.choose(graph, rules, "choose(test)")
    graph.verify()
    return graph, stats, tuner


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "timings.sqlite")


def test_the_best_of_the_competing_rules_is_taken(store: Store) -> None:
    graph, stats, tuner = tuned(PricedWatch(), store)
    assert kinds(graph) == ["Abs", "Mul", "Relu", "Mul", "Relu"]
    assert stats.applied == 2
    assert stats.notes == {"Neg → Mul": 2}
    assert tuner.tuning.gained == pytest.approx(9 / 7)


def test_nothing_is_taken_that_gains_nothing(store: Store) -> None:
    dear = priced({**PRICES, "Sub": 40.0})
    graph, stats, _ = tuned(PricedWatch(dear, dear), store, rules=(SUB,))
    assert kinds(graph) == list(NETWORK)
    assert stats.applied == 0
    assert stats.declined == {"slower by the clock": 2}


def test_the_whole_model_has_the_last_word(store: Store) -> None:
    liar = PricedWatch(wholes=priced({**PRICES, "Mul": 5.0}))
    graph, stats, _ = tuned(liar, store)
    assert kinds(graph) == list(NETWORK)
    assert stats.declined["does not speed up the whole model"] == 4  # two rules, two places


def test_places_that_pay_only_together_are_tried_together(store: Store) -> None:
    def wholes(graph: Graph) -> float:
        found = kinds(graph)
        return 8.0 if found.count("Mul") == 2 else 9.0 + found.count("Mul")

    even = PricedWatch(regions=priced({**PRICES, "Mul": 3.1}), wholes=wholes)
    graph, _, _ = tuned(even, store)
    assert kinds(graph).count("Mul") == 2


def test_a_second_run_asks_nobody(store: Store) -> None:
    first, _, _ = tuned(PricedWatch(), store)
    watch = PricedWatch()
    second, _, tuner = tuned(watch, store)
    assert watch.asked == []
    assert tuner.tuning.remembered == 1
    assert kinds(first) == kinds(second)


def test_what_less_time_found_is_looked_at_again(store: Store) -> None:
    tuned(PricedWatch(), store, budget=30.0)
    watch = PricedWatch()
    _, _, tuner = tuned(watch, store, budget=60.0)
    assert tuner.tuning.remembered > 1  # the comparisons, not the choice
    assert watch.asked == []


def test_without_a_runtime_counts_choose(store: Store) -> None:
    _, _, tuner = tuned(BrokenWatch(), store)
    assert tuner.tuning.notes == ["cannot be timed, chosen by count: no such operator: Magic"]


def test_a_model_too_slow_to_time_is_chosen_by_count(store: Store) -> None:
    watch = PricedWatch(run=20.0)
    _, _, tuner = tuned(watch, store)
    assert tuner.tuning.notes == ["a run takes 20.0 s, too long for the budget: chosen by count"]
    assert watch.asked == []


def test_no_time_at_all(store: Store) -> None:
    graph, _, _ = tuned(PricedWatch(), store, budget=0.0)
    graph.verify()


class Interrupted(PricedWatch):
    """The user presses Ctrl-C once something has been gained."""

    def whole(self, before: Contender, after: Contender, seconds: float) -> Measured | None:
        if "whole" in self.asked:
            raise KeyboardInterrupt
        return super().whole(before, after, seconds)


def test_an_interruption_keeps_the_best_so_far(store: Store) -> None:
    graph, _, tuner = tuned(Interrupted(), store)
    assert "Mul" in kinds(graph)
    assert tuner.tuning.notes == ["interrupted: the best so far"]
    assert store.counts().get("choice") is None


class InterruptedEarly(PricedWatch):
    def region(self, _trial: Trial, _seconds: float) -> Measured | None:
        raise KeyboardInterrupt


def test_an_interruption_before_anything_is_gained(store: Store) -> None:
    graph, _, _ = tuned(InterruptedEarly(), store)
    assert kinds(graph) == list(NETWORK)


def test_decisions_are_taken_back_by_halves(store: Store) -> None:
    _, _, tuner = tuned(PricedWatch(), store)
    counts = []
    while tuner.take_back():
        graph = chain(*NETWORK)
        tuner.choose(graph, RULES, "choose(test)")
        counts.append(kinds(graph).count("Mul"))
    assert counts[-1] == 0
    assert counts == sorted(counts, reverse=True)
