"""What convc knows of each op kind: its shape rule, whether it is linear, what it multiplies.

One table, `OPS`. A kind that is not in it passes through untouched: its result types come from
the importer, it is never taken to be linear, and its multiplications are not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from convc.conv import conv_geometry, pool_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Dim, Op, TensorType, Type

PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Mul"})
JOINTLY_LINEAR = frozenset({"Add", "Sub", "Sum", "Concat"})

ShapeRule = Callable[[Graph, Op], "Sequence[Dim] | None"]
MacsRule = Callable[[Graph, Op], "int | None"]


@dataclass(frozen=True, slots=True)
class OpInfo:
    """What is known of one op kind.

    Attributes:
        linear: True when the op is a linear (affine) map of its first operand, the others fixed.
        shape: rule for the shape of the first result; None: not known here.
        macs: rule for the MACs in the dense convention (padded zeros count); None: it has none.
    """

    linear: bool = False
    shape: ShapeRule | None = None
    macs: MacsRule | None = None


def infer_types(graph: Graph, op: Op) -> tuple[Type, ...]:
    """Types of the results of ``op``: the shape by its rule, the dtype that of its first operand.

    A kind without a rule gives None for each result.
    """
    info = OPS.get(op.kind) if not op.domain else None
    first = op.operand(0)
    element = None if first is None else first.dtype
    if info is None or info.shape is None or element is None:
        return tuple(None for _ in op.results)
    shape = info.shape(graph, op)
    known = TensorType(element, None if shape is None else tuple(shape))
    return (known, *(None for _ in op.results[1:]))


def macs(graph: Graph, op: Op) -> int | None:
    """MACs of one op at the graph's ``sizes``: 0 if it has none, None if a size is missing."""
    info = OPS.get(op.kind) if not op.domain else None
    if info is None or info.macs is None:
        return 0
    return info.macs(graph, op)


def is_linear(op: Op) -> bool:
    """True when the op is known to be a linear (affine) map of its operands.

    Sums and Concat are one of all operands together, products of any one of them, the other kinds
    of the first alone.
    """
    info = OPS.get(op.kind) if not op.domain else None
    if info is None or not info.linear:
        return False
    varying = [v for v in op.operands if v is not None and v.array is None]
    if op.kind in JOINTLY_LINEAR:
        return True
    return not varying or (
        len(varying) == 1 and (op.kind in PRODUCTS or varying[0] is op.operand(0))
    )


def constant_ints(op: Op, index: int, attribute: str) -> tuple[int, ...] | None:
    """Integers that an op takes as attribute (older opsets) or as constant operand (newer ones)."""
    if attribute in op.attributes:
        value = op.attributes[attribute]
        return tuple(value) if isinstance(value, tuple) else None
    operand = op.operand(index)
    if operand is None or operand.array is None:
        return None
    return tuple(int(i) for i in operand.array.reshape(-1))


def _shape(op: Op, index: int = 0) -> tuple[Dim, ...] | None:
    operand = op.operand(index)
    return None if operand is None else operand.shape


def same(_graph: Graph, op: Op) -> Sequence[Dim] | None:
    """The shape of the first operand."""
    return _shape(op)


def broadcast(graph: Graph, op: Op) -> Sequence[Dim] | None:
    """Numpy's broadcast over all operands; of two names either may be 1, so it gets a new one."""
    shapes = [_shape(op, i) for i in range(len(op.inputs))]
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes):
        return None
    rank = max(len(shape) for shape in known)
    padded = [(1,) * (rank - len(shape)) + shape for shape in known]
    return [_broadcast_dim(graph, column) for column in zip(*padded, strict=True)]


def _broadcast_dim(graph: Graph, column: Sequence[Dim]) -> Dim:
    numbers = [d for d in column if isinstance(d, int) and d != 1]
    if numbers:
        return numbers[0]
    names = list(dict.fromkeys(d for d in column if d != 1))
    if len(names) < 2:
        return names[0] if names else 1
    sizes = [graph.sizes.get(name) for name in names if isinstance(name, str)]
    known = [size for size in sizes if size is not None]
    return graph.new_dim(max(known)) if len(known) == len(names) else None


def spatial_dims(
    graph: Graph, dims: Sequence[Dim], size_of: Callable[[int, int], int]
) -> list[Dim]:
    """Output dims of a sliding window: ``size_of(axis, size)`` is the output size of one axis.

    A named dim keeps its name when the window keeps every size. Three sizes show that: the map is
    affine up to a floor, which a change by one would show, and a limit, which a large size does
    (2^31 − 1 itself is how a Slice says that it has no limit).
    """
    result: list[Dim] = []
    for axis, dim in enumerate(dims):
        if isinstance(dim, int):
            result.append(size_of(axis, dim))
        elif dim is None:
            result.append(None)
        elif all(size_of(axis, size) == size for size in (1024, 1025, 2**31 - 2)):
            result.append(dim)
        else:
            size = graph.sizes.get(dim)
            result.append(graph.new_dim(None if size is None else size_of(axis, size)))
    return result


