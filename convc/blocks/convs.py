"""Convolutions in groups with their channels permuted, as ops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from convc.algebra.block_factors import BlockFactors, Index
from convc.build import Builder
from convc.ir import Array, Attribute, Op, TensorType, Type, Value


def channels_at(build: Builder, data: Value, order: Index | None, name: str = "") -> Value:
    """``data`` (N, C, *size) with channel ``order[i]`` at place i; itself where none moves.

    A Gather, also for a shuffle: Reshape, Transpose and Reshape move as many bytes, and need to
    know every size but one.
    """
    if order is None:
        return data
    index = build.constant(np.asarray(order, np.int64), name=f"{name}_order")
    type_ = with_channels(data.type, order.size)
    return build.op("Gather", (data, index), {"axis": 1}, type_=type_)


def emit_factors(
    build: Builder, op: Op, data: Value, factors: BlockFactors, bias: Array | None
) -> Value:
    """The factors in the place of a dense Conv.

    Args:
        build: adds the ops.
        op: the Conv, whose geometry, names and dtypes the new ones take.
        data: what takes the place of its first operand.
        factors: float64; cast to the dtype of its weights.
        bias: (K,), in the order of the outputs, or None: what the last conv adds.
    """
    before = bias if bias is None or factors.rows is None else bias[np.argsort(factors.rows)]
    data = channels_at(build, data, factors.columns, op.result.name)
    attributes = {**op.attributes, "group": factors.blocks}
    if factors.second is None:
        value = _conv(build, op, data, attributes, factors.first, before)
    else:
        value = _conv(build, op, data, attributes, factors.first)
        value = channels_at(build, value, factors.middle, op.result.name)
        mixing: dict[str, Attribute] = {"group": factors.mixing}
        mixing["kernel_shape"] = factors.second.shape[2:]
        value = _conv(build, op, value, mixing, factors.second, before)
    return channels_at(build, value, factors.rows, op.result.name)


def _conv(  # noqa: PLR0917  # the parts of one op
    build: Builder,
    op: Op,
    data: Value,
    attributes: Mapping[str, Attribute],
    kernel: Array,
    bias: Array | None = None,
) -> Value:
    like = op.inputs[1]
    assert like is not None
    operands = [data, build.constant(kernel, like.dtype, like.name)]
    if bias is not None:
        named = op.operand(2) or like
        operands.append(build.constant(bias, named.dtype, named.name))
    type_ = with_channels(op.result.type, kernel.shape[0])
    return build.op("Conv", operands, attributes, type_=type_)


def with_channels(type_: Type, count: int) -> Type:
    """The type of (N, C, *size) with another number of channels."""
    if not isinstance(type_, TensorType) or type_.shape is None:
        return type_
    return replace(type_, shape=(type_.shape[0], count, *type_.shape[2:]))
