"""What the rules of `passes.simplify` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convc.graph import Graph
from convc.ir import Attribute, Op, Value
from convc.opset import constant_ints
from convc.rewrite import NoMatch, Replacement, Rewrite


def made_by(value: Value | None, *kinds: str) -> Op:
    """The op that makes ``value``, which has to be one of ``kinds`` of ONNX's own domain."""
    if value is None or value.op.kind not in kinds or value.op.domain:
        raise NoMatch
    return value.op


def data_of(op: Op, index: int = 0) -> Value:
    """The operand at ``index``, which has to be there."""
    value = op.operand(index)
    if value is None:
        raise NoMatch
    return value


def shape_of(value: Value) -> tuple[int | str | None, ...]:
    """The shape, of which at least the rank has to be known."""
    if value.shape is None:
        raise NoMatch
    return value.shape


def constant_of(op: Op, index: int, attribute: str) -> tuple[int, ...]:
    """The integers of an attribute or constant operand, which have to be there."""
    values = constant_ints(op, index, attribute)
    if values is None:
        raise NoMatch
    return values


def fed(op: Op) -> tuple[Value, ...]:
    """The operands of ``op`` that are no weights: where a proof that needs ``op`` cuts."""
    return tuple(dict.fromkeys(v for v in op.operands if v is not None and v.array is None))


def forward(
    graph: Graph, op: Op, value: Value, note: str = "", frontier: Sequence[Value] | None = None
) -> Rewrite:
    """The proposal that ``value`` stands for the first result of ``op``."""
    if any(graph.is_used(result) for result in op.results[1:]):
        raise NoMatch(f"{op.kind}: a further result is used")
    built = Replacement(graph)
    results = {op.result: built.take(value)}
    return built.rewrite(results, frontier=frontier, note=note or f"{op.kind}: did nothing")


def remake(
    graph: Graph,
    op: Op,
    operands: Mapping[int, Value],
    attributes: Mapping[str, Attribute],
    note: str,
    *,
    ints: Mapping[int, Sequence[int]] | None = None,
    frontier: Sequence[Value] | None = None,
) -> Rewrite:
    """The proposal of ``op`` with other operands (by index) and attributes, its types kept.

    ``ints`` are operands that become new vectors of integers.
    """
    built = Replacement(graph)
    values: list[Value | None] = []
    for index, old in enumerate(op.operands):
        if ints is not None and index in ints:
            values.append(built.ints(ints[index]))
            continue
        value = operands.get(index, old)
        values.append(None if value is None else built.take(value))
    made = built.graph.add(
        op.kind,
        values,
        attributes,
        types=[result.type for result in op.results],
        names=[result.name for result in op.results],
        name=op.name,
        doc=op.doc,
        metadata=op.metadata,
    )
    pairs = zip(op.results, made.results, strict=True)
    results = {old: new for old, new in pairs if not old.index or graph.is_used(old)}
    return built.rewrite(results, frontier=frontier, note=note)
