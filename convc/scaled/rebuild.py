"""The network as planned: a new graph, its shapes found anew from the inputs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from convc.concrete import Fact
from convc.concrete.facts import SMALL, UNKNOWN, derive
from convc.graph import Graph
from convc.ir import Array, Attribute, Op, Value
from convc.scaled.align import follow
from convc.scaled.plan import Dims, Plan
from convc.scaled.sizes import scaled


@dataclass(frozen=True)
class Scaled:
    """A network under a what-if, for costing: its weights are zeros where their shapes changed.

    Attributes:
        graph: all of its types are numbers, or have no shape where that is not known.
        ops: of each op of the original graph the one in ``graph``.
        notes: what could not be followed, in words, the first causes only.
    """

    graph: Graph
    ops: Mapping[Op, Op]
    notes: list[str]


@dataclass(frozen=True)
class Variant:
    """One way in which an op may be taken over: its attributes and the constants put in."""

    attributes: Mapping[str, Attribute]
    arrays: Mapping[int, Array]


def rebuild(
    graph: Graph, plan: Plan, attributes: Mapping[Op, Mapping[str, Attribute]] | None = None
) -> Scaled:
    """The graph with the sizes of the plan; ``attributes`` take the place of some ops' own."""
    builder = _Builder(graph, plan, attributes or {})
    for value in graph.inputs:
        builder.add_input(value)
    for op in graph.ops():
        if not op.is_boundary and op.array is None:
            builder.add(op)
    return builder.finish()


def zeros(like: Array, shape: tuple[int, ...]) -> Array:
    """The array itself where it has the shape, else zeros that take no memory."""
    return like if like.shape == shape else np.broadcast_to(np.zeros((), like.dtype), shape)


def shape_of(dims: Dims) -> tuple[int, ...]:
    """The planned shape."""
    return tuple(map(scaled, dims))


