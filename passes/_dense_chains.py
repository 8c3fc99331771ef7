"""A Gemm or MatMul after a Gemm, a MatMul, or a conv whose whole output is flattened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from convc.algebra import ConvGeometry, compose_gemm, conv_into_gemm
from convc.graph import Graph
from convc.ir import Array, Attribute, Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import (
    added,
    constant,
    fixed,
    operand,
    require_alone,
    require_small,
    sizes,
    storable,
    trace,
)
from passes._conv_layers import read_chain, require_output


@dataclass(frozen=True)
class Dense:
    """A product ``data·matrix + bias`` in float64.

    Attributes:
        op: the Gemm or MatMul.
        data: its left operand, transposed first where ``transposed`` is set.
        weight: its right operand: name and dtype for new weights.
        matrix: (I, O), alpha multiplied in.
        bias: (O,), beta multiplied in; None where there is none or it is zero.
        transposed: Gemm's transA.
    """

    op: Op
    data: Value
    weight: Value
    matrix: Array
    bias: Array | None
    transposed: bool = False


def fuse_dense(graph: Graph, op: Op) -> Rewrite:
    """Proposes one product for ``op`` and the product or flattened conv before it."""
    path = trace(graph, operand(op))
    maker = path[-1].op
    if maker.kind in ("Flatten", "Reshape") and not maker.domain:
        return _after_conv(graph, op, path)
    shift: Array | None = None
    sum_ = added(graph, maker)
    if sum_ is not None:
        path += trace(graph, sum_[0])
        maker, shift = path[-1].op, sum_[1]
    if maker.kind not in ("Gemm", "MatMul") or maker.domain:
        raise NoMatch
    require_alone(graph, path)
    first, second = read_dense(maker), read_dense(op)
    if shift is not None:
        first = _with_shift(first, shift)
    if second.transposed:
        raise NoMatch("the second Gemm transposes the value between")
    if first.matrix.shape[1] != second.matrix.shape[0]:
        raise NoMatch("the shapes of the two products do not fit")
    require_small(first.matrix.shape[0] * second.matrix.shape[1])
    matrix, bias = compose_gemm(first.matrix, first.bias, second.matrix, second.bias)
    one = replace(second, data=first.data, matrix=matrix, bias=bias, transposed=first.transposed)
    as_gemm = "Gemm" in (maker.kind, op.kind)
    return _emit(graph, one, f"{maker.kind} ∘ {op.kind}", as_gemm=as_gemm)


def read_dense(op: Op) -> Dense:
    """Reads a Gemm or MatMul with a constant matrix on its right; declines otherwise."""
    data, weight, offset = operand(op), operand(op, 1), op.operand(2)
    matrix = np.asarray(constant(weight), np.float64)
    if matrix.ndim != 2:
        raise NoMatch("the weights are no matrix")
    if op.kind == "MatMul":
        return Dense(op, data, weight, matrix, None)
    if op.attributes.get("transB"):
        matrix = matrix.T
    bias = None if offset is None else _row(constant(offset, "the biases"), matrix.shape[1], 2)
    if bias is not None:
        bias = _factor(op, "beta") * bias
    transposed = bool(op.attributes.get("transA"))
    alpha = _factor(op, "alpha")
    # The matrix may be the largest weight of all: a second copy in float64 is not made lightly.
    return Dense(op, data, weight, matrix if alpha == 1 else alpha * matrix, bias, transposed)


def _after_conv(graph: Graph, op: Op, path: list[Value]) -> Rewrite:
    flat = path[-1]
    layer, more = read_chain(graph, operand(flat.op))
    geometry = layer.geometry
    if not isinstance(geometry, ConvGeometry):
        raise NoMatch("the flattened conv is a strided transposed one")
    require_alone(graph, [*path, *more])
    dense = read_dense(op)
    if dense.transposed:
        raise NoMatch("the second Gemm transposes the value between")
    size = fixed(sizes(layer.data.shape, geometry.ndim))
    if size is None:
        raise NoMatch("the size of the flattened value is not known")
    require_output(geometry, None, size)
    out = geometry.output_size(size)
    count = layer.channels[1] * prod(out)
    # One row of this length for each sample can only be the whole of it.
    if flat.shape is None or len(flat.shape) != 2 or flat.shape[1] != count:
        raise NoMatch("the flattened value is not one row for each sample")
    if dense.matrix.shape[0] != count:
        raise NoMatch("the shapes of the conv and the product do not fit")
    require_small(dense.matrix.shape[1] * layer.channels[0] * prod(size))
    kernel, bias = conv_into_gemm(
        layer.kernel, layer.bias, geometry, size, dense.matrix, dense.bias
    )
    if layer.offset is not None:
        added_map = np.broadcast_to(layer.offset, (1, layer.channels[1], *out))
        bias = bias + added_map.reshape(-1) @ dense.matrix
    one = replace(dense, data=layer.data, matrix=kernel.reshape(len(kernel), -1).T, bias=bias)
    return _emit(graph, one, f"{layer.label} ∘ {op.kind}", as_gemm=True, flatten=True)


def _emit(
    graph: Graph, dense: Dense, note: str, *, as_gemm: bool, flatten: bool = False
) -> Rewrite:
    """The product as a Gemm or, for data of any rank, a MatMul and an Add."""
    build = Replacement(graph)
    data = build.take(dense.data)
    if flatten:
        data = build.op("Flatten", (data,), {"axis": 1})
    bias = dense.bias if dense.bias is not None and dense.bias.any() else None
    matrix = build.weight(storable(dense.matrix, dense.weight), dense.weight)
    old = dense.op.result
    if bias is None and dense.op.kind == "MatMul" and not dense.transposed:
        result = build.op("MatMul", (data, matrix))
        return _finish(build, old, result, f"{note} → MatMul")
    last = None if dense.op.kind == "Gemm" else _add_behind(graph, old, dense.matrix.shape[1])
    if last is not None:
        old, behind = last
        bias = behind if bias is None else bias + behind
    if not as_gemm:
        result = build.op("MatMul", (data, matrix))
        assert bias is not None
        offset = build.weight(storable(bias, dense.weight), _bias_name(dense))
        return _finish(build, old, build.add(result, offset), f"{note} → MatMul, Add")
    if bias is None and build.opset < 11:
        bias = np.zeros(dense.matrix.shape[1])  # C became optional with opset 11
    operands = [data, matrix]
    if bias is not None:
        operands.append(build.weight(storable(bias, dense.weight), _bias_name(dense)))
    attributes: dict[str, Attribute] = {"transA": int(dense.transposed)}
    if build.opset < 7:
        attributes["broadcast"] = 1
    result = build.op("Gemm", operands, attributes)
    return _finish(build, old, result, f"{note} → Gemm")


def _finish(build: Replacement, old: Value, result: Value, note: str) -> Rewrite:
    result.type = old.type or result.type
    result.op.name = old.op.name
    return build.rewrite({old: result}, note=note)


def _bias_name(dense: Dense) -> Value:
    return dense.op.operand(2) or dense.weight


def _add_behind(graph: Graph, value: Value, count: int) -> tuple[Value, Array] | None:
    """The sum of ``value`` and a constant row, where that is all its use."""
    users = graph.uses(value)
    sum_ = added(graph, users[0][0]) if len(users) == 1 else None
    if sum_ is None or sum_[0] is not value:
        return None
    try:
        return users[0][0].result, _row(sum_[1], count, _rank(value))
    except NoMatch:
        return None


def _with_shift(first: Dense, shift: Array) -> Dense:
    row = _row(shift, first.matrix.shape[1], _rank(first.op.result))
    return replace(first, bias=row if first.bias is None else first.bias + row)


def _rank(value: Value) -> int:
    """The rank of a product, 1 where all that is known is that it has a last axis."""
    return 1 if value.shape is None else len(value.shape)


def _row(array: Array, count: int, rank: int) -> Array:
    """(count,), a constant that is the same for every row; declines any other."""
    if array.ndim > rank or prod(array.shape[:-1]) != 1 or array.size not in (1, count):
        raise NoMatch("the added constant differs from row to row")
    return np.broadcast_to(np.asarray(array, np.float64).reshape(-1), (count,)).copy()


def _factor(op: Op, name: str) -> float:
    value = op.attributes.get(name, 1.0)
    return float(value) if isinstance(value, (int, float)) else 1.0
