"""Which ops keep channels apart: how the channels of their results come from those of operands.

Channels are axis 1. A link is an op through which they can be followed; where an op is none, the
channels it takes are all needed and those it makes are all unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from convc.algebra.channels import Indices
from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Array, Dim, Op, Value, is_real
from convc.opset import constant_ints
from convc.rewrite import NoMatch
from passes import _linear as linears
from passes._linear import Linear

Form = Literal["linear", "depthwise", "pointwise", "spatial", "reshape", "concat", "pick"]

POINTWISE = frozenset(
    {
        *("Abs", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish"),
        *("Identity", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid"),
        *("Sin", "Softplus", "Softsign", "Sqrt", "Tanh"),
        *("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "PRelu"),
    }
)
"""Continuous functions of each position alone: one that jumps (Floor) would have to be evaluated
in the runtime's precision to be known at a constant."""
POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})
REDUCTIONS = frozenset({"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"})
LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")
MOST_CHANNELS = 2**24
"""Channels up to which each is followed for itself."""


@dataclass(frozen=True)
class Link:
    """One op through which channels are followed.

    Attributes:
        op: the op.
        form: how channels pass. ``linear``: each result channel is made of all of the source's
            (of its group); ``pick``: some are chosen; ``reshape``: each becomes ``repeat`` many.
        sources: the operands whose channels are followed.
        results: the results that have channels.
        linear: the weights of a ``linear`` or ``depthwise`` op.
        picks: for each result of a ``pick`` the channels of the source.
        repeat: see ``form``.
    """

    op: Op
    form: Form
    sources: tuple[Value, ...]
    results: tuple[Value, ...]
    linear: Linear | None = None
    picks: tuple[Indices, ...] = ()
    repeat: int = 1

    @property
    def layer(self) -> Linear:
        """The weights; only for an op that has some."""
        assert self.linear is not None
        return self.linear


def channels(value: Value) -> int | None:
    """The size of axis 1 of a floating tensor of rank 2 or more, None where it is not known.

    Nor where there are so many that looking at each would take gigabytes.
    """
    shape = value.shape
    if shape is None or len(shape) < 2 or not is_real(value.dtype):
        return None
    return shape[1] if isinstance(shape[1], int) and 0 < shape[1] <= MOST_CHANNELS else None


def read(graph: Graph, op: Op) -> Link | None:
    """The op as a link, None where channels cannot be followed through it."""
    if op.domain or not op.results or op.captures or channels(op.result) is None:
        return None
    if op.kind in LINEAR:
        return _linear(graph, op)
    if op.kind in POINTWISE:
        return _pointwise(graph, op)
    if op.kind == "Concat":
        return _concat(op)
    source = op.operand(0)
    if source is None or source.array is not None or channels(source) is None:
        return None
    if op.kind == "BatchNormalization":
        return _norm(graph, op, source)
    if op.kind in ("Slice", "Gather", "Split"):
        return _pick(op, source)
    if op.kind in ("Flatten", "Reshape"):
        return _reshape(op, source)
    if _is_spatial(op, source) and channels(op.result) == channels(source):
        return Link(op, "spatial", (source,), (op.result,))
    return None


def _linear(graph: Graph, op: Op) -> Link | None:
    try:
        linear = linears.read(op)
        bias = linears.bias_of(linear)
    except NoMatch:
        return None
    if (linear.kind == "Gemm" and graph.header.opset < 7) or channels(linear.data) is None:
        return None
    if linears.per_channel(bias, linear.out_axis, linear.outputs) is None:
        return None
    assert linear.data.shape is not None
    rank = len(linear.data.shape)
    if not linear.is_conv and (linear.array.ndim != 2 or rank != 2 or linear.in_axis != -1):
        return None
    if linear.kind == "MatMul" and linear.layout != "matmul":
        return None
    if linear.inputs != channels(linear.data) or linear.outputs != channels(op.result):
        return None
    depthwise = op.kind == "Conv" and linear.group == linear.inputs > 1
    form: Form = "depthwise" if depthwise and conv_geometry(op) is not None else "linear"
    return Link(op, form, (linear.data,), (op.result,), linear)


def _pointwise(graph: Graph, op: Op) -> Link | None:
    shape = op.result.shape
    assert shape is not None
    many = len(op.inputs) > 1 and op.kind != "Clip"
    if (many and graph.header.opset < 7) or None in op.inputs[:1]:
        return None
    if op.kind == "Clip" and any(v is not None and v.array is None for v in op.inputs[1:]):
        return None
    sources = [v for v in op.inputs if v is not None and v.array is None]
    aligned = [v.shape for v in sources]
    if any(dims is None or len(dims) > len(shape) for dims in aligned):
        return None
    dims = {v: _lined_up(v.shape or (), len(shape))[1] for v in op.inputs if v is not None}
    if any(size not in (1, shape[1]) for size in dims.values()):
        return None
    followed = [v for v in sources if dims[v] == shape[1]]
    if any(v.shape is None or len(v.shape) != len(shape) for v in followed) or not followed:
        return None
    return Link(op, "pointwise", tuple(dict.fromkeys(followed)), (op.result,))


def _lined_up(dims: Sequence[Dim], rank: int) -> tuple[Dim, ...]:
    return (*(1 for _ in range(rank - len(dims))), *dims)


def _norm(graph: Graph, op: Op, source: Value) -> Link | None:
    if op.attributes.get("training_mode") or any(graph.is_used(v) for v in op.results[1:]):
        return None
    if graph.header.opset < 9 and not op.attributes.get("spatial", 1):
        return None
    if graph.header.opset < 7 and op.attributes.get("is_test") != 1:
        return None
    arrays = [None if v is None else v.array for v in op.inputs[1:5]]
    if any(array is None or array.shape != (channels(source),) for array in arrays):
        return None
    return Link(op, "pointwise", (source,), (op.result,))


