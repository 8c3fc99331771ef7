"""The sieve: every proposal, once for all places that look alike, timed with its neighbours alone.

A region alone flatters a rewrite: its weights stay in the cache and what it does to its neighbours'
layout is half seen. So the sieve only sorts out what loses, and orders the rest; see
`convc.tuning.judge` for who decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from convc.choose import Gain, weigh
from convc.costs.estimate import CALL, estimate
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import NoMatch, Rule, let_go
from convc.tuning.region import Trial, cut_out
from convc.tuning.steps import Step, ask, sites
from convc.tuning.stopwatch import Measured

HOPELESS = 3.0
"""Times by which the estimate must call a proposal slower to leave it untimed: it is coarse."""


NEGLIGIBLE = 0.002
"""Part of the whole estimated time below which a place is not worth asking about."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A rule's proposal at all places of one look.

    Attributes:
        step: which rule, and where.
        op: one of the places.
        places: how many there are.
        note: what becomes what.
        gain: what it saves at all of them together by the estimate; None where that has no answer.
    """

    step: Step
    op: Op
    places: int
    note: str
    gain: Gain | None

    @property
    def weight(self) -> float:
        """Estimated seconds at stake: what all places take as they are."""
        return inf if self.gain is None else self.places * self.gain.before

    @property
    def saved(self) -> float:
        """Estimated seconds saved at all places."""
        return 0.0 if self.gain is None else self.places * self.gain.seconds


@dataclass(frozen=True, slots=True)
class Survivor:
    """A proposal that has passed the sieve, or could not be put through it (``measured`` None)."""

    proposed: Proposed
    measured: Measured | None

    @property
    def gain(self) -> float:
        """Seconds expected to be saved at all places together."""
        if self.measured is None:
            return self.proposed.saved
        return self.proposed.places * (self.measured.before - self.measured.after)


def propose(
    graph: Graph, rules: Sequence[Rule], known: set[Step], declined: Counter[str]
) -> list[Proposed]:
    """All proposals but those in ``known``, those at the places that take longest first.

    ``known`` is added to; ``declined`` counts the rules' reasons at all places that look alike.
    """
    least = NEGLIGIBLE * sum(estimate(graph, op) or 0.0 for op in graph.ops())
    found: list[Proposed] = []
    for look, places in sites(graph).items():
        for number, rule in enumerate(rules):
            step = Step(number, look)
            if step in known:
                continue
            known.add(step)
            try:
                found.append(_propose_at(graph, places, rule, step, least))
            except NoMatch as decline:
                if decline.reason:
                    declined[decline.reason] += len(places)
    return sorted(found, key=lambda proposed: (-proposed.weight, -proposed.saved))


def _propose_at(
    graph: Graph, places: Sequence[Op], rule: Rule, step: Step, least: float
) -> Proposed:
    """The rule's proposal at the first of ``places``; raises NoMatch where it has no prospects."""
    rewrite = ask(graph, places[0], rule)
    gain = weigh(graph, rewrite)
    let_go([rewrite])
    found = Proposed(step, places[0], len(places), rewrite.note, gain)
    if gain is not None and gain.after > HOPELESS * max(gain.before, CALL):
        raise NoMatch("much slower by the estimate")
    if found.weight < least:
        raise NoMatch("too small to matter")
    return found


def trial_of(graph: Graph, rules: Sequence[Rule], proposed: Proposed) -> Trial | None:
    """The proposal's region, before and after; None where it cannot be cut out."""
    rule = rules[proposed.step.rule]
    try:
        rewrite = ask(graph, proposed.op, rule)
    except NoMatch:
        return None
    trial = cut_out(graph, proposed.op, rule, rewrite)
    let_go([rewrite])
    return trial
