"""PRelu with constant slopes in other ops; the forms are those of `LowerActivations`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convc.algebra.branches import pointwise_geometry
from convc.conv import geometry_attributes
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import constant, operand, trace
from passes._linear import per_channel


@dataclass(frozen=True, slots=True)
class Slopes:
    """The slopes of a PRelu.

    Attributes:
        name: of the constant.
        dtype: of the constant as it is stored.
        array: its values, which line up with the last axes of the data, no value repeated along
            an axis.
        channels: the same: one value for each channel, (C,), or one for all of them, (1,).
    """

    name: str
    dtype: np.dtype[Any]
    array: Array
    channels: Array


def lower_leaky(graph: Graph, op: Op) -> Rewrite:
    """Equal slopes: LeakyRelu, or Relu of a slope of zero."""
    slopes = _read(graph, op)
    if slopes.channels.size > 1:
        raise NoMatch("the slopes of the channels differ")
    slope = float(slopes.channels[0])
    if float(np.float32(slope)) != slope:
        raise NoMatch("the slope is not a float32 number")
    build = Replacement(graph)
    kind, attributes = ("LeakyRelu", {"alpha": slope}) if slope else ("Relu", {})
    data = build.take(operand(op))
    result = build.op(kind, (data,), attributes, type_=op.result.type, name=op.name)
    return build.rewrite({op.result: result}, note=f"PRelu → {kind}")


def lower_depthwise(graph: Graph, op: Op) -> Rewrite:
    """``dw_{−a}(Relu(dw_{−1}(x))) + Relu(dw_1(x))``."""
    slopes, factors = _read_image(graph, op)
    build = Replacement(graph)
    data = build.take(operand(op))
    above = _same(build, op, "Relu", _scaled(build, op, data, np.ones(factors.shape), slopes))
    result = _same(build, op, "Add", _below(build, op, data, factors, slopes), above, name=op.name)
    return build.rewrite({op.result: result}, note="PRelu → three depthwise Convs")


def lower_depthwise_relu(graph: Graph, op: Op) -> Rewrite:
    """``dw_{−a}(Relu(dw_{−1}(x))) + Relu(x)``."""
    slopes, factors = _read_image(graph, op)
    build = Replacement(graph)
    data = build.take(operand(op))
    above = _same(build, op, "Relu", data)
    result = _same(build, op, "Add", _below(build, op, data, factors, slopes), above, name=op.name)
    return build.rewrite({op.result: result}, note="PRelu → Relu and two depthwise Convs")


def lower_depthwise_sum(graph: Graph, op: Op) -> Rewrite:
    """``dw_a(x) + Relu(dw_{1−a}(x))``."""
    slopes, factors = _read_image(graph, op)
    if not ((factors > 0) & (factors < 1)).all():
        raise NoMatch("a slope is not between 0 and 1")
    build = Replacement(graph)
    data = build.take(operand(op))
    rest = _same(build, op, "Relu", _scaled(build, op, data, 1.0 - factors, slopes))
    part = _scaled(build, op, data, factors, slopes)
    result = _same(build, op, "Add", part, rest, name=op.name)
    return build.rewrite({op.result: result}, note="PRelu → sum of two depthwise Convs")


def lower_max(graph: Graph, op: Op) -> Rewrite:
    """``Max(x, a·x)``."""
    slopes = _read_broadcasting(graph, op)
    if (slopes.channels > 1).any():
        raise NoMatch("a slope exceeds 1")
    if (slopes.channels == 0).any():
        raise NoMatch("a slope is zero: infinity would become NaN")
    build = Replacement(graph)
    data = build.take(operand(op))
    product = _product(build, op, data, slopes.array, slopes)
    result = _same(build, op, "Max", data, product, name=op.name)
    return build.rewrite({op.result: result}, note="PRelu → Mul and Max")


def lower_split(graph: Graph, op: Op) -> Rewrite:
    """``Relu(x) + a·Min(x, 0)``; Min broadcasts from opset 8 on."""
    slopes = _read_broadcasting(graph, op)
    build = Replacement(graph)
    data = build.take(operand(op))
    above = _same(build, op, "Relu", data)
    if build.opset < 8:
        below = _same(build, op, "Relu", _same(build, op, "Neg", data))
        product = _product(build, op, below, -slopes.array, slopes)
    else:
        zero = build.constant(np.zeros(()), slopes.dtype)
        below = _same(build, op, "Min", data, zero)
        product = _product(build, op, below, slopes.array, slopes)
    result = _same(build, op, "Add", above, product, name=op.name)
    return build.rewrite({op.result: result}, note="PRelu → Relu, Min, Mul and Add")


def _read(graph: Graph, op: Op) -> Slopes:
    """The slopes of ``op``; declines where they are not constant or vary over positions."""
    data, origin = operand(op), _origin(graph, operand(op, 1))
    stored = constant(origin, "the slopes")
    array = np.asarray(stored, np.float64)
    if not array.size:
        raise NoMatch
    if not np.isfinite(array).all():
        raise NoMatch("a slope is not finite")
    array = _unrepeated(array)
    if array.size == 1:
        return Slopes(origin.name, stored.dtype, array, array.reshape(1))
    if graph.header.opset < 7:
        raise NoMatch("before opset 7 slopes broadcast in another way")
    if data.shape is None:
        raise NoMatch("the rank of the PRelu's data is not known")
    channels = per_channel(array, 1 - len(data.shape), array.size)
    if channels is None:
        raise NoMatch("the slopes vary along other axes than the channels")
    return Slopes(origin.name, stored.dtype, array, channels)


def _read_broadcasting(graph: Graph, op: Op) -> Slopes:
    """The slopes, where binary ops broadcast as PRelu does."""
    slopes = _read(graph, op)
    if graph.header.opset < 7:
        raise NoMatch("before opset 7 slopes broadcast in another way")
    return slopes


def _read_image(graph: Graph, op: Op) -> tuple[Slopes, Array]:
    """The slopes, and one of them for each channel (C,) of data with two spatial axes."""
    slopes, shape = _read(graph, op), operand(op).shape
    if shape is None or len(shape) != 4:
        raise NoMatch("the PRelu's data has not two spatial axes")
    if slopes.dtype == np.float64:
        raise NoMatch("the runtime has no Conv in float64")
    count = shape[1] if slopes.channels.size == 1 else slopes.channels.size
    if not isinstance(count, int):
        raise NoMatch("the number of channels is not known")
    return slopes, np.broadcast_to(slopes.channels, (count,))


def _unrepeated(array: Array) -> Array:
    """``array`` of size 1 along the axes along which it does not vary: a folded Expand undone."""
    for axis in range(array.ndim):
        first = np.take(array, [0], axis)
        array = first if (array == first).all() else array
    return array


def _origin(graph: Graph, value: Value) -> Value:
    """What ``value`` is a copy of, an Expand undone: it repeats what a PRelu repeats as well."""
    value = trace(graph, value)[-1]
    while value.op.kind == "Expand" and not value.op.domain:
        value = trace(graph, operand(value.op))[-1]
    return value


def _same(build: Replacement, op: Op, kind: str, *operands: Value, name: str = "") -> Value:
    """Adds an op whose result has the type of that of ``op``."""
    return build.op(kind, operands, type_=op.result.type, name=name)


def _scaled(build: Replacement, op: Op, data: Value, factors: Array, slopes: Slopes) -> Value:
    """Adds a depthwise Conv that multiplies each channel by one of ``factors`` (C,)."""
    weight = build.constant(factors.reshape(-1, 1, 1, 1), slopes.dtype, slopes.name)
    attributes = geometry_attributes(pointwise_geometry(2, factors.size))
    return build.op("Conv", (data, weight), attributes, type_=op.result.type)


def _below(build: Replacement, op: Op, data: Value, factors: Array, slopes: Slopes) -> Value:
    """Adds what a PRelu makes of negative data: ``dw_{−a}(Relu(dw_{−1}(x)))``."""
    negated = _scaled(build, op, data, np.full(factors.shape, -1.0), slopes)
    return _scaled(build, op, _same(build, op, "Relu", negated), -factors, slopes)


def _product(build: Replacement, op: Op, data: Value, array: Array, slopes: Slopes) -> Value:
    return _same(build, op, "Mul", data, build.constant(array, slopes.dtype, slopes.name))
