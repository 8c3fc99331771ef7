"""The region that a conv's channels reach: through every op that keeps channels apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from convc.graph import Graph
from convc.ir import Op, Value
from convc.rewrite import NoMatch
from passes._regions.links import Link, read

LARGEST = 2000
"""Ops in a region beyond which it is not looked at."""


@dataclass(frozen=True)
class Region:
    """Values whose channels are tied to each other, and the ops between them.

    Attributes:
        links: the ops that make or use the values, in topological order.
        values: the values.
        pins: values of which every channel is needed, and why.
    """

    links: tuple[Link, ...]
    values: frozenset[Value]
    pins: Mapping[Value, str]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What the region reads: values that its ops use and none of them makes."""
        made = {result for link in self.links for result in link.op.results}
        used = (v for link in self.links for v in link.op.operands if v is not None)
        return tuple(dict.fromkeys(v for v in used if v.array is None and v not in made))

    def makes(self, link: Link) -> bool:
        """Whether the results of the op are values of the region."""
        return any(result in self.values for result in link.results)

    def is_layer(self, link: Link) -> bool:
        """Whether the op is a layer that makes channels of the region."""
        return link.form == "linear" and self.makes(link)


def collect(graph: Graph, start: Value, meet: Callable[[Link, Value], None]) -> Region:
    """The region around ``start``; declines where it is too large.

    Every op is shown to ``meet`` at each of its values, near ones first: it may decline as well.
    """
    links: dict[Op, Link] = {}
    seen: dict[Value, None] = {start: None}
    pins: dict[Value, str] = {}
    queue = deque([start])
    while queue:
        value = queue.popleft()
        for near in (value.op, *dict.fromkeys(user for user, _ in graph.uses(value))):
            link = links.get(near) or read(graph, near)
            if link is None or value not in (*link.sources, *link.results):
                pins.setdefault(value, _why(graph, value, near))
                continue
            meet(link, value)
            links[near] = link
            for other in () if link.form == "linear" else (*link.sources, *link.results):
                if other not in seen:
                    seen[other] = None
                    queue.append(other)
        if len(links) > LARGEST:
            raise NoMatch("the region is too large")
    return Region(_sorted(graph, links), frozenset(seen), pins)


def _sorted(graph: Graph, links: Mapping[Op, Link]) -> tuple[Link, ...]:
    """In topological order, without a look at the rest of the graph."""
    missing = {op: sum(other in links for other in graph.producers(op)) for op in links}
    order = [op for op, number in missing.items() if not number]
    for op in order:
        for user in graph.users(op):
            if user in missing:
                missing[user] -= 1
                if not missing[user]:
                    order.append(user)
    return tuple(links[op] for op in order)


def _why(graph: Graph, value: Value, op: Op) -> str:
    if op is value.op:
        return "it is tied to a graph input" if op.is_boundary else f"it is tied to a {op.kind}"
    if op is graph.output:
        return "it is a graph output"
    return f"a {op.kind} needs it"
