"""Which op is which after a change that no rewrite explains: by names, kinds and operands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import networkx as nx

from convc.ir import Op, Value

Names: TypeAlias = Sequence[str]
"""What the results of an op are, or were, called."""


_Region: TypeAlias = tuple[tuple[Op, ...], tuple[Op, ...]]


@dataclass(frozen=True, slots=True)
class Matched:
    """What became of some ops.

    Attributes:
        same: pairs of an old op and the new one that computes the same.
        regions: for each place that changed, the old ops and the new ones; either may be empty.
    """

    same: tuple[tuple[Op, Op], ...]
    regions: tuple[tuple[tuple[Op, ...], tuple[Op, ...]], ...]


def match(old: Mapping[Op, Names], new: Sequence[Op]) -> Matched:
    """Pairs ops by the names of their results, the rest by kind and operands.

    Args:
        old: the ops that went, operands before users, and what their results were called; no
            weights.
        new: the ops that came, in the same way.

    What is left over hangs together in a region where ops feed each other, or where results have
    the same name. New ops alone belong to an op beside them whose weights or sizes changed.
    """
    pairs = _pairs(old, new)
    same = tuple((a, b) for b, a in pairs.items() if _alike(a, b))
    alike = {op for pair in same for op in pair}
    # An op whose weights or sizes changed joins no other old op: they may all have changed.
    apart: dict[Op, _Region] = {b: ((a,), (b,)) for b, a in pairs.items() if b not in alike}
    taken = {*pairs, *pairs.values()}
    left = {op: names for op, names in old.items() if op not in taken}
    regions: list[_Region] = []
    for before, after in _regions(left, [op for op in new if op not in taken]):
        beside = None if before else _beside(after, apart)
        if beside is None:
            regions.append((before, after))
        else:
            apart[beside] = (apart[beside][0], (*after, *apart[beside][1]))
    return Matched(same, (*apart.values(), *regions))


def _beside(ops: Sequence[Op], apart: Mapping[Op, _Region]) -> Op | None:
    """One of the changed ops that uses what ``ops`` make, or else one that feeds them."""
    mine = set(ops)
    for op in apart:
        if any(value is not None and value.op in mine for value in op.operands):
            return op
    makers = (value.op for op in ops for value in op.operands if value is not None)
    return next((maker for maker in makers if maker in apart), None)


def _pairs(old: Mapping[Op, Names], new: Sequence[Op]) -> dict[Op, Op]:
    """For each new op the old one of its kind that has its name, or its operands."""
    named = {(op.kind, op.domain, name): op for op, names in old.items() for name in names[:1]}
    placed: dict[tuple[object, ...], list[Op]] = {}
    for op in old:
        placed.setdefault(_place(op, {}), []).append(op)
    found: dict[Op, Op] = {}
    taken: set[Op] = set()
    for op in new:
        name = op.results[0].name if op.results else ""
        candidate = named.get((op.kind, op.domain, name)) if name else None
        candidates = [candidate] if candidate else placed.get(_place(op, found), [])
        free = next((one for one in candidates if one not in taken), None)
        if free is not None:
            found[op] = free
            taken.add(free)
    return found


def _place(op: Op, images: dict[Op, Op]) -> tuple[object, ...]:
    """Kind and operands: results of ops, by ``images`` where there are any, and that of weights."""
    return (op.kind, op.domain, *(_operand(value, images) for value in op.operands))


def _operand(value: Value | None, images: dict[Op, Op]) -> object:
    if value is None or value.array is not None:
        return None
    if value.op.is_boundary:
        return value.name
    return images.get(value.op, value.op), value.index


def _alike(a: Op, b: Op) -> bool:
    """The same op on the same weights."""
    if len(a.operands) != len(b.operands) or repr(a.attributes) != repr(b.attributes):
        return False
    for x, y in zip(a.operands, b.operands, strict=True):
        mine, other = (None if v is None else v.array for v in (x, y))
        if (mine is None) != (other is None):
            return False
        if mine is None or other is None or mine.__array_interface__ == other.__array_interface__:
            continue
        if mine.shape != other.shape or mine.tobytes() != other.tobytes():
            return False
    return True


def _regions(old: Mapping[Op, Names], new: Sequence[Op]) -> list[_Region]:
    """The connected parts of what is left over."""
    together = nx.Graph()
    together.add_nodes_from((*old, *new))
    makers = {name: op for op, names in old.items() for name in names if name}
    for op in (*old, *new):
        feeding = {value.op for value in op.operands if value is not None}
        together.add_edges_from((maker, op) for maker in feeding if maker in together)
    for op in new:
        names = [value.name for value in op.results if value.name in makers]
        together.add_edges_from((makers[name], op) for name in names)
    position = {op: i for i, op in enumerate((*old, *new))}
    first_new = len(old)
    found: list[_Region] = []
    for part in nx.connected_components(together):
        ops = sorted(part, key=position.__getitem__)
        found.append(
            (
                tuple(op for op in ops if position[op] < first_new),
                tuple(op for op in ops if position[op] >= first_new),
            )
        )
    return found
