"""Regions are cut out with their neighbours and compute the same before and after."""

from __future__ import annotations

import numpy as np

from convc.graph import Graph
from convc.ir import Op
from convc.reference import evaluate
from convc.rewrite import NoMatch, Replacement, Rewrite, Rule
from convc.tuning.region import cut_out
from tests.helpers import random_feeds
from tests.tuning_helpers import MUL, chain, kinds, to_mul


def neg(graph: Graph) -> Op:
    return next(op for op in graph.ops() if op.kind == "Neg")


def test_the_neighbours_come_along() -> None:
    graph = chain("Abs", "Neg", "Relu")
    trial = cut_out(graph, neg(graph), MUL, to_mul(graph, neg(graph)))
    assert trial is not None
    assert kinds(trial.before) == ["Abs", "Neg", "Relu"]
    assert kinds(trial.after) == ["Abs", "Mul", "Relu"]
    assert kinds(graph) == ["Abs", "Neg", "Relu"]
    feeds = random_feeds(trial.before, np.random.default_rng(0))
    np.testing.assert_array_equal(evaluate(trial.before, feeds)[0], evaluate(trial.after, feeds)[0])


def test_a_long_way_is_not_followed() -> None:
    graph = chain(*["Abs"] * 40, "Neg", *["Relu"] * 40)
    trial = cut_out(graph, neg(graph), MUL, to_mul(graph, neg(graph)))
    assert trial is not None
    assert len(kinds(trial.before)) == 25


def test_a_rule_that_looks_farther_is_not_timed_alone() -> None:
    graph = chain(*["Abs"] * 40, "Neg")

    def only_in_the_whole(graph: Graph, op: Op) -> Rewrite:
        if len(kinds(graph)) < 41:
            raise NoMatch("needs all of it")
        return to_mul(graph, op)

    rule = Rule(only_in_the_whole, frozenset({"Neg"}))
    assert cut_out(graph, neg(graph), rule, only_in_the_whole(graph, neg(graph))) is None


def test_values_used_elsewhere_are_results() -> None:
    graph = chain("Abs", "Neg", "Relu")
    made = Replacement(graph)
    assert made.graph is not graph
    middle = neg(graph).result
    graph.set_outputs((*graph.outputs, middle), ("y", "z"))
    trial = cut_out(graph, neg(graph), MUL, to_mul(graph, neg(graph)))
    assert trial is not None
    assert trial.before.output_names == ("output_0", "output_1")
