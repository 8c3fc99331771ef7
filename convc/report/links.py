"""What became what between two models on a page: positions of ops, and the places that changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

from convc.ir import Op
from convc.report.history import History
from convc.report.side import Side


@dataclass(frozen=True, slots=True)
class Place:
    """Ops that were changed together.

    Attributes:
        before: ops of the original.
        after: what became of them.
        changes: indices of the rewrites that did it.
    """

    before: tuple[Op, ...]
    after: tuple[Op, ...]
    changes: tuple[int, ...]


@dataclass(frozen=True)
class Links:
    """Everything that connects the two sides.

    Attributes:
        before: for each entry of the original what the page knows of its fate: ``to`` what it
            became, ``in`` the ops that stand for it, ``ch`` the rewrites that touched it.
        after: for each entry of the result where it comes from: ``src``, ``abs``, ``ch``.
        places: what changed.
        by_change: for each rewrite the place it belongs to; None where nothing is left of it.
    """

    before: Sequence[dict[str, list[int]]]
    after: Sequence[dict[str, list[int]]]
    places: Sequence[Place]
    by_change: Sequence[int | None]

    def touched(self, entries: Sequence[dict[str, list[int]]]) -> list[bool]:
        """For each entry whether a rewrite touched it."""
        return ["ch" in entry for entry in entries]


def links_of(history: History, before: Side, after: Side) -> Links:
    """The links between the sides of a history."""
    old: list[dict[str, list[int]]] = [{} for _ in before.entries]
    new: list[dict[str, list[int]]] = [{} for _ in after.entries]
    for op, origin in history.origins.items():
        i = after.index[op]
        for key, back, ops in (("src", "to", origin.sources), ("abs", "in", origin.absorbed)):
            for source in ops:
                new[i].setdefault(key, []).append(before.index[source])
                old[before.index[source]].setdefault(back, []).append(i)
        if origin.changes:
            new[i]["ch"] = list(origin.changes)
    for number, change in enumerate(history.changes):
        for source in change.sources:
            old[before.index[source]].setdefault("ch", []).append(number)
    _link_boundaries(before, after, old, new)
    places = _places(history)
    by_change: list[int | None] = [None] * len(history.changes)
    for number, place in enumerate(places):
        for change_index in place.changes:
            by_change[change_index] = number
    return Links(old, new, places, by_change)


def _link_boundaries(
    before: Side,
    after: Side,
    old: list[dict[str, list[int]]],
    new: list[dict[str, list[int]]],
) -> None:
    names = {value.name: after.index[value.op] for value in after.graph.inputs}
    pairs = [
        (before.index[value.op], names[value.name])
        for value in before.graph.inputs
        if value.name in names
    ]
    count = min(len(before.graph.outputs), len(after.graph.outputs))
    pairs += [(before.first_output + i, after.first_output + i) for i in range(count)]
    for i, j in pairs:
        old[i]["to"], new[j]["src"] = [j], [i]


def _places(history: History) -> list[Place]:
    """The connected parts of what rewrites touched."""
    together = nx.Graph()
    for number, change in enumerate(history.changes):
        together.add_node(number)
        together.add_edges_from((number, (0, op)) for op in change.sources)
    for op, origin in history.origins.items():
        together.add_edges_from((number, (1, op)) for number in origin.changes)
    found: list[Place] = []
    for part in nx.connected_components(together):
        sides: tuple[list[Op], list[Op]] = ([], [])
        changes: list[int] = []
        for node in part:
            if isinstance(node, int):
                changes.append(node)
            else:
                sides[node[0]].append(node[1])
        found.append(Place(tuple(sides[0]), tuple(sides[1]), tuple(sorted(changes))))
    return sorted(found, key=lambda place: place.changes)


def with_links(ops: list[dict[str, Any]], links: Iterable[dict[str, list[int]]]) -> None:
    """Adds what is known of each entry's fate to what the page shows of it."""
    for entry, link in zip(ops, links, strict=True):
        entry.update(link)
