"""The sieve: every proposal, once for all places that look alike, timed with its neighbours alone.

A region alone flatters a rewrite: its weights stay in the cache and what it does to its neighbours'
layout is half seen. So the sieve only sorts out what loses, and orders the rest; see
`convc.tuning.judge` for who decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from convc.choose import weigh
from convc.costs.estimate import CALL, estimate
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import NoMatch, Rule, let_go, replaced_ops
from convc.tuning.declined import Declined
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
        before: seconds that the ops it replaces take at one place: measured, else estimated; None
            where neither is known.
        after: estimated seconds of what replaces them.
    """

    step: Step
    op: Op
    places: int
    note: str
    before: float | None
    after: float | None

    @property
    def weight(self) -> float:
        """Seconds at stake: what all places take as they are."""
        return inf if self.before is None else self.places * self.before

    @property
    def saved(self) -> float:
        """Seconds expected to be saved at all places."""
        known = self.before is not None and self.after is not None
        return self.places * ((self.before or 0.0) - (self.after or 0.0)) if known else 0.0


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


Times = Mapping[Op, float]
"""Measured seconds of each op; empty where they are not known."""


def propose(
    graph: Graph,
    rules: Sequence[Rule],
    times: Times,
    known: set[Step],
    declined: Declined,
    *,
    has_time: Callable[[], bool],
) -> list[Proposed]:
    """All proposals but those in ``known``, those at the places that take longest first.

    ``known`` is added to; ``declined`` counts the rules' reasons at all places that look alike.
    Rules that compute new weights are slow: where there is no time left it ends with what it has.
    """
    whole = sum(times.values()) or sum(estimate(graph, op) or 0.0 for op in graph.ops())
    found: list[Proposed] = []
    for look, places in sites(graph).items():
        for number, rule in enumerate(rules):
            step = Step(number, look)
            if step in known or not has_time():
                continue
            known.add(step)
            try:
                proposed = _propose_at(graph, places, rule, step, times)
                _check_prospects(proposed, whole)
                found.append(proposed)
            except NoMatch as decline:
                if decline.reason:
                    declined.at(decline.reason, places, len(places), rule.origin)
    return sorted(found, key=lambda proposed: (-proposed.weight, -proposed.saved))


def _propose_at(
    graph: Graph, places: Sequence[Op], rule: Rule, step: Step, times: Times
) -> Proposed:
    """The rule's proposal at the first of ``places``."""
    rewrite = ask(graph, places[0], rule)
    replaced = replaced_ops(graph, rewrite)
    weighed = weigh(graph, rewrite)
    note = rewrite.note
    let_go([rewrite])
    before, after = (None, None) if weighed is None else (weighed.before, weighed.after)
    if times:
        before = sum(times.get(op, 0.0) for op in replaced)
    return Proposed(step, places[0], len(places), note, before, after)


def _check_prospects(proposed: Proposed, whole: float) -> None:
    """Raises NoMatch where too little is at stake, or too much would have to be made good."""
    if proposed.weight < NEGLIGIBLE * whole:
        raise NoMatch("too small to matter")
    if proposed.before is None or proposed.after is None:
        return
    if proposed.after > HOPELESS * max(proposed.before, CALL):
        raise NoMatch("much slower by the estimate")


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
