"""The layout of regions over three axes whose convs compute several slices of the depth at once.

A value (N, C, D, H, W) lies as (N·R/p, p·C, H, W): R rows of C channels, p of them side by side.
Which row a slice of the depth is in is the business of what reads it: the Gather that stacks the
slices for the next conv picks them wherever they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from convc.algebra import ConvGeometry
from convc.algebra.depth import DepthGroups, Indices, depth_groups, stack_groups
from convc.algebra.stacked import flat_geometry
from convc.conv import conv_geometry
from convc.costs.estimate import BLOCK, PEAK, SLOW, efficiency
from convc.ir import Array, Dim, Op, TensorType, Value
from convc.rewrite import Replacement
from passes._chains import operand
from passes.lower_to_conv2d.volume import BINARY, VolumeLayout, dims_of, reshaped

MOST = 8
"""Slices of the depth that are computed at once at most."""
LARGEST_STACK = 2**30
"""Bytes of a stack of slices beyond which it is made and read part by part."""
ALIGNMENT = 4
"""The runtime's fast layout takes input channels in multiples of this, or less than a block."""


@dataclass(frozen=True)
class Rows:
    """How the depth of a value lies.

    Attributes:
        phases: rows side by side as channels.
        count: rows in all.
        places: (depth,), the row of each slice.
    """

    phases: int
    count: int
    places: Indices


