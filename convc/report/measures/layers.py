"""What each layer costs before and after: rows of ops that belong together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

from convc.analysis import Cost
from convc.clock import Clock
from convc.costs.report import OpCost
from convc.ir import Op
from convc.report.measures.names import op_name

Link: TypeAlias = tuple[Sequence[Op], Sequence[Op]]
"""Ops of the model before, and those of the model after that they became."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum over ops.

    Attributes:
        value: the sum of what is known.
        missing: ops of which it is not known.
        count: all ops.
    """

    value: float = 0
    missing: int = 0
    count: int = 0

    @property
    def known(self) -> bool:
        """False where nothing of it is known."""
        return self.missing < self.count or not self.count

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.value + other.value, self.missing + other.missing, self.count + other.count
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What some ops of one model cost together; without any ops, nothing.

    Attributes:
        macs: multiply-accumulates in the dense convention.
        moved: bytes read and written, op by op.
        seconds: measured, layout changes included. The time of an op that the runtime computes
            along with another counts with that one.
    """

    macs: Amount = Amount()
    moved: Amount = Amount()
    seconds: Amount = Amount()

    def __add__(self, other: Load) -> Load:
        return Load(self.macs + other.macs, self.moved + other.moved, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True)
class Layer:
    """A row: what one or several ops cost before, and what they became costs.

    Attributes:
        label: kind and name of the heaviest op, and how many others there are.
        before: their cost before.
        after: their cost after; of no ops where they are gone, or where there is one model only.
    """

    label: str
    before: Load
    after: Load

    @property
    def weight(self) -> tuple[float, float, float]:
        """What layers are ordered by: seconds, then MACs, then bytes, the larger of both."""
        both = (self.before, self.after)
        return (
            max(load.seconds.value for load in both),
            max(load.macs.value for load in both),
            max(load.moved.value for load in both),
        )


def layers(
    before: Cost, after: Cost | None = None, links: Iterable[Link] = ()
) -> tuple[Layer, ...]:
    """The layers of a model, heaviest first.

    Args:
        before: the model as it came.
        after: what was made of it; None where there is one model only.
        links: what became what; an op that none names stands alone.
    """
    loads = {op: load for cost in (before, after) if cost is not None for op, load in _loads(cost)}
    found = []
    for old, new in _groups(before, after, links):
        name = _label([op for op in new if op in loads] or [op for op in old if op in loads], loads)
        found.append(Layer(name, _sum(old, loads), _sum(new, loads)))
    return tuple(sorted(found, key=lambda layer: layer.weight, reverse=True))


def tail(rows: Sequence[Layer], top: int) -> tuple[Sequence[Layer], Layer | None]:
    """The first ``top`` rows, and one that sums up all others; a single one stays as it is."""
    if len(rows) <= top + 1:
        return rows, None
    rest = rows[top:]
    before = sum((row.before for row in rest), Load())
    after = sum((row.after for row in rest), Load())
    return rows[:top], Layer(f"{len(rest):,} more", before, after)


def _groups(before: Cost, after: Cost | None, links: Iterable[Link]) -> Iterator[Link]:
    """Every op of both models once."""
    old = dict.fromkeys(cost.op for cost in before.ops)
    new = dict.fromkeys(() if after is None else (cost.op for cost in after.ops))
    for sources, targets in links:
        # An op that became two things counts with the first.
        group = [op for op in sources if op in old], [op for op in targets if op in new]
        for op in group[0]:
            del old[op]
        for op in group[1]:
            del new[op]
        if group[0] or group[1]:
            yield group
    yield from (((op,), ()) for op in old)
    yield from (((), (op,)) for op in new)


def _loads(cost: Cost) -> Iterator[tuple[Op, Load]]:
    for entry in cost.ops:
        yield (
            entry.op,
            Load(_amount(entry.macs), _amount(entry.moved_bytes), _seconds(cost.clock, entry)),
        )


def _seconds(clock: Clock | None, entry: OpCost) -> Amount:
    if clock is None or clock.profile is None:
        return Amount(0, 1, 1)
    timing = clock.timings.get(entry.op)
    if timing is None:
        return Amount(0, 0, 1)
    return _amount(None if timing.seconds is None else timing.seconds + timing.layout_seconds)


def _amount(figure: float | None) -> Amount:
    known = figure is not None and isfinite(figure)
    return Amount(figure if known and figure is not None else 0, int(not known), 1)


def _sum(ops: Sequence[Op], loads: dict[Op, Load]) -> Load:
    return sum((loads[op] for op in ops if op in loads), Load())


def _label(ops: Sequence[Op], loads: dict[Op, Load]) -> str:
    def weight(op: Op) -> tuple[float, float, float]:
        return Layer("", loads[op], Load()).weight

    heaviest = max(ops, key=weight)
    more = f" and {len(ops) - 1} more" if len(ops) > 1 else ""
    return op_name(heaviest) + more
