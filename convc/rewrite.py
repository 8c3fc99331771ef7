"""Rewrites as proposals: a rule proposes or declines, the driver chooses, proves and applies.

A rule is a plain function ``(graph, op) -> Rewrite`` that raises `NoMatch` with a reason where it
has nothing to offer. It changes nothing. `sweep` visits every op until no rule has more to give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from convc.build import Builder
from convc.costs.annotate import annotate, is_annotated
from convc.errors import CannotProveError
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.memory import give_back
from convc.opset import macs

INT64 = 2**63 - 1


class NoMatch(Exception):  # noqa: N818  # not an error: the rule's way to decline
    """A rule declines. The reason is counted and shown; an empty one is not worth showing."""

    @property
    def reason(self) -> str:
        """Why the rule declined."""
        return str(self.args[0]) if self.args else ""


class Exactness(Enum):
    """How much a rewrite may change the function."""

    EXACT = "exact"
    """The same real function; only rounding differs."""
    ROUNDING = "rounding"
    """Differs by less than rounding does."""
    APPROXIMATE = "approximate"
    """A different function, within a budget the user set."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a set of ops costs: MACs at the graph's sizes (None: unknown), weights, ops."""

    macs: int | None
    params: int
    ops: int

    def __sub__(self, other: Size) -> Size:
        known = self.macs is not None and other.macs is not None
        difference = (self.macs or 0) - (other.macs or 0) if known else None
        return Size(difference, self.params - other.params, self.ops - other.ops)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One proposal: compute ``outputs`` by ``after`` instead.

    Attributes:
        outputs: the values of the graph that are replaced, in the order of ``after``'s outputs.
        inputs: the values of the graph that ``after``'s inputs stand for.
        after: the replacement; its weights may still be float64 (see `Graph.inline`).
        exactness: how much it may change the function.
        frontier: where the proof cuts the graph off; by default ``inputs``.
        note: for people: what became what.
        bound: for `Exactness.ROUNDING`: the largest change of an output relative to its own
            channel's scale.
        loss: of an approximate one: the part of the responses' variance that it misses; None where
            that is not known.
        kept: for a rewrite that drops channels: the name of each layer's result that has fewer now,
            and which of its channels are left, in their order.
    """

    outputs: tuple[Value, ...]
    inputs: tuple[Value, ...]
    after: Graph
    exactness: Exactness = Exactness.EXACT
    frontier: tuple[Value, ...] | None = None
    note: str = ""
    bound: float = 0.0
    loss: float | None = None
    kept: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def cut(self) -> tuple[Value, ...]:
        """The values that the proof feeds: the frontier, and what else the region comes from.

        What is replaced may read more than the replacement does: the shape that a Reshape takes,
        say, where that is known. Of such a value the graph's own inputs are fed.
        """
        given = self.inputs if self.frontier is None else self.frontier
        return (*given, *_inputs_behind((*self.inputs, *self.outputs), given))


def _inputs_behind(values: Sequence[Value], given: Sequence[Value]) -> list[Value]:
    """The graph's inputs that ``values`` depend on though all of ``given`` is known."""
    seen = {*given}
    found: list[Value] = []
    stack = list(reversed(values))
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        if value.op.is_boundary:
            found.append(value)
        stack.extend(v for v in value.op.operands if v is not None and v not in seen)
    return found


Function = Callable[[Graph, Op], Rewrite]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rewriting function and the op kinds it looks at (none: all).

    ``origin`` is the pass that it belongs to, where those of several passes compete.
    """

    function: Function
    kinds: frozenset[str] = frozenset()
    name: str = ""
    origin: str = ""


class Replacement(Builder):
    """Builds the replacement of a `Rewrite`, value by value."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(Graph.beside(graph))
        self._taken: dict[Value, Value] = {}

    def take(self, value: Value) -> Value:
        """The replacement's stand-in for a value of the graph; constants are copied along."""
        if value not in self._taken:
            array = value.array
            if array is None:
                self._taken[value] = self.graph.add_input(value.name, value.type)
            else:
                self._taken[value] = self.graph.add_constant(array, value.name, value.dtype)
        return self._taken[value]

    def ints(self, values: Sequence[int], name: str = "") -> Value:
        """As of `Builder`; raises NoMatch where a file's sizes are so large that one overflows."""
        if any(abs(value) > INT64 for value in values):
            raise NoMatch("a size is beyond 64 bits")
        return super().ints(values, name)

    def weight(self, array: Array, like: Value) -> Value:
        """A new float64 weight that will be stored in the dtype of ``like``, under its name."""
        return self.graph.add_constant(np.asarray(array, np.float64), like.name, like.dtype)

    def rewrite(
        self,
        results: Mapping[Value, Value],
        exactness: Exactness = Exactness.EXACT,
        *,
        frontier: Sequence[Value] | None = None,
        note: str = "",
        bound: float = 0.0,
    ) -> Rewrite:
        """The proposal; ``results`` maps each value of the graph to what replaces it."""
        self.graph.set_outputs(list(results.values()), [value.name for value in results])
        inputs = tuple(value for value in self._taken if value.array is None)
        cut = None if frontier is None else tuple(frontier)
        return Rewrite(tuple(results), inputs, self.graph, exactness, cut, note, bound)


