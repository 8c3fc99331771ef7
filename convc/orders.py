"""The bare digraph of ops, and the orders in which it is gone through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import networkx as nx

from convc.errors import InvalidGraphError
from convc.ir import Op, Value

_EMPTY: dict[str, Any] = {}


def _shared_empty() -> dict[str, Any]:
    return _EMPTY


class Plain(nx.DiGraph):  # type: ignore[misc]  # networkx ships no types
    """A DiGraph without data on nodes and edges: one shared dict saves a quarter of the memory."""

    edge_attr_dict_factory = staticmethod(_shared_empty)
    node_attr_dict_factory = staticmethod(_shared_empty)


def topological(digraph: nx.DiGraph) -> Iterator[Op]:
    """Depth first over operands from each op in the order of adding, without recursion.

    Raises InvalidGraphError on a cycle.
    """
    done: set[Op] = set()
    for root in digraph:
        yield from _post_order(root, done, frozenset())


def needed(inputs: Sequence[Value], outputs: Sequence[Value]) -> Iterator[Op]:
    """The ops that ``outputs`` come from, up to ``inputs``, producers first."""
    done: set[Op] = set()
    boundary = frozenset(inputs)
    for value in outputs:
        if value not in boundary:
            yield from _post_order(value.op, done, boundary)


def _post_order(root: Op, done: set[Op], boundary: frozenset[Value]) -> Iterator[Op]:
    if root in done:
        return
    open_ops = {root}
    stack = [(root, iter(root.operands))]
    while stack:
        op, operands = stack[-1]
        for value in operands:
            if value is None or value in boundary or value.op in done:
                continue
            if value.op in open_ops:
                raise InvalidGraphError(f"the graph has a cycle through {value.op!r}")
            open_ops.add(value.op)
            stack.append((value.op, iter(value.op.operands)))
            break
        else:
            stack.pop()
            open_ops.discard(op)
            done.add(op)
            yield op
