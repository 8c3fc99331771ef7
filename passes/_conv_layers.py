"""Convs and transposed convs as the algebra sees them: a float64 kernel and a geometry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from convc.algebra import ConvGeometry, TransposeGeometry, transpose_as_conv
from convc.algebra.border import span
from convc.algebra.geometry import Geometry
from convc.conv import conv_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch
from passes._chains import added, constant, operand, sizes, trace

LARGEST_SPAN = 2**24
"""Positions of one axis up to which the border between two convs is looked at."""


@dataclass(frozen=True)
class Layer:
    """A Conv or ConvTranspose with its weights in float64.

    Attributes:
        op: the op.
        data: its first operand.
        weight: its second operand: name and dtype for new weights.
        kernel: in the layout that ``geometry`` asks for.
        bias: (K,), None where there is none or it is zero.
        geometry: a ConvTranspose of stride 1 is a Conv here.
        offset: (1, K or 1, *size), a constant added behind it that varies over the positions.
    """

    op: Op
    data: Value
    weight: Value
    kernel: Array
    bias: Array | None
    geometry: Geometry
    offset: Array | None = None

    @property
    def channels(self) -> tuple[int, int]:
        """Input and output channels."""
        rows, columns = self.kernel.shape[0], self.kernel.shape[1] * self.geometry.group
        return (columns, rows) if isinstance(self.geometry, ConvGeometry) else (rows, columns)

    @property
    def bias_name(self) -> Value:
        """The value to call a new bias after."""
        return self.op.operand(2) or self.weight

    @property
    def label(self) -> str:
        """The kernel for people: 3×3, and ᵀ for a strided ConvTranspose."""
        mark = "ᵀ" if isinstance(self.geometry, TransposeGeometry) else ""
        return "×".join(str(k) for k in self.geometry.kernel) + mark


def read_chain(graph: Graph, value: Value) -> tuple[Layer, list[Value]]:
    """The conv that makes ``value``, with a constant added behind it, and the values on the way."""
    path = trace(graph, value)
    add = added(graph, path[-1].op)
    if add is None:
        _require_conv(path[-1].op)
        return read_layer(path[-1].op), path
    path += trace(graph, add[0])
    _require_conv(path[-1].op)
    return _with_offset(read_layer(path[-1].op), add[1]), path


def read_layer(op: Op) -> Layer:
    """Reads a Conv or ConvTranspose; declines where it is not constant or its geometry unknown."""
    data, weight, bias = operand(op), operand(op, 1), op.operand(2)
    kernel = np.asarray(constant(weight), np.float64)
    vector = None if bias is None else np.asarray(constant(bias, "the biases"), np.float64)
    if vector is not None and not vector.any():
        vector = None
    if op.kind == "Conv":
        geometry: Geometry | None = conv_geometry(op)
    else:
        geometry = transpose_geometry(op)
    if geometry is None:
        raise NoMatch("the geometry depends on an unknown size")
    if isinstance(geometry, TransposeGeometry) and max(geometry.strides) == 1:
        geometry, kernel = transpose_as_conv(kernel, geometry)
    layer = Layer(op, data, weight, kernel, vector, geometry)
    if vector is not None and vector.shape != (layer.channels[1],):
        raise NoMatch(f"the {op.kind} is not valid: its biases are not one for each filter")
    return layer


def require_near(first: Geometry, second: Geometry, size: tuple[int | None, ...]) -> None:
    """Declines where following two convs along an axis, position by position, would take long."""
    if span(first, second, size) > LARGEST_SPAN:
        raise NoMatch("the convs reach too far")


def require_output(first: Geometry, second: Geometry | None, size: tuple[int | None, ...]) -> None:
    """Declines where a known size leaves nothing between or behind."""
    for axis, entry in enumerate(size):
        if entry is None:
            continue
        between = first.axis_output(axis, entry)
        if between < 1 or (second is not None and second.axis_output(axis, between) < 1):
            raise NoMatch("the convs have no output at their size")


def _require_conv(op: Op) -> None:
    if op.domain or op.kind not in ("Conv", "ConvTranspose"):
        raise NoMatch


def _with_offset(layer: Layer, array: Array) -> Layer:
    ndim, count = layer.geometry.ndim, layer.channels[1]
    shape = (1,) * (ndim + 2 - array.ndim) + array.shape
    between = sizes(layer.op.result.shape, ndim)
    fits = len(shape) == ndim + 2 and shape[0] == 1 and shape[1] in (1, count)
    if not fits or any(d not in (1, b) for d, b in zip(shape[2:], between, strict=True)):
        raise NoMatch("the constant added between is no bias and no map")
    offset = np.asarray(array, np.float64).reshape(shape)
    if prod(shape[2:]) > 1:
        return replace(layer, offset=offset)
    bias = offset.reshape(-1) + (np.zeros(count) if layer.bias is None else layer.bias)
    return replace(layer, bias=bias if bias.any() else None)
