"""Where a region is worth a look: what tells, by one op alone, that a channel may not be needed.

A channel that goes is constant, a multiple of another one, or not read. Constants come from
filters and scales of zero and from stored values, multiples from equal filters and from what is
picked or concatenated twice, and a channel is unread where weights of zero meet it or no Slice,
Gather or Split picks it. Every other op of a region hands on what these make: without any of them
every channel is needed, and the region need not be collected to know.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from convc.algebra.channels import Indices, read_by
from convc.graph import Graph
from convc.ir import Op, Value
from convc.rewrite import NoMatch
from passes._regions.layers import blocks, dead, multiples
from passes._regions.links import LINEAR, Link, channels, read

MAKERS = (*LINEAR, "Mul", "BatchNormalization", "Concat")
"""Ops that may make such channels."""
READERS = (*LINEAR, "Slice", "Gather", "Split")
"""Ops that may leave channels unread."""


class Answer:
    """Which of the clues in a region answers for it, so that it is collected once.

    It is the one whose op makes the value of the least name; a walk that meets a lesser one than
    that it started from ends there. So where clues are many most walks are short, though no clue
    knows of its place in the graph. Among equal names (none) the first in the graph answers, and
    of one op the value that it makes.
    """

    def __init__(self, graph: Graph, op: Op, start: Value) -> None:
        self.graph = graph
        self.mine = (op, op is start.op)
        self.name = op.result.name
        self.equals: set[tuple[Op, bool]] = set()

    def meet(self, link: Link, value: Value) -> None:
        """Looks at one op of the region; declines where it is the one that answers."""
        name = link.op.result.name
        made = link.op is value.op
        if name > self.name:
            return
        if not (makes_redundant(link) if made else leaves_unread(self.graph, link)):
            return
        if name < self.name:
            raise NoMatch("")
        self.equals.add((link.op, made))

    def require_first(self) -> None:
        """Declines where another clue of the same name answers."""
        if len(self.equals) < 2:
            return
        places = ((op, makes) for op in self.graph.ops() for makes in (True, False))
        if next(place for place in places if place in self.equals) != self.mine:
            raise NoMatch("")


def makes_redundant(link: Link) -> bool:
    """Whether the op makes a channel that is constant, or a multiple of another one."""
    match link.op.kind:
        case "Mul":
            return any(v.array is not None and not v.array.all() for v in link.op.inputs if v)
        case "BatchNormalization":
            scale = link.op.inputs[1]
            return scale is not None and scale.array is not None and not scale.array.all()
        case "Concat":
            return _is_stored_or_repeated(link.op)
    if link.linear is None:
        return False
    zero = dead(link.linear)
    return bool(zero.any()) or _has_equals(multiples(link.linear, zero)[0])


def leaves_unread(graph: Graph, link: Link) -> bool:
    """Whether the op, and all others where it picks channels, do not read one of its source."""
    if link.form == "linear":
        return not read_by(blocks(link.layer)).all()
    return link.form == "pick" and _picks_badly(graph, link)


def _has_equals(ids: Indices) -> bool:
    return len(np.unique(ids)) < len(ids)


def _is_stored_or_repeated(op: Op) -> bool:
    """Whether a Concat has a constant operand, or one that is in another one, too."""
    seen: Counter[Value] = Counter()
    stack = [op]
    while stack:
        for value in stack.pop().inputs:
            if value is None:
                continue
            seen[value] += 1
            if value.array is not None or seen[value] > 1:
                return True
            if value.op.kind == "Concat" and not value.op.domain:
                stack.append(value.op)
    return False


def _picks_badly(graph: Graph, link: Link) -> bool:
    """Whether channels are picked more than once or not at all; the first that picks answers."""
    if any(_has_equals(pick) for pick in link.picks):
        return True
    (source,) = link.sources
    users = list(dict.fromkeys(user for user, _ in graph.uses(source)))
    if users[0] is not link.op:
        return False
    picked: list[Indices] = []
    for user in users:
        other = read(graph, user)
        if other is None or other.form != "pick":
            return False
        results = zip(other.results, other.picks, strict=True)
        picked += [pick for result, pick in results if graph.is_used(result)]
    return bool(picked) and len(np.unique(np.concatenate(picked))) < (channels(source) or 0)
