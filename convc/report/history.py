"""Which op of a rewritten graph comes of which ops of the graph as it came, and by which rewrites.

`Historian` is the witness of one run of a pipeline, and an instrument of it. It asks for nothing
of a pass: what a pass changes by other means than rewrites is found by comparing the graph before
and after (`convc.report.matching`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from convc.graph import Graph
from convc.ir import Op, Value
from convc.pipeline import Approximate, Pass, PassReport
from convc.report.matching import match
from convc.rewrite import Rewrite, Size, replaced_ops, size_of

FARTHEST = 256
"""Ops that stay which are looked at to find what a rewrite reads; beyond, only what goes counts."""

REFITTED = "weights fitted anew"
"""The note on an approximate change of which no form is known."""


@dataclass(frozen=True, slots=True)
class Change:
    """An applied rewrite.

    Attributes:
        number: position of its pass in the pipeline, from 0.
        origin: the pass that proposed it; of several that compete the one that won.
        note: what became what.
        exactness: how much it may change the function: exact, rounding or approximate.
        residual: of its proof; None where none was made.
        loss: of an approximate one, where it is known.
        region: kind and name of each op that computed what is replaced.
        made: kind and name of each new op that computes it now.
        instead: what else gives its results now: kind and name of ops that were there already, a
            constant, an input.
        sources: the ops of the original graph that the region comes of.
        macs: MACs saved; None: not known.
        params: elements of weights saved.
    """

    number: int
    origin: str
    note: str
    exactness: str
    residual: float | None
    loss: float | None
    region: tuple[str, ...]
    made: tuple[str, ...]
    instead: tuple[str, ...]
    sources: tuple[Op, ...]
    macs: int | None
    params: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an op of the result comes from.

    Attributes:
        sources: the ops of the original that it computes the work of, in the file's order.
        absorbed: ops of the original that were dropped because this op's result stands for theirs.
        changes: indices of the rewrites that led to it, in their order; none: it is the original's.
    """

    sources: tuple[Op, ...] = ()
    absorbed: tuple[Op, ...] = ()
    changes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Declined:
    """Where a reason was given for not rewriting.

    Attributes:
        places: names of ops, in the order in which they were asked about.
        passes: of several that compete those that gave it; else none.
    """

    places: tuple[str, ...]
    passes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class History:
    """How a graph was made of another one.

    Attributes:
        original: the graph as it came.
        result: the graph that was made of it.
        origins: where each op of ``result`` comes from; weights, inputs and output left out.
        changes: all applied rewrites, in their order.
        passes: the text of each pass that ran.
        declined: by (position of a pass, reason): where it was given, and by which pass.
    """

    original: Graph
    result: Graph
    origins: Mapping[Op, Origin]
    changes: Sequence[Change] = ()
    passes: Sequence[str] = ()
    declined: Mapping[tuple[int, str], Declined] = field(default_factory=dict)

    @classmethod
    def unchanged(cls, original: Graph, copy: Graph) -> History:
        """The history of a copy to which nothing was done."""
        pairs = zip(computing(original.ops()), computing(copy.ops()), strict=True)
        return cls(original, copy, {new: Origin((old,)) for old, new in pairs})


def computing(ops: Iterable[Op]) -> list[Op]:
    """Those that are neither weights nor boundaries."""
    return [op for op in ops if op.array is None and not op.is_boundary]


def label(op: Op) -> str:
    """Kind and name of an op."""
    kind = f"{op.domain}.{op.kind}" if op.domain else op.kind
    return f"{kind} {name_of(op)}".strip()


def name_of(op: Op) -> str:
    """The op's name, else that of its first result that has one."""
    return op.name or next((value.name for value in op.results if value.name), "")


