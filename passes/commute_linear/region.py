"""Regions computed in another layout, so that the ops that change the layout at their borders go.

A *frame* is a family of layouts (axes permuted, another shape, blocks of space in the channels)
with the ops that convert between them. From one conversion the candidates grow through the ops
that can be computed in the other layout as well. Which of them to lay out anew is then a minimum
cut: an op is *moved* or *kept*, and a conversion costs its bytes and a constant

- where a value made by a kept op goes into a moved one, or the other way round, once a value;
- where an existing conversion into the other layout feeds a kept op;
- where an existing conversion back reads a kept op;
- where a value made by a moved op goes into a candidate by an existing conversion: it is read as it
  was, so it is converted back, once a value.

These costs are submodular, so the cut is the cheapest choice of all. It is proposed only where it
is cheaper than the graph as it stands, so that repeated rewrites come to an end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from convc.graph import Graph
from convc.ir import Array, Attribute, Op, Type, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes.commute_linear.cut import KEPT, Network, Price

LARGEST = 512
"""Candidates beyond which a region grows no further."""

Layout = tuple[Any, ...]

OVERHEADS = (2**16, 2**40)
"""Bytes that one conversion counts for besides its own, tried in turn: calling an op takes as long
as moving some tens of KiB; and where that would trade one large for many small, none more."""


@dataclass(frozen=True)
class Placement:
    """An op in another layout.

    Attributes:
        layouts: the layout of each of its varying operands and results.
        attributes: its attributes there.
        constants: its constant operands that differ there, by index.
    """

    layouts: Mapping[Value, Layout]
    attributes: Mapping[str, Attribute]
    constants: Mapping[int, Array] = field(default_factory=dict)


class Frame(ABC):
    """A family of layouts; ``new`` is a value of the graph as it is in a layout."""

    @abstractmethod
    def place(self, graph: Graph, op: Op, value: Value, layout: Layout) -> Placement | None:
        """``op`` where its operand or result ``value`` has ``layout``; None: it has to be kept."""

    @abstractmethod
    def price(self, graph: Graph, value: Value, layout: Layout) -> Price | None:
        """What converting ``value`` costs; None where a size is not known."""

    def is_same(self, layout: Layout) -> bool:
        """True where values in ``layout`` are as they were."""
        del layout
        return False

    @abstractmethod
    def type_of(self, value: Value, layout: Layout) -> Type:
        """The type of the new value."""

    @abstractmethod
    def is_conversion(self, op: Op) -> bool:
        """True where ``op`` changes the layout and nothing else."""

    @abstractmethod
    def entered(self, op: Op, layout: Layout) -> bool:
        """True where the operand of the conversion ``op`` is its result in ``layout``."""

    @abstractmethod
    def left(self, op: Op, layout: Layout) -> bool:
        """True where the result of the conversion ``op`` is its operand in ``layout``."""

    def through(self, op: Op, layout: Layout) -> bool:
        """True where `enter` converts the operand of the conversion ``op`` instead of its result.

        That takes one conversion, as ``op`` does, which then may go.
        """
        del op, layout
        return False

    @abstractmethod
    def enter(self, build: Replacement, value: Value, layout: Layout) -> Value:
        """Converts the old ``value`` of the graph into ``layout``."""

    @abstractmethod
    def leave(self, build: Replacement, new: Value, value: Value, layout: Layout) -> Value:
        """Converts ``new``, which is ``value`` in ``layout``, back."""

    def can_skip(self, op: Op, layout: Layout) -> bool:
        """True where the result of the conversion ``op`` is one conversion from ``layout``, too."""
        del op, layout
        return False

    def skip(self, build: Replacement, new: Value, op: Op, layout: Layout) -> Value:
        """That one conversion; asked for only where `can_skip` says yes."""
        del build, new, layout
        raise NoMatch(f"the {op.kind} is no single conversion")


@dataclass(frozen=True)
class Region:
    """What can be laid out anew: ``placements`` of the candidates, ``layouts`` of their values."""

    placements: Mapping[Op, Placement]
    layouts: Mapping[Value, Layout]


def relay(graph: Graph, frame: Frame, seed: Value, layout: Layout, what: str) -> Rewrite:
    """Proposes the cheapest region around ``seed`` in ``layout``; ``what`` names it for people."""
    region = _grow(graph, frame, seed, layout)
    if not region.placements:
        raise NoMatch("")
    moved = _cheapest(graph, frame, region)
    if not moved:
        raise NoMatch(f"the {what} meets no other that would cancel it")
    return _rewrite(graph, frame, region, moved, what)


def _grow(graph: Graph, frame: Frame, seed: Value, layout: Layout) -> Region:
    placements: dict[Op, Placement] = {}
    layouts: dict[Value, Layout] = {seed: layout}
    pending = [seed]
    while pending and len(placements) < LARGEST:
        value = pending.pop(0)
        for op in (value.op, *(user for user, _ in graph.uses(value))):
            if op in placements or op.is_boundary or op.domain or frame.is_conversion(op):
                continue
            if graph.is_dead(op):  # it would not be replaced, but be there twice
                continue
            placement = frame.place(graph, op, value, layouts[value])
            if placement is None or not _fits(op, placement, layouts):
                continue
            placements[op] = placement
            pending += [v for v in placement.layouts if v not in layouts]
            layouts.update(placement.layouts)
    return Region(placements, layouts)


def _fits(op: Op, placement: Placement, layouts: Mapping[Value, Layout]) -> bool:
    """True where all results have a layout, and no value another one than before."""
    wanted = placement.layouts
    if any(result not in wanted for result in op.results):
        return False
    return all(layouts.get(value, layout) == layout for value, layout in wanted.items())


def _cheapest(graph: Graph, frame: Frame, region: Region) -> list[Op]:
    """The candidates to move, operands first; none where nothing gets cheaper."""
    layouts = {v: layout for v, layout in region.layouts.items() if not frame.is_same(layout)}
    prices = {value: frame.price(graph, value, layout) for value, layout in layouts.items()}
    # Without all the sizes nothing can be weighed: then no bytes may be moved that were not.
    known = None not in prices.values()
    for overhead in OVERHEADS:
        network = Network(overhead)
        for value, layout in layouts.items():
            price = prices[value] or Price(0, 1)
            free = known or prices[value] == Price(0, 0)
            _add_value(graph, frame, region, network, value, layout, price, price if free else None)
        moved = network.cut()
        if moved:
            return in_order({op: None for op in region.placements if op in moved})
    return []


def in_order(ops: Mapping[Op, None]) -> list[Op]:
    """``ops`` with operands before users, as far as these are among them.

    The order of the whole graph would do as well, but takes as long as the graph is large.
    """
    done: dict[Op, None] = {}
    for root in ops:
        stack = [root]
        while stack:
            near = (value.op for value in stack[-1].operands if value is not None)
            waiting = [op for op in near if op in ops and op not in done]
            if not waiting:
                done[stack.pop()] = None
            stack += waiting
    return list(done)


def _add_value(  # noqa: PLR0917  # the parts of one formula
    graph: Graph,
    frame: Frame,
    region: Region,
    network: Network,
    value: Value,
    layout: Layout,
    price: Price,
    new: Price | None,
) -> None:
    """The prices of the conversions of one value; ``new`` is that of one that is not there yet."""
    maker: object = value.op if value.op in region.placements else KEPT
    users = {user for user, _ in graph.uses(value)}
    exits = {user for user in users if frame.is_conversion(user)}
    inner = [user for user in users if user in region.placements]
    outer = users - set(inner) - exits
    back, forth = ("back", value), ("forth", value)
    converted = frame.is_conversion(value.op)
    entered = converted and frame.entered(value.op, layout)
    for user in () if entered else inner:
        network.add(forth, user, None)
    if inner and not entered:
        network.add(maker, forth, new)
    if entered or (converted and frame.through(value.op, layout)):
        # The conversion that is there stays for every user that is kept.
        network.add_present(back, price)
        for user in inner:
            network.add(user, back, None)
        if outer or exits:
            network.add(KEPT, back, None)
    if maker is KEPT:
        return
    for user in inner:
        network.add(user, back, None)
    for user in exits:
        if frame.left(user, layout):
            network.add_present(maker, price)
    gone = all(frame.left(u, layout) or frame.can_skip(u, layout) for u in exits)
    if outer or not gone or _comes_back(graph, frame, region, value, region.placements):
        network.add(KEPT, back, None)
    network.add(back, maker, new)


def _comes_back(
    graph: Graph, frame: Frame, region: Region, value: Value, inside: Collection[Op]
) -> bool:
    """Whether ops ``inside`` enter through a conversion of ``value``, and so read it as it was."""
    return any(
        _is_way_in(frame, region, op) and any(user in inside for user, _ in graph.uses(op.result))
        for op, _ in graph.uses(value)
    )


def _is_way_in(frame: Frame, region: Region, op: Op) -> bool:
    """Whether what reads the result of the conversion ``op`` in its layout takes its operand."""
    layout = region.layouts.get(op.result) if frame.is_conversion(op) else None
    return layout is not None and (frame.entered(op, layout) or frame.through(op, layout))


@dataclass
class _Emitter:
    """Builds the moved ops, each after those whose results it takes."""

    frame: Frame
    build: Replacement
    region: Region
    made: dict[Value, Value] = field(default_factory=dict)
    entered: dict[Value, Value] = field(default_factory=dict)

    def new(self, value: Value) -> Value:
        """The value in its layout."""
        if value in self.made:
            return self.made[value]
        if value not in self.entered:
            layout = self.region.layouts[value]
            op = value.op
            if self.frame.is_conversion(op) and self.frame.entered(op, layout):
                assert op.operands[0] is not None
                self.entered[value] = self.build.take(op.operands[0])
            else:
                self.entered[value] = self.frame.enter(self.build, value, layout)
        return self.entered[value]

    def emit(self, op: Op) -> None:
        """Adds ``op`` in its layout."""
        placement = self.region.placements[op]
        count = max(len(op.operands), *(i + 1 for i in placement.constants), 0)
        operands = [self._operand(op, placement, index) for index in range(count)]
        made = self.build.graph.add(
            op.kind,
            operands,
            placement.attributes,
            types=[self.frame.type_of(v, self.region.layouts[v]) for v in op.results],
            names=[result.name for result in op.results],
            name=op.name,
            doc=op.doc,
            metadata=op.metadata,
        )
        self.made.update(zip(op.results, made.results, strict=True))

    def _operand(self, op: Op, placement: Placement, index: int) -> Value | None:
        value = op.operand(index)
        if index in placement.constants:
            array = placement.constants[index]
            name = "" if value is None else value.name
            return self.build.constant(array, None if value is None else value.dtype, name)
        if value is None:
            return None
        return self.new(value) if value in placement.layouts else self.build.take(value)


def _rewrite(graph: Graph, frame: Frame, region: Region, moved: list[Op], what: str) -> Rewrite:
    emitter = _Emitter(frame, Replacement(graph), region)
    for op in moved:
        emitter.emit(op)
    build, inside = emitter.build, set(moved)
    results: dict[Value, Value] = {}
    for op in moved:
        for value in op.results:
            layout, new = region.layouts[value], emitter.new(value)
            users = dict.fromkeys(user for user, _ in graph.uses(value) if user not in inside)
            for user in [u for u in users if frame.is_conversion(u)]:
                readers = {reader for reader, _ in graph.uses(user.result)}
                if readers and readers <= inside and _is_way_in(frame, region, user):
                    del users[user]
                elif frame.left(user, layout):
                    new.type = user.result.type or new.type
                    results[user.result] = new
                    del users[user]
                elif frame.can_skip(user, layout):
                    results[user.result] = frame.skip(build, new, user, layout)
                    del users[user]
            if users or _comes_back(graph, frame, region, value, inside):
                results[value] = frame.leave(build, new, value, layout)
    count = len(moved)
    note = f"{what}: {count} op{'s' * (count > 1)} laid out anew"
    rewrite = build.rewrite(results, note=note)
    computed = {*rewrite.inputs, *results}
    cut = [v for v in rewrite.inputs if v not in results and not _follows(frame, v, computed)]
    return replace(rewrite, frontier=tuple(cut))


def _follows(frame: Frame, value: Value, others: Collection[Value]) -> bool:
    """Whether conversions make ``value`` of one of ``others``: then a proof must not feed both."""
    while frame.is_conversion(value.op):
        source = value.op.operands[0]
        assert source is not None
        if source in others:
            return True
        value = source
    return False
