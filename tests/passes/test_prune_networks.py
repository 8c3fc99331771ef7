"""prune-dead-channels on networks drawn over the whole attribute space of what it looks through."""

from __future__ import annotations

import contextlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.graph import Graph
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import NoMatch, size_of
from passes._regions.build import rebuild
from passes._regions.flow import Flow
from passes._regions.links import read
from passes._regions.region import collect
from passes.prune_dead_channels import PruneDeadChannels
from passes.prune_dead_channels.decide import decide
from tests.helpers import check_pass
from tests.prune_strategies import BETWEEN, READERS, Case, networks, picked_layers
from tests.strategies import seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def fires(case: Case, rng: np.random.Generator) -> Counter[str]:
    """Runs the pass, proved and compared; what was dropped, and by what it was reached."""
    pass_ = PruneDeadChannels(case.block)
    stats, after = check_pass(pass_, case.graph, rng)
    assert pass_.run(after.clone(), Context(prove=prove)).applied == 0
    found: Counter[str] = Counter()
    for note in stats.notes:
        words = note.removesuffix(" dropped").split(", ")
        found.update(word.split()[1] for word in words if word[0].isdigit())
    if stats.applied:
        before, now = size_of(case.graph, case.graph.ops()), size_of(after, after.ops())
        assert now.macs is not None
        assert before.macs is not None
        assert now.macs < before.macs
        found.update(set(case.used))
        found["fired"] += 1
    return found


def test_networks() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=500, **QUIET)
    @given(networks(), seeds())
    def check(case: Case, rng: np.random.Generator) -> None:
        found.update(fires(case, rng))

    check()
    assert found["fired"] >= 250, found
    for what in ("constant", "duplicate", "unread"):
        assert found[what] >= 100, (what, found)
    for shape in ("plain", "residual", "concat", "loop", "grouped", "two readers"):
        assert found[shape] >= 12, (shape, found)


def any_to_drop(graph: Graph, block: int) -> bool:
    """Whether a region has channels to lose, those included that no clue leads to."""
    for op in graph.ops():
        link = read(graph, op)
        if link is None or link.form != "linear":
            continue
        region = collect(graph, op.result, lambda *_: None)
        with contextlib.suppress(NoMatch):
            rebuild(graph, decide(graph, region, Flow(graph, region), block))
            return True
    return False


def test_clues_lead_to_all_there_is() -> None:
    found: Counter[bool] = Counter()

    @settings(max_examples=150, **QUIET)
    @given(networks())
    def check(case: Case) -> None:
        any_before = any_to_drop(case.graph, case.block)
        found[any_before] += 1
        pass_ = PruneDeadChannels(case.block)
        assert bool(pass_.propose(case.graph)) >= any_before
        pass_.run(case.graph)
        assert not any_to_drop(case.graph, case.block)

    check()
    assert min(found.values()) >= 25, found


@pytest.mark.parametrize("name", list(BETWEEN))
def test_every_op_between(name: str) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=25, **QUIET)
    @given(networks(between=(name,)), seeds())
    def check(case: Case, rng: np.random.Generator) -> None:
        found.update(fires(case, rng))

    check()
    assert found[name] >= 6, found


@pytest.mark.parametrize("name", list(READERS))
def test_every_reader(name: str) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=60, **QUIET)
    @given(networks(reader=name), seeds())
    def check(case: Case, rng: np.random.Generator) -> None:
        found.update(fires(case, rng))

    check()
    assert found[name] >= 25, found


def test_picks_behind_layers() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=150, **QUIET)
    @given(picked_layers(), seeds())
    def check(case: Case, rng: np.random.Generator) -> None:
        stats, after = check_pass(PruneDeadChannels(case.block), case.graph, rng)
        found.update(case.used if stats.applied else ())
        found["fired"] += stats.applied
        kinds = [op.kind for op in after.ops()]
        assert "Slice" not in kinds
        assert "Gather" not in kinds or "repeats" in case.used

    check()
    assert found["fired"] >= 100, found
    assert min(found[name] for name in ("Slice", "Gather")) >= 30, found