@dataclass(slots=True)
class Stats:
    """What a pass did.

    Attributes:
        applied: rewrites applied.
        declined: reasons of the rules for the ops they left alone at the end, counted.
        notes: notes of the applied rewrites, counted.
        residual: the largest residual among the proofs made, None where none was asked for.
        seconds: wall time.
        decisions: what a chooser decided, as rounds of (rule, place), so that it can be done again
            (see `convc.tuning.steps`); None where counts or nobody chose.
    """

    applied: int = 0
    declined: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    residual: float | None = None
    seconds: float = 0.0
    decisions: tuple[tuple[tuple[int, str], ...], ...] | None = None

    def add(self, other: Stats) -> None:
        """Counts what another sweep applied and proved; what it declined is the last one's say."""
        self.applied += other.applied
        self.notes.update(other.notes)
        self.declined = other.declined
        self.seconds += other.seconds
        if other.residual is not None:
            self.residual = max(self.residual or 0.0, other.residual)

    def note_proof(self, prove: Prove | None, graph: Graph, rewrite: Rewrite) -> float | None:
        """Proves ``rewrite``, where proofs are asked for, and keeps the largest residual."""
        if prove is None:
            return None
        residual = prove(graph, rewrite)
        self.residual = max(self.residual or 0.0, residual)
        return residual


Select = Callable[[Graph, Sequence[Rewrite]], "Rewrite | None"]
"""Picks the proposal to apply at one place, or none."""
Prove = Callable[[Graph, Rewrite], float]
"""Returns the residual of a proposal's proof; raises ProofError where it fails, CannotProveError
where there is none: the proposal is then left alone."""


def first(_graph: Graph, proposals: Sequence[Rewrite]) -> Rewrite | None:
    """Applies whatever is legal: the choice of a pass that is named in a pipeline."""
    return proposals[0]


def propose(graph: Graph, rules: Sequence[Rule]) -> list[Rewrite]:
    """All proposals on the graph as it stands; nothing is applied."""
    found: list[Rewrite] = []
    index = _by_kind(rules)
    for op in graph.ops():
        found.extend(proposal for proposal, _ in _ask(graph, op, index, {}))
    return found


def sweep(
    graph: Graph,
    rules: Sequence[Rule],
    select: Select = first,
    prove: Prove | None = None,
    *,
    within: bool = False,
) -> Stats:
    """Applies ``rules`` until none has more to give.

    After the first pass over all ops only the surroundings of a change are visited again: the ends
    of what was replaced, and ``within`` it where that is asked for.
    """
    stats = Stats()
    reasons: dict[tuple[Op, int], str] = {}
    index = _by_kind(rules)
    pending: Sequence[Op] = graph.ops()
    while pending:
        changed: dict[Op, None] = {}
        for op in pending:
            if op not in graph:
                continue
            asked = _ask(graph, op, index, reasons)
            proposals = [proposal for proposal, _ in asked]
            chosen = select(graph, proposals) if proposals else None
            if chosen is None:
                if proposals:
                    reasons[op, -1] = "does not pay by the objective"
                continue
            try:
                residual = stats.note_proof(prove, graph, chosen)
            except CannotProveError as error:
                reasons[op, -1] = f"not proved: {error}"
                continue
            if graph.witness is not None:
                origin = next((rule.origin for given, rule in asked if given is chosen), "")
                graph.witness.replacing(graph, chosen, residual, origin)
            changed.update(dict.fromkeys(_apply(graph, chosen, within)))
            let_go(proposals)
            stats.applied += 1
            stats.notes[chosen.note] += 1
        # Once a round, not once a change: a value may have as many users as there are changes.
        touched = _surroundings(graph, changed)
        pending = [op for op in graph.ops() if op in touched] if touched else ()
    stats.declined.update(why for (op, _), why in reasons.items() if why and op in graph)
    if graph.witness is not None:
        for (op, i), why in reasons.items():
            if why and op in graph:
                graph.witness.left_alone(op, why, rules[i].origin if i >= 0 else "")
    if is_annotated(graph):
        annotate(graph)
    return stats


def let_go(proposals: Iterable[Rewrite]) -> None:
    """Drops the weights of proposals that are done with.

    Ops and values refer to each other, so they wait for the garbage collector, which counts
    objects and not bytes: float64 weights of twice the model's size would wait with them.
    """
    for proposal in proposals:
        for op in proposal.after.ops():
            if op.array is not None:
                op.attributes = {}


_Index = Mapping[str, Sequence[tuple[int, Rule]]]


def _by_kind(rules: Sequence[Rule]) -> _Index:
    """The rules for each kind, in their order; under "" those that look at all kinds."""
    kinds = {"", *(kind for rule in rules for kind in rule.kinds)}
    return {
        kind: [(i, rule) for i, rule in enumerate(rules) if not rule.kinds or kind in rule.kinds]
        for kind in kinds
    }


