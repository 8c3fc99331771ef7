"""Ops that do nothing: ``y = op(x)`` with ``y = x`` for every ``x``; ``x`` takes ``y``'s place.

The condition of each rule is that dtype, shape and every element stay. Signs of zeros may change
(``x + 0`` is ``+0`` for ``x = −0``), and so may an infinity that a Clip without bounds would hold
to the largest finite number; ``0 · x`` is not ``0`` (x may be NaN) and stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convc.conv import ints
from convc.graph import Graph
from convc.ir import Array, Dim, Op, Value
from convc.opset import constant_ints
from convc.reference import widen
from convc.rewrite import Exactness, NoMatch, Replacement, Rewrite
from passes.simplify.common import constant_of, data_of, fed, forward, made_by, shape_of

TO_THE_END = 2**31 - 1
"""A Slice that ends here or beyond takes all: what exporters write for "to the end"."""

NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1, "Pow": 1}
COMMUTATIVE = frozenset({"Add", "Mul"})
NONNEGATIVE = frozenset(
    {"Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt"}
)


def drop_identity(graph: Graph, op: Op) -> Rewrite:
    """Identity; Concat, Sum, Max, Min, Mean or Split with one operand and one result."""
    if len(op.inputs) > 1 or (op.kind == "Split" and len(op.results) > 1):
        raise NoMatch
    return forward(graph, op, data_of(op))


def drop_dropout(graph: Graph, op: Op) -> Rewrite:
    """Dropout in inference form."""
    if graph.header.opset < 7 and not op.attributes.get("is_test"):
        raise NoMatch("Dropout: in training form")
    mode = op.operand(2)
    if mode is not None and (mode.array is None or bool(mode.array.any())):
        raise NoMatch("Dropout: in training form")
    return forward(graph, op, data_of(op))


def drop_batch_norm(graph: Graph, op: Op) -> Rewrite:
    """BatchNormalization, in inference form, with factor 1 (as stored) and shift 0."""
    training = op.attributes.get("training_mode", 0)
    if graph.header.opset < 7:
        training = not op.attributes.get("is_test")
    if training or op.attributes.get("spatial", 1) != 1:
        raise NoMatch("BatchNormalization: in training form, or not per channel")
    arrays = [value.array for value in op.operands[1:5] if value is not None]
    known = [np.asarray(widen(array)) for array in arrays if array is not None]
    if len(known) != 4:
        raise NoMatch
    scale, bias, mean, variance = known
    if scale.size == 0 or bias.any() or mean.any() or op.result.dtype is None:
        raise NoMatch
    epsilon = op.attributes.get("epsilon", 1e-5)
    assert isinstance(epsilon, float)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + np.float64(np.float32(epsilon)))
    if not (factor.astype(op.result.dtype) == 1).all():
        raise NoMatch
    error = float(np.abs(factor - 1).max())
    proposal = forward(graph, op, data_of(op))
    if not error:
        return proposal
    built = Replacement(graph)
    return built.rewrite(
        {op.result: built.take(data_of(op))},
        Exactness.ROUNDING,
        note=proposal.note,
        bound=error,
    )


def drop_pad(graph: Graph, op: Op) -> Rewrite:
    """Pad by nothing."""
    if any(constant_of(op, 1, "pads")):
        raise NoMatch
    return forward(graph, op, data_of(op))


def drop_slice(graph: Graph, op: Op) -> Rewrite:
    """Slice that takes every axis whole."""
    data = data_of(op)
    starts, ends = constant_of(op, 1, "starts"), constant_of(op, 2, "ends")
    axes = constant_ints(op, 3, "axes")
    steps = constant_ints(op, 4, "steps")
    if (axes is None and op.operand(3)) or (steps is None and op.operand(4)):
        raise NoMatch
    shape = data.shape
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axes[place] if axes else place
        if shape is not None and not -len(shape) <= axis < len(shape):
            raise NoMatch
        dim = None if shape is None else shape[axis]
        if (steps and steps[place] != 1) or not _takes_all(dim, start, end):
            raise NoMatch
    return forward(graph, op, data)


def _takes_all(dim: Dim, start: int, end: int) -> bool:
    if isinstance(dim, int):
        return (start == 0 or start <= -dim) and end >= dim
    return start == 0 and end >= TO_THE_END


def drop_reshape(graph: Graph, op: Op) -> Rewrite:
    """Reshape to the shape that the operand has.

    One entry may be −1: with the others kept, what is left is the size that was there.
    """
    data, target = data_of(op), data_of(op, 1)
    if target.op.kind == "Shape" and not target.op.domain and target.op.operand(0) is data:
        whole = not target.op.attributes.get("start") and "end" not in target.op.attributes
        if whole and not op.attributes.get("allowzero"):
            return forward(graph, op, data)
    sizes, shape = constant_of(op, 1, "shape"), shape_of(data)
    if len(sizes) != len(shape):
        raise NoMatch
    copies = not op.attributes.get("allowzero")
    kept = [s == d or (s == 0 and copies) for s, d in zip(sizes, shape, strict=True)]
    open_axes = [axis for axis, keep in enumerate(kept) if not keep]
    if len(open_axes) > 1 or any(sizes[axis] != -1 for axis in open_axes):
        raise NoMatch
    return forward(graph, op, data)


def drop_transpose(graph: Graph, op: Op) -> Rewrite:
    """Transpose that leaves every axis where it is."""
    order = op.attributes.get("perm")
    rank = len(order) if isinstance(order, tuple) else len(shape_of(data_of(op)))
    if order != tuple(range(rank)) and rank > 1:
        raise NoMatch
    return forward(graph, op, data_of(op))


def drop_cast(graph: Graph, op: Op) -> Rewrite:
    """Cast to the dtype that the operand has."""
    data = data_of(op)
    if data.dtype is None or data.dtype != op.result.dtype:
        raise NoMatch
    return forward(graph, op, data)


def drop_expand(graph: Graph, op: Op) -> Rewrite:
    """Expand to a shape that the operand has, and Tile by ones."""
    data, sizes = data_of(op), constant_of(op, 1, "")
    if op.kind == "Tile":
        if any(size != 1 for size in sizes):
            raise NoMatch
        return forward(graph, op, data)
    shape = shape_of(data)
    if len(sizes) > len(shape):
        raise NoMatch
    dims = shape[len(shape) - len(sizes) :]
    if any(size not in (1, dim) for size, dim in zip(sizes, dims, strict=True)):
        raise NoMatch
    return forward(graph, op, data)


def drop_neutral(graph: Graph, op: Op) -> Rewrite:
    """``x + 0``, ``x − 0``, ``x · 1``, ``x / 1``, ``x ** 1`` where the constant widens nothing."""
    neutral = NEUTRAL[op.kind]
    a, b = data_of(op), data_of(op, 1)
    if b.array is not None and _is_all(b.array, neutral) and _keeps_shape(graph, a, b.array):
        return forward(graph, op, a, note=f"{op.kind} by {neutral}: did nothing")
    if op.kind not in COMMUTATIVE or graph.header.opset < 7:
        raise NoMatch
    if a.array is None or not _is_all(a.array, neutral) or not _keeps_shape(graph, b, a.array):
        raise NoMatch
    return forward(graph, op, b, note=f"{op.kind} by {neutral}: did nothing")


def _is_all(array: Array, number: int) -> bool:
    if array.dtype.kind in "OSU" or not array.size:
        return False
    return bool(array.flat[0] == number) and bool((array == number).all())


def _keeps_shape(graph: Graph, data: Value, constant: Array) -> bool:
    # Before opset 7 the result always has the shape of the first operand.
    if graph.header.opset < 7 or not constant.ndim:
        return True
    if data.shape is None or constant.ndim > len(data.shape):
        return False
    dims = data.shape[len(data.shape) - constant.ndim :]
    return all(size in (1, dim) for size, dim in zip(constant.shape, dims, strict=True))


def drop_pool(graph: Graph, op: Op) -> Rewrite:
    """AveragePool or MaxPool with a 1×1 window, stride 1 and no pads."""
    kernel = ints(op, "kernel_shape", ())
    if not kernel or set(kernel) != {1} or set(ints(op, "strides", (1,))) != {1}:
        raise NoMatch
    if any(ints(op, "pads", ())):
        raise NoMatch
    return forward(graph, op, data_of(op))


def drop_relu(graph: Graph, op: Op) -> Rewrite:
    """Relu of what is never negative."""
    data = data_of(op)
    if not is_nonnegative(graph, data):
        raise NoMatch
    note = f"Relu of {data.op.kind}: did nothing"
    return forward(graph, op, data, note, fed(data.op))


def is_nonnegative(graph: Graph, value: Value) -> bool:
    """True where every element is known to be at least 0 (or NaN), by the op that makes it."""
    maker = value.op
    if maker.domain:
        return False
    if maker.kind == "Clip":
        low = _bound_of(graph, maker, 1, "min")
        return low is not None and bool(low >= 0)
    return maker.kind in NONNEGATIVE


def drop_clip(graph: Graph, op: Op) -> Rewrite:
    """Clip without bounds, or with bounds that no finite number exceeds."""
    data = data_of(op)
    dtype = data.dtype
    low, high = _bound_of(graph, op, 1, "min"), _bound_of(graph, op, 2, "max")
    given = (op.operand(1), op.operand(2))
    if any(
        value is not None and bound is None for value, bound in zip(given, (low, high), strict=True)
    ):
        raise NoMatch
    if low is None and high is None:
        return forward(graph, op, data)
    if dtype is None:
        raise NoMatch
    least, most = _range_of(dtype)
    if (low is not None and not low <= least) or (high is not None and not high >= most):
        raise NoMatch
    return forward(graph, op, data)


def _bound_of(graph: Graph, op: Op, index: int, name: str) -> float | int | None:
    if graph.header.opset < 11:
        bound = op.attributes.get(name)
        return bound if isinstance(bound, (int, float)) else None
    operand = op.operand(index)
    if operand is None or operand.array is None or operand.array.size != 1:
        return None
    number: float | int = widen(operand.array).reshape(-1)[0].item()
    return number


def _range_of(dtype: np.dtype[Any]) -> tuple[float | int, float | int]:
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if dtype.name not in ("float16", "float32", "float64"):
        return -np.inf, np.inf
    limits = np.finfo(dtype)
    return float(limits.min), float(limits.max)


def drop_flatten(graph: Graph, op: Op) -> Rewrite:
    """Flatten of a matrix into itself."""
    data = data_of(op)
    if len(shape_of(data)) != 2 or op.attributes.get("axis", 1) not in (1, -1):
        raise NoMatch
    return forward(graph, op, data)


def drop_squeezed(graph: Graph, op: Op) -> Rewrite:
    """Squeeze of the axes that an Unsqueeze just made, and the other way round."""
    inner = made_by(data_of(op), "Unsqueeze" if op.kind == "Squeeze" else "Squeeze")
    wide = op.operand(0) if op.kind == "Squeeze" else op.result
    assert wide is not None
    source = data_of(inner)
    if _axes(op, wide, data_of(op)) != _axes(inner, wide, source):
        raise NoMatch
    return forward(graph, op, source, note=f"{op.kind} of {inner.kind}: dropped both")


def _axes(op: Op, wide: Value, squeezed: Value) -> set[int]:
    """The axes counted from the front, of the value that has them."""
    axes = constant_ints(op, 1, "axes")
    if axes is None:
        shape = squeezed.shape
        static = shape is not None and all(isinstance(d, int) for d in shape)
        if op.kind != "Squeeze" or op.operand(1) is not None or not static or shape is None:
            raise NoMatch
        return {axis for axis, dim in enumerate(shape) if dim == 1}
    if min(axes, default=0) >= 0:
        return set(axes)
    rank = len(shape_of(wide))
    return {axis % rank for axis in axes}
