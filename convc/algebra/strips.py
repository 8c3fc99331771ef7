"""Two padded convs as one conv inside and the sequence itself along the border.

Where ``border.ring_condition`` finds the input in the border ring, the composed conv is still
right for the outputs that read no stray position. They form a box. The outputs around it are
computed by the two convs as they were, each strip from the part of the input it depends on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from convc.algebra.arrays import Sizes
from convc.algebra.border import reached
from convc.algebra.compose import compose_geometry
from convc.algebra.errors import DoesNotCompose
from convc.algebra.geometry import ConvGeometry

Span: TypeAlias = tuple[int, int]
"""Positions [lo, hi) on one axis."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A box of the output, computed by convs applied in order to a box of the input.

    Attributes:
        outputs: the box of the output, per axis.
        inputs: the box of the input to slice, per axis; never empty.
        convs: one geometry (the composed kernel) or two (the original kernels). Pads are those of
            the slice: never negative, and such that the results fill ``outputs``.
    """

    outputs: tuple[Span, ...]
    inputs: tuple[Span, ...]
    convs: tuple[ConvGeometry, ...]


LONGEST = 2**24
"""Outputs on an axis beyond which its border is not looked for: each is looked at."""


@dataclass(frozen=True, slots=True)
class BorderStrips:
    """A partition of the output into the interior and up to two strips per axis.

    A strip spans its own axis at one border, the interior on the axes before, everything on the
    axes after. So the output is put together from the last axis to the first:
    ``y = concat([begin[axis], y, end[axis]], axis)``, starting with the interior.

    Attributes:
        interior: for the composed kernel and the composed bias.
        begin: per axis, the strip before the interior, None where there is none.
        end: per axis, the strip behind it.
    """

    interior: Patch
    begin: tuple[Patch | None, ...]
    end: tuple[Patch | None, ...]


def border_strips(
    first: ConvGeometry, second: ConvGeometry, size: Sizes, first_bias_zero: bool = False
) -> BorderStrips:
    """The partition for a known input size; without any strip if the ring is zero.

    Args:
        first: geometry of the first conv.
        second: geometry of the second.
        size: spatial input size.
        first_bias_zero: whether the first conv has no bias. If it has one, outputs that read
            padding of the second conv belong to the strips, whatever they see of the input.

    Raises:
        DoesNotCompose: no interior is left at this size.
        ValueError: a conv has no output at this size.
    """
    second.output_size(first.output_size(size))
    axes = range(first.ndim)
    cuts = [_interior(first, second, axis, size[axis], first_bias_zero) for axis in axes]
    outputs = [second.axis_output(axis, first.axis_output(axis, size[axis])) for axis in axes]

    def strip(axis: int, span: Span) -> Patch | None:
        if span[0] == span[1]:
            return None
        box = (*cuts[:axis], span, *((0, count) for count in outputs[axis + 1 :]))
        return _patch((first, second), box, size)

    return BorderStrips(
        interior=_patch((compose_geometry(first, second),), tuple(cuts), size),
        begin=tuple(strip(axis, (0, cuts[axis][0])) for axis in axes),
        end=tuple(strip(axis, (cuts[axis][1], outputs[axis])) for axis in axes),
    )


def _interior(
    first: ConvGeometry, second: ConvGeometry, axis: int, size: int, first_bias_zero: bool
) -> Span:
    between = first.axis_output(axis, size)
    count = second.axis_output(axis, between)
    if count > LONGEST:
        raise DoesNotCompose(f"axis {axis}: {count} outputs are more than are looked at")
    taps = np.arange(second.kernel[axis]) * second.dilations[axis]
    outputs = np.arange(count)[:, np.newaxis]
    read = second.strides[axis] * outputs + taps - second.pads_begin[axis]
    outside = (read < 0) | (read >= between)
    stray = outside & np.isin(read, reached(first, axis, size)) if first_bias_zero else outside
    at_begin = np.flatnonzero((stray & (read < 0)).any(axis=1))
    at_end = np.flatnonzero((stray & (read >= between)).any(axis=1))
    lo = int(at_begin[-1]) + 1 if at_begin.size else 0
    hi = int(at_end[0]) if at_end.size else count
    convs = (first, second)
    # A strip must depend on some input, or there is nothing to slice for it.
    while 0 < lo < hi and not _has_input(convs, axis, (0, lo), size):
        lo += 1
    while lo < hi < count and not _has_input(convs, axis, (hi, count), size):
        hi -= 1
    composed = (compose_geometry(first, second),)
    usable = lo < hi and all(_has_input(c, axis, (lo, hi), size) for c in (convs, composed))
    if not usable:
        raise DoesNotCompose(f"axis {axis}: no interior at size {size}")
    return lo, hi


def _patch(convs: tuple[ConvGeometry, ...], box: tuple[Span, ...], size: Sizes) -> Patch:
    """The patch for the outputs in ``box``: windows are followed back from the last conv."""
    sizes = [size]
    for conv in convs[:-1]:
        sizes.append(conv.output_size(sizes[-1]))
    spans, sliced = box, []
    for conv, source in zip(reversed(convs), reversed(sizes), strict=True):
        windows = [_window(conv, axis, span, source[axis]) for axis, span in enumerate(spans)]
        spans = tuple(span for span, _, _ in windows)
        sliced.append(
            ConvGeometry(
                kernel=conv.kernel,
                strides=conv.strides,
                dilations=conv.dilations,
                pads_begin=tuple(begin for _, begin, _ in windows),
                pads_end=tuple(end for _, _, end in windows),
                group=conv.group,
            )
        )
    return Patch(outputs=box, inputs=spans, convs=tuple(reversed(sliced)))


def _window(conv: ConvGeometry, axis: int, span: Span, size: int) -> tuple[Span, int, int]:
    """The inputs in bounds that outputs ``span`` read, and the pads before and behind them."""
    stride, pad = conv.strides[axis], conv.pads_begin[axis]
    start = stride * span[0] - pad
    stop = stride * (span[1] - 1) - pad + conv.extent[axis]
    lo, hi = max(0, start), min(size, stop)
    return (lo, hi), lo - start, stop - hi


def _has_input(convs: tuple[ConvGeometry, ...], axis: int, span: Span, size: int) -> bool:
    sizes = [size]
    for conv in convs[:-1]:
        sizes.append(conv.axis_output(axis, sizes[-1]))
    for conv, source in zip(reversed(convs), reversed(sizes), strict=True):
        span, _, _ = _window(conv, axis, span, source)
        if span[0] >= span[1]:
            return False
    return True