def _ask(
    graph: Graph, op: Op, index: _Index, reasons: dict[tuple[Op, int], str]
) -> list[tuple[Rewrite, Rule]]:
    found: list[tuple[Rewrite, Rule]] = []
    reasons.pop((op, -1), None)
    for i, rule in index.get("" if op.domain else op.kind, index[""]):
        reasons.pop((op, i), None)
        try:
            found.append((rule.function(graph, op), rule))
        except NoMatch as decline:
            if decline.reason:
                reasons[op, i] = decline.reason
    return found


def apply(
    graph: Graph, rewrite: Rewrite, *, residual: float | None = None, origin: str = ""
) -> list[Op]:
    """Applies a proposal; returns the ops whose surroundings changed.

    The replaced values' names go to the values that replace them. The residual of its proof and
    the pass that it comes from are for the graph's witness.
    """
    if graph.witness is not None:
        graph.witness.replacing(graph, rewrite, residual, origin)
    return list(_surroundings(graph, _apply(graph, rewrite, within=False)))


def _apply(graph: Graph, rewrite: Rewrite, within: bool) -> list[Op]:
    """Applies a proposal; returns the ops at which the graph changed.

    These are the last new ones and those that feed the first; ``within``: all new ones.
    """
    before = graph.version
    feeding = [value.op for value in rewrite.inputs]
    known = {result for op in feeding for result in op.results}
    for op in replaced_ops(graph, rewrite):
        # Before the new weights are cast, while the old and the float64 ones are held as well.
        if op.array is not None:
            give_back(op.array)
    results = graph.inline(rewrite.after, rewrite.inputs)
    for old, new in zip(rewrite.outputs, results, strict=True):
        if new not in known and not new.op.is_boundary:
            new.name, old.name = old.name, ""
        if new.type is None:
            new.type = old.type
        graph.replace_uses(old, new)
    for op in graph.erase_dead([old.op for old in rewrite.outputs]):
        if op.array is not None:
            # What is erased waits for the garbage collector, as in `let_go`.
            op.attributes = {}
    assert graph.version != before
    if graph.witness is not None:
        graph.witness.replaced(graph, results)
    last = [value.op for value in results]
    return [*(_between(graph, set(feeding), last) if within else last), *feeding]


def _between(graph: Graph, first: Set[Op], last: Iterable[Op]) -> list[Op]:
    """The ops from ``last`` up to those in ``first``, which are not among them.

    A result that nobody uses is gone already.
    """
    found: dict[Op, None] = {}
    stack = list(last)
    while stack:
        op = stack.pop()
        if op in found or op in first or op.is_boundary or op not in graph:
            continue
        found[op] = None
        stack.extend(graph.producers(op))
    return list(found)


def _surroundings(graph: Graph, changed: Iterable[Op]) -> dict[Op, None]:
    """Those of ``changed`` that are still there, their users and their producers."""
    near: dict[Op, None] = {}
    for op in changed:
        if op in graph:
            near.update(dict.fromkeys([op, *graph.users(op), *graph.producers(op)]))
    return near


def replaced_ops(graph: Graph, rewrite: Rewrite) -> set[Op]:
    """The ops that nobody needs any more once the rewrite is applied."""
    kept = {value.op for value in rewrite.inputs}
    outputs = set(rewrite.outputs)
    dead: set[Op] = set()
    stack = [value.op for value in rewrite.outputs]
    while stack:
        op = stack.pop()
        if op in dead or op in kept or op.is_boundary:
            continue
        if not _is_needed(graph, op, outputs, dead):
            dead.add(op)
            stack.extend(graph.producers(op))
    return dead


def _is_needed(graph: Graph, op: Op, replaced: set[Value], dead: set[Op]) -> bool:
    kept = [result for result in op.results if result not in replaced]
    if len(kept) == len(op.results) == 1:
        # A weight may have as many users as there are ops: the first one that lives will do.
        return any(user not in dead for user in graph.iter_users(op))
    return any(user not in dead for result in kept for user, _ in graph.uses(result))


def size_of(graph: Graph, ops: Iterable[Op]) -> Size:
    """What ``ops`` cost in ``graph``."""
    total, params, number = 0, 0, 0
    unknown = False
    for op in ops:
        if op.is_boundary:
            continue
        if op.array is not None:
            params += op.array.size
            continue
        number += 1
        cost = macs(graph, op)
        unknown |= cost is None
        total += cost or 0
    return Size(None if unknown else total, params, number)


def gain(graph: Graph, rewrite: Rewrite) -> Size:
    """What the rewrite saves: cost of what goes less cost of what comes."""
    before = size_of(graph, replaced_ops(graph, rewrite))
    return before - size_of(rewrite.after, rewrite.after.ops())


def rule(function: Callable[..., Rewrite], *kinds: str, **options: Any) -> Rule:
    """A `Rule` of ``function`` with its options bound."""

    def bound(graph: Graph, op: Op) -> Rewrite:
        return function(graph, op, **options)

    return Rule(bound, frozenset(kinds), function.__name__)
