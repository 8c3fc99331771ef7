"""Shape rules: the shape of an op's first result, from its operands' shapes and attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import TypeAlias

from convc.conv import conv_geometry, pool_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Dim, Op

ShapeRule: TypeAlias = Callable[[Graph, Op], "Sequence[Dim] | None"]


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


SHAPES: Mapping[str, ShapeRule] = MappingProxyType(
    {
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "Gemm": _gemm,
        "MatMul": _matmul,
        "AveragePool": _pool,
        "MaxPool": _pool,
        "GlobalAveragePool": _global_pool,
        "GlobalMaxPool": _global_pool,
        "BatchNormalization": same,
        "Identity": same,
        "Dropout": same,
        "Neg": same,
        "Add": broadcast,
        "Sub": broadcast,
        "Mul": broadcast,
        "Div": broadcast,
        "Sum": broadcast,
        "Concat": _concat,
        "Pad": _pad,
        "Slice": _slice,
        "Reshape": _reshape,
        "Flatten": _flatten,
        "Transpose": _transpose,
        "Max": broadcast,
        "Min": broadcast,
        "Relu": same,
        "LeakyRelu": same,
        "PRelu": same,
        "Clip": same,
        "Sigmoid": same,
        "HardSigmoid": same,
        "HardSwish": same,
        "Tanh": same,
        "Elu": same,
        "Softplus": same,
        "Softmax": same,
        "Abs": same,
        "Exp": same,
        "Sqrt": same,
    }
)
