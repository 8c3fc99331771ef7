"""What the tuner decides, on a watch whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from convc.feeds import Feeds
from convc.graph import Graph
from convc.ir import Op
from convc.onnx_io import to_bytes
from convc.rewrite import Replacement, Rewrite, Rule, Stats
from convc.runtime import RunError, Settings
from convc.timing import Ratio
from convc.tuning import Store, Tuner, confirm
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
    assert tuner.tuning.notes == ["a run takes 20 s, too long for the budget: chosen by count"]
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


class InterruptedAtOnce(PricedWatch):
    def once(self, _contender: Contender) -> float:
        raise KeyboardInterrupt


def test_an_interruption_during_the_first_run_of_the_model(store: Store) -> None:
    graph, _, tuner = tuned(InterruptedAtOnce(), store)
    assert kinds(graph) == list(NETWORK)
    assert tuner.tuning.notes == ["interrupted: the best so far"]
    assert store.counts().get("choice") is None


class InterruptedInTheProfile(PricedWatch):
    def ops(self, _graph: Graph, _feeds: Feeds) -> Mapping[Op, float]:
        raise KeyboardInterrupt


def test_an_interruption_during_the_profile(store: Store) -> None:
    graph, _, tuner = tuned(InterruptedInTheProfile(), store)
    assert kinds(graph) == list(NETWORK)
    assert tuner.tuning.notes == ["interrupted: the best so far"]


def test_an_interruption_while_rules_propose(store: Store) -> None:
    def stop(_graph: Graph, _op: Op) -> Rewrite:
        raise KeyboardInterrupt

    graph, _, tuner = tuned(PricedWatch(), store, rules=(MUL, Rule(stop, frozenset({"Neg"}))))
    assert kinds(graph) == list(NETWORK)
    assert tuner.tuning.notes == ["interrupted: the best so far"]


def test_after_an_interruption_no_other_choice_is_made(store: Store) -> None:
    tuner = Tuner(Settings(threads=1), 60.0, store, watch=InterruptedAtOnce())
    tuner.choose(chain(*NETWORK), RULES, "choose(test)")
    other = chain("Neg", "Abs")
    tuner.choose(other, RULES, "choose(test)")
    assert kinds(other) == ["Neg", "Abs"]
    assert tuner.tuning.notes == ["interrupted: the best so far"]


def test_the_second_interruption_ends(store: Store) -> None:
    tuner = Tuner(Settings(threads=1), 60.0, store, watch=PricedWatch())
    tuner.means.interrupt()
    with pytest.raises(KeyboardInterrupt):
        tuner.means.interrupt()


def test_two_choices_in_one_pipeline_are_told_apart(store: Store) -> None:
    # The first declines, so the second is asked about the same graph.
    dear = priced({**PRICES, "Sub": 40.0})
    tuner = Tuner(Settings(threads=1), 60.0, store, watch=PricedWatch(dear, dear))
    graph = chain(*NETWORK)
    tuner.choose(graph, (SUB,), "choose(sub)")
    assert kinds(graph) == list(NETWORK)
    tuner.choose(graph, (MUL,), "choose(mul)")
    assert kinds(graph).count("Mul") == 2


def test_no_rules_ask_nobody(store: Store) -> None:
    watch = PricedWatch()
    _, stats, _ = tuned(watch, store, rules=())
    assert stats.applied == 0
    assert watch.asked == []


def test_a_remembered_choice_by_count_still_says_why(store: Store) -> None:
    _, _, first = tuned(PricedWatch(run=20.0), store)
    _, _, second = tuned(PricedWatch(run=20.0), store)
    assert second.tuning.remembered == 1
    assert second.tuning.notes == first.tuning.notes != []


def test_a_failure_is_not_remembered_as_a_choice(store: Store) -> None:
    tuned(BrokenWatch(), store)
    _, _, tuner = tuned(BrokenWatch(), store)
    assert tuner.tuning.notes == ["cannot be timed, chosen by count: no such operator: Magic"]


class Unclear(PricedWatch):
    """Neither faster nor slower."""

    def region(self, _trial: Trial, _seconds: float) -> Measured | None:
        self.asked.append("region")
        return Measured(Ratio(1.0, 0.8, 1.2), 1.0, 1.0)


def test_what_less_time_left_unclear_is_timed_again(store: Store) -> None:
    tuned(Unclear(), store, budget=30.0)
    same, more = PricedWatch(), PricedWatch()
    tuned(same, store, budget=20.0)
    assert same.asked == []
    graph, _, _ = tuned(more, store, budget=60.0)
    assert "region" in more.asked
    assert kinds(graph).count("Mul") == 2


class NoRegions(PricedWatch):
    """Nothing can be made up to feed a region alone."""

    def region(self, _trial: Trial, _seconds: float) -> Measured | None:
        return None


def test_what_cannot_be_timed_alone_is_left_to_the_judge(store: Store) -> None:
    def estimated(graph: Graph) -> float:
        return 1.0 + sum(op.kind == "Neg" for op in graph.ops())

    def drop(graph: Graph, op: Op) -> Rewrite:
        made = Replacement(graph)
        data = op.operands[0]
        assert data is not None
        return made.rewrite({op.result: made.op("Identity", (made.take(data),))}, note="dropped")

    watch = NoRegions(wholes=estimated)
    graph, stats, _ = tuned(watch, store, rules=(Rule(drop, frozenset({"Neg"}), "drop"),))
    assert "Neg" not in kinds(graph)
    assert "slower by the clock" not in stats.declined


def test_feeds_of_other_sizes_are_other_situations(store: Store) -> None:
    def fed(size: int) -> Tuner:
        feeds = {"x": np.zeros((1, 4, size, size), np.float32)}
        tuner = Tuner(Settings(threads=1), 60.0, store, watch=PricedWatch(), feeds=feeds)
        graph = chain(*NETWORK, shape=("n", 4, "h", "w"))
        tuner.choose(graph, RULES, "choose(test)")
        return tuner

    assert fed(8).tuning.timed > 0
    assert fed(16).tuning.timed > 0


class SlowRun(PricedWatch):
    """The rewritten model cannot run."""

    def once(self, contender: Contender) -> float:
        if "Mul" in kinds(contender.graph):
            raise RunError("no kernel")
        return self.run


def test_what_does_not_run_in_the_end_is_taken_back(store: Store) -> None:
    original = chain(*NETWORK)
    tuner = Tuner(Settings(threads=1), 60.0, store, watch=SlowRun())

    def rewrite() -> Graph:
        graph = original.clone()
        tuner.choose(graph, RULES, "choose(test)")
        return graph

    graph, _ = confirm(original, to_bytes(original), tuner.means.feeds(original), tuner, rewrite)
    assert kinds(graph) == list(NETWORK)
    assert "a result could not be timed: no kernel" in tuner.tuning.notes


def test_an_interruption_of_the_last_check_does_it_once_more(store: Store) -> None:
    class Nervous(PricedWatch):
        def whole(self, before: Contender, after: Contender, seconds: float) -> Measured | None:
            if before.model is not None and "last" not in self.asked:
                self.asked.append("last")
                raise KeyboardInterrupt
            return super().whole(before, after, seconds)

    original = chain(*NETWORK)
    tuner = Tuner(Settings(threads=1), 60.0, store, watch=Nervous())

    def rewrite() -> Graph:
        graph = original.clone()
        tuner.choose(graph, RULES, "choose(test)")
        return graph

    model, feeds = to_bytes(original), tuner.means.feeds(original)
    graph, found = confirm(original, model, feeds, tuner, rewrite)
    assert kinds(graph).count("Mul") == 2
    assert found is not None
    assert found.faster
    assert tuner.tuning.notes == ["interrupted: the best so far"]


def test_where_no_time_is_left_all_is_taken_back_at_once(store: Store) -> None:
    _, _, tuner = tuned(PricedWatch(), store)
    tuner.means.budget.seconds = 0.0
    assert tuner.take_back()
    assert not tuner.take_back()


def test_what_was_gained_is_said_where_narrow_terminals_show_it(store: Store) -> None:
    said: list[str] = []
    watch = PricedWatch()
    tuner = Tuner(Settings(threads=1), 60.0, store, watch=watch, say=said.append)
    tuner.choose(chain(*NETWORK), RULES, "choose(test)")
    assert said[0] == "one run of the model"
    assert any(text.startswith("1.29× so far, ") for text in said)


def test_a_profile_that_would_eat_the_budget_is_not_made(store: Store) -> None:
    class Profiled(PricedWatch):
        def ops(self, graph: Graph, feeds: Feeds) -> Mapping[Op, float]:
            self.asked.append("ops")
            return super().ops(graph, feeds)

    slow, quick = Profiled(run=3.0), Profiled(run=0.1)
    tuned(slow, store)
    assert "ops" not in slow.asked
    store.path.unlink()
    tuned(quick, store)
    assert "ops" in quick.asked
