"""Which places of a graph look alike to a clock: an op and its neighbours, weights by shape only.

Convolutions of one kind, with the same attributes and sizes, between the same neighbours take the
same time whatever their weights are. So a rewrite is timed at one of them, and done at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import numpy as np

from convc.digest import speed_facts
from convc.graph import Graph
from convc.ir import Attribute, Op, Opaque, Value

RADIUS = 3
"""How many ops away something may be and still make a place another one."""

SHORT = 64
"""Integers in a constant up to which it is told apart by its values: sizes, axes, permutations."""


def surroundings(graph: Graph) -> dict[Op, str]:
    """A name for each op's surroundings: equal where ops, neighbours and sizes are.

    This is colour refinement (Weisfeiler and Leman) over `RADIUS` rounds, from the op's kind,
    attributes, shapes and dtypes. Constants count as a part of the op that uses them.
    """
    ops = [op for op in graph.ops() if op.array is None]
    colours = {op: _colour(repr(_own(graph, op))) for op in ops}
    for _ in range(RADIUS):
        colours = {op: _colour(colours[op], *_near(graph, op, colours)) for op in ops}
    return colours


def _near(graph: Graph, op: Op, colours: Mapping[Op, str]) -> list[str]:
    above = [
        "" if value is None or value.op not in colours else f"{colours[value.op]}.{value.index}"
        for value in op.operands
    ]
    below = sorted(colours[user] for user in graph.iter_users(op))
    return [*above, "|", *below]


def _own(graph: Graph, op: Op) -> tuple[object, ...]:
    attributes = tuple((key, _plain(op.attributes[key])) for key in sorted(op.attributes))
    results = tuple((str(result.dtype), graph.concrete_shape(result)) for result in op.results)
    operands = tuple(_operand(graph, value) for value in op.operands)
    if op.is_boundary:
        return op.kind, results
    return op.domain, op.kind, attributes, operands, results


def _operand(graph: Graph, value: Value | None) -> object:
    if value is None:
        return None
    array = value.array
    if array is None:
        return str(value.dtype), graph.concrete_shape(value)
    if array.dtype.kind in "iub" and array.size <= SHORT:
        return array.shape, array.tolist()
    return str(value.dtype), array.shape, speed_facts(array)


def _plain(value: Attribute) -> object:
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape
    return value.payload if isinstance(value, Opaque) else value


def _colour(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=10).hexdigest()
