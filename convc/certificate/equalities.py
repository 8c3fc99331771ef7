"""Which values must be equal by what was proved: congruence closure over a graph's terms.

Every value is a term: an op applied to the classes of its operands. A proved rewrite says that two
terms are equal, for every input; from then on their values are of one class, and so are all terms
that differ only in such values. A graph computes what it did before a pass if its outputs still are
of the classes that they were of: then every change that the pass made follows from its proved
rewrites, from leaving out what nobody uses, and from computing equal terms once.

The closure is that of Downey, Sethi and Tarjan (1980), "Variations on the common subexpression
problem": a union-find over classes, a table of terms, and for each class the terms that use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import ref

from convc.digest import own_digest
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import Rewrite

DRAWN = frozenset(
    {
        "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip
"""Kinds of which no two ops give the same."""

Term = tuple[bytes, tuple[tuple[int, ...], ...]]
"""An op by what it is, and the classes of its operands (an omitted one has none)."""


class Equalities:
    """The classes of a graph's values, and of what was proved to be equal to them."""

    def __init__(self, graph: Graph) -> None:
        self._parent: list[int] = []
        self._uses: list[list[Term]] = []
        self._terms: dict[Term, tuple[int, ...]] = {}
        self._weights: dict[int, tuple[ref[Array], bytes]] = {}
        self._drawn: dict[Op, tuple[int, ...]] = {}
        self._inputs: list[int] = [self._fresh() for _ in graph.inputs]
        self._known: dict[Value, int] = {}
        self._outputs = self._look(graph)

    def learn(self, rewrite: Rewrite, region: Graph, stored: Graph) -> None:
        """Takes in a proved rewrite, before it is applied.

        Args:
            rewrite: what was proved.
            region: its ops from the proof's cut to its inputs and outputs, as a graph.
            stored: its replacement, weights as they are stored.
        """
        cut = [self._class_of(value) for value in rewrite.cut]
        found = self._evaluate(region, cut)
        values = [found[value] for value in region.outputs]
        given, before = values[: len(rewrite.inputs)], values[len(rewrite.inputs) :]
        made = self._evaluate(stored, given)
        for old, new in zip(before, stored.outputs, strict=True):
            self._unite(old, made[new])

    def check(self, graph: Graph) -> str:
        """The first output that ``graph`` computes in a way that was not proved; "" for none.

        Looks at the whole graph anew, so that nothing rests on what it was before.
        """
        outputs = self._look(graph)
        for name, old, new in zip(graph.output_names, self._outputs, outputs, strict=False):
            if self._find(old) != self._find(new):
                return name
        return "" if len(outputs) == len(self._outputs) else "one that is not there"

    def _look(self, graph: Graph) -> list[int]:
        read = [(op.array, self._own(op)) for op in graph.ops() if op.array is not None]
        self._weights = {id(array): (ref(array), own) for array, own in read}
        self._known = self._evaluate(graph, self._inputs)
        return [self._known[value] for value in graph.outputs]

    def _evaluate(self, graph: Graph, inputs: list[int]) -> dict[Value, int]:
        """The class of each value of a graph whose inputs are of the given ones."""
        found: dict[Value, int] = dict(zip(graph.inputs, inputs, strict=False))
        for op in graph.ops():
            if not op.is_boundary:
                found.update(zip(op.results, self._apply(op, found), strict=True))
        return found

    def _class_of(self, value: Value) -> int:
        """The class of a value that the graph had at the last look, or got since then."""
        known = self._known
        stack = [value.op]
        while value not in known:
            op = stack[-1]
            missing = [v.op for v in op.operands if v is not None and v not in known]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            known.update(zip(op.results, self._apply(op, known), strict=True))
        return known[value]

    def _apply(self, op: Op, known: Mapping[Value, int]) -> tuple[int, ...]:
        if op.kind in DRAWN and not op.domain:
            return self._drawn.setdefault(op, tuple(self._fresh() for _ in op.results))
        operands = tuple(() if v is None else (self._find(known[v]),) for v in op.operands)
        term = self._own(op), operands
        if term not in self._terms:
            self._terms[term] = tuple(self._fresh() for _ in op.results)
            self._note_uses(term)
        return self._terms[term]

    def _own(self, op: Op) -> bytes:
        """What the op is; the weights that the graph had at the last look were read then."""
        array = op.array
        held, digest = self._weights.get(id(array), (None, b""))
        return digest if held is not None and held() is array else own_digest(op)

    def _fresh(self) -> int:
        self._parent.append(len(self._parent))
        self._uses.append([])
        return len(self._parent) - 1

    def _note_uses(self, term: Term) -> None:
        for operand in set(term[1]):
            for number in operand:
                self._uses[number].append(term)

    def _find(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def _unite(self, a: int, b: int) -> None:
        pending = [(a, b)]
        while pending:
            left, right = map(self._find, pending.pop())
            if left == right:
                continue
            if len(self._uses[left]) < len(self._uses[right]):
                left, right = right, left
            self._parent[right] = left
            uses, self._uses[right] = self._uses[right], []
            for term in uses:
                results = self._terms.pop(term, None)
                if results is None:
                    continue  # said anew already, when another of its operands was united
                own, operands = term
                anew = own, tuple(tuple(map(self._find, operand)) for operand in operands)
                if anew in self._terms:
                    pending.extend(zip(results, self._terms[anew], strict=True))
                else:
                    self._terms[anew] = results
                    self._note_uses(anew)