def _concat(op: Op) -> Link | None:
    shape, sources = op.result.shape, [v for v in op.inputs if v is not None]
    axis = op.attributes.get("axis")
    if shape is None or not isinstance(axis, int) or None in op.inputs:
        return None
    counts = [channels(v) for v in sources]
    if None in counts or any(v.shape is None or len(v.shape) != len(shape) for v in sources):
        return None
    known = [count for count in counts if count is not None]
    expected = sum(known) if axis % len(shape) == 1 else known[0]
    if shape[1] != expected or (axis % len(shape) != 1 and len(set(known)) > 1):
        return None
    return Link(op, "concat", tuple(v for v in sources if v.array is None), (op.result,))


def _pick(op: Op, source: Value) -> Link | None:
    count, rank = channels(source), len(source.shape or ())
    assert count is not None
    if op.kind == "Slice":
        return _slice(op, source, count, rank)
    axis = op.attributes.get("axis", 0)
    assert isinstance(axis, int)
    if op.kind == "Split":
        if axis % rank != 1 or any(channels(v) is None for v in op.results):
            return None
        sizes = [channels(v) or 0 for v in op.results]
        if sum(sizes) != count:
            return None
        ends = np.cumsum(sizes)
        picks = tuple(np.arange(e - s, e) for s, e in zip(sizes, ends, strict=True))
        return Link(op, "pick", (source,), op.results, picks=picks)
    indices = op.operand(1)
    if indices is None or indices.array is None or indices.array.ndim != 1 or axis % rank != 1:
        return None
    chosen = np.asarray(indices.array, np.intp)
    pick = np.where(chosen < 0, chosen + count, chosen)
    return Link(op, "pick", (source,), (op.result,), picks=(pick,))


def _slice(op: Op, source: Value, count: int, rank: int) -> Link | None:
    starts, ends = constant_ints(op, 1, "starts"), constant_ints(op, 2, "ends")
    if starts is None or ends is None:
        return None
    given = constant_ints(op, 3, "axes")
    if given is None and op.operand(3) is not None:
        return None
    axes = [a % rank for a in (tuple(range(len(starts))) if given is None else given)]
    steps = constant_ints(op, 4, "steps") or (1,) * len(starts)
    if 0 in axes or (op.operand(4) is not None and constant_ints(op, 4, "steps") is None):
        return None
    if 1 not in axes:
        return Link(op, "spatial", (source,), (op.result,))
    if len(axes) > 1:
        return None
    chosen = np.arange(count)[slice(starts[0], ends[0], steps[0])]
    if len(chosen) != channels(op.result):
        return None
    return Link(op, "pick", (source,), (op.result,), picks=(chosen,))


def _reshape(op: Op, source: Value) -> Link | None:
    before, after = source.shape or (), op.result.shape or ()
    if op.kind == "Reshape" and constant_ints(op, 1, "shape") is None:
        return None
    inner = [d for d in before[1:] if isinstance(d, int)]
    if before[0] is None or before[0] != after[0] or len(inner) < len(before) - 1:
        return None
    if len(after) == 2 and after[1] == prod(inner):
        return Link(op, "reshape", (source,), (op.result,), repeat=prod(inner[1:]))
    outer = [d for d in after[1:] if isinstance(d, int)]
    if len(outer) == len(after) - 1 and after[1] == before[1] and prod(outer) == prod(inner):
        return Link(op, "reshape", (source,), (op.result,))
    return None


def _is_spatial(op: Op, source: Value) -> bool:
    """Whether the op treats every channel alike and alone."""
    rank = len(source.shape or ())
    if op.kind in POOLS:
        return len(op.results) == 1
    if op.kind in REDUCTIONS:
        axes = constant_ints(op, 1, "axes")
        return bool(axes) and all(a % rank > 1 for a in axes or ())
    if op.kind in ("Squeeze", "Unsqueeze"):
        axes = constant_ints(op, 1, "axes")
        size = rank if op.kind == "Squeeze" else len(op.result.shape or ())
        return bool(axes) and all(a % size > 1 for a in axes or ())
    if op.kind == "Pad":
        return _pads_space(op, rank)
    return op.kind in ("Resize", "Upsample") and _resizes_space(op, rank)


def _pads_space(op: Op, rank: int) -> bool:
    pads, value = constant_ints(op, 1, "pads"), op.operand(2)
    if pads is None or len(pads) != 2 * rank or op.operand(3) is not None:
        return False
    return pads[1] == pads[rank + 1] == 0 and (value is None or value.array is not None)


def _resizes_space(op: Op, rank: int) -> bool:
    if op.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        return False
    if any(v is not None and v.array is None for v in op.inputs[1:]):
        return False
    axes = op.attributes.get("axes")
    if isinstance(axes, tuple) and {a % rank for a in axes} & {0, 1}:
        return False
    scales = scales_of(op)
    return scales is None or axes is not None or bool(scales[1] == 1)


def scales_of(op: Op) -> Array | None:
    """The scales of a Resize or Upsample, whichever way they are given."""
    attribute = op.attributes.get("scales")
    if isinstance(attribute, tuple):
        return np.asarray(attribute, np.float64)
    operand = op.operand(1 if op.kind == "Upsample" or len(op.inputs) == 2 else 2)
    array = None if operand is None else operand.array
    return None if array is None or not array.size else np.asarray(array, np.float64)
