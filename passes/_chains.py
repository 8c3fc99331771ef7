"""Chains of linear ops: which value feeds which op, through ops that change nothing.

The value between two ops that become one must have no other use, or both would have to stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Dim, Op, Value, is_real
from convc.rewrite import NoMatch

LARGEST = 2**28
"""Elements of a composed weight beyond which no fusion is proposed: 1 GiB in float32."""


def operand(op: Op, index: int = 0) -> Value:
    """An operand that has to be there; declines without a reason where it is not."""
    value = op.operand(index)
    if value is None:
        raise NoMatch
    return value


def trace(graph: Graph, value: Value) -> list[Value]:
    """``value`` and what it is a mere copy of, back to where it is made."""
    path = [value]
    while _is_copy(graph, path[-1]):
        path.append(operand(path[-1].op))
    return path


def require_alone(graph: Graph, path: Sequence[Value]) -> None:
    """Declines where a value of ``path`` has more users than the chain itself."""
    for value in path:
        users = [user for user, _ in graph.uses(value)]
        if graph.output in users:
            raise NoMatch("the value between is a graph output")
        if len(users) != 1:
            raise NoMatch("the value between has other users")


def constant(value: Value | None, what: str = "the weights") -> Array:
    """A constant of floating dtype, gathers of a constant included; declines otherwise."""
    if value is None:
        raise NoMatch
    array = known(value)
    if array is None:
        raise NoMatch(f"{what} are not constant")
    if not is_real(array.dtype):
        raise NoMatch(f"{what} are not floating point")
    return array


def known(value: Value) -> Array | None:
    """The array of a constant or of a Gather of constants, else None."""
    picks: list[tuple[Array, int]] = []
    while value.op.kind == "Gather" and not value.op.domain:
        indices, axis = operand(value.op, 1).array, value.op.attributes.get("axis", 0)
        if indices is None or not isinstance(axis, int):
            return None
        picks.append((indices, axis))
        value = operand(value.op)
    array = value.array
    for indices, axis in reversed(picks):
        array = None if array is None else np.take(array, indices, axis)
    return array


def added(graph: Graph, op: Op) -> tuple[Value, Array] | None:
    """What an Add adds a constant to, and the constant; None for any other op.

    Before opset 7 an Add broadcasts by attributes: none is looked at.
    """
    if op.kind != "Add" or op.domain or graph.header.opset < 7:
        return None
    for data, other in (op.operands, op.operands[::-1]):
        if data is None or other is None:
            return None
        array = known(other)
        if array is not None and data.array is None:
            return data, array
    return None


def sizes(dims: Sequence[Dim] | None, rank: int) -> tuple[int | None, ...]:
    """The spatial sizes of a value (N, C, *size); None for one that varies."""
    if dims is None or len(dims) != rank + 2:
        return (None,) * rank
    return tuple(d if isinstance(d, int) else None for d in dims[2:])


def fixed(dims: Sequence[int | None]) -> tuple[int, ...] | None:
    """``dims`` if every one of them is known, else None."""
    whole = tuple(d for d in dims if d is not None)
    return whole if len(whole) == len(dims) else None


def require_small(elements: int) -> None:
    """Declines a weight of more than `LARGEST` elements, before it is computed."""
    if elements > LARGEST:
        raise NoMatch("the composed weights would be too large")


def storable(array: Array, like: Value) -> Array:
    """``array``, which is to be stored in the dtype of ``like``; declines where it overflows."""
    assert like.dtype is not None
    with np.errstate(over="ignore", invalid="ignore"):
        whole = bool(np.isfinite(array.astype(like.dtype)).all())
    if not whole:
        raise NoMatch(f"the composed weights overflow {like.dtype.name}")
    return array


def _is_copy(graph: Graph, value: Value) -> bool:
    op = value.op
    if op.domain or value.index != 0:
        return False
    match op.kind:
        case "Identity":
            return True
        case "Cast":
            return value.dtype is not None and value.dtype == operand(op).dtype
        case "Dropout":
            return _is_inference(graph, op) and not any(graph.is_used(v) for v in op.results[1:])
        case "Reshape" | "Flatten":
            shape = value.shape
            return shape is not None and None not in shape and shape == operand(op).shape
    return False


def _is_inference(graph: Graph, op: Op) -> bool:
    if graph.header.opset < 7:
        return bool(op.attributes.get("is_test", 0))
    training = op.operand(2)
    return training is None or (training.array is not None and not training.array.any())
