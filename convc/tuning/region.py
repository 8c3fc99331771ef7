"""A place of a graph cut out with its neighbours, to be timed as a small model of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from convc.graph import Graph
from convc.ir import Op, Value
from convc.rewrite import NoMatch, Rewrite, Rule, apply, let_go, replaced_ops

HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Kinds that end a neighbourhood: behind them it starts anew."""

MOST = 12
"""Neighbours taken along on the way to such ops."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The same computation before and after a rewrite, as graphs that can be fed alike."""

    before: Graph
    after: Graph


def cut_out(graph: Graph, op: Op, rule: Rule, rewrite: Rewrite) -> Trial | None:
    """A proposal's region with its neighbours, before and after; None where it does not stand.

    The rule is asked again on the part alone: it may decline there, for want of something farther
    away.
    """
    members = _with_neighbours(graph, {op, *replaced_ops(graph, rewrite)})
    inputs = _entering(graph, members)
    outputs = _leaving(graph, members)
    if not inputs or not outputs or any(value.type is None for value in inputs):
        return None
    copies: dict[Value, Value] = {}
    before = _named(graph.extract(inputs, outputs, copies=copies))
    if op.result not in copies:
        return None
    after_copies: dict[Value, Value] = {}
    after = before.extract(before.inputs, before.outputs, before.output_names, copies=after_copies)
    place = after_copies.get(copies[op.result])
    if place is None:
        return None
    try:
        again = rule.function(after, place.op)
    except NoMatch:
        return None
    apply(after, again)
    let_go([again])
    return Trial(before, after)


def _with_neighbours(graph: Graph, core: Iterable[Op]) -> set[Op]:
    """The core and what lies around it, up to and with the next heavy ops on either side."""
    members = {op for op in core if _counts(op)}
    for neighbours in (graph.producers, graph.users):
        edge, taken = _in_order(graph, members), 0
        while edge and taken < MOST:
            op = edge.pop(0)
            for near in neighbours(op):
                if near in members or not _counts(near):
                    continue
                members.add(near)
                taken += 1
                if near.kind not in HEAVY:
                    edge.append(near)
    return members


def _in_order(graph: Graph, members: set[Op]) -> list[Op]:
    """The members in the graph's order: sets have none that repeats."""
    return [op for op in graph.ops() if op in members]


def _counts(op: Op) -> bool:
    return op.array is None and not op.is_boundary


def _entering(graph: Graph, members: set[Op]) -> list[Value]:
    values = (
        value
        for op in _in_order(graph, members)
        for value in op.operands
        if value is not None and value.op not in members and value.array is None
    )
    return list(dict.fromkeys(values))


def _leaving(graph: Graph, members: set[Op]) -> list[Value]:
    return [
        value
        for op in _in_order(graph, members)
        for value in op.results
        if any(user not in members for user, _ in graph.uses(value))
    ]


def _named(part: Graph) -> Graph:
    """Gives inputs and outputs names of their own: inside a graph names may repeat or be empty."""
    for i, value in enumerate(part.inputs):
        value.name = f"input_{i}"
    part.set_outputs(part.outputs, [f"output_{i}" for i in range(len(part.outputs))])
    return part
