"""What the outputs of a conv read, in ONNX ops: im2col and its special cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from convc.algebra import ConvGeometry
from convc.algebra.arrays import MaybeSizes, Sizes
from convc.build import Builder
from convc.ir import TensorType, Value
from convc.rewrite import NoMatch

END = 2**31 - 1
"""To the end, in a Slice."""
MOST_POOLED = 5
"""Axes of what onnxruntime can pool."""
LONG = 16
"""Taps of an axis above which they are cut in two stages."""


@dataclass(frozen=True)
class Windows:
    """The windows of a conv on an input of spatial ``size``, None where that is open."""

    geometry: ConvGeometry
    size: MaybeSizes

    @property
    def out(self) -> MaybeSizes:
        """Output sizes, None where open."""
        sizes = enumerate(self.size)
        return tuple(None if n is None else self.geometry.axis_output(i, n) for i, n in sizes)


@dataclass(frozen=True)
class Tap:
    """What a tap reads along an axis: every ``step``-th sample, ``count`` of them.

    They begin at ``start``; ``behind`` are left behind the last output's at the end, however many
    there are in all. ``count`` is None where it is open.
    """

    axis: int
    start: int
    behind: int
    step: int
    count: int | None


def columns(build: Builder, data: Value, windows: Windows) -> Value:
    """(N, C, *size) to (N, C, T, *out) for T taps, or to (N, C, *out) for one.

    Sizes need not be known: what a tap reads is cut off at both ends, counted from each.
    """
    geometry, axes = windows.geometry, range(windows.geometry.ndim)
    value = padded(build, data, geometry.pads_begin, geometry.pads_end)
    single = [axis for axis in axes if geometry.kernel[axis] == 1 and geometry.strides[axis] > 1]
    value = _picked(build, value, [tap for axis in single for tap in _stages(windows, axis, 2)[0]])
    wide = [axis for axis in axes if geometry.kernel[axis] > 1]
    if not wide:
        return value
    value = _unsqueezed(build, value, 2)
    # The last axis first: its strided slices are the slow ones, and its taps have to run fastest.
    for axis in reversed(wide):
        for stage in _stages(windows, axis, 3):
            value = build.concat([_picked(build, value, [tap]) for tap in stage], 2)
    return value


def tiles(build: Builder, data: Value, geometry: ConvGeometry, size: Sizes) -> Value:
    """(N, C, *size) to (N, C, *kernel, *out) where the stride is the kernel."""
    out, kernel = geometry.output_size(size), geometry.kernel
    used = [k * o for k, o in zip(kernel, out, strict=True)]
    begin = geometry.pads_begin
    end = [u - n - b for u, n, b in zip(used, size, begin, strict=True)]
    value = padded(build, data, begin, end)
    pairs = [n for pair in zip(out, kernel, strict=True) for n in pair]
    # The channels are copied, whatever their number: what is reshaped are the sizes behind them.
    value = build.reshape(value, [0, 0, *pairs])
    outputs = range(2, 2 + len(pairs), 2)
    return build.transpose(value, [0, 1, *(axis + 1 for axis in outputs), *outputs])


def padded(build: Builder, data: Value, begin: Sequence[int], end: Sequence[int]) -> Value:
    """Zeros around the spatial axes; where negative, what is cropped."""
    if not any(begin) and not any(end):
        return data
    return build.pad(data, [0, 0, *begin, 0, 0, *end])


def _stages(windows: Windows, axis: int, first: int) -> list[list[Tap]]:
    """The taps of one axis, where the spatial axes begin at ``first``.

    Many of them in two stages: tap a·m + b is tap a, at m times the distance, of tap b. So 16 and
    16 slices read 256 taps, though the first 16 at every position.
    """
    geometry, count = windows.geometry, windows.out[axis]
    taps, stride = geometry.kernel[axis], geometry.strides[axis]
    distance = geometry.dilations[axis]
    fine = max(m for m in range(1, isqrt(taps) + 1) if taps % m == 0) if taps > LONG else 1
    last = _row(first + axis, taps // fine, fine * distance, stride, count=count)
    return [last] if fine == 1 else [_row(first + axis, fine, distance, 1), last]


def _row(axis: int, taps: int, distance: int, step: int, *, count: int | None = None) -> list[Tap]:
    return [Tap(axis, t * distance, (taps - 1 - t) * distance, step, count) for t in range(taps)]


def _picked(build: Builder, value: Value, taps: Sequence[Tap]) -> Value:
    """What taps, each along another axis, read for each output."""
    axes, starts = [tap.axis for tap in taps], [tap.start for tap in taps]
    ends = [-tap.behind if tap.behind else END for tap in taps]
    steps = [tap.step for tap in taps]
    if max(steps, default=1) > 1 and build.opset < 10:
        for tap in taps:
            value = _stepped(build, value, tap)
        return value
    if max(steps, default=1) > 1:
        operands = [value, *(build.ints(vector) for vector in (starts, ends, axes, steps))]
        return build.op("Slice", operands)
    return build.slice(value, axes, starts, ends) if taps else value


def _stepped(build: Builder, value: Value, tap: Tap) -> Value:
    """The same before a Slice has steps: a Gather, or averages of one sample each."""
    shape, axis = value.shape, tap.axis
    if tap.count is not None:
        indices = build.ints(range(tap.start, tap.start + tap.step * tap.count, tap.step))
        type_ = None
        if value.dtype is not None and shape is not None:
            type_ = TensorType(value.dtype, (*shape[:axis], tap.count, *shape[axis + 1 :]))
        return build.op("Gather", (value, indices), {"axis": axis}, type_=type_)
    if shape is None or len(shape) > MOST_POOLED or build.opset < 7:
        raise NoMatch("the size is not known, and before opset 10 a Slice has no steps")
    value = build.slice(value, [axis], [tap.start], [-tap.behind if tap.behind else END])
    strides = tuple(tap.step if i == axis else 1 for i in range(2, len(shape)))
    return build.op(
        "AveragePool", (value,), {"kernel_shape": (1,) * len(strides), "strides": strides}
    )


def _unsqueezed(build: Builder, value: Value, axis: int) -> Value:
    type_ = None
    if isinstance(value.type, TensorType) and value.shape is not None:
        shape = (*value.shape[:axis], 1, *value.shape[axis:])
        type_ = TensorType(value.type.dtype, shape)
    if build.opset < 13:
        return build.op("Unsqueeze", (value,), {"axes": (axis,)}, type_=type_)
    return build.op("Unsqueeze", (value, build.ints([axis])), type_=type_)
