"""Which ops go backward, for which operands, and what that takes.

Trained are the floating weights in a parameter's place: W and B of Conv and ConvTranspose, constant
factors and the bias of Gemm and MatMul (also one that an Add puts directly behind a MatMul), scale
and shift of normalisations (not the running mean and variance), PRelu's slope, W, R, B and P of
RNN, GRU and LSTM. All other constants are fixed numbers.

The loss is a function of all floating outputs. A value needs a gradient when it depends on a
trained weight and the loss depends on it; so the first layer gives none to its input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from convc.graph import Graph
from convc.ir import CONSTANT, Op, Value, is_real
from convc.opset import Gradient, info
from convc.opset.gradients.parts import BIASES, WEIGHTS, weights_of

FACTORS: Mapping[str, tuple[int, ...]] = {"Gemm": (0, 1), "MatMul": (0, 1)}
"""Places where a constant is a weight and an activation is none."""

UNUSED: Mapping[str, tuple[int, ...]] = {"BatchNormalization": (3, 4)}
"""Places that training does not read: the running statistics."""


@dataclass(frozen=True, slots=True)
class OpBackward:
    """The backward pass of one op.

    Attributes:
        op: the op.
        gradient: what it takes; None: not known.
        wanted: places of the operands whose gradients are wanted.
        received: the results whose gradients arrive.
        kept_bytes: of all that it keeps, shared with other ops or not; None: not known.
        reason: why something is not known; "" where all is.
    """

    op: Op
    gradient: Gradient | None
    wanted: frozenset[int]
    received: tuple[Value, ...]
    kept_bytes: int | None
    reason: str = ""

    @property
    def macs(self) -> int | None:
        """MACs of all its gradients; None: not known."""
        return None if self.gradient is None else self.gradient.macs

    @property
    def given(self) -> Iterator[Value]:
        """The operands whose gradients it computes, one for each use."""
        for place in sorted(self.wanted):
            value = self.op.operands[place]
            if value is not None:
                yield value

    def as_json(self) -> dict[str, Any]:
        """What `--backward` adds to the entry of an op in ``--json``."""
        found = self.gradient
        return {
            "backward_macs": None if found is None else found.macs,
            "input_gradient_macs": None if found is None else found.input_macs,
            "weight_gradient_macs": None if found is None else found.weight_macs,
            "bias_gradient_additions": None if found is None else found.bias.additions,
            "backward_operations": None if found is None else found.work.operations,
            "kept_bytes": self.kept_bytes,
            "backward_unknown": self.reason or None,
        }


def backward(graph: Graph) -> dict[Op, OpBackward]:
    """The ops that go backward, in the order of the forward pass; the others are left out."""
    ops = [op for op in graph.ops() if op.domain or not (op.is_boundary or op.kind == CONSTANT)]
    dependent: set[Value] = set(trained(graph))
    for op in ops:
        if any(value in dependent for value in op.operands):
            dependent.update(value for value in op.results if may_be_real(value))
    flowing = dependent.intersection(graph.outputs)
    found: dict[Op, OpBackward] = {}
    for op in reversed(ops):
        received = tuple(value for value in op.results if value in flowing)
        wanted = {i for i, v in enumerate(op.operands) if v in dependent} if received else set()
        wanted.difference_update(UNUSED.get(op.kind, ()))
        if wanted:
            found[op] = _backward(graph, op, frozenset(wanted), received)
            flowing.update(found[op].given)
    return dict(reversed(found.items()))


def trained(graph: Graph) -> dict[Value, None]:
    """The weights in a parameter's place, in the order of their first use."""
    values = (op.operand(place) for op in graph.ops() for place in _places(op))
    return dict.fromkeys(weight for value in values for weight in weights_of(value))


def contributions(graph: Graph, found: Mapping[Op, OpBackward]) -> Counter[Value]:
    """How many gradients are added up for each value, the loss's own of an output among them."""
    uses = Counter(value for step in found.values() for value in step.given)
    received = {value for step in found.values() for value in step.received}
    uses.update(value for value in set(graph.outputs) if value in received)
    return uses


def may_be_real(value: Value) -> bool:
    """True unless the value is known to be of integers, booleans, strings or the like."""
    return value.dtype is None or is_real(value.dtype)


def _places(op: Op) -> tuple[int, ...]:
    """Places of the operands of ``op`` that are trained where they are constant."""
    if op.domain:
        return ()
    if op.kind == "Add":
        return tuple(1 - i for i in (0, 1) if _is_product_with_weight(op.operand(i)))
    bias = (BIASES[op.kind],) if op.kind in BIASES else ()
    return (*WEIGHTS.get(op.kind, ()), *FACTORS.get(op.kind, ()), *bias)


def _is_product_with_weight(value: Value | None) -> bool:
    if value is None or value.op.kind != "MatMul" or value.op.domain:
        return False
    return any(weights_of(operand) for operand in value.op.operands)


def _backward(
    graph: Graph, op: Op, wanted: frozenset[int], received: tuple[Value, ...]
) -> OpBackward:
    known = info(op)
    if known is None or known.gradient is None:
        kind = f"{op.domain}.{op.kind}" if op.domain else op.kind
        reason = f"no gradient rule for {kind}"
        return OpBackward(op, None, wanted, received, None, reason)
    gradient = known.gradient(graph, op, wanted)
    if gradient is None:
        return OpBackward(op, None, wanted, received, None, _why(graph, op))
    kept = gradient.keeps_bytes
    for value in gradient.keeps:
        size = graph.nbytes(value)
        if size is None:
            reason = f"the size of {value.name!r}, which is kept, is not known"
            return OpBackward(op, gradient, wanted, received, None, reason)
        kept += size
    return OpBackward(op, gradient, wanted, received, kept)


def _why(graph: Graph, op: Op) -> str:
    for value in (*op.operands, *op.results):
        if value is not None and graph.concrete_shape(value) is None:
            return f"the size of {value.name or 'a value'!r} is not known"
    return f"this form of {op.kind} has no gradient rule"
