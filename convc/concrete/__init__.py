"""All shapes of a graph at its sizes, also those that the network computes while it runs.

Exporters write ``x.view(n, -1)`` or ``interpolate(x, size=y.shape)`` as ops that compute a shape
from other shapes. Inference over a whole model gives up there; here the graph is walked once at
fixed sizes, so that every such value is a number.
"""

from __future__ import annotations

from dataclasses import dataclass

from convc.concrete.facts import UNKNOWN, Fact, derive, source_fact
from convc.graph import Graph
from convc.ir import Dim, Op, TensorType, Value
from convc.opset import infer_types

__all__ = ["Fact", "Unresolved", "resolve_shapes", "walk"]


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A value whose shape is not known.

    Attributes:
        op: makes the value.
        value: the value.
        reason: the first cause in words, be it far above ``op``.
    """

    op: Op
    value: Value
    reason: str


def resolve_shapes(graph: Graph) -> list[Unresolved]:
    """Gives every value a type that is known at ``graph.sizes``, as far as no data is needed.

    In place. A fixed or a named dim with a size stays as it is. An unknown dim becomes a number
    where the graph's inputs have no open dims, else a new named dim worth that number: what varies
    with the inputs must stay open. Never raises for the graph's content.

    Returns what remains unknown, in topological order.
    """
    values = [value for op in graph.ops() for value in op.results]
    unknown = [value for value in values if graph.concrete_shape(value) is None]
    if not unknown:
        return []
    facts = walk(graph)
    is_open = any(isinstance(dim, str) for value in graph.inputs for dim in value.shape or ())
    unresolved: list[Unresolved] = []
    for value in unknown:
        reason = _refine(graph, value, facts[value], is_open=is_open)
        if reason and (value.name or graph.is_used(value)):
            unresolved.append(Unresolved(value.op, value, reason))
    return unresolved


def walk(graph: Graph, *, trust: bool = True) -> dict[Value, Fact]:
    """What is known of every value at ``graph.sizes``, found from the inputs on.

    Args:
        graph: is not changed.
        trust: believe the types that the values have, where these are known. Otherwise only the
            inputs and the constants are believed, and every op's operands are checked to fit.
    """
    facts: dict[Value, Fact] = {}
    for op in graph.ops():
        if op.is_boundary or op.array is not None:
            found = [source_fact(graph, value) for value in op.results]
        else:
            given = [None if value is None else facts[value] for value in op.operands]
            known = [_typed(graph, value) if trust else UNKNOWN for value in op.results]
            found = derive(graph.header, op, given, known)
        facts.update(zip(op.results, found, strict=True))
    return facts


def _typed(graph: Graph, value: Value) -> Fact:
    """What the type of a value says of it."""
    return Fact(graph.concrete_shape(value), value.dtype)


def _refine(graph: Graph, value: Value, fact: Fact, *, is_open: bool) -> str:
    """Writes the shape that was found into the type of ``value``; the reason where none was."""
    if fact.shape is None or fact.dtype is None:
        return fact.reason
    old = value.shape or (None,) * len(fact.shape)
    if len(old) != len(fact.shape):
        return f"it is declared with {len(old)} axes and computed with {len(fact.shape)}"
    named = _named(graph, value, fact.shape) if is_open else old
    dims = [
        _dim(graph, dims, size, is_open=is_open)
        for *dims, size in zip(old, named, fact.shape, strict=True)
    ]
    value.type = TensorType(value.dtype or fact.dtype, tuple(dims))
    return ""


def _named(graph: Graph, value: Value, shape: tuple[int, ...]) -> tuple[Dim, ...]:
    """The dims that the op's rule gives with their names, where it has one."""
    unknown: tuple[Dim, ...] = (None,) * len(shape)
    if value.index:
        return unknown
    try:
        type_ = infer_types(graph, value.op)[0]
    except (ValueError, IndexError, TypeError):
        return unknown
    dims = type_.shape if isinstance(type_, TensorType) else None
    return dims if dims is not None and len(dims) == len(shape) else unknown


def _dim(graph: Graph, candidates: list[Dim], size: int, *, is_open: bool) -> Dim:
    """The declared dim, else that of the rule, else a new one; a name only if it means ``size``."""
    if isinstance(candidates[0], int):
        return candidates[0]
    if not is_open or isinstance(candidates[1], int):
        return size
    for dim in candidates:
        if isinstance(dim, str) and graph.sizes.setdefault(dim, size) == size:
            return dim
    return graph.new_dim(size)
