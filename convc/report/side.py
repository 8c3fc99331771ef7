"""One model as the page shows it: its ops with what they cost, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from convc.analysis import Cost
from convc.costs.report import OpCost
from convc.graph import Graph
from convc.ir import INPUT, OUTPUT, Attribute, Op, Opaque, Value
from convc.report.history import computing, name_of
from convc.report.layout import lay_out

MOST_BOXES = 1200
"""Boxes that are drawn; of a larger graph each stands for several ops that follow each other."""

LONGEST_NAME, LONGEST_ATTRIBUTE = 300, 160
"""Characters of a name and of an attribute that the page keeps."""

MOST_OPERANDS = 24
"""Operands of an op that are listed."""


@dataclass(frozen=True)
class Side:
    """A model on the page.

    Attributes:
        graph: the graph itself.
        cost: what it costs; of a copy of the graph.
        entries: what the page shows in its order: inputs, ops, outputs.
        index: the position of an op among them.
        costs: of each op.
        own: for an op of the copy that was costed the one of the graph.
    """

    graph: Graph
    cost: Cost
    entries: Sequence[Op | Value]
    index: Mapping[Op, int]
    costs: Mapping[Op, OpCost]
    own: Mapping[Op, Op]

    @classmethod
    def of(cls, graph: Graph, cost: Cost) -> Side:
        """The side of a graph and the cost of it, or of a copy."""
        ops = computing(graph.ops())
        copies = computing(cost.report.graph.ops())
        entries: list[Op | Value] = [value.op for value in graph.inputs]
        entries += ops
        entries += graph.outputs
        index = {entry: i for i, entry in enumerate(entries) if isinstance(entry, Op)}
        by_op = cost.report.by_op
        own = dict(zip(copies, ops, strict=True))
        return cls(graph, cost, entries, index, {op: by_op[copy] for copy, op in own.items()}, own)

    @property
    def first_output(self) -> int:
        """The position of the first output among the entries."""
        return len(self.entries) - len(self.graph.outputs)

    def seconds(self, op: Op) -> float | None:
        """The measured time of an op; None where nothing was measured, or another has it."""
        clock = self.cost.clock
        if clock is None or clock.profile is None:
            return None
        timing = clock.timings.get(self.costs[op].op)
        if timing is None or timing.seconds is None:
            return None
        return timing.seconds + timing.layout_seconds


def side_json(side: Side, changed: Sequence[bool]) -> dict[str, Any]:
    """The part of the page's data that stands for one model.

    Args:
        side: the model.
        changed: for each entry whether a rewrite made it, or replaced it.
    """
    ops = [_entry(side, i, entry) for i, entry in enumerate(side.entries)]
    first, end = len(side.graph.inputs), side.first_output
    inner = [
        range(first + box.start, first + box.stop)
        for box in boxes_of(end - first, changed[first:end])
    ]
    boxes = [*_single(0, first), *inner, *_single(end, len(ops))]
    box = {i: number for number, members in enumerate(boxes) for i in members}
    edges = sorted(
        {(box[start], box[end]) for start, end in _edges(side) if box[start] != box[end]}
    )
    drawn = lay_out(len(boxes), edges)
    return {
        "ops": ops,
        "boxes": [[x, y, *members] for (x, y), members in zip(drawn.places, boxes, strict=True)],
        "edges": [
            [a, b, *(number for point in route for number in point)]
            for (a, b), route in zip(edges, drawn.routes, strict=True)
        ],
        "width": drawn.width,
        "height": drawn.height,
        "grouped": max(map(len, boxes), default=1),
    }


def boxes_of(count: int, changed: Sequence[bool], most: int = MOST_BOXES) -> list[range]:
    """Entries in boxes: one each, or where there are more than ``most``, several that follow.

    What follows in the file's order is convex, so boxes feed each other in one direction only.
    What a rewrite touched stands alone where that is few enough.
    """
    if count <= most:
        return _single(0, count)
    apart = sum(changed)
    alone = 3 * apart <= most
    size = ceil((count - apart) / (most - 3 * apart)) + 1 if alone else ceil(count / most)
    boxes: list[range] = []
    start = 0
    for i in range(count + 1):
        ends = i == count or i - start >= size
        if alone and not ends:
            ends = changed[i] or (i > start and changed[i - 1])
        if ends and i > start:
            boxes.append(range(start, i))
            start = i
    return boxes


def _single(start: int, stop: int) -> list[range]:
    return [range(i, i + 1) for i in range(start, stop)]


def _edges(side: Side) -> Iterator[tuple[int, int]]:
    for op, i in side.index.items():
        for value in op.operands:
            if value is not None and value.op in side.index:
                yield side.index[value.op], i
    for i, value in enumerate(side.graph.outputs):
        if value.op in side.index:
            yield side.index[value.op], side.first_output + i


def _entry(side: Side, position: int, entry: Op | Value) -> dict[str, Any]:
    """What the page knows of an op; what is not known, or nothing, is left out."""
    graph = side.graph
    if isinstance(entry, Value):
        name = graph.output_names[position - side.first_output]
        return {"k": OUTPUT, "n": _short(name), "s": shape_text(graph, entry), "io": 1}
    if entry.is_boundary:
        value = entry.result
        return {"k": INPUT, "n": _short(value.name), "s": shape_text(graph, value), "io": 1}
    cost = side.costs[entry]
    found: dict[str, Any] = {
        "k": cost.kind,
        "n": _short(name_of(entry)),
        "s": ", ".join(shape_text(graph, value) for value in entry.results if value.name)
        or ", ".join(shape_text(graph, value) for value in entry.results),
        "a": _attributes(entry),
        "i": _operands(graph, entry),
        "m": cost.macs,
        "p": cost.params,
        "b": cost.moved_bytes,
        "q": cost.intensity,
        "u": cost.unknown,
    }
    return {
        key: value for key, value in (found | _timing(side, entry)).items() if value not in _NONE
    }


_NONE: tuple[object, ...] = (None, "", [], {})


def _timing(side: Side, op: Op) -> dict[str, Any]:
    clock = side.cost.clock
    if clock is None:
        return {}
    copy = side.costs[op].op
    timing = clock.timings.get(copy)
    bound = None if timing is None else timing.bound
    found: dict[str, Any] = {
        "l": None if bound is None else bound.seconds,
        "t": side.seconds(op),
        "e": None if timing is None else timing.efficiency,
        "why": [] if timing is None else list(timing.reasons),
    }
    if clock.profile is not None and copy in clock.profile.times:
        time = clock.profile.times[copy]
        found["kn"] = time.kernel
        if time.fused_into is not None:
            found["f"] = side.index[side.own[time.fused_into]]
    return found


def shape_text(graph: Graph, value: Value) -> str:
    """Dtype and shape: ``float32 1×3×H×W``, and what open sizes are taken to be."""
    if value.shape is None:
        return "" if value.dtype is None else f"{value.dtype}"
    told = "×".join("?" if dim is None else str(dim).lstrip("?") or "?" for dim in value.shape)
    sizes = graph.concrete_shape(value)
    if sizes is not None and any(not isinstance(dim, int) for dim in value.shape):
        told += f" = {'×'.join(map(str, sizes))}"
    return f"{value.dtype} {told or 'scalar'}"


def _operands(graph: Graph, op: Op) -> list[str]:
    told = [
        "(left out)"
        if value is None
        else f"{'weight ' if value.array is not None else ''}{_short(value.name)}: "
        f"{shape_text(graph, value)}"
        for value in op.operands[:MOST_OPERANDS]
    ]
    more = len(op.operands) - len(told)
    return [*told, f"and {more} more"] if more else told


def _attributes(op: Op) -> dict[str, str]:
    return {name: _text(value) for name, value in sorted(op.attributes.items())}


def _text(value: Attribute) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {'×'.join(map(str, value.shape)) or 'scalar'}"
    if isinstance(value, Opaque):
        return f"({len(value.payload)} bytes, not looked into)"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= LONGEST_ATTRIBUTE else text[:LONGEST_ATTRIBUTE] + "…"


def _short(name: str) -> str:
    """Of a very long name the beginning and the end."""
    if len(name) <= LONGEST_NAME:
        return name
    half = LONGEST_NAME // 2
    return f"{name[:half]}…{name[-half:]}"
