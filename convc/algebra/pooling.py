"""What average pooling makes of a constant.

An average over n samples of which m are real and n − m are padding keeps m/n of a constant. So a
bias may move past a pool where m = n everywhere; elsewhere it becomes the bias times that share.
A window that holds no sample at all, possible with dilations, averages to zero: its share is 0.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from convc.algebra.arrays import Array, MaybeSizes, Sizes
from convc.algebra.geometry import ConvGeometry


def pooled_size(geometry: ConvGeometry, size: Sizes, *, ceil_mode: bool = False) -> Sizes:
    """Spatial output size of a pool: ``⌊(H + p_begin + p_end − e) / s⌋ + 1``, or with ⌈⌉.

    With ``ceil_mode`` no window starts in the padding at the end, as in onnxruntime.
    """
    return tuple(_axis_outputs(geometry, axis, n, ceil_mode) for axis, n in enumerate(size))


def shares_of_ones(
    geometry: ConvGeometry, size: Sizes, *, ceil_mode: bool = False, include_pad: bool = False
) -> Array:
    """The average pool of an input of ones.

    Args:
        geometry: of the pool, its group is not looked at.
        size: spatial input size.
        ceil_mode: as ONNX has it; what it adds beyond the padding is never counted.
        include_pad: padding counts as samples (``count_include_pad``).

    Returns:
        (*output size), float64, in [0, 1]: the part of each window's samples that is real.
    """
    parts = [_axis_shares(geometry, axis, n, ceil_mode, include_pad) for axis, n in enumerate(size)]
    return reduce(np.multiply.outer, parts)


def keeps_ones(
    geometry: ConvGeometry,
    size: MaybeSizes,
    *,
    ceil_mode: bool = False,
    include_pad: bool = False,
) -> bool:
    """True when `shares_of_ones` is 1 everywhere; on an axis of size None, for every size."""
    return all(
        _keeps_any(geometry, axis, include_pad)
        if n is None
        else bool((_axis_shares(geometry, axis, n, ceil_mode, include_pad) == 1).all())
        for axis, n in enumerate(_shortened(geometry, axis, n) for axis, n in enumerate(size))
    )


def _shortened(geometry: ConvGeometry, axis: int, size: int | None) -> int | None:
    """A size that windows meet as they meet this one: whole strides less, the same borders."""
    stride = geometry.strides[axis]
    pads = abs(geometry.pads_begin[axis]) + abs(geometry.pads_end[axis])
    least = 2 * geometry.extent[axis] + pads + stride
    return size if size is None or size < least else least + (size - least) % stride


def _keeps_any(geometry: ConvGeometry, axis: int, include_pad: bool) -> bool:
    begin, end = geometry.pads_begin[axis], geometry.pads_end[axis]
    if begin == end == 0:
        # The first sample of every window is real. A stride lets an input pass that is shorter than
        # the window; with padding counted, onnxruntime then counts all of it before opset 19.
        return not include_pad or geometry.strides[axis] == 1 or geometry.extent[axis] == 1
    # Samples side by side, not all of them in the padding. Dilated ones may step over the input.
    near = geometry.dilations[axis] == 1 and min(begin, end) >= 0
    return near and max(begin, end) < geometry.kernel[axis] and not include_pad


def _axis_outputs(geometry: ConvGeometry, axis: int, size: int, ceil_mode: bool) -> int:
    stride, begin = geometry.strides[axis], geometry.pads_begin[axis]
    room = size + begin + geometry.pads_end[axis] - geometry.extent[axis]
    if not ceil_mode:
        # Rounded towards zero: a window may exceed an input that is up to a stride too short.
        return int(room / stride) + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + begin else count


def _axis_shares(
    geometry: ConvGeometry, axis: int, size: int, ceil_mode: bool, include_pad: bool
) -> Array:
    begin, end = geometry.pads_begin[axis], geometry.pads_end[axis]
    outputs = _axis_outputs(geometry, axis, size, ceil_mode)
    starts = np.arange(outputs) * geometry.strides[axis] - begin
    taps = np.arange(geometry.kernel[axis]) * geometry.dilations[axis]
    positions = starts[:, None] + taps
    real = ((positions >= 0) & (positions < size)).sum(axis=1)
    padded = ((positions >= -begin) & (positions < size + end)).sum(axis=1)
    shares: Array = real / np.maximum(padded if include_pad else real, 1)
    return shares
