"""Work of the kinds that make one number of many: reductions, softmax, normalisations, sums.

With n elements to each number, a sum takes n − 1 additions and a maximum n − 1 comparisons; of
none, nothing. Formulas are those of the ONNX operator specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod
from types import MappingProxyType

from convc.graph import Graph
from convc.ir import Op
from convc.opset.work.counts import Work, WorkRule, elements, shape_of

NOTHING = Work()
ADD = Work(additions=1)
SQUARE = Work(multiplications=1)
COMPARE = Work(comparisons=1)
FUNCTION = Work(functions=1)

PER_AXIS_OPSET = 13
"""From here on Softmax and its kin work along one axis, before over all axes from one on."""


def _sum(groups: int, size: int) -> int:
    """Additions (or comparisons) that reduce ``groups`` times ``size`` elements to one each."""
    return groups * max(0, size - 1)


def _reduce(
    graph: Graph, op: Op, *, combine: Work, before: Work = NOTHING, after: Work = NOTHING
) -> Work | None:
    """``before`` per element, ``combine`` where two become one, ``after`` per result.

    Which axes are reduced follows from the sizes: what is not left was combined.
    """
    count, left = elements(graph, op.operand(0)), elements(graph, op.result)
    if count is None or left is None:
        return None
    return before.times(count) + combine.times(max(0, count - left)) + after.times(left)


def _reduce_mean(graph: Graph, op: Op) -> Work | None:
    divided = not (op.attributes.get("noop_with_empty_axes") and _no_axes(op))
    return _reduce(graph, op, combine=Work(additions=1), after=Work(divisions=int(divided)))


def _no_axes(op: Op) -> bool:
    axes = op.operand(1)
    return "axes" not in op.attributes and (axes is None or axes.shape == (0,))


def _softmax_groups(graph: Graph, op: Op) -> tuple[int, int] | None:
    """(lines, elements of each)."""
    shape = shape_of(graph, op)
    if shape is None:
        return None
    if graph.header.opset < PER_AXIS_OPSET:
        axis = _axis(op, 1, len(shape))
        return prod(shape[:axis]), prod(shape[axis:])
    axis = _axis(op, -1, len(shape))
    return None if axis >= max(len(shape), 1) else _lines(shape, axis)


def _axis(op: Op, default: int, rank: int) -> int:
    axis = op.attributes.get("axis", default)
    axis = axis if isinstance(axis, int) else default
    return axis + rank if axis < 0 else axis


def _lines(shape: tuple[int, ...], axis: int) -> tuple[int, int]:
    """(lines along an axis, elements of each); a scalar is one line of one."""
    size = shape[axis] if shape else 1
    return prod(shape[:axis]) * prod(shape[axis + 1 :]), size


def _softmax(graph: Graph, op: Op) -> Work | None:
    """The maximum, subtracted; exp; the sum; and the quotients, or for the logarithm log, minus."""
    groups = _softmax_groups(graph, op)
    if groups is None:
        return None
    lines, size = groups
    count = lines * size
    work = Work(additions=count + _sum(*groups), comparisons=_sum(*groups), functions=count)
    if op.kind == "Softmax":
        return work + Work(divisions=count)
    return work + Work(additions=count, functions=lines * bool(size))


def _hardmax(graph: Graph, op: Op) -> Work | None:
    groups = _softmax_groups(graph, op)
    return None if groups is None else Work(comparisons=_sum(*groups))


def _normalised(groups: int, size: int, *, scale: bool, shift: bool, centred: bool = True) -> Work:
    """``(x − μ) · 1/√(σ² + ε)`` over groups, then scale and shift per element.

    μ and σ² are a sum and a quotient each; ε one addition, the root and its inverse one each.
    Without ``centred`` the mean square takes the place of the variance.
    """
    if not size:
        return Work()
    count = groups * size
    mean = Work(additions=_sum(groups, size), divisions=groups)
    square = Work(multiplications=count) + mean
    inverse = Work(additions=1, divisions=1, functions=1).times(groups)
    work = square + inverse + Work(multiplications=count)
    if centred:
        work += mean + Work(additions=count)
    return work + Work(multiplications=count * scale, additions=count * shift)


def _instance_norm(graph: Graph, op: Op) -> Work | None:
    shape = shape_of(graph, op)
    if shape is None:
        return None
    return _normalised(prod(shape[:2]), prod(shape[2:]), scale=True, shift=True)


def _group_norm(graph: Graph, op: Op) -> Work | None:
    shape, groups = shape_of(graph, op), op.attributes.get("num_groups")
    if shape is None or not isinstance(groups, int) or groups < 1:
        return None
    return _normalised(
        shape[0] * groups, shape[1] // groups * prod(shape[2:]), scale=True, shift=True
    )


def _layer_norm(graph: Graph, op: Op) -> Work | None:
    shape = shape_of(graph, op)
    if shape is None:
        return None
    axis = _axis(op, -1, len(shape))
    return _normalised(
        prod(shape[:axis]),
        prod(shape[axis:]),
        scale=True,
        shift=op.operand(2) is not None,
        centred=op.kind == "LayerNormalization",
    )


def _mean_variance(graph: Graph, op: Op) -> Work | None:
    shape, axes = shape_of(graph, op), op.attributes.get("axes", (0, 2, 3))
    if shape is None or not isinstance(axes, tuple):
        return None
    size = prod(shape[axis] for axis in {a % len(shape) for a in axes})
    return _normalised(prod(shape) // size if size else 0, size, scale=False, shift=False)


def _lp_norm(graph: Graph, op: Op) -> Work | None:
    """``x / (Σ|x|^p)^(1/p)`` along an axis, p 1 or 2."""
    shape = shape_of(graph, op)
    if shape is None:
        return None
    lines, size = _lines(shape, _axis(op, -1, len(shape)))
    work = Work(additions=_sum(lines, size), divisions=lines * size)
    if op.attributes.get("p", 2) == 1:
        return work + Work(comparisons=lines * size)
    return work + Work(multiplications=lines * size, functions=lines * bool(size))


def _local_response(graph: Graph, op: Op) -> Work | None:
    """``x / (bias + α/size · Σx²)^β``, the squares of the neighbour channels that exist.

    Each element is squared once.
    """
    shape, size = shape_of(graph, op), op.attributes.get("size")
    if shape is None or not isinstance(size, int):
        return None
    channels, outer = shape[1], shape[0] * prod(shape[2:])
    before, after = (size - 1) // 2, size // 2
    terms = sum(min(channels - 1, c + after) - max(0, c - before) + 1 for c in range(channels))
    count = outer * channels
    sums = Work(additions=outer * (terms - channels))
    return sums + Work(multiplications=2, additions=1, divisions=1, functions=1).times(count)


def _cumulative(graph: Graph, op: Op) -> Work | None:
    """Each partial sum from the last: n − 1 additions a line, one less where exclusive."""
    shape, axis = shape_of(graph, op), op.operand(1)
    if shape is None or axis is None or axis.array is None:
        return None
    lines, size = _lines(shape, int(axis.array.reshape(-1)[0]) % max(1, len(shape)))
    exclusive = bool(op.attributes.get("exclusive"))
    return Work(additions=_sum(lines, size - exclusive))


def _top(graph: Graph, op: Op) -> Work | None:
    """A maximum for k = 1, else a heap of the k best: at most one comparison per level each."""
    shape, result = shape_of(graph, op), graph.concrete_shape(op.result)
    if shape is None or result is None:
        return None
    axis = _axis(op, -1, len(shape))
    lines, size = _lines(shape, axis)
    kept = result[axis] if result else 1
    if kept == 1:
        return Work(comparisons=_sum(lines, size))
    return Work(comparisons=lines * size * kept.bit_length() if kept else 0)


def _reduction(combine: Work, before: Work = NOTHING, after: Work = NOTHING) -> WorkRule:
    return partial(_reduce, combine=combine, before=before, after=after)


REDUCTIONS: Mapping[str, WorkRule] = MappingProxyType(
    {
        "ArgMax": _reduction(COMPARE),
        "ArgMin": _reduction(COMPARE),
        "CumSum": _cumulative,
        "GroupNormalization": _group_norm,
        "Hardmax": _hardmax,
        "InstanceNormalization": _instance_norm,
        "LRN": _local_response,
        "LayerNormalization": _layer_norm,
        "LogSoftmax": _softmax,
        "LpNormalization": _lp_norm,
        "MeanVarianceNormalization": _mean_variance,
        "RMSNormalization": _layer_norm,
        "ReduceL1": _reduction(ADD, before=COMPARE),
        "ReduceL2": _reduction(ADD, before=SQUARE, after=FUNCTION),
        "ReduceLogSum": _reduction(ADD, after=FUNCTION),
        # The maximum is found, subtracted, and added to the logarithm.
        "ReduceLogSumExp": _reduction(ADD + COMPARE, before=ADD + FUNCTION, after=ADD + FUNCTION),
        "ReduceMax": _reduction(COMPARE),
        "ReduceMean": _reduce_mean,
        "ReduceMin": _reduction(COMPARE),
        "ReduceProd": _reduction(SQUARE),
        "ReduceSum": _reduction(ADD),
        "ReduceSumSquare": _reduction(ADD, before=SQUARE),
        "Softmax": _softmax,
        "TopK": _top,
    }
)
