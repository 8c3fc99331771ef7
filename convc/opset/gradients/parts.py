"""What gradient rules are made of: sizes, parts, and what is kept.

Conventions of all of them:

- a gradient of n elements that is summed into m (a broadcast operand, a shared weight, windows that
  overlap) takes n − m additions: adding to a buffer of zeros is not counted for the first term;
- the sign of a product is free: −a·b is one multiplication, a − b one addition;
- copies take no operations: a gradient that is moved, cut out or filled up with zeros;
- what is computed for one operand and needed for another one, too, is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from math import prod
from types import MappingProxyType
from typing import TypeAlias

from convc.graph import Graph
from convc.ir import Op, Value, is_real
from convc.opset.traffic import VIEWS
from convc.opset.work.counts import Work

NOTHING = Work()


@dataclass(frozen=True, slots=True)
class Gradient:
    """The backward pass of one op.

    Attributes:
        input: work for the gradients of the activations among its operands.
        weight: work for the gradients of its weights.
        bias: work for the gradient of its bias.
        input_macs: MACs among ``input``, in the dense convention.
        weight_macs: MACs among ``weight``, in the dense convention.
        keeps: values of the forward pass (operands or results) that it reads, views resolved.
        keeps_bytes: what it keeps besides: masks, indices, statistics.
    """

    input: Work = NOTHING
    weight: Work = NOTHING
    bias: Work = NOTHING
    input_macs: int = 0
    weight_macs: int = 0
    keeps: tuple[Value, ...] = ()
    keeps_bytes: int = 0

    @property
    def work(self) -> Work:
        """All operations of the backward pass."""
        return self.input + self.weight + self.bias

    @property
    def macs(self) -> int:
        """All MACs of the backward pass."""
        return self.input_macs + self.weight_macs


GradientRule: TypeAlias = Callable[[Graph, Op, frozenset[int]], "Gradient | None"]
"""The backward pass of an op that is asked for the gradients of the operands at these places.

None where a size is missing, and for forms of the op (a reduction, an activation function) whose
gradient is not known.
"""

CountedRule: TypeAlias = Callable[[Graph, Op, frozenset[int]], Gradient]


class NotKnownError(Exception):
    """A size is missing, or the op has a form without a rule."""


def guarded(rule: CountedRule) -> GradientRule:
    """``rule`` as `GradientRule`: None where it raises NotKnownError."""

    @wraps(rule)
    def answer(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient | None:
        try:
            return rule(graph, op, wanted)
        except NotKnownError:
            return None

    return answer


def sizes(graph: Graph, value: Value | None) -> tuple[int, ...]:
    """The shape at the graph's ``sizes``; raises NotKnownError where that is not known."""
    shape = None if value is None else graph.concrete_shape(value)
    if shape is None:
        raise NotKnownError
    return shape


def count(graph: Graph, value: Value | None) -> int:
    """How many elements a value has; raises NotKnownError where that is not known."""
    return prod(sizes(graph, value))


def summed(terms: int, sums: int) -> int:
    """Additions that make ``terms`` numbers into ``sums`` sums of at least one term each."""
    return max(terms - sums, 0)


# -- weights and views -----------------------------------------------------------------------------

WEIGHTS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "Conv": (1,),
        "ConvTranspose": (1,),
        "BatchNormalization": (1,),
        "InstanceNormalization": (1,),
        "LayerNormalization": (1,),
        "GroupNormalization": (1,),
        "PRelu": (1,),
        "RNN": (1, 2),
        "GRU": (1, 2),
        "LSTM": (1, 2, 7),
    }
)
"""Places of the weights, of the kinds whose weights have a place of their own."""

BIASES: Mapping[str, int] = MappingProxyType(
    {
        "Conv": 2,
        "ConvTranspose": 2,
        "Gemm": 2,
        "BatchNormalization": 2,
        "InstanceNormalization": 2,
        "LayerNormalization": 2,
        "GroupNormalization": 2,
        "RNN": 3,
        "GRU": 3,
        "LSTM": 3,
    }
)
"""Place of the bias, of the kinds that have one."""

SUMS = frozenset({"Add", "Sub", "Sum"})

LAYOUT = frozenset({*VIEWS, "Transpose", "Cast", "Slice", "Split", "Concat"}) - {"Dropout"}
"""Kinds through which stored weights stay weights: what exporters cut and join them with."""


def weights_of(value: Value | None) -> tuple[Value, ...]:
    """The stored floating weights that ``value`` is made of; none where it is anything else."""
    found: list[Value] = []
    stack = [value]
    while stack:
        part = stack.pop()
        if part is not None and part.array is not None and is_real(part.dtype):
            found.append(part)
        elif part is None or part.op.domain or part.op.kind not in LAYOUT:
            return ()
        else:
            stack += part.op.operands if part.op.kind == "Concat" else part.op.operands[:1]
    return tuple(dict.fromkeys(found))


def source(value: Value) -> Value:
    """The value whose memory ``value`` is: that at the other end of a chain of views."""
    while value.op.kind in VIEWS and is_view(value.op):
        operand = value.op.operand(0)
        if operand is None or value.index:
            return value
        value = operand
    return value


def is_view(op: Op) -> bool:
    """True when the op is a view in training, too: a Dropout is one only where it drops nothing."""
    if op.domain or op.kind not in VIEWS:
        return False
    return op.kind != "Dropout" or dropout_ratio(op) == 0


def dropout_ratio(op: Op) -> float | None:
    """The share of elements that a Dropout drops in training; None where it varies."""
    ratio = op.operand(1)
    if ratio is not None:
        return None if ratio.array is None else float(ratio.array.reshape(-1)[0])
    value = op.attributes.get("ratio", 0.5)
    return float(value) if isinstance(value, int | float) else None


# -- putting one together --------------------------------------------------------------------------


def gradient(
    op: Op,
    works: Mapping[int, Work],
    *,
    macs: Mapping[int, int] = MappingProxyType({}),
    keeps: Iterable[Value | None] = (),
    keeps_bytes: int = 0,
) -> Gradient:
    """A gradient out of the work for each operand, by place.

    Stored weights among ``keeps`` are left out: they are there in any case.
    """
    parts = {"input": NOTHING, "weight": NOTHING, "bias": NOTHING}
    products = {"input": 0, "weight": 0}
    for place, work in works.items():
        part = part_of(op, place)
        parts[part] = work if parts[part] is NOTHING else parts[part] + work
        if place in macs:
            products[part] += macs[place]
    kept = dict.fromkeys(source(value) for value in keeps if value is not None)
    return Gradient(
        parts["input"],
        parts["weight"],
        parts["bias"],
        products["input"],
        products["weight"],
        tuple(value for value in kept if value.array is None),
        keeps_bytes,
    )


def part_of(op: Op, place: int) -> str:
    """What the operand at ``place`` is: "input", "weight" or "bias"."""
    if BIASES.get(op.kind) == place:
        return "bias"
    if place in WEIGHTS.get(op.kind, ()):
        return "weight"
    if not weights_of(op.operand(place)):
        return "input"
    return "bias" if op.kind in SUMS else "weight"
