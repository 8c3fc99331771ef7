"""The layout of regions over three axes: (N, C, D, H, W) as (N·D, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convc.algebra import ConvGeometry
from convc.algebra.stacked import depth_reads, flat_geometry, stack_depth
from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Array, Dim, Op, TensorType, Value, is_real
from convc.rewrite import NoMatch, Replacement
from passes._chains import operand
from passes.lower_to_conv2d.depthwise import UNARY

BINARY = frozenset({"Add", "Sub", "Mul", "Sum", "PRelu"})
BLOCK = 16
"""Channels that the runtime computes together."""

UNKNOWN = "the size is not known"


@dataclass
class VolumeLayout:
    """The depth as batch; see `passes.lower_to_conv2d.regions.Layout`.

    Attributes:
        graph: the graph.
        form: how a conv reads several slices of the depth.
        padded: set when a conv was given more channels than it has.
    """

    graph: Graph
    form: Literal["aligned", "stacked", "sum", "deep"]
    padded: bool = False
    _rows: dict[tuple[Dim, Dim], Dim] = field(default_factory=dict)

    def refusal(self, op: Op) -> str | None:
        """None where ``op`` can be computed with the depth as batch."""
        if op.domain or op.captures or not op.results or not op.inputs:
            return ""
        if any(self.graph.uses(value) for value in op.results[1:]):
            return ""
        if op.kind != "Conv" and op.kind not in UNARY | BINARY | {"BatchNormalization"}:
            return ""
        if not all(_is_volume(value) for value in (op.result, *self.carried(op))):
            return UNKNOWN
        rest = [value for value in op.inputs if value is not None and value not in self.carried(op)]
        if any(value.array is None for value in rest):
            return "the weights are not constant"
        if op.kind == "Conv":
            return _refused_geometry(op)
        if op.kind == "BatchNormalization":
            return "" if op.attributes.get("training_mode") else None
        if op.kind in BINARY:
            return None if self._lines_up(op) else ""
        return None

    def _lines_up(self, op: Op) -> bool:
        """Whether the varying operands have the result's batch and depth, constants neither."""
        ends = _ends(op.result)
        carried = self.carried(op)
        if self.graph.header.opset < 7 or not carried:
            return False
        if any(_ends(value) != ends or value.shape != op.result.shape for value in carried):
            return False
        constants = [v.array for v in op.inputs if v is not None and v.array is not None]
        return all(_is_per_channel(array) for array in constants)

    def carried(self, op: Op) -> Sequence[Value]:
        """All operands of sums and products that vary, the first one of other ops."""
        if op.kind in BINARY:
            return [value for value in op.inputs if value is not None and value.array is None]
        return [value for value in op.inputs[:1] if value is not None]

    def enter(self, build: Replacement, old: Value, value: Value) -> Value:
        """By Transpose, where that moves anything, and Reshape."""
        batch, channels, depth, *sizes = dims_of(old)
        if channels != 1 and depth != 1:
            value = build.transpose(value, (0, 2, 1, 3, 4))
        return reshaped(build, value, (self._row(build, batch, depth), channels, *sizes))

    def leave(self, build: Replacement, old: Value, value: Value) -> Value:
        """By a Slice of the channels that were there, Reshape and Transpose."""
        batch, channels, depth, *sizes = dims_of(old)
        assert isinstance(channels, int)
        if _channels(value) > channels:
            value = build.slice(value, [1], [0], [channels])
        if channels == 1 or depth == 1:
            return reshaped(build, value, (batch, channels, depth, *sizes))
        value = reshaped(build, value, (batch, depth, channels, *sizes))
        value = build.transpose(value, (0, 2, 1, 3, 4))
        value.type = old.type
        return value

    def emit(self, build: Replacement, op: Op, operands: Sequence[Value]) -> Value:
        """The op over (N·D, C, H, W)."""
        if op.kind == "Conv":
            return self._conv(build, op, operands[0])
        count = _channels(operands[0])
        if any(_channels(value) != count for value in operands):
            raise NoMatch("a value from outside the region has no padded channels")
        carried = dict(zip(self.carried(op), operands, strict=True))
        values: list[Value | None] = []
        for i, value in enumerate(op.inputs):
            if value is None or value in carried:
                values.append(None if value is None else carried[value])
                continue
            array = value.array
            assert array is not None
            array = self.per_channel(op, i, array, count)
            values.append(build.constant(array, value.dtype, value.name))
        return build.op(op.kind, values, op.attributes, type_=operands[0].type)

    def per_channel(self, op: Op, index: int, array: Array, count: int) -> Array:
        """Constant operand ``index`` of an op of the region, for ``count`` channels."""
        if op.kind in BINARY:
            single = array.size == 1
            return array.reshape(()) if single else _widened(array.reshape(-1, 1, 1), count)
        if op.kind == "BatchNormalization":
            return _widened(array, count, 1.0 if index == 4 else 0.0)
        return array

    def _conv(self, build: Replacement, op: Op, data: Value) -> Value:
        """The conv over the slices of the depth that it reads."""
        geometry = conv_geometry(op)
        assert geometry is not None
        batch, inputs, depth, *sizes = dims_of(operand(op))
        assert isinstance(depth, int)
        if geometry.group > 1 and _channels(data) != inputs:
            raise NoMatch("the groups of a conv in the region would not fit padded channels")
        reads = depth_reads(geometry, depth)
        weight, bias = operand(op, 1), op.operand(2)
        assert weight.array is not None
        outputs = self._aligned(weight.array.shape[0], geometry.group)
        kernel = _widened(weight.array, outputs)
        if geometry.group == 1:
            kernel = _widened(kernel.swapaxes(0, 1), _channels(data)).swapaxes(0, 1)
        offset = None
        if bias is not None:
            assert bias.array is not None
            offset = build.constant(_widened(bias.array, outputs), bias.dtype, bias.name)
        volume = (batch, depth, _channels(data), *sizes)
        if self.form == "sum" and len(reads[0]) > 1:
            return self._sum(build, data, volume, geometry, reads, kernel, weight, offset)
        stack = self._stacked(build, data, volume, geometry.group, reads)
        stored = build.constant(stack_depth(kernel), weight.dtype, weight.name)
        return build.conv(stack, stored, offset, flat_geometry(geometry))

    def _sum(  # noqa: PLR0917
        self,
        build: Replacement,
        data: Value,
        volume: Sequence[Dim],
        geometry: ConvGeometry,
        reads: NDArray[np.int64],
        kernel: Array,
        weight: Value,
        bias: Value | None,
    ) -> Value:
        """The sum of a conv for each tap along the depth; taps that read padding only are left."""
        depth = volume[1]
        assert isinstance(depth, int)
        taps = [tap for tap in range(reads.shape[1]) if (reads[:, tap] < depth).any()] or [0]
        parts: list[Value] = []
        for tap in taps:
            picked = self._stacked(build, data, volume, 1, reads[:, tap : tap + 1])
            stored = build.constant(
                np.ascontiguousarray(kernel[:, :, tap]), weight.dtype, weight.name
            )
            offset = bias if not parts else None
            parts.append(build.conv(picked, stored, offset, flat_geometry(geometry)))
        total = parts[0]
        for part in parts[1:]:
            total = build.op("Add", (total, part), type_=total.type)
        return total

    def _stacked(
        self,
        build: Replacement,
        data: Value,
        volume: Sequence[Dim],
        group: int,
        reads: NDArray[np.int64],
    ) -> Value:
        """(N·D, C, H, W) to (N·D', k_d·C, H, W): for each output depth the slices it reads."""
        batch, depth, channels, *sizes = volume
        assert isinstance(depth, int)
        assert isinstance(channels, int)
        outputs, taps = reads.shape
        if taps == 1 and np.array_equal(reads[:, 0], np.arange(depth)):
            return data
        inner = self._product(build, (channels // group, *sizes))
        groups = () if group == 1 else (group,)
        value = reshaped(build, data, (batch, depth, *groups, inner))
        if (reads == depth).any():
            ends = [0] * (2 * len(value.shape or ()))
            ends[len(ends) // 2 + 1] = 1
            value = build.pad(value, ends)
        assert isinstance(value.type, TensorType)
        type_ = TensorType(value.type.dtype, (batch, outputs, taps, *groups, inner))
        operands = (value, build.constant(reads))
        value = build.op("Gather", operands, {"axis": 1}, type_=type_)
        if groups and taps > 1:
            value = build.transpose(value, (0, 1, 3, 2, 4))
        rows = self._row(build, batch, outputs)
        return reshaped(build, value, (rows, taps * channels, *sizes))

    def _aligned(self, count: int, group: int) -> int:
        """Channels that a conv of ``count`` filters is given."""
        if self.form != "aligned" or group > 1:
            return count
        rounded = -(-count // BLOCK) * BLOCK
        if rounded == count or 8 * rounded > 9 * count:
            return count
        self.padded = True
        return rounded

    def _row(self, build: Replacement, batch: Dim, depth: Dim) -> Dim:
        if (batch, depth) not in self._rows:
            self._rows[batch, depth] = self._product(build, (batch, depth))
        return self._rows[batch, depth]

    def _product(self, build: Replacement, dims: Sequence[Dim]) -> Dim:
        sizes = [build.graph.sizes.get(d) if isinstance(d, str) else d for d in dims]
        known = [size for size in sizes if size is not None]
        if all(isinstance(d, int) for d in dims):
            return prod(known)
        rest = [d for d in dims if d != 1]
        if len(rest) == 1:
            return rest[0]
        return build.graph.new_dim(prod(known) if len(known) == len(sizes) else None)


def reshaped(build: Replacement, value: Value, dims: Sequence[Dim]) -> Value:
    """A Reshape to dims of which at most one is not a number."""
    assert isinstance(value.type, TensorType)
    target = build.ints([d if isinstance(d, int) else -1 for d in dims])
    type_ = TensorType(value.type.dtype, tuple(dims))
    return build.op("Reshape", (value, target), type_=type_)


def dims_of(value: Value) -> tuple[Dim, ...]:
    """The dims of a value whose rank is known."""
    assert value.shape is not None
    return value.shape


def _ends(value: Value) -> tuple[Dim, Dim]:
    """Batch and depth."""
    dims = dims_of(value)
    return dims[0], dims[2]


def _channels(value: Value) -> int:
    count = dims_of(value)[1]
    assert isinstance(count, int)
    return count


def _is_volume(value: Value) -> bool:
    """Rank 5, with channels and depth known and at most one of the others open."""
    if value.shape is None or len(value.shape) != 5 or not is_real(value.dtype):
        return False
    batch, channels, depth, *sizes = value.shape
    is_known = isinstance(channels, int) and isinstance(depth, int)
    return is_known and sum(not isinstance(d, int) for d in (batch, *sizes)) <= 1


def _refused_geometry(op: Op) -> str | None:
    geometry, shape = conv_geometry(op), operand(op).shape
    if geometry is None:
        return "the geometry depends on an unknown size"
    assert shape is not None
    known = [(axis, size) for axis, size in enumerate(shape[2:]) if isinstance(size, int)]
    if any(geometry.axis_output(axis, size) < 1 for axis, size in known):
        return "the conv has no output at its size"
    flat = flat_geometry(geometry)
    if min(flat.pads) < 0:
        return "the conv crops its input"
    weight = operand(op, 1).array
    return None if weight is not None and is_real(weight.dtype) else ""


def _is_per_channel(array: Array) -> bool:
    """One value, or one for each channel of (N, C, D, H, W)."""
    return array.size == 1 or (array.ndim in (4, 5) and array.size == array.shape[-4])


def _widened(array: Array, count: int, fill: float = 0.0) -> Array:
    """``array`` with ``count`` entries along its first axis."""
    missing = count - array.shape[0]
    if missing <= 0:
        return array
    widths = [(0, missing), *((0, 0) for _ in array.shape[1:])]
    return np.pad(array, widths, constant_values=fill)
