"""merge-branches on sums, siblings, parts and concatenations, drawn over the attribute space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convc.graph import Graph
from passes.merge_branches import MergeBranches
from tests.branch_strategies import (
    concat_graphs,
    join_graphs,
    part_graphs,
    sibling_graphs,
    sum_graphs,
)
from tests.helpers import check_pass
from tests.strategies import seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def family(note: str) -> str:
    """Which rule a note is of."""
    for mark in ("sibling", "grouped", "concatenated", "Concat"):
        if mark in note:
            return mark
    return "sum"


def run(
    graphs: Callable[[], st.SearchStrategy[Graph]], examples: int
) -> tuple[Counter[str], Counter[str]]:
    """How often each rule fired on drawn graphs, and why others were left alone."""
    found: Counter[str] = Counter()
    declined: Counter[str] = Counter()

    @settings(max_examples=examples, **QUIET)
    @given(graphs(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        larger = {name: size + 3 for name, size in graph.sizes.items()}
        pass_ = MergeBranches(grow=bool(rng.integers(2)))
        stats, after = check_pass(pass_, graph, rng, [{}, larger] if graph.sizes else [{}])
        for note, count in stats.notes.items():
            found[family(note)] += count
            found.update(
                {mark: count for mark in ("avg", "scale", "identity", "∘") if mark in note}
            )
        found["open size"] += bool(stats.applied and graph.sizes)
        found["all in one"] += sum(op.kind == "Conv" for op in after.ops()) == 1
        declined.update(stats.declined)
        again, _ = check_pass(pass_, after, rng)
        assert again.applied == 0

    check()
    return found, declined


def test_branches_of_one_input_become_one_conv() -> None:
    found, declined = run(sum_graphs, 400)
    assert found["sum"] >= 250, found
    assert found["open size"] >= 30, found
    for mark in ("avg", "scale", "identity", "∘"):
        assert found[mark] >= 20, (mark, found)
    assert any("border" in reason for reason in declined)


def test_convs_of_several_inputs_become_one_conv() -> None:
    found, _ = run(join_graphs, 120)
    assert found["Concat"] >= 100, found


def test_sibling_convs_become_one_conv() -> None:
    found, _ = run(sibling_graphs, 180)
    assert found["sibling"] >= 100, found


def test_convs_before_a_concat_become_one_conv() -> None:
    found, _ = run(concat_graphs, 250)
    assert found["concatenated"] >= 100, found


def test_convs_of_parts_become_a_grouped_conv() -> None:
    found, declined = run(part_graphs, 200)
    assert found["grouped"] >= 100, found
    assert declined
