"""Depthwise convolutions: of several filters for each channel, and average pools as such."""

from __future__ import annotations

from math import prod

import numpy as np

from convc.conv import group_of, pool_geometry
from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Value, is_real
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import constant, operand, sizes

UNARY = frozenset(
    {
        "Abs",
        "Ceil",
        "Celu",
        "Clip",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "LeakyRelu",
        "Mish",
        "Neg",
        "Relu",
        "Selu",
        "Sigmoid",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tanh",
        "ThresholdedRelu",
    }
)
"""Kinds that take each element of their first operand alone and make nothing infinite of a zero."""


def lower_average_pool(graph: Graph, op: Op) -> Rewrite:
    """An AveragePool as a depthwise Conv, all of whose weights are one over the window's size."""
    data = operand(op)
    if not is_real(data.dtype):
        raise NoMatch
    count = data.shape[1] if data.shape is not None and len(data.shape) > 1 else None
    if not isinstance(count, int):
        raise NoMatch("the number of channels is not known")
    if op.attributes.get("ceil_mode"):
        raise NoMatch("the pool's last window may reach beyond the padding: ceil_mode")
    geometry = pool_geometry(op)
    if geometry is None:
        raise NoMatch("the geometry depends on an unknown size")
    if min(geometry.pads) < 0:
        raise NoMatch("the pool crops its input")
    if any(geometry.pads) and not op.attributes.get("count_include_pad"):
        raise NoMatch("the pool averages over fewer samples at the border")
    for axis, size in enumerate(sizes(data.shape, geometry.ndim)):
        # Of an input too small for its window a pool makes an empty result, a Conv an error.
        if geometry.axis_output(axis, 1 if size is None else size) < 1:
            raise NoMatch("the input may be smaller than the pool's window")
    weights = np.full((count, 1, *geometry.kernel), 1.0 / prod(geometry.kernel))
    build = Replacement(graph)
    kernel = build.graph.add_constant(weights, f"{op.result.name}_weight", data.dtype)
    value = build.op(
        "Conv",
        (build.take(data), kernel),
        {
            "dilations": geometry.dilations,
            "group": count,
            "kernel_shape": geometry.kernel,
            "pads": geometry.pads,
            "strides": geometry.strides,
        },
        type_=op.result.type,
        name=op.name,
    )
    return build.rewrite({op.result: value}, note="AveragePool → depthwise Conv")


def split_multiplier(graph: Graph, op: Op) -> Rewrite:
    """Several depthwise convs side by side, whose channels the next conv takes in that order.

    Where no conv follows that can, a Gather puts the channels back in order.
    """
    weight, bias, filters = _several_filters(op)
    group = group_of(op)
    build = Replacement(graph)
    data = build.take(operand(op))
    parts = []
    for i in range(filters):
        operands = [data, _every(build, operand(op, 1), weight, i, filters)]
        if bias is not None:
            operands.append(_every(build, operand(op, 2), bias, i, filters))
        parts.append(build.op("Conv", operands, op.attributes))
    value = build.concat(parts, 1)
    value.type = op.result.type or value.type
    note = f"depthwise Conv of {filters} filters a channel → {filters} depthwise Convs"
    # Channel j·C + c of the concat is channel c·m + j of the original.
    order = np.arange(group * filters).reshape(group, filters).T.reshape(-1)
    chain = _consumer(graph, op.result)
    if chain is None:
        back = build.constant(np.argsort(order), name=f"{op.result.name}_order")
        value = build.op("Gather", (value, back), {"axis": 1}, type_=op.result.type)
        return build.rewrite({op.result: value}, note=note + " and Gather")
    for link in chain:
        value = _reordered(build, link, value, order)
    return build.rewrite({chain[-1].result: value}, note=note + ", order taken by the next Conv")


def repeat_inputs(graph: Graph, op: Op) -> Rewrite:
    """One depthwise conv over channels that are repeated before it."""
    _, _, filters = _several_filters(op)
    build = Replacement(graph)
    data, group = operand(op), group_of(op)
    order = np.repeat(np.arange(group), filters)
    type_ = None
    if isinstance(data.type, TensorType) and data.shape is not None:
        shape = (data.shape[0], group * filters, *data.shape[2:])
        type_ = TensorType(data.type.dtype, shape)
    operands = (build.take(data), build.constant(order, name=f"{op.result.name}_order"))
    value = build.op("Gather", operands, {"axis": 1}, type_=type_)
    rest = [build.take(v) for v in op.inputs[1:] if v is not None]
    attributes = {**op.attributes, "group": group * filters}
    value = build.op("Conv", (value, *rest), attributes, type_=op.result.type, name=op.name)
    note = f"depthwise Conv of {filters} filters a channel → Gather and depthwise Conv"
    return build.rewrite({op.result: value}, note=note)


def _several_filters(op: Op) -> tuple[Array, Array | None, int]:
    """Weights (m·C, 1, *k), bias (m·C,) or None, and m; declines where m is 1."""
    weight = constant(op.operand(1))
    group = group_of(op)
    if group == 1 or weight.ndim < 3 or weight.shape[1] != 1 or weight.shape[0] == group:
        raise NoMatch
    bias = op.operand(2)
    values = None if bias is None else constant(bias, "the biases")
    return weight, values, weight.shape[0] // group


def _every(build: Replacement, like: Value, array: Array, first: int, step: int) -> Value:
    return build.constant(np.ascontiguousarray(array[first::step]), like.dtype, like.name)


def _consumer(graph: Graph, value: Value) -> list[Op] | None:
    """The ops from ``value`` to the one Conv that sums over its channels, None if there is none."""
    chain: list[Op] = []
    while True:
        uses = graph.uses(value)
        if len(uses) != 1:
            return None
        op, index = uses[0]
        if op.domain or index or op.captures:
            return None
        constants = [v.array for v in op.inputs[1:] if v is not None]
        if any(array is None for array in constants):
            return None
        chain.append(op)
        if op.kind == "Conv":
            weight = constants[0]
            takes = group_of(op) == 1 and weight is not None and is_real(weight.dtype)
            return chain if takes else None
        norm = op.kind == "BatchNormalization" and not op.attributes.get("training_mode")
        if not (norm or op.kind in UNARY) or len(op.results) > 1:
            return None
        value = op.result


def _reordered(build: Replacement, op: Op, data: Value, order: Array) -> Value:
    """``op`` on data whose channels are in another order, which a Conv takes back."""
    operands: list[Value | None] = [data]
    for i, value in enumerate(op.inputs[1:], start=1):
        if value is None or value.array is None:
            operands.append(None)
        elif op.kind == "BatchNormalization":
            operands.append(build.constant(value.array[order], value.dtype, value.name))
        elif op.kind == "Conv" and i == 1:
            operands.append(build.constant(value.array[:, order], value.dtype, value.name))
        else:
            operands.append(build.take(value))
    return build.op(op.kind, operands, op.attributes, type_=op.result.type, name=op.name)
