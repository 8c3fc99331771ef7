"""One op of a region, and what the rules read of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convc.graph import Graph
from convc.ir import Op, Value
from convc.opset import constant_ints
from convc.rounding.state import UNIT_ROUNDOFF, NoBoundError, Sizes, State

States = Sequence[State | None]
"""Of the operands; None for those that are no real numbers, or omitted."""


@dataclass(frozen=True, slots=True)
class Step:
    """One op, and what its rule needs to know; ``cut``: sums are cut as `runs` has it."""

    graph: Graph
    op: Op
    states: States
    cut: bool

    @property
    def unit(self) -> float:
        """Unit roundoff of the op's result."""
        values = (self.op.result, *(v for v in self.op.operands if v is not None))
        for value in values:
            if value.dtype is not None and value.dtype.name in UNIT_ROUNDOFF:
                return UNIT_ROUNDOFF[value.dtype.name]
        raise NoBoundError(f"{self.op.kind}: its element type is not known")

    @property
    def shape(self) -> Sizes:
        """Shape of the first result."""
        return shape_of(self.graph, self.op.result)

    @property
    def data(self) -> State:
        """The first operand."""
        return self.state(0)

    def state(self, index: int) -> State:
        """An operand that has to be there."""
        state = self.states[index] if index < len(self.states) else None
        if state is None:
            raise NoBoundError(f"{self.op.kind}: an operand is missing, or no real number")
        return state

    def ints(self, index: int, name: str) -> tuple[int, ...] | None:
        """Integers from a constant operand, or from the attribute of older opsets."""
        return constant_ints(self.op, index, name)


Rule = Callable[[Step], Sequence[State]]


def shape_of(graph: Graph, value: Value) -> Sizes:
    """The shape of a value, open dims at the graph's sizes."""
    if value.shape is None:
        raise NoBoundError(f"{value.op.kind}: the rank of its result is not known")
    return tuple(graph.sizes.get(dim) if isinstance(dim, str) else dim for dim in value.shape)
