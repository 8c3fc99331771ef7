"""Geometry of sliding windows: what convolutions and pools have in common.

Sizes are per spatial axis, first axis first. For one axis with input size n, kernel k,
stride s, dilation d and pads (b, e), a window covers d(k-1)+1 samples of the padded axis
and there are floor((n+b+e-d(k-1)-1)/s)+1 of them (ceil in a pool with `ceil_mode`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .support import Array, Attributes, KernelError, choice, integers, per_axis

AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@dataclass(frozen=True)
class Window:
    """A sliding window resolved against one input size; a tuple entry per spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)


def explicit_pads(attributes: Attributes, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Attribute `pads` as (begins, ends); zeros when missing."""
    if attributes.get("pads") is None:
        return (0,) * rank, (0,) * rank
    pads = integers(attributes["pads"], "pads")
    if len(pads) != 2 * rank:
        raise KernelError(f"pads has {len(pads)} entries for {rank} spatial axes")
    return pads[:rank], pads[rank:]


def resolve(attributes: Attributes, spatial: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a convolution with these attributes on an input of size `spatial`.

    Like onnxruntime, auto_pad SAME may pad negatively, where the stride exceeds the kernel.

    Raises KernelError for entries of the wrong count or below their minimum and when the
    kernel does not fit into the padded input.
    """
    rank = len(spatial)
    strides, dilations, extents = _steps(attributes, kernel)
    auto_pad = choice(attributes, "auto_pad", "NOTSET", AUTO_PADS)
    if auto_pad == "NOTSET":
        begin, end = explicit_pads(attributes, rank)
    elif auto_pad == "VALID":
        begin = end = (0,) * rank
    else:
        begin, end = _same_pads(spatial, strides, extents, auto_pad == "SAME_UPPER", conv=True)
    output = []
    for n, extent, s, b, e in zip(spatial, extents, strides, begin, end, strict=True):
        if n + b + e < extent:
            raise KernelError(f"a kernel over {extent} samples does not fit into {n}+{b}+{e}")
        output.append((n + b + e - extent) // s + 1)
    return Window(tuple(kernel), strides, dilations, begin, end, tuple(output))


def resolve_pool(attributes: Attributes, spatial: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window of a pool, by onnxruntime's rules where these leave the specification.

    With auto_pad SAME the total padding is (ceil(n/s)-1)s + k - n, without the dilation.
    A window may exceed an input that is up to a stride too short. With ceil_mode no window
    starts in the padding at the end.
    """
    rank = len(spatial)
    strides, dilations, extents = _steps(attributes, kernel)
    auto_pad = choice(attributes, "auto_pad", "NOTSET", AUTO_PADS)
    if auto_pad == "NOTSET":
        begin, end = explicit_pads(attributes, rank)
    elif auto_pad == "VALID":
        begin = end = (0,) * rank
    else:
        begin, end = _same_pads(spatial, strides, kernel, auto_pad == "SAME_UPPER", conv=False)
    ceil_mode = bool(attributes.get("ceil_mode", 0))
    output = tuple(
        _pool_count(n, extent, s, b, e, ceil_mode=ceil_mode)
        for n, extent, s, b, e in zip(spatial, extents, strides, begin, end, strict=True)
    )
    return Window(tuple(kernel), strides, dilations, begin, end, output)


def _same_pads(
    spatial: Sequence[int],
    strides: Sequence[int],
    extents: Sequence[int],
    upper: bool,
    conv: bool,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pads that make ceil(n/s) windows of `extents`; negative where the stride skips samples.

    How a negative total is shared out is as observed in onnxruntime: halves are rounded
    towards zero, and a conv begins as if it were to crop one sample less.
    """
    totals = [
        (-(-n // s) - 1) * s + extent - n
        for n, s, extent in zip(spatial, strides, extents, strict=True)
    ]
    shared = [total + 1 if conv and total < 0 else total for total in totals]
    begin = tuple(int((share if upper else share + 1) / 2) for share in shared)
    return begin, tuple(total - b for total, b in zip(totals, begin, strict=True))


def _steps(
    attributes: Attributes, kernel: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Strides, dilations and how many samples the kernel extends over, per axis."""
    strides = per_axis(attributes, "strides", len(kernel), 1)
    dilations = per_axis(attributes, "dilations", len(kernel), 1)
    if min((*strides, *dilations, *kernel)) < 1:
        raise KernelError("kernel_shape, strides and dilations must be positive")
    return (
        strides,
        dilations,
        tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)),
    )


def split_padding(totals: Sequence[int], upper: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Halve total padding per axis; the odd sample goes to the end when `upper`."""
    small = tuple(total // 2 for total in totals)
    large = tuple(total - half for total, half in zip(totals, small, strict=True))
    return (small, large) if upper else (large, small)


def _pool_count(n: int, extent: int, stride: int, begin: int, end: int, *, ceil_mode: bool) -> int:
    slack = n + begin + end - extent
    count = math.ceil(slack / stride) + 1 if ceil_mode else int(slack / stride) + 1
    if ceil_mode and (count - 1) * stride >= n + begin:
        count -= 1
    if count < 0:
        raise KernelError(f"a window of {extent} samples does not fit into {n}+{begin}+{end}")
    return count


def padded(
    x: Array, begin: Sequence[int], end: Sequence[int], fill: float | int | bool = 0
) -> Array:
    """`x` with its last axes padded by `fill`, cropped where a pad is negative."""
    lead = x.ndim - len(begin)
    begin, end = (0,) * lead + tuple(begin), (0,) * lead + tuple(end)
    kept = [
        (max(-b, 0), max(n + min(e, 0), -b, 0)) for n, b, e in zip(x.shape, begin, end, strict=True)
    ]
    inside = x[tuple(slice(start, stop) for start, stop in kept)]
    if max((*begin, *end), default=0) <= 0:
        return inside
    shape = tuple(n + b + e for n, b, e in zip(x.shape, begin, end, strict=True))
    result = np.full(shape, fill, dtype=x.dtype)
    places = tuple(slice(s + b, t + b) for (s, t), b in zip(kept, begin, strict=True))
    result[places] = inside
    return result


def covered(window: Window, x: Array, fill: float | int | bool = 0) -> Array:
    """`x` (N, C, spatial) padded so that every window, the ceil_mode ones too, lies inside."""
    end = tuple(
        (o - 1) * s + d * (k - 1) + 1 - n - b
        for n, k, s, d, b, o in zip(
            x.shape[2:],
            window.kernel,
            window.strides,
            window.dilations,
            window.begin,
            window.output,
            strict=True,
        )
    )
    return padded(x, window.begin, end, fill)


def taps(window: Window, x: Array) -> Iterator[Array]:
    """For each kernel position, row-major, the (N, C, output) view of samples it meets.

    `x` is the result of `covered`.
    """
    for position in np.ndindex(*window.kernel):
        starts = tuple(p * d for p, d in zip(position, window.dilations, strict=True))
        region = tuple(
            slice(start, start + (o - 1) * s + 1, s)
            for start, o, s in zip(starts, window.output, window.strides, strict=True)
        )
        yield x[(slice(None), slice(None), *region)]


def patches(window: Window, x: Array) -> Array:
    """The view (N, C, output, kernel) of all windows of `x`, the result of `covered`."""
    spatial = x.strides[2:]
    steps = tuple(b * s for b, s in zip(spatial, window.strides, strict=True))
    inner = tuple(b * d for b, d in zip(spatial, window.dilations, strict=True))
    return np.lib.stride_tricks.as_strided(
        x,
        shape=(*x.shape[:2], *window.output, *window.kernel),
        strides=(*x.strides[:2], *steps, *inner),
        writeable=False,
    )


def blocks(shape: Sequence[int], limit: int) -> Iterator[tuple[slice, ...]]:
    """Cut an index space of `shape` into boxes of at most `limit` points (at least one)."""
    box = []
    room = max(limit, 1)
    for size in reversed(shape):
        side = max(min(size, room), 1)
        box.append(side)
        room //= side
    box.reverse()
    counts = tuple(math.ceil(size / side) for size, side in zip(shape, box, strict=True))
    for corner in np.ndindex(*counts):
        yield tuple(
            slice(c * side, min((c + 1) * side, size))
            for c, side, size in zip(corner, box, shape, strict=True)
        )
