"""The minimum cut that says what to lay out anew, see `passes.commute_linear.region`."""

from __future__ import annotations

from typing import NamedTuple

import networkx as nx

KEPT, MOVED = "kept", "moved"
"""The two ends of the network."""


class Price(NamedTuple):
    """What a conversion costs: bytes moved (0 for a Reshape), and ops."""

    bytes: int
    ops: int


class Network:
    """The flow network, from `KEPT` to `MOVED`.

    An edge (a, b) with a price says: that much where a is kept and b is moved.
    """

    def __init__(self, overhead: int) -> None:
        self._digraph = nx.DiGraph()
        self._digraph.add_nodes_from((KEPT, MOVED))
        self._overhead = overhead
        self._present = Price(0, 0)
        self._prices: dict[tuple[object, object], Price] = {}

    def add(self, kept: object, moved: object, price: Price | None) -> None:
        """``price`` where the one is kept and the other moved; None forbids that."""
        if kept == moved:
            return
        if price is None:
            self._digraph.add_edge(kept, moved)
            self._digraph.edges[kept, moved].pop("capacity", None)
            return
        edge = self._digraph.get_edge_data(kept, moved, {"capacity": 0})
        if "capacity" in edge:
            self._digraph.add_edge(kept, moved, capacity=edge["capacity"] + self._cost(price))
            self._prices[kept, moved] = _sum(self._prices.get((kept, moved), Price(0, 0)), price)

    def add_present(self, kept: object, price: Price) -> None:
        """A conversion that is there, and stays where ``kept`` is."""
        self._present = _sum(self._present, price)
        self.add(kept, MOVED, price)

    def _cost(self, price: Price) -> int:
        """The bytes with the overhead; below them a unit for each, to break ties."""
        return (price.bytes + self._overhead * price.ops) * 2**20 + 1

    def cut(self) -> set[object]:
        """What to move; empty unless that leaves fewer bytes or ops to convert, and no more."""
        _, (kept, moved) = nx.minimum_cut(self._digraph, KEPT, MOVED)
        after = Price(0, 0)
        for (one, other), price in self._prices.items():
            if one in kept and other in moved:
                after = _sum(after, price)
        better = after.bytes <= self._present.bytes and after.ops <= self._present.ops
        return set(moved) if better and after != self._present else set()


def _sum(one: Price, other: Price) -> Price:
    return Price(one.bytes + other.bytes, one.ops + other.ops)
