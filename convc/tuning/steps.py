"""What was decided, in a form that can be done again: rules, and places by what they look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convc.choose import by_count
from convc.errors import CannotProveError
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import NoMatch, Prove, Rewrite, Rule, Stats, apply, let_go, sweep
from convc.tuning.surroundings import surroundings

BY_COUNT = -1
"""The rule of a step that leaves the choice to counts."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rule, at every place of one look.

    Attributes:
        rule: its position among the rules; `BY_COUNT`: all that pays by count.
        site: the look, see `surroundings`.
    """

    rule: int
    site: str = ""


Round = tuple[Step, ...]
"""Steps whose sites are looked up in one graph, before the first of them."""


def sites(graph: Graph) -> dict[str, list[Op]]:
    """The graph's ops by their look, in the graph's order."""
    found: dict[str, list[Op]] = {}
    for op, look in surroundings(graph).items():
        found.setdefault(look, []).append(op)
    return found


def ask(graph: Graph, op: Op, rule: Rule) -> Rewrite:
    """A rule's proposal at an op; raises NoMatch where it does not look at such ops."""
    if rule.kinds and (op.domain or op.kind not in rule.kinds):
        raise NoMatch("")
    return rule.function(graph, op)


def replay(
    graph: Graph,
    rules: Sequence[Rule],
    rounds: Sequence[Round],
    prove: Prove | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Stats:
    """Does all steps on ``graph``, in place; where a rule declines a place is left as it is."""
    stats = Stats(decisions=tuple(tuple((s.rule, s.site) for s in steps) for steps in rounds))
    for steps in rounds:
        places = sites(graph)
        for step in steps:
            if on_step is not None:
                on_step(step)
            if step.rule == BY_COUNT:
                stats.add(sweep(graph, rules, by_count("macs"), prove))
                continue
            for op in places.get(step.site, ()):
                _apply_at(graph, op, rules[step.rule], prove, stats)
    return stats


def _apply_at(graph: Graph, op: Op, rule: Rule, prove: Prove | None, stats: Stats) -> None:
    if op not in graph:
        return
    try:
        rewrite = ask(graph, op, rule)
        residual = stats.note_proof(prove, graph, rewrite)
    except (NoMatch, CannotProveError):
        return
    apply(graph, rewrite, residual=residual, origin=rule.origin)
    let_go([rewrite])
    stats.applied += 1
    stats.notes[rewrite.note] += 1
