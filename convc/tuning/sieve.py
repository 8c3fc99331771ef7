"""The sieve: every proposal, once for all places that look alike, timed with its neighbours alone.

A region alone flatters a rewrite: its weights stay in the cache and what it does to its neighbours'
layout is half seen. So the sieve only sorts out what loses, and orders the rest; see
`convc.tuning.judge` for who decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from convc.choose import weigh
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import NoMatch, Rule, let_go
from convc.tuning.region import Trial, cut_out
from convc.tuning.steps import Step, ask, sites
from convc.tuning.stopwatch import Measured

HOPELESS = 3.0
"""Times by which the estimate must call a proposal slower to leave it untimed: it is coarse."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A rule's proposal at all places of one look.

    Attributes:
        step: which rule, and where.
        op: one of the places.
        places: how many there are.
        note: what becomes what.
        estimate: seconds that it saves at all of them by the estimate; None where it has none.
    """

    step: Step
    op: Op
    places: int
    note: str
    estimate: float | None


@dataclass(frozen=True, slots=True)
class Survivor:
    """A proposal that has passed the sieve, or could not be put through it (``measured`` None)."""

    proposed: Proposed
    measured: Measured | None

    @property
    def gain(self) -> float:
        """Seconds expected to be saved at all places together."""
        if self.measured is None:
            return self.proposed.estimate or 0.0
        return self.proposed.places * (self.measured.before - self.measured.after)


def propose(
    graph: Graph, rules: Sequence[Rule], known: set[Step], declined: Counter[str]
) -> list[Proposed]:
    """All proposals but those in ``known``, the largest estimated gain first.

    ``known`` is added to; ``declined`` counts the rules' reasons at all places that look alike.
    """
    found: list[Proposed] = []
    for look, places in sites(graph).items():
        for number, rule in enumerate(rules):
            step = Step(number, look)
            if step in known:
                continue
            known.add(step)
            try:
                found.append(_propose_at(graph, places, rule, step))
            except NoMatch as decline:
                if decline.reason:
                    declined[decline.reason] += len(places)
    return sorted(found, key=lambda p: -(p.estimate or 0.0))


def _propose_at(graph: Graph, places: Sequence[Op], rule: Rule, step: Step) -> Proposed:
    """The rule's proposal at the first of ``places``, with what it would save at all of them."""
    rewrite = ask(graph, places[0], rule)
    weighed = weigh(graph, rewrite)
    let_go([rewrite])
    if weighed is None:
        return Proposed(step, places[0], len(places), rewrite.note, None)
    if weighed.after > HOPELESS * weighed.before:
        raise NoMatch("much slower by the estimate")
    saved = len(places) * weighed.seconds
    return Proposed(step, places[0], len(places), rewrite.note, saved)


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
