"""A strided transposed convolution as convolutions of stride 1, one for each phase of its output.

Per axis, input i and tap t of a ConvTranspose meet at output ``s·i + d·t − p``. Of the outputs
``s·q + r`` of phase r, output q so reads input ``q + (r + p − d·t) / s`` for the taps t for which
that is whole: every ``s/g``-th tap with ``g = gcd(d, s)``, at distances of ``d/g``. So a phase is a
convolution of stride 1. All phases are given the same number of outputs

    Q = H + ⌈c / s⌉,  c = e − s − p − crop_end,

so that interleaving them gives ``s·Q`` positions; the last ``−c mod s`` are too many. Neither the
pads nor that surplus depend on the size H.

Which outputs are phase 0 is free: cropping b positions less at the begin, for b < s, and slicing
them off the interleaved result shifts the phases. With ``p − b`` a multiple of s and d = 1, all
phases read the same ``⌈k/s⌉`` positions, the sub-pixel convolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeAlias

import numpy as np

from convc.algebra.arrays import AnyArray, Array, Sizes, as_float64
from convc.algebra.geometry import ConvGeometry, TransposeGeometry
from convc.algebra.taps import swap_layout


@dataclass(frozen=True, slots=True)
class Window:
    """What a phase reads on one axis: output q reads input ``q + start + step·j`` with tap j.

    Attributes:
        start: input position that output 0 reads first.
        step: distance of two positions.
        taps: the tap of the transposed kernel that each position meets; None: a weight of zero.
    """

    start: int
    step: int
    taps: tuple[int | None, ...]

    @property
    def last(self) -> int:
        """Input position that output 0 reads last."""
        return self.start + self.step * (len(self.taps) - 1)


Windows: TypeAlias = Callable[[TransposeGeometry, int], Sequence[Window]]


def phase_windows(geometry: TransposeGeometry, axis: int) -> tuple[Window, ...]:
    """The windows of the phases 0 to s − 1 of one axis; a phase without taps reads a zero."""
    return tuple(_reaching(_window(reads), geometry, axis) for reads in _reads(geometry, axis))


def common_window(geometry: TransposeGeometry, axis: int) -> tuple[Window, ...]:
    """The windows of the phases of one axis, made to read the same positions."""
    reads = _reads(geometry, axis)
    positions = sorted(position for phase in reads for position in phase) or [0]
    low, high = positions[0], positions[-1]
    step = math.gcd(*(position - low for position in positions)) or 1
    grid = range(low, high + 1, step)
    windows = [Window(low, step, tuple(phase.get(at) for at in grid)) for phase in reads]
    return tuple(_reaching(window, geometry, axis) for window in windows)


def phase_convs(w: AnyArray, geometry: TransposeGeometry) -> list[tuple[ConvGeometry, Array]]:
    """One convolution of stride 1 for each phase of the output.

    Args:
        w: (C, K/group, *k), the kernel of the ConvTranspose.
        geometry: of the ConvTranspose.

    Returns:
        Geometry and kernel (K, C/group, *k') of each phase, the phase of the last axis running
        fastest. A single one where all strides are 1.
    """
    kernel = swap_layout(as_float64(w), geometry.group)
    axes = [phase_windows(geometry, axis) for axis in range(geometry.ndim)]
    return [
        (_geometry(geometry, windows), _taken(kernel, [window.taps for window in windows]))
        for windows in product(*axes)
    ]


def stacked_phases(w: AnyArray, geometry: TransposeGeometry) -> tuple[ConvGeometry, Array]:
    """One convolution of stride 1 that computes all phases, padded with zeros to one window.

    Args:
        w: (C, K/group, *k), the kernel of the ConvTranspose.
        geometry: of the ConvTranspose.

    Returns:
        Its geometry, and its kernels as (phases, K, C/group, *k').
    """
    kernel = swap_layout(as_float64(w), geometry.group)
    axes = [common_window(geometry, axis) for axis in range(geometry.ndim)]
    kernels = [_taken(kernel, [window.taps for window in windows]) for windows in product(*axes)]
    return _geometry(geometry, [windows[0] for windows in axes]), np.stack(kernels)


def taps_of(geometry: TransposeGeometry, windows: Windows) -> int:
    """Taps of all phases together, with ``windows`` one of the two functions above."""
    return math.prod(_axis_taps(geometry, windows, axis) for axis in range(geometry.ndim))


def best_shift(geometry: TransposeGeometry, windows: Windows) -> Sizes:
    """How much less to crop at the begin of each axis for the fewest taps, see `shifted`."""
    best = []
    for axis, stride in enumerate(geometry.strides):
        taps = [
            _axis_taps(shifted(geometry, (less,) * geometry.ndim), windows, axis)
            for less in range(stride)
        ]
        best.append(taps.index(min(taps)))
    return tuple(best)


def shifted(geometry: TransposeGeometry, less: Sizes) -> TransposeGeometry:
    """The same with ``less`` positions cropped less at the begin of each axis."""
    pads = tuple(p - b for p, b in zip(geometry.pads_begin, less, strict=True))
    return replace(geometry, pads_begin=pads)


def _axis_taps(geometry: TransposeGeometry, windows: Windows, axis: int) -> int:
    return sum(len(window.taps) for window in windows(geometry, axis))


def surplus(geometry: TransposeGeometry) -> Sizes:
    """How many of the interleaved positions are too many at the end of each axis."""
    return tuple(-_excess(geometry, axis) % geometry.strides[axis] for axis in range(geometry.ndim))


def _excess(geometry: TransposeGeometry, axis: int) -> int:
    """The c of the module's docstring: output size less ``s·H``."""
    crop = geometry.pads_begin[axis] + geometry.crop_end[axis]
    return geometry.extent[axis] - geometry.strides[axis] - crop


def _growth(geometry: TransposeGeometry, axis: int) -> int:
    """``Q − H``: outputs of a phase less inputs."""
    return -(-_excess(geometry, axis) // geometry.strides[axis])


def _reads(geometry: TransposeGeometry, axis: int) -> list[dict[int, int]]:
    """For each phase the input positions that its output 0 reads, and the taps they meet."""
    stride, dilation = geometry.strides[axis], geometry.dilations[axis]
    phases: list[dict[int, int]] = [{} for _ in range(stride)]
    for tap in reversed(range(geometry.kernel[axis])):
        offset = geometry.pads_begin[axis] - dilation * tap
        phase = -offset % stride
        phases[phase][(offset + phase) // stride] = tap
    return phases


def _window(reads: dict[int, int]) -> Window:
    positions = sorted(reads)
    if not positions:
        return Window(0, 1, (None,))
    step = positions[1] - positions[0] if len(positions) > 1 else 1
    return Window(positions[0], step, tuple(reads[at] for at in positions))


def _reaching(window: Window, geometry: TransposeGeometry, axis: int) -> Window:
    """The window with zeros at its ends, so that no pad of the convolution is negative."""
    before = max(0, -(-window.start // window.step))
    missing = -_growth(geometry, axis) - window.last
    behind = max(0, -(-missing // window.step))
    taps = ((None,) * before) + window.taps + (None,) * behind
    return Window(window.start - before * window.step, window.step, taps)


def _geometry(geometry: TransposeGeometry, windows: Sequence[Window]) -> ConvGeometry:
    return ConvGeometry(
        kernel=tuple(len(window.taps) for window in windows),
        strides=(1,) * geometry.ndim,
        dilations=tuple(window.step for window in windows),
        pads_begin=tuple(-window.start for window in windows),
        pads_end=tuple(
            _growth(geometry, axis) + window.last for axis, window in enumerate(windows)
        ),
        group=geometry.group,
    )


def _taken(kernel: Array, taps: Sequence[Sequence[int | None]]) -> Array:
    """The taps of a kernel along each spatial axis, None for zero."""
    taken = np.pad(kernel, [(0, 0), (0, 0), *((0, 1) for _ in taps)])
    for axis, chosen in enumerate(taps, start=2):
        taken = np.take(taken, [-1 if tap is None else tap for tap in chosen], axis)
    return taken
