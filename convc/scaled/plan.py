"""What `convc.scaled.ties` finds out: the dims of all values, and what of the ops has to follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from convc.concrete import Fact
from convc.ir import Array, Op, Value, is_real
from convc.scaled.sizes import ONE, Sum, fix, number, numbers, size_of, unknown

Dims: TypeAlias = tuple[Sum, ...]


@dataclass
class Plan:
    """Filled op by op, read once all ops were seen.

    Attributes:
        facts: what is known of the network as it is.
        factor: by which free output channels are scaled.
        dims: of each value; None where not even the rank is known.
        weights: shape of the constant that takes the place of an operand.
        values: integers of the constant that takes the place of an operand that says sizes.
        ranges: first place and number of the neighbours that an operand picks out.
        attributes: integers of an attribute.
        kernels: the dims of weights, which hold wherever the same array is used.
    """

    facts: Mapping[Value, Fact]
    factor: Fraction = ONE
    dims: dict[Value, Dims | None] = field(default_factory=dict)
    weights: dict[tuple[Op, int], Dims] = field(default_factory=dict)
    values: dict[tuple[Op, int], tuple[Sum, ...]] = field(default_factory=dict)
    ranges: dict[tuple[Op, int], tuple[Sum, Sum]] = field(default_factory=dict)
    attributes: dict[tuple[Op, str], tuple[Sum, ...]] = field(default_factory=dict)
    kernels: dict[Value, Dims] = field(default_factory=dict)

    def forget(self, op: Op) -> None:
        """Leaves the op as it is: its weights, the sizes it says and all that these are tied to."""
        for index in range(len(op.operands)):
            fix(*self.weights.pop((op, index), ()))
            self.values.pop((op, index), None)
            self.ranges.pop((op, index), None)
        for name in ("group", *op.attributes):
            self.attributes.pop((op, name), None)
        for value in op.operands:
            if value is not None:
                fix(*(self.dims.get(value) or ()))

    def as_is(self, op: Op) -> list[Dims | None]:
        """The dims of its results at present, fixed."""
        shapes = [self.facts[value].shape for value in op.results]
        return [None if shape is None else numbers(shape) for shape in shapes]


@dataclass(frozen=True)
class Site:
    """One op and what the rules ask of it.

    Attributes:
        plan: what is known so far.
        op: the op.
        opset: of the default operators.
    """

    plan: Plan
    op: Op
    opset: int

    def has(self, index: int) -> bool:
        """Whether the operand is given."""
        return self.op.operand(index) is not None

    def dims(self, index: int) -> Dims:
        """The dims of an operand; raises KeyError if not known.

        Those of a constant follow the others where it holds weights, and are fixed otherwise.
        """
        value = self.op.operand(index)
        if value is not None and value.array is not None and is_real(value.dtype):
            return self.joined(index)
        dims = None if value is None else self.plan.dims[value]
        if dims is None:
            raise KeyError(f"operand {index} has no known shape")
        return dims

    def shape(self, index: int) -> tuple[int, ...]:
        """The present shape of an operand."""
        return tuple(map(size_of, self.dims(index)))

    def result(self, index: int = 0) -> tuple[int, ...]:
        """The present shape of a result."""
        shape = self.plan.facts[self.op.results[index]].shape
        if shape is None:
            raise KeyError(f"result {index} has no known shape")
        return shape

    def array(self, index: int) -> Array | None:
        """The present value of an operand, also where the network computes it from sizes."""
        value = self.op.operand(index)
        return None if value is None else self.plan.facts[value].array

    def ints(self, index: int, attribute: str) -> tuple[int, ...] | None:
        """Integers by attribute, as in older opsets, or by operand; None where neither is given."""
        said = self.op.attributes.get(attribute)
        if isinstance(said, tuple):
            return said
        array = self.array(index)
        if array is None:
            if self.has(index):
                raise KeyError(f"{attribute} depends on the data")
            return None
        return tuple(int(i) for i in array.reshape(-1))

    def say(self, index: int, attribute: str, dims: tuple[Sum, ...]) -> None:
        """Has integers follow dims, where they are attribute or operand."""
        if attribute in self.op.attributes:
            self.plan.attributes[self.op, attribute] = dims
        else:
            self.plan.values[self.op, index] = dims

    def follower(self, index: int) -> Dims:
        """The dims of an operand that follows the others where it is a constant.

        Those of size 1 stay, as they broadcast.
        """
        value = self.op.operand(index)
        if value is None or value.array is None:
            return self.dims(index)
        dims = tuple(number(n) if n == 1 else unknown(n) for n in value.array.shape)
        self.plan.weights[self.op, index] = dims
        return dims

    def joined(self, index: int) -> Dims:
        """As `follower`, for an operand that does not broadcast."""
        value = self.op.operand(index)
        if value is None or value.array is None:
            return self.dims(index)
        if (self.op, index) in self.plan.weights:
            return self.plan.weights[self.op, index]
        dims = tuple(map(unknown, value.array.shape))
        self.plan.weights[self.op, index] = dims
        return dims

    def kernel(self, index: int, source: int, target: int) -> Dims:
        """The dims of weights that map axis ``source`` to axis ``target``; all others are fixed.

        One array used twice has the same dims in both places.
        """
        value = self.op.operand(index)
        if value is None or value.array is None:
            return self.dims(index)
        if value not in self.plan.kernels:
            dims = list(numbers(value.array.shape))
            if self.plan.factor != ONE:
                dims[source] = unknown(value.array.shape[source])
                dims[target] = unknown(value.array.shape[target], self.plan.factor)
            self.plan.kernels[value] = tuple(dims)
        self.plan.weights[self.op, index] = self.plan.kernels[value]
        return self.plan.kernels[value]


def per_axis(values: Sequence[int] | None, axes: Sequence[int], rank: int) -> dict[int, int]:
    """Values by axis counted from the front."""
    return {axis % rank: value for axis, value in zip(axes, values or (), strict=True)}