class Historian:
    """Watches one run of a pipeline on ``graph``, a copy of ``original`` that is not changed yet.

    Memory: one entry for each op, and the names of what was replaced; no weights.
    """

    def __init__(self, original: Graph, graph: Graph) -> None:
        self._original, self._graph = original, graph
        self._order = {op: i for i, op in enumerate(computing(original.ops()))}
        self._origins = dict(History.unchanged(original, graph).origins)
        self._changes: list[Change] = []
        self._passes: list[str] = []
        self._asked: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        self._declined: dict[tuple[int, str], Declined] = {}
        self._item: Pass | None = None
        self._alive: dict[Op, list[str]] = {}
        self._pending: tuple[Change, list[Op]] | None = None
        graph.witness = self

    # -- the witness -------------------------------------------------------------------------

    def replacing(
        self, graph: Graph, rewrite: Rewrite, residual: float | None, origin: str
    ) -> None:
        """Keeps what will not be there afterwards: the region, and what it costs."""
        gone = replaced_ops(graph, rewrite)
        region = region_of(rewrite, gone)
        saved = size_of(graph, gone) - size_of(rewrite.after, rewrite.after.ops())
        change = self._change(region, rewrite.note, origin)
        known = replace(
            change,
            exactness=rewrite.exactness.value,
            residual=residual,
            loss=rewrite.loss,
            macs=saved.macs,
            params=saved.params,
        )
        self._pending = known, region

    def replaced(self, graph: Graph, results: Sequence[Value]) -> None:
        """Gives the new ops their sources."""
        assert self._pending is not None
        change, region = self._pending
        made, instead = self._new(results)
        there = [value.op for value in results if value.op not in made]
        known = tuple(
            dict.fromkeys("a constant" if op.array is not None else label(op) for op in there)
        )
        self._record(replace(change, instead=known), region, made, instead)
        for op in region:
            if op not in graph:
                self._origins.pop(op, None)

    def merged(self, op: Op, keeper: Op, note: str) -> None:
        """The op goes, and its result with it."""
        change = self._change([op], note, "")
        size = size_of(self._graph, [op])
        known = replace(change, macs=size.macs, instead=(label(keeper),))
        self._record(known, [op], [], [keeper])
        self._origins.pop(op, None)

    def left_alone(self, op: Op, reason: str, origin: str) -> None:
        """Keeps where; how often is what the pass reports."""
        places, passes = self._asked.setdefault(reason, ({}, {}))
        places[name_of(op)] = None
        if origin:
            passes[origin] = None

    # -- the instrument ----------------------------------------------------------------------

    def before_pass(self, _number: int, item: Pass, graph: Graph) -> None:
        """Keeps what is there."""
        self._item = item
        self._alive = {op: [value.name for value in op.results] for op in computing(graph.ops())}

    def after_pass(self, number: int, item: Pass, graph: Graph, report: PassReport) -> None:
        """Explains what no rewrite does."""
        if report.changed:
            self._explain(graph)
        there = {name_of(op) for op in graph.ops()}
        for reason, (places, passes) in self._asked.items():
            if reason in report.stats.declined:
                named = tuple(name for name in places if name and name in there)
                self._declined[number, reason] = Declined(named, tuple(passes))
        self._asked.clear()
        self._passes.append(str(item))

    def finish(self) -> History:
        """The history; the graph is watched no longer."""
        self._graph.witness = None
        origins = {op: self._origins[op] for op in computing(self._graph.ops())}
        return History(
            self._original, self._graph, origins, self._changes, self._passes, self._declined
        )

    # ----------------------------------------------------------------------------------------

    def _explain(self, graph: Graph) -> None:
        """Finds the sources of ops that came by other means than rewrites."""
        now = computing(graph.ops())
        unknown = [op for op in now if op not in self._origins]
        if unknown:
            gone = {
                op: names
                for op, names in self._alive.items()
                if op not in graph and op in self._origins
            }
            matched = match(gone, unknown)
            for old, new in matched.same:
                self._origins[new] = self._origins[old]
            approximate = isinstance(self._item, Approximate)
            note = REFITTED if approximate else "changed by the pass as a whole"
            for before, after in sorted(matched.regions, key=lambda region: not region[0]):
                region = before or self._near(graph, after)
                saved = _size(graph, before) - _size(graph, after)
                change = replace(
                    self._change(region, note, ""),
                    exactness="approximate" if approximate else "exact",
                    macs=saved.macs,
                    params=saved.params,
                )
                self._record(change, region, after, [])
        alive = set(now)
        for op in [op for op in self._origins if op not in alive]:
            del self._origins[op]

    def _near(self, graph: Graph, ops: Sequence[Op]) -> tuple[Op, ...]:
        """A known op that uses what ``ops`` make, or else one that feeds them."""
        users = (user for op in ops for user in graph.users(op))
        makers = (maker for op in ops for maker in graph.producers(op))
        known = (op for op in (*users, *makers) if op in self._origins)
        return tuple(islice(known, 1))

    def _change(self, region: Sequence[Op], note: str, origin: str) -> Change:
        """What is known of a rewrite before it is applied: its names change with it."""
        sources = {source for op in region for source in self._of(op).sources}
        return Change(
            number=len(self._passes),
            origin=origin or ("" if self._item is None else self._item.name),
            note=note,
            exactness="exact",
            residual=None,
            loss=None,
            region=tuple(map(label, region)),
            made=(),
            instead=(),
            sources=self._sorted(sources),
            macs=0,
            params=0,
        )

    def _record(
        self, change: Change, region: Sequence[Op], made: Sequence[Op], instead: Sequence[Op]
    ) -> None:
        index = len(self._changes)
        self._changes.append(replace(change, made=tuple(map(label, made))))
        absorbed = {op for old in region for op in self._of(old).absorbed} - {*change.sources}
        changes = {number for old in region for number in self._of(old).changes}
        led = tuple(sorted({*changes, index}))
        for op in made:
            self._origins[op] = Origin(change.sources, self._sorted(absorbed), led)
        for op in instead:
            known = self._of(op)
            self._origins[op] = Origin(
                known.sources,
                self._sorted({*known.absorbed, *absorbed, *change.sources} - {*known.sources}),
                tuple(sorted({*known.changes, *led})),
            )

    def _new(self, results: Sequence[Value]) -> tuple[list[Op], list[Op]]:
        """The ops that ``results`` come of: those that are new, and those that were there."""
        made: dict[Op, None] = {}
        stack = [value.op for value in results]
        instead = [op for op in dict.fromkeys(stack) if op in self._origins]
        while stack:
            op = stack.pop()
            if op in made or op in self._origins or op.array is not None or op.is_boundary:
                continue
            made[op] = None
            stack.extend(value.op for value in op.operands if value is not None)
        return list(reversed(made)), instead

    def _of(self, op: Op) -> Origin:
        return self._origins.get(op, Origin())

    def _sorted(self, ops: Iterable[Op]) -> tuple[Op, ...]:
        return tuple(sorted(ops, key=self._order.__getitem__))


