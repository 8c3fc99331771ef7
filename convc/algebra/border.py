"""The border of a composition: where the second map's padding differs from what would be there.

Two maps in sequence meet on the values between them, positions 0 to M−1 of an axis. The composed
formula knows no such bounds: it also takes *stray* positions, which the first map would reach from
the input and the second would show in the output, while in the sequence they are padding (zero)
or cropped. With strays the composition is wrong at the border, for all but special kernels;
without them it is right. Every map is one of two relations between positions,

    scatter: i ↦ s·i + d·t − p        gather: i ↦ (i − d·t + p) / s where that is whole,

a conv gathers on its way forward and scatters from its output to what it reads; a transposed conv
scatters forward and gathers back. For two convs with large inputs, strays are absent exactly if

    begin: p2_begin ≤ 0 or p1_begin ≥ e1 + s1·m with m the last padding position that is read
           (m = −1, unless the second's stride and dilation skip it);
    end:   likewise p1_end ≥ e1 + r − s1·m with m counted from M−1 and
           r = (H + p1_begin + p1_end − e1) mod s1, the input left over by the first conv.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray, Array, MaybeSizes, Sizes, as_float64, channels
from convc.algebra.geometry import ConvGeometry, Geometry, TransposeGeometry
from convc.algebra.taps import swap_layout

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ring:
    """Why a composition differs from the sequence at the border; None where it does not.

    Attributes:
        input: reason that the input shows in the difference: only border strips help.
        bias: reason that a nonzero first bias shows in it: a constant border map helps.
    """

    input: str | None
    bias: str | None


def ring_condition(first: Geometry, second: Geometry, size: MaybeSizes | None = None) -> Ring:
    """Both causes of a difference at the border, for generic kernels.

    Axes are judged one by one. Only where another axis is so padded that no output sees any input
    is there no difference although one is reported.

    Args:
        first: geometry of the first map.
        second: geometry of the second.
        size: spatial input sizes; None for a dynamic one, which stands for every size.

    Raises:
        ValueError: a map has no output at this size, or the numbers of axes differ.
    """
    if first.ndim != second.ndim:
        raise ValueError(f"{first.ndim} spatial axes cannot be followed by {second.ndim}")
    sizes = (None,) * first.ndim if size is None else size
    if len(sizes) != first.ndim:
        raise ValueError(f"size {tuple(sizes)} needs {first.ndim} values")
    for axis, known in enumerate(sizes):
        if known is not None:
            _require_output(first, second, axis, known)
    return Ring(_input_reason(first, second, sizes), _bias_reason(first, second, sizes))


def ring_is_zero(
    first: Geometry,
    second: Geometry,
    size: MaybeSizes | None = None,
    first_bias_zero: bool = False,
) -> tuple[bool, str]:
    """Whether the composed map with the composed bias equals the sequence everywhere.

    Args:
        first: geometry of the first map.
        second: geometry of the second.
        size: spatial input sizes; None for a dynamic one, which stands for every size.
        first_bias_zero: whether the first map has no bias.

    Returns:
        The answer, and the reason if it is no, else an empty text.

    Raises:
        ValueError: a map has no output at this size, or the numbers of axes differ.
    """
    ring = ring_condition(first, second, size)
    reason = ring.input or (None if first_bias_zero else ring.bias)
    return reason is None, reason or ""


def keeps_constant(geometry: Geometry, size: MaybeSizes | None = None) -> tuple[bool, str]:
    """Whether an input that is constant per channel gives the sum over all taps at every output.

    True if every output sees every tap: no padding is read, no position left without input.

    Args:
        geometry: of a Conv or ConvTranspose.
        size: spatial input sizes; None for a dynamic one, which stands for every size.

    Returns:
        The answer, and the reason if it is no, else an empty text.
    """
    sizes = (None,) * geometry.ndim if size is None else size
    for axis, known in enumerate(sizes):
        reason = _constant_reason(geometry, axis, known)
        if reason is not None:
            return False, reason
    return True, ""


def constant_response(
    w: AnyArray, values: AnyArray, geometry: Geometry, size: Sizes, bias: AnyArray | None = None
) -> Array:
    """The output for an input that is constant per channel, padding and all.

    Args:
        w: kernel in the layout of its op: Conv (K, C/group, *k), ConvTranspose (C, K/group, *k).
        values: (C,), the constants.
        geometry: of the op.
        size: spatial input size.
        bias: (K,) or None.

    Returns:
        (1, K, *output size), float64.
    """
    kernel = as_float64(w)
    if isinstance(geometry, TransposeGeometry):
        kernel = swap_layout(kernel, geometry.group)
    group, count, inner = geometry.group, kernel.shape[0], kernel.shape[1]
    geometry.output_size(size)
    blocks = kernel.reshape(group, count // group, inner, *kernel.shape[2:])
    by_tap = np.einsum(
        "gkc...,gc->gk...", blocks, channels(values, group * inner).reshape(group, inner)
    )
    response = by_tap.reshape(count, *kernel.shape[2:])
    for axis in range(geometry.ndim):
        # Contracting the first of the remaining tap axes appends the output axis at the end.
        response = np.tensordot(response, _taps_seen(geometry, axis, size[axis]), axes=(1, 0))
    offset = channels(bias, count).reshape(-1, *(1,) * geometry.ndim)
    result: Array = (response + offset)[np.newaxis]
    return result


def border_map(  # noqa: PLR0917  (two ops have that many parameters)
    w2: AnyArray,
    b1: AnyArray | None,
    b2: AnyArray | None,
    first: Geometry,
    second: Geometry,
    size: Sizes,
) -> Array:
    """What both biases add to each output of the sequence.

    With no stray input (``ring_condition(...).input is None``) the sequence is the composed map
    without bias plus this array.

    Args:
        w2: the second kernel in its op's layout.
        b1: (M,) or None.
        b2: (K,) or None.
        first: geometry of the first map.
        second: geometry of the second.
        size: spatial input size of the first.

    Returns:
        (1, K, *output size), float64.
    """
    values = np.zeros(1) if b1 is None else b1
    return constant_response(w2, values, second, first.output_size(size), b2)


def span(first: Geometry, second: Geometry, size: MaybeSizes) -> int:
    """How many positions `ring_condition` may look at for one axis: large pads make them many.

    Arguments as there, the numbers of axes equal.
    """
    return max(
        max(_borders_apart(first, second, axis) * first.strides[axis] * second.strides[axis], known)
        if isinstance(second, TransposeGeometry) or not _pads_nothing(second, axis)
        else 0
        for axis, known in enumerate(entry or 0 for entry in size)
    )


def reached(geometry: Geometry, axis: int, size: int) -> Positions:
    """Output positions, in bounds or not, that some input position reaches."""
    if isinstance(geometry, ConvGeometry):
        return _gather(geometry, axis, size)
    return _scatter(geometry, axis, size)


def seen(geometry: Geometry, axis: int, outputs: int) -> Positions:
    """Input positions, in bounds or not, that some output position reads."""
    if isinstance(geometry, ConvGeometry):
        return _scatter(geometry, axis, outputs)
    return _gather(geometry, axis, outputs)


def _scatter(geometry: Geometry, axis: int, count: int) -> Positions:
    taps = np.arange(geometry.kernel[axis]) * geometry.dilations[axis]
    starts = np.arange(count)[:, np.newaxis] * geometry.strides[axis] - geometry.pads_begin[axis]
    return np.unique(starts + taps)


def _gather(geometry: Geometry, axis: int, count: int) -> Positions:
    taps = np.arange(geometry.kernel[axis]) * geometry.dilations[axis]
    ends = np.arange(count)[:, np.newaxis] - taps + geometry.pads_begin[axis]
    stride = geometry.strides[axis]
    return np.unique(ends[ends % stride == 0] // stride)


def _input_reason(first: Geometry, second: Geometry, sizes: MaybeSizes) -> str | None:
    reasons = (_stray_reason(first, second, axis, size) for axis, size in enumerate(sizes))
    return next((reason for reason in reasons if reason is not None), None)


def _stray_reason(first: Geometry, second: Geometry, axis: int, size: int | None) -> str | None:
    if isinstance(second, ConvGeometry) and _pads_nothing(second, axis):
        return None
    for known in _standing_for(first, second, axis, size):
        between = first.axis_output(axis, known)
        paths = _paths(first, second, axis, known)
        if paths.size and paths[0] < 0:
            return _describe(first, second, axis, "begin", known)
        if paths.size and paths[-1] >= between:
            return _describe(first, second, axis, "end", known)
    return None


def _paths(first: Geometry, second: Geometry, axis: int, size: int) -> Positions:
    """Positions between the maps, in bounds or not, on a path from an input to an output."""
    outputs = second.axis_output(axis, first.axis_output(axis, size))
    return np.intersect1d(reached(first, axis, size), seen(second, axis, outputs))


def _describe(first: Geometry, second: Geometry, axis: int, side: str, size: int) -> str:
    begin = side == "begin"
    pad1, pad2 = (g.pads_begin[axis] if begin else _end(g, axis) for g in (first, second))
    if isinstance(first, TransposeGeometry):
        return f"axis {axis} {side}: the first crops {pad1}, the second pads {pad2}"
    between = first.axis_output(axis, size)
    if isinstance(second, TransposeGeometry):
        need = first.extent[axis] - 1
        return f"axis {axis} {side}: first padding {pad1} < {need}, second crops {pad2}"
    read = seen(second, axis, second.axis_output(axis, between))
    stride, extent = first.strides[axis], first.extent[axis]
    if begin:
        need = extent + stride * int(read[read < 0][-1])
    else:
        left = (size + first.pads_begin[axis] + first.pads_end[axis] - extent) % stride
        need = extent + left - stride * (int(read[read >= between][0]) - between + 1)
    return f"axis {axis} {side}: first padding {pad1} < {need}, second padding {pad2} > 0"


def _bias_reason(first: Geometry, second: Geometry, sizes: MaybeSizes) -> str | None:
    for axis, size in enumerate(sizes):
        between = None if size is None else first.axis_output(axis, size)
        reason = _constant_reason(second, axis, between)
        if reason is not None:
            return f"first bias meets the border: {reason}"
    return None


def _constant_reason(geometry: Geometry, axis: int, size: int | None) -> str | None:
    begin, end = geometry.pads_begin[axis], geometry.pads_end[axis]
    if isinstance(geometry, TransposeGeometry):
        return _transpose_constant_reason(geometry, axis, size)
    if begin > 0:
        return f"axis {axis} begin: padding {begin} > 0"
    if end <= 0:
        return None
    # A dynamic size takes every remainder, also the one that reads all of the padding.
    if size is None or _last_read(geometry, axis, size) >= size:
        return f"axis {axis} end: padding {end} > 0"
    return None


def _last_read(geometry: ConvGeometry, axis: int, size: int) -> int:
    outputs = geometry.axis_output(axis, size)
    start = geometry.strides[axis] * (outputs - 1) - geometry.pads_begin[axis]
    return start + geometry.extent[axis] - 1


def _transpose_constant_reason(
    geometry: TransposeGeometry, axis: int, size: int | None
) -> str | None:
    if size is not None:
        whole = bool(_taps_seen(geometry, axis, size).all())
        return None if whole else f"axis {axis}: outputs of a transposed conv see different taps"
    inner = geometry.extent[axis] - 1
    crop = min(geometry.pads_begin[axis], geometry.crop_end[axis])
    if geometry.strides[axis] == 1 and crop >= inner:
        return None
    return f"axis {axis}: outputs of a transposed conv see different taps"


def _taps_seen(geometry: Geometry, axis: int, size: int) -> Array:
    """(k, outputs): 1 where that tap of that output meets an input in bounds, else 0."""
    taps = np.arange(geometry.kernel[axis])[:, np.newaxis] * geometry.dilations[axis]
    outputs = np.arange(geometry.axis_output(axis, size))
    stride, pad = geometry.strides[axis], geometry.pads_begin[axis]
    if isinstance(geometry, ConvGeometry):
        position = stride * outputs + taps - pad
        return as_float64((position >= 0) & (position < size))
    scaled = outputs - taps + pad
    return as_float64((scaled % stride == 0) & (scaled >= 0) & (scaled < size * stride))


def _end(geometry: Geometry, axis: int) -> int:
    ends = geometry.pads_end if isinstance(geometry, ConvGeometry) else geometry.crop_end
    return ends[axis]


def _pads_nothing(second: ConvGeometry, axis: int) -> bool:
    return second.pads_begin[axis] <= 0 and second.pads_end[axis] <= 0


def _standing_for(first: Geometry, second: Geometry, axis: int, size: int | None) -> range:
    """Small sizes on one axis that have the strays of ``size``, or of all sizes if it is None.

    Beyond a size that keeps the two borders apart, only the remainder modulo the product of the
    strides counts; and a stray of a smaller size is one of every larger size of its remainder.
    """
    apart = _borders_apart(first, second, axis)
    period = first.strides[axis] * second.strides[axis]
    if size is None:
        return range(apart, apart + period)
    near = size if size < apart else apart + (size - apart) % period
    return range(near, near + 1)


def _borders_apart(first: Geometry, second: Geometry, axis: int) -> int:
    reach1, reach2 = (
        g.extent[axis] + 2 * abs(g.pads_begin[axis]) + 2 * abs(g.pads_end[axis])
        for g in (first, second)
    )
    extra = sum(g.output_padding[axis] for g in (first, second) if isinstance(g, TransposeGeometry))
    return reach1 + first.strides[axis] * (reach2 + second.strides[axis] + 1) + 2 * extra


def _require_output(first: Geometry, second: Geometry, axis: int, size: int) -> None:
    between = first.axis_output(axis, size)
    if between < 1 or second.axis_output(axis, between) < 1:
        raise ValueError(f"no output: size {size} on axis {axis} is too small for the geometry")