@dataclass
class _Builder:
    graph: Graph
    plan: Plan
    overrides: Mapping[Op, Mapping[str, Attribute]]
    new: Graph = field(init=False)
    copies: dict[Value, Value] = field(default_factory=dict)
    facts: dict[Value, Fact] = field(default_factory=dict)
    ops: dict[Op, Op] = field(default_factory=dict)
    constants: dict[tuple[Value, tuple[int, ...], bytes], Value] = field(default_factory=dict)
    same: set[Value] = field(default_factory=set)
    causes: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.new = Graph(self.graph.header, self.graph.sizes)

    def add_input(self, value: Value) -> None:
        """Takes over an input, at its planned shape."""
        dims = self.plan.dims[value]
        old = self.plan.facts[value]
        shape = None if dims is None else shape_of(dims)
        fact = Fact(shape, old.dtype, old.array if shape == old.shape else None, old.reason)
        default = value.op.default
        if default is not None and shape is not None:
            default = zeros(default, shape)
        copy = self.new.add_input(value.name, fact.type or value.type, value.op.doc, default)
        self._keep(value, copy, fact)
        self.ops[value.op] = copy.op
        if shape == old.shape:
            self.same.add(value)

    def add(self, op: Op) -> None:
        """Takes over an op, in the first of its variants that gives what was planned."""
        arrays = dict(self._weights(op))
        attributes = {**op.attributes, **self.overrides.get(op, {}), **self._group(op)}
        natural = Variant(attributes, arrays)
        facts, wanted = self._derive(op, natural), self._wanted(op)
        chosen = natural
        if not self._is_right(op, facts, wanted):
            others = self._variants(op, natural, planned=wanted is not None)
            found = [(variant, self._derive(op, variant)) for variant in others]
            right = [entry for entry in found if self._is_right(op, entry[1], wanted)]
            # What the caller gave cannot be held back: then whatever fits is better than nothing.
            fits = [] if self._is_right(op, facts, None) else found
            fits = [entry for entry in fits if self._is_right(op, entry[1], None)]
            chosen, facts = next(iter([*right, *fits]), (natural, facts))
        self._place(op, chosen, self._believed(op, chosen, facts))

    def _wanted(self, op: Op) -> list[tuple[int, ...] | None] | None:
        """The planned shapes of the results; None where an operand is not as was planned."""
        for value in op.operands:
            if value is None or value.array is not None:
                continue
            dims = self.plan.dims[value]
            if dims is None or shape_of(dims) != self.facts[value].shape:
                return None
        planned = [self.plan.dims[value] for value in op.results]
        return [None if dims is None else shape_of(dims) for dims in planned]

    @staticmethod
    def _is_right(
        op: Op, facts: Sequence[Fact], wanted: Sequence[tuple[int, ...] | None] | None
    ) -> bool:
        if wanted is None:
            return facts[0].shape is not None if facts else True
        used = [i for i, value in enumerate(op.results) if value.name or not i]
        return all(wanted[i] is None or facts[i].shape == wanted[i] for i in used)

    def _weights(self, op: Op) -> Iterator[tuple[int, Array]]:
        for index, value in enumerate(op.inputs):
            dims = self.plan.weights.get((op, index))
            if dims is not None and value is not None and value.array is not None:
                shape = shape_of(dims)
                if shape != value.array.shape:
                    yield index, zeros(value.array, shape)

    def _group(self, op: Op) -> Mapping[str, Attribute]:
        dims = self.plan.attributes.get((op, "group"))
        return {} if dims is None else {"group": scaled(dims[0])}

    def _variants(self, op: Op, natural: Variant, *, planned: bool) -> Iterator[Variant]:
        if planned:
            yield self._planned(op, natural)
        followed = self._target(op) if op.kind == "Reshape" else self._product(op)
        if followed is not None:
            yield Variant(natural.attributes, {**natural.arrays, 1: followed})

    def _planned(self, op: Op, natural: Variant) -> Variant:
        """The op with all sizes said as the plan has them."""
        attributes, arrays = dict(natural.attributes), dict(natural.arrays)
        for name in ("shape", "split", "starts", "ends"):
            if (op, name) in self.plan.attributes:
                attributes[name] = shape_of(self.plan.attributes[op, name])
        for index in range(max(len(op.inputs), 2)):
            if (op, index) in self.plan.values:
                arrays[index] = np.array(shape_of(self.plan.values[op, index]), np.int64)
                attributes.pop("num_outputs", None)
            if (op, index) in self.plan.ranges:
                first, length = map(scaled, self.plan.ranges[op, index])
                arrays[index] = np.arange(first, first + length)
        return Variant(attributes, arrays)

    def _target(self, op: Op) -> Array | None:
        """The target of a Reshape for data that changed in a way that was not planned."""
        data, old = op.operand(0), self.plan.facts[op.result].shape
        if op.domain or data is None or old is None:
            return None
        before, now = self.plan.facts[data].shape, self._fact(data).shape
        target = None if before is None or now is None else follow(before, old, now)
        return None if target is None else np.array(target, np.int64)

    def _product(self, op: Op) -> Array | None:
        """The weights of a Gemm or MatMul for as many features as come in now."""
        data, weights = op.operand(0), op.operand(1)
        if op.kind not in ("Gemm", "MatMul") or op.domain or data is None or weights is None:
            return None
        now, array = self._fact(data).shape, weights.array
        if now is None or len(now) < 2 or array is None or array.ndim != 2:
            return None
        features = now[0 if op.attributes.get("transA") else -1]
        shape = list(array.shape)
        shape[1 if op.attributes.get("transB") else 0] = features
        return zeros(array, tuple(shape))

    def _derive(self, op: Op, variant: Variant) -> list[Fact]:
        operands = list(op.operands)
        given: list[Fact | None] = []
        for index in range(max(len(operands), *(i + 1 for i in variant.arrays), 0)):
            value = operands[index] if index < len(operands) else None
            array = variant.arrays.get(index)
            if array is not None:
                given.append(Fact(array.shape, array.dtype, array if array.size <= SMALL else None))
            else:
                given.append(None if value is None else self._fact(value))
        # Inference asks the op only for its kind, its attributes and which operands are there.
        filler = next((value for value in operands if value is not None), op.results[0])
        present = tuple(None if fact is None else filler for fact in given)
        probe = Op(op.kind, present, variant.attributes, domain=op.domain, captures=op.captures)
        probe.results = op.results
        return derive(self.graph.header, probe, given, [UNKNOWN] * len(op.results))

    def _fact(self, value: Value) -> Fact:
        return self.plan.facts[value] if value.array is not None else self.facts[value]

    def _believed(self, op: Op, chosen: Variant, facts: list[Fact]) -> list[Fact]:
        """An op whose operands are as they were gives what it gave, also where nobody knows why."""
        if all(fact.shape is not None for fact in facts):
            return facts
        known = [self.plan.facts[value] for value in op.results]
        if not chosen.arrays and chosen.attributes == op.attributes and self._as_before(op):
            return known
        for fact in facts:
            if fact.shape is None and fact.reason:
                self.causes[fact.reason] = None
        return [
            Fact(fact.shape, fact.dtype or old.dtype, fact.array, fact.reason)
            for fact, old in zip(facts, known, strict=True)
        ]

    def _as_before(self, op: Op) -> bool:
        for value in op.operands:
            if value is None or value.array is not None or value in self.same:
                continue
            old, new = self.plan.facts[value], self.facts[value]
            if old.shape is None or old.shape != new.shape:
                return False
            if old.array is None:
                continue
            if new.array is None or not np.array_equal(old.array, new.array):
                return False
        return True

    def _is_same(self, op: Op) -> bool:
        return all(v is None or v.array is not None or v in self.same for v in op.operands)

    def _place(self, op: Op, chosen: Variant, facts: Sequence[Fact]) -> None:
        operands = [
            None if v is None else self._operand(v, chosen.arrays.get(i))
            for i, v in enumerate(op.operands)
        ]
        for index in range(len(operands), max((i + 1 for i in chosen.arrays), default=0)):
            operands.append(self.new.add_constant(chosen.arrays[index]))
        types = [fact.type or value.type for fact, value in zip(facts, op.results, strict=True)]
        copy = self.new.add_like(op, operands, chosen.attributes, types)
        self.ops[op] = copy
        if not chosen.arrays and chosen.attributes == op.attributes and self._is_same(op):
            self.same.update(op.results)
        for value, result, fact in zip(op.results, copy.results, facts, strict=True):
            self._keep(value, result, fact)

    def _keep(self, value: Value, copy: Value, fact: Fact) -> None:
        self.copies[value] = copy
        self.facts[value] = fact

    def _operand(self, value: Value, array: Array | None) -> Value:
        if value.array is None and array is None:
            return self.copies[value]
        array = value.array if array is None else array
        assert array is not None
        content = array.tobytes() if array.dtype.kind == "i" and array.size <= SMALL else b""
        key = (value, array.shape, content)
        if key not in self.constants:
            copy = self.new.add_constant(array, value.name, doc=value.op.doc)
            self.constants[key] = copy
            self.ops.setdefault(value.op, copy.op)
        return self.constants[key]

    def finish(self) -> Scaled:
        """Adds the outputs and says what is not known."""
        for op in self.graph.ops():
            if op.array is not None and op not in self.ops:
                self._operand_copy(op)
        values = [self.copies[value] for value in self.graph.outputs]
        self.new.set_outputs(values, self.graph.output_names)
        self.ops[self.graph.output] = self.new.output
        return Scaled(self.new, self.ops, list(self.causes))

    def _operand_copy(self, op: Op) -> None:
        copy = self._operand(op.result, None)
        self._keep(op.result, copy, self.plan.facts[op.result])