@dataclass
class DeepLayout(VolumeLayout):
    """Rows of slices; see `passes.lower_to_conv2d.regions.Layout`.

    A value that was computed part by part is known by its first part until it is needed whole.
    """

    _rows_of: dict[Value, Rows] = field(default_factory=dict)
    _parts_of: dict[Value, list[Value]] = field(default_factory=dict)
    _whole: dict[Value, Value] = field(default_factory=dict)

    def refusal(self, op: Op) -> str | None:
        """As for any region over three axes; groups would be mixed, full blocks gain nothing."""
        reason = super().refusal(op)
        if reason is not None or op.kind != "Conv":
            return reason
        if op.attributes.get("group", 1) != 1:
            return "the groups of a 3-D conv would be mixed"
        shape = operand(op, 1).shape
        filters = 0 if shape is None else shape[0]
        if isinstance(filters, int) and filters > BLOCK and -filters % BLOCK <= filters // 8:
            return "the filters of a 3-D conv nearly fill their blocks"
        return None

    def enter(self, build: Replacement, old: Value, value: Value) -> Value:
        """Every slice is a row of its own."""
        entered = super().enter(build, old, value)
        self._rows_of[entered] = _in_order(old)
        return entered

    def leave(self, build: Replacement, old: Value, value: Value) -> Value:
        """In order, then as it was."""
        return super().leave(build, old, self._ordered(build, old, value))

    def emit(self, build: Replacement, op: Op, operands: Sequence[Value]) -> Value:
        """The op on rows; sums and products of values that lie differently are put in order."""
        if op.kind == "Conv":
            return self._conv(build, op, operands[0])
        first, *others = operands
        if not others:
            # Part by part as the conv before, so that the runtime can compute both at once.
            parts = [VolumeLayout.emit(self, build, op, [part]) for part in self._parts(first)]
            return self._noted(parts, self._rows_of[first])
        if any(not _alike(self._rows_of[value], self._rows_of[first]) for value in others):
            olds = self.carried(op)
            operands = [self._ordered(build, *pair) for pair in zip(olds, operands, strict=True)]
        operands = [self._joined(build, value) for value in operands]
        result = super().emit(build, op, operands)
        return self._noted([result], self._rows_of[operands[0]])

    def per_channel(self, op: Op, index: int, array: Array, count: int) -> Array:
        """Once for each row that lies beside others."""
        if op.kind == "BatchNormalization" or (op.kind in BINARY and array.size > 1):
            array = np.tile(array.reshape(-1), count // array.size)
        return super().per_channel(op, index, array, count)

    def _conv(self, build: Replacement, op: Op, data: Value) -> Value:
        geometry = conv_geometry(op)
        assert geometry is not None
        old, rows = operand(op), self._rows_of[data]
        weight, bias = operand(op, 1), op.operand(2)
        assert weight.array is not None
        batch, channels, depth, *sizes = dims_of(old)
        assert isinstance(channels, int)
        assert isinstance(depth, int)
        if _is_flat(geometry):
            value = self._single_rows(build, old, data)
            kernel = build.constant(weight.array[:, :, 0], weight.dtype, weight.name)
            offset = None if bias is None else build.take(bias)
            result = build.conv(value, kernel, offset, flat_geometry(geometry))
            return self._noted([result], Rows(1, rows.count, rows.places))
        groups = chosen_groups(geometry, weight.array.shape, depth)
        planes = _planes(groups, rows, depth, channels)
        stacked = stack_groups(weight.array, groups)
        missing = planes.shape[1] - stacked.shape[1]
        stacked = np.pad(stacked, [(0, 0), (0, missing), (0, 0), (0, 0)])
        stored = build.constant(stacked, weight.dtype, weight.name)
        offset = None
        if bias is not None:
            assert bias.array is not None
            offset = build.constant(np.tile(bias.array, groups.phases), bias.dtype, bias.name)
        inner = self._product(build, sizes)
        whole = self._joined(build, data)
        value = reshaped(build, whole, (batch, rows.count * channels, inner))
        if (groups.reads == depth).any():
            value = build.pad(value, (0, 0, 0, 0, channels, 0))
        parts = []
        for part in np.array_split(planes, self._count_of_parts(planes, old)):
            stack = self._stack(build, value, part, (batch, *sizes))
            parts.append(build.conv(stack, stored, offset, flat_geometry(geometry)))
        return self._noted(parts, Rows(groups.phases, groups.rows, groups.places))

    def _stack(
        self, build: Replacement, value: Value, planes: Indices, dims: Sequence[Dim]
    ) -> Value:
        """(N, R·C, H·W) to (N·G, T, H, W): the planes of each group."""
        batch, *sizes = dims
        count, depth = planes.shape
        assert isinstance(value.type, TensorType)
        assert value.shape is not None
        type_ = TensorType(value.type.dtype, (batch, count, depth, value.shape[2]))
        operands = (value, build.constant(planes))
        value = build.op("Gather", operands, {"axis": 1}, type_=type_)
        return reshaped(build, value, (self._row(build, batch, count), depth, *sizes))

    def _count_of_parts(self, planes: Indices, old: Value) -> int:
        """In how many parts the stack of ``planes`` is made."""
        shape = self.graph.concrete_shape(old)
        if shape is None or old.dtype is None:
            return 1
        size = planes.size * shape[0] * prod(shape[3:]) * old.dtype.itemsize
        return max(1, min(len(planes), -(-size // LARGEST_STACK)))  # of an empty batch, too

    def _noted(self, parts: list[Value], rows: Rows) -> Value:
        """The value that stands for ``parts``."""
        self._rows_of[parts[0]], self._parts_of[parts[0]] = rows, parts
        return parts[0]

    def _parts(self, value: Value) -> list[Value]:
        return self._parts_of.get(value, [value])

    def _joined(self, build: Replacement, value: Value) -> Value:
        """The parts of a value, one behind the other for each of N."""
        parts = self._parts(value)
        if len(parts) == 1:
            return value
        if value not in self._whole:
            spread = []
            for part in parts:
                rows, *rest = dims_of(part)
                batch, count = next(ends for ends, row in self._rows.items() if row == rows)
                spread.append(reshaped(build, part, (batch, count, *rest)))
            whole = build.concat(spread, 1)
            batch, count, *rest = dims_of(whole)
            whole = reshaped(build, whole, (self._row(build, batch, count), *rest))
            self._whole[value], self._rows_of[whole] = whole, self._rows_of[value]
        return self._whole[value]

    def _single_rows(self, build: Replacement, old: Value, value: Value) -> Value:
        """(N·R, C, H, W), still not in order."""
        rows = self._rows_of[value]
        batch, channels, _, *sizes = dims_of(old)
        value = self._joined(build, value)
        if rows.phases == 1:
            return value
        return reshaped(build, value, (self._row(build, batch, rows.count), channels, *sizes))

    def _ordered(self, build: Replacement, old: Value, value: Value) -> Value:
        """(N·D, C, H, W), slice for slice."""
        rows, natural = self._rows_of[value], _in_order(old)
        if _alike(rows, natural):
            return self._joined(build, value)
        batch, channels, depth, *sizes = dims_of(old)
        assert isinstance(channels, int)
        value = self._single_rows(build, old, value)
        if rows.count != natural.count or not np.array_equal(rows.places, natural.places):
            inner = self._product(build, (channels, *sizes))
            value = reshaped(build, value, (batch, rows.count, inner))
            assert isinstance(value.type, TensorType)
            type_ = TensorType(value.type.dtype, (batch, depth, inner))
            operands = (value, build.constant(rows.places))
            value = build.op("Gather", operands, {"axis": 1}, type_=type_)
            value = reshaped(build, value, (self._row(build, batch, depth), channels, *sizes))
        self._rows_of[value] = natural
        return value


def chosen_groups(geometry: ConvGeometry, shape: Sequence[int], depth: int) -> DepthGroups:
    """Groups of as many outputs as take the least time for each, by the estimate."""
    choices = [depth_groups(geometry, depth, phases) for phases in range(1, MOST + 1)]
    return min(choices, key=lambda groups: _seconds(groups, shape))


def _seconds(groups: DepthGroups, shape: Sequence[int]) -> float:
    """Estimated time of an output depth and position in float32; ``shape`` (K, C, *kernel)."""
    filters, channels, _, *kernel = shape
    stack = _aligned(groups.reads.shape[1] * channels)
    outputs = groups.phases * filters
    products = outputs * stack * prod(kernel)
    seconds = products / PEAK / efficiency((outputs, stack, *kernel), 1)
    seconds += 2 * 4 * stack / SLOW["Gather"]
    return float(seconds * len(groups.reads) / len(groups.places))


def _aligned(channels: int) -> int:
    return channels if channels < BLOCK else -(-channels // ALIGNMENT) * ALIGNMENT


def _planes(groups: DepthGroups, rows: Rows, depth: int, channels: int) -> Indices:
    """(groups, T): the channels of all rows that each group stacks; the last one fills up."""
    assert len(rows.places) == depth
    read = np.append(rows.places, rows.count)[groups.reads]
    planes = (read[:, :, np.newaxis] * channels + np.arange(channels)).reshape(len(read), -1)
    missing = _aligned(planes.shape[1]) - planes.shape[1]
    return np.pad(planes, [(0, 0), (0, missing)], mode="edge")


def _is_flat(geometry: ConvGeometry) -> bool:
    """Whether each output depth reads the slice of its own."""
    ends = geometry.pads_begin[0], geometry.pads_end[0]
    return geometry.kernel[0] == geometry.strides[0] == 1 and not any(ends)


def _in_order(value: Value) -> Rows:
    depth = dims_of(value)[2]
    assert isinstance(depth, int)
    return Rows(1, depth, np.arange(depth))


def _alike(one: Rows, other: Rows) -> bool:
    same = one.phases == other.phases and one.count == other.count
    return same and np.array_equal(one.places, other.places)