def _conv(graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape, weight = _shape(op), _shape(op, 1)
    if shape is None or weight is None:
        return None
    geometry = conv_geometry(op)
    if geometry is None:
        return None
    sizes = spatial_dims(graph, shape[2:], geometry.axis_output)
    return [shape[0], weight[0], *sizes]


def _conv_transpose(graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape, weight = _shape(op), _shape(op, 1)
    if shape is None or weight is None or not isinstance(weight[1], int):
        return None
    geometry = transpose_geometry(op)
    if geometry is None:
        return None
    sizes = spatial_dims(graph, shape[2:], geometry.axis_output)
    return [shape[0], weight[1] * geometry.group, *sizes]


def _pool(graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape = _shape(op)
    geometry = None if shape is None else pool_geometry(op)
    if shape is None or geometry is None or op.attributes.get("ceil_mode"):
        return None
    return [*shape[:2], *spatial_dims(graph, shape[2:], geometry.axis_output)]


def _global_pool(_graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape = _shape(op)
    return None if shape is None else [*shape[:2], *(1 for _ in shape[2:])]


def _gemm(_graph: Graph, op: Op) -> Sequence[Dim] | None:
    a, b = _shape(op), _shape(op, 1)
    if a is None or b is None:
        return None
    return [a[1 if op.attributes.get("transA") else 0], b[0 if op.attributes.get("transB") else 1]]


def _matmul(graph: Graph, op: Op) -> Sequence[Dim] | None:
    a, b = _shape(op), _shape(op, 1)
    if a is None or b is None or len(a) < 2 or len(b) < 2:
        return None
    rank = max(len(a), len(b)) - 2
    batch = [
        _broadcast_dim(graph, pair)
        for pair in zip(
            (1,) * (rank - len(a) + 2) + a[:-2], (1,) * (rank - len(b) + 2) + b[:-2], strict=True
        )
    ]
    return [*batch, a[-2], b[-1]]


def _concat(graph: Graph, op: Op) -> Sequence[Dim] | None:
    shapes = [_shape(op, i) for i in range(len(op.inputs))]
    axis = op.attributes.get("axis", 1)
    if not isinstance(axis, int) or any(shape is None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    result = list(known[0])
    result[axis] = _sum_dims(graph, [shape[axis] for shape in known])
    return result


def _sum_dims(graph: Graph, dims: Sequence[Dim]) -> Dim:
    if len(dims) == 1:
        return dims[0]
    sizes = [graph.sizes.get(d) if isinstance(d, str) else d for d in dims]
    known = [size for size in sizes if size is not None]
    if len(known) != len(sizes):
        return None
    return sum(known) if all(isinstance(d, int) for d in dims) else graph.new_dim(sum(known))


def _pad(graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape, pads = _shape(op), constant_ints(op, 1, "pads")
    if shape is None or pads is None or op.operand(3) is not None:
        return None
    rank = len(shape)
    return spatial_dims(graph, shape, lambda axis, size: size + pads[axis] + pads[axis + rank])


def _slice(graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape = _shape(op)
    starts, ends = constant_ints(op, 1, "starts"), constant_ints(op, 2, "ends")
    if shape is None or starts is None or ends is None:
        return None
    axes = constant_ints(op, 3, "axes") or tuple(range(len(starts)))
    steps = constant_ints(op, 4, "steps") or (1,) * len(starts)
    cut = {
        axis % len(shape): slice(start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }
    if any(s.step < 1 for s in cut.values()):
        return None
    return spatial_dims(
        graph,
        shape,
        lambda axis, size: len(range(size)[cut[axis]]) if axis in cut else size,
    )


def _reshape(graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape, target = _shape(op), constant_ints(op, 1, "shape")
    if shape is None or target is None or (op.attributes.get("allowzero") and 0 in target):
        return None
    result: list[Dim] = [shape[i] if d == 0 else d for i, d in enumerate(target)]
    if -1 not in target:
        return result
    hole = target.index(-1)
    rest = [d for i, d in enumerate(result) if i != hole]
    remaining = list(shape)
    for dim in [d for d in rest if isinstance(d, str)]:
        if dim not in remaining:
            return None
        remaining.remove(dim)
        rest.remove(dim)
    names = [d for d in remaining if not isinstance(d, int)]
    static = prod(d for d in remaining if isinstance(d, int)) or 0
    divisor = prod(d for d in rest if isinstance(d, int))
    if None in names or not divisor:
        return None
    if not names:
        result[hole] = static // divisor
        return result
    if len(names) == 1 and static == divisor:
        result[hole] = names[0]
        return result
    sizes = [graph.sizes.get(str(name)) for name in names]
    known = [size for size in sizes if size is not None]
    total = prod(known) * static // divisor
    result[hole] = graph.new_dim(total if len(known) == len(sizes) else None)
    return result


def _flatten(graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape, axis = _shape(op), op.attributes.get("axis", 1)
    if shape is None or not isinstance(axis, int):
        return None
    axis = axis % (len(shape) + 1) if axis >= 0 else axis + len(shape)
    return [_product_dim(graph, shape[:axis]), _product_dim(graph, shape[axis:])]


def _product_dim(graph: Graph, dims: Sequence[Dim]) -> Dim:
    rest = [d for d in dims if d != 1]
    if len(rest) == 1:
        return rest[0]
    sizes = [graph.sizes.get(d) if isinstance(d, str) else d for d in rest]
    known = [size for size in sizes if size is not None]
    if len(known) != len(sizes):
        return None
    return prod(known) if all(isinstance(d, int) for d in rest) else graph.new_dim(prod(known))


def _transpose(_graph: Graph, op: Op) -> Sequence[Dim] | None:
    shape = _shape(op)
    if shape is None:
        return None
    order = op.attributes.get("perm", tuple(reversed(range(len(shape)))))
    return [shape[axis] for axis in order] if isinstance(order, tuple) else None


def _conv_macs(graph: Graph, op: Op) -> int | None:
    weight = op.operand(1)
    kernel = None if weight is None else graph.concrete_shape(weight)
    result = graph.concrete_shape(op.result)
    if kernel is None or result is None:
        return None
    return prod(result) * prod(kernel[1:])


def _transpose_macs(graph: Graph, op: Op) -> int | None:
    data, weight = op.operand(0), op.operand(1)
    if data is None or weight is None:
        return None
    shape, kernel = graph.concrete_shape(data), graph.concrete_shape(weight)
    return None if shape is None or kernel is None else prod(shape) * prod(kernel[1:])


def _product_macs(graph: Graph, op: Op) -> int | None:
    data = op.operand(0)
    shape = None if data is None else graph.concrete_shape(data)
    result = graph.concrete_shape(op.result)
    if shape is None or result is None or not shape:
        return None
    inner = shape[0] if op.kind == "Gemm" and op.attributes.get("transA") else shape[-1]
    return prod(result) * inner


_SAME = OpInfo(shape=same)
_LINEAR_SAME = OpInfo(linear=True, shape=same)
_BROADCAST = OpInfo(shape=broadcast)

OPS: Mapping[str, OpInfo] = MappingProxyType(
    {
        "Conv": OpInfo(linear=True, shape=_conv, macs=_conv_macs),
        "ConvTranspose": OpInfo(linear=True, shape=_conv_transpose, macs=_transpose_macs),
        "Gemm": OpInfo(linear=True, shape=_gemm, macs=_product_macs),
        "MatMul": OpInfo(linear=True, shape=_matmul, macs=_product_macs),
        "AveragePool": OpInfo(linear=True, shape=_pool),
        "MaxPool": OpInfo(shape=_pool),
        "GlobalAveragePool": OpInfo(linear=True, shape=_global_pool),
        "GlobalMaxPool": OpInfo(shape=_global_pool),
        "BatchNormalization": _LINEAR_SAME,
        "Identity": _LINEAR_SAME,
        "Dropout": _LINEAR_SAME,
        "Neg": _LINEAR_SAME,
        "Add": OpInfo(linear=True, shape=broadcast),
        "Sub": OpInfo(linear=True, shape=broadcast),
        "Mul": OpInfo(linear=True, shape=broadcast),
        "Div": OpInfo(linear=True, shape=broadcast),
        "Sum": OpInfo(linear=True, shape=broadcast),
        "Concat": OpInfo(linear=True, shape=_concat),
        "Pad": OpInfo(linear=True, shape=_pad),
        "Slice": OpInfo(linear=True, shape=_slice),
        "Reshape": OpInfo(linear=True, shape=_reshape),
        "Flatten": OpInfo(linear=True, shape=_flatten),
        "Transpose": OpInfo(linear=True, shape=_transpose),
        "Max": _BROADCAST,
        "Min": _BROADCAST,
        "Relu": _SAME,
        "LeakyRelu": _SAME,
        "PRelu": _SAME,
        "Clip": _SAME,
        "Sigmoid": _SAME,
        "HardSigmoid": _SAME,
        "HardSwish": _SAME,
        "Tanh": _SAME,
        "Elu": _SAME,
        "Softplus": _SAME,
        "Softmax": _SAME,
        "Abs": _SAME,
        "Exp": _SAME,
        "Sqrt": _SAME,
    }
)
