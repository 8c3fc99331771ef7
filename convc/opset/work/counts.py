"""What is counted, and the few things that all rules which count need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from convc.graph import Graph
from convc.ir import INPUT, Op, TensorType, Value


@dataclass(frozen=True, slots=True)
class Work:
    """Operations of one op, each a count of scalars, in the dense convention: padded zeros count.

    Attributes:
        multiplications: products.
        additions: sums and differences; a sum of n terms is n − 1 of them.
        divisions: quotients and remainders.
        comparisons: of two values: max, min, clip, relu, sort, select.
        functions: evaluated exp, log, sqrt, tanh, erf, pow ...; one each.
        padded_multiplications: those of ``multiplications`` in which a padded zero is a factor.
        padded_additions: those of ``additions`` that vanish with them.
    """

    multiplications: int = 0
    additions: int = 0
    divisions: int = 0
    comparisons: int = 0
    functions: int = 0
    padded_multiplications: int = 0
    padded_additions: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.multiplications + other.multiplications,
            self.additions + other.additions,
            self.divisions + other.divisions,
            self.comparisons + other.comparisons,
            self.functions + other.functions,
            self.padded_multiplications + other.padded_multiplications,
            self.padded_additions + other.padded_additions,
        )

    def times(self, count: int) -> Work:
        """The work of ``count`` things that each take this much."""
        return Work(
            self.multiplications * count,
            self.additions * count,
            self.divisions * count,
            self.comparisons * count,
            self.functions * count,
            self.padded_multiplications * count,
            self.padded_additions * count,
        )

    @property
    def operations(self) -> int:
        """All of them, each counted as one: the FLOPs."""
        return (
            self.multiplications
            + self.additions
            + self.divisions
            + self.comparisons
            + self.functions
        )


WorkRule: TypeAlias = Callable[[Graph, Op], "Work | None"]
"""The work of an op at the graph's ``sizes``; None where a size is missing."""


def shape_of(graph: Graph, op: Op, index: int = 0) -> tuple[int, ...] | None:
    """The shape of an operand at the graph's ``sizes``; None where it is omitted or not known."""
    operand = op.operand(index)
    return None if operand is None else graph.concrete_shape(operand)


def elements(graph: Graph, value: Value | None) -> int | None:
    """How many elements a value has at the graph's ``sizes``; None where that is not known."""
    shape = None if value is None else graph.concrete_shape(value)
    return None if shape is None else prod(shape)


def at_sizes(graph: Graph, op: Op) -> Op:
    """A copy of ``op``, in no graph, whose operands have the graph's ``sizes`` for named dims.

    Pads that depend on a size (``auto_pad`` SAME) have a value there. The op itself where there
    are no named dims.
    """
    operands = tuple(None if v is None else _at_sizes(graph, v) for v in op.operands)
    if operands == op.operands:
        return op
    return Op(op.kind, operands, op.attributes, domain=op.domain, captures=op.captures)


def _at_sizes(graph: Graph, value: Value) -> Value:
    if not any(isinstance(dim, str) for dim in value.shape or ()):
        return value
    shape = graph.concrete_shape(value)
    if shape is None or value.dtype is None:
        return value
    return Value(Op(INPUT, (), {}), 0, TensorType(value.dtype, shape), value.name)
