"""Regions of ops that can be computed under another layout of their values, and their rewriting.

A region grows from a conv over all the ops around it that the layout can carry. Values enter and
leave it through a change of layout, once each; between its ops there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from convc.graph import Graph
from convc.ir import Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite

ANCHORS = frozenset({"Conv", "ConvTranspose"})
"""Kinds for whose sake a region is rewritten."""


class Layout(Protocol):
    """How the values of a region are laid out, and which ops can be computed so."""

    def refusal(self, op: Op) -> str | None:
        """Why ``op`` cannot be in a region, "" where that is not worth saying; None if it can."""

    def carried(self, op: Op) -> Sequence[Value]:
        """The operands of ``op`` that have to be in the layout."""

    def enter(self, build: Replacement, old: Value, value: Value) -> Value:
        """The stand-in ``value`` of a value ``old`` of the graph, brought into the layout."""

    def leave(self, build: Replacement, old: Value, value: Value) -> Value:
        """A value in the layout as ``old`` is laid out."""

    def emit(self, build: Replacement, op: Op, operands: Sequence[Value]) -> Value:
        """``op`` in the layout; ``operands`` stand for what it `carried`."""


def lower_region(graph: Graph, op: Op, layout: Layout, note: str) -> Rewrite:
    """The region around the conv ``op`` in the layout; only its first conv proposes it."""
    reason = layout.refusal(op)
    if reason is not None:
        raise NoMatch(reason)
    if graph.is_dead(op) or _has_anchor_before(op, layout):
        raise NoMatch
    region = _region(graph, op, layout)
    build = Replacement(graph)
    laid: dict[Value, Value] = {}
    for member in region:
        for value in layout.carried(member):
            if value not in laid:
                laid[value] = layout.enter(build, value, build.take(value))
        made = layout.emit(build, member, [laid[value] for value in layout.carried(member)])
        made.op.name = member.name
        laid[member.result] = made
    members = set(region)
    needed = [
        member.result
        for member in region
        if any(user not in members for user in graph.iter_users(member))
    ]
    results = {old: layout.leave(build, old, laid[old]) for old in needed}
    count = sum(member.kind in ANCHORS for member in region)
    return build.rewrite(results, note=f"{note}: {count} in a region of {len(region)} ops")


def _has_anchor_before(op: Op, layout: Layout) -> bool:
    """True where another conv of the region comes before ``op``."""
    seen = {op}
    stack = list(_producers(op, layout))
    while stack:
        producer = stack.pop()
        if producer in seen or layout.refusal(producer) is not None:
            continue
        if producer.kind in ANCHORS:
            return True
        seen.add(producer)
        stack.extend(_producers(producer, layout))
    return False


def _producers(op: Op, layout: Layout) -> Iterator[Op]:
    return (value.op for value in layout.carried(op))


def _region(graph: Graph, seed: Op, layout: Layout) -> list[Op]:
    """The ops connected with ``seed``, in order, without those that no conv comes before."""
    found = {seed: None}
    stack = [seed]
    while stack:
        op = stack.pop()
        users = (u for u in graph.iter_users(op) if op.result in _carried(u, layout))
        for near in (*_producers(op, layout), *users):
            # A dead op in the region would hold on to the ops that the region replaces.
            if near in found or graph.is_dead(near):
                continue
            if layout.refusal(near) is None:
                found[near] = None
                stack.append(near)
    kept: dict[Op, None] = {}
    for op in _ordered(found, layout):
        if op.kind in ANCHORS or any(producer in kept for producer in _producers(op, layout)):
            kept[op] = None
    return list(kept)


def _carried(op: Op, layout: Layout) -> Sequence[Value]:
    return () if layout.refusal(op) is not None else layout.carried(op)


def _ordered(members: Iterable[Op], layout: Layout) -> Iterator[Op]:
    """Producers first."""
    inside = set(members)
    done: set[Op] = set()
    for root in members:
        stack = [] if root in done else [(root, _producers(root, layout))]
        while stack:
            op, producers = stack[-1]
            waiting = next((p for p in producers if p in inside and p not in done), None)
            if waiting is not None:
                stack.append((waiting, _producers(waiting, layout)))
                continue
            stack.pop()
            if op not in done:
                done.add(op)
                yield op