def _size(graph: Graph, ops: Sequence[Op]) -> Size:
    """What ``ops`` cost with their weights."""
    weights = (v.op for op in ops for v in op.operands if v is not None and v.array is not None)
    return size_of(graph, [*ops, *dict.fromkeys(weights)])


def region_of(rewrite: Rewrite, gone: set[Op]) -> list[Op]:
    """The ops that compute what ``rewrite`` replaces, operands before users; no weights.

    Those that nobody needs afterwards (``gone``), and those that stay for somebody else but lie
    between the rewrite's inputs and its outputs: each of several users may take its own copy.
    """
    inputs = set(rewrite.inputs)
    last = {value.op for value in rewrite.outputs}
    fed: dict[Op, bool] = {}
    order: list[Op] = []
    looked = 0
    stack = [(value.op, False) for value in reversed(rewrite.outputs)]
    while stack:
        op, done = stack.pop()
        operands = [value for value in op.operands if value is not None]
        if done:
            fed[op] = any(value in inputs or fed.get(value.op, False) for value in operands)
            if op in gone or op in last or fed[op]:
                order.append(op)
            continue
        if op in fed or op.is_boundary or op.array is not None:
            continue
        looked += op not in gone
        if looked > FARTHEST and op not in gone:
            continue
        fed[op] = False
        stack.append((op, True))
        stack.extend((value.op, False) for value in operands if value not in inputs)
    return order
