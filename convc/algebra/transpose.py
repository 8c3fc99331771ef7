"""Compositions with a transposed convolution, and its stride-1 form as a plain one.

Kernels of a ConvTranspose are in ONNX layout (C, K/group, *k). The kernels here carry no bias:
the constant that two biases add is ``compose_bias`` (of the kernel in Conv layout) where
``border.keeps_constant(second, ...)`` holds, and ``border.border_map`` everywhere.
"""

from __future__ import annotations

import math

import numpy as np

from convc.algebra.arrays import AnyArray, Array, MaybeSizes, Sizes, as_float64
from convc.algebra.border import ring_is_zero
from convc.algebra.compose import compose_geometry, compose_kernels
from convc.algebra.errors import DoesNotCompose
from convc.algebra.geometry import ConvGeometry, Geometry, TransposeGeometry
from convc.algebra.taps import common_grid, compose_taps, flip, swap_layout


def transpose_as_conv(w: AnyArray, geometry: TransposeGeometry) -> tuple[ConvGeometry, Array]:
    """The Conv that a ConvTranspose of stride 1 is: flipped kernel, pads ``e − 1 − p``.

    Args:
        w: (C, K/group, *k).
        geometry: of the ConvTranspose.

    Returns:
        Geometry and kernel (K, C/group, *k). Pads are negative where the ConvTranspose crops more
        than its kernel adds.

    Raises:
        DoesNotCompose: a stride is greater than 1.
    """
    if max(geometry.strides) > 1:
        raise DoesNotCompose("the transposed conv has a stride greater than 1")
    conv = ConvGeometry(
        kernel=geometry.kernel,
        strides=geometry.strides,
        dilations=geometry.dilations,
        pads_begin=tuple(
            e - 1 - p for e, p in zip(geometry.extent, geometry.pads_begin, strict=True)
        ),
        pads_end=tuple(e - 1 - c for e, c in zip(geometry.extent, geometry.crop_end, strict=True)),
        group=geometry.group,
    )
    return conv, flip(swap_layout(as_float64(w), geometry.group))


def compose_conv_then_transpose(
    w1: AnyArray,
    w2: AnyArray,
    first: ConvGeometry,
    second: TransposeGeometry,
    size: MaybeSizes | None = None,
) -> tuple[Geometry, Array]:
    """A Conv followed by a ConvTranspose as one op.

    With s1 = 1 the sequence sends input i to outputs ``s2·i + (d2·u − s2·d1·t) + s2·p1 − p2``: a
    ConvTranspose of stride s2 whose kernel is the second's with the first's, flipped and spread
    by s2. At a border it is exact if the first conv gives all of its nonzero outputs
    (``p1 ≥ e1 − 1``) or the second crops what the missing ones would add (``p2 ≥ e2 − s2``).
    With s2 = 1 the second is a Conv, and so is the composition, for any s1.

    Args:
        w1: (M, C/g1, *k1).
        w2: (M, K/g2, *k2).
        first: geometry of the Conv.
        second: geometry of the ConvTranspose.
        size: spatial input size, None where dynamic.

    Returns:
        A ConvGeometry and a kernel (K, C/g, *k) if s2 = 1, otherwise a TransposeGeometry and a
        kernel (C, K/g, *k); ``g = gcd(g1, g2)``.

    Raises:
        DoesNotCompose: both strides are greater than 1, or the border is not exact.
    """
    if max(second.strides) == 1:
        conv, kernel = transpose_as_conv(w2, second)
        _require_ring(first, conv, size)
        return compose_geometry(first, conv), compose_kernels(w1, kernel, first, conv)
    if max(first.strides) > 1:
        raise DoesNotCompose("a strided conv before a strided transposed conv")
    _require_ring(first, second, size)
    spread = tuple(s * d for s, d in zip(second.strides, first.dilations, strict=True))
    grid = _grids(first.kernel, spread, second.kernel, second.dilations)
    kernel = compose_taps(
        flip(as_float64(w1)),
        swap_layout(as_float64(w2), second.group),
        (first.group, second.group),
        _steps(spread, grid),
        _steps(second.dilations, grid),
    )
    missing_begin, missing_end = (
        tuple(s * (e - 1 - p) for s, e, p in zip(second.strides, first.extent, pads, strict=True))
        for pads in (first.pads_begin, first.pads_end)
    )
    begin = tuple(p + m for p, m in zip(second.pads_begin, missing_begin, strict=True))
    end = tuple(c + m for c, m in zip(second.crop_end, missing_end, strict=True))
    group = math.gcd(first.group, second.group)
    return _as_transpose(kernel, second.strides, grid, begin, end, group=group)


def compose_transpose_then_conv(
    w1: AnyArray,
    w2: AnyArray,
    first: TransposeGeometry,
    second: ConvGeometry,
    size: MaybeSizes | None = None,
) -> tuple[Geometry, Array]:
    """A ConvTranspose followed by a Conv as one op.

    Output o and input i meet where ``s2·o = s1·i + v − P``, with v a tap of the first kernel with
    the second, flipped, and ``P = p1 + e2 − 1 − p2``. If s2 divides s1, only the taps
    ``v ≡ P mod s2`` meet an output: a ConvTranspose of stride s1/s2 over every s2-th tap. If s1
    divides s2, likewise a Conv of stride s2/s1. At a border it is exact if the second conv's
    padding covers nothing that the first cropped.

    Args:
        w1: (C, M/g1, *k1).
        w2: (K, M/g2, *k2).
        first: geometry of the ConvTranspose.
        second: geometry of the Conv.
        size: spatial input size, None where dynamic.

    Returns:
        A ConvGeometry and a kernel (K, C/g, *k) if s1 divides s2 on every axis, otherwise a
        TransposeGeometry and a kernel (C, K/g, *k); ``g = gcd(g1, g2)``.

    Raises:
        DoesNotCompose: no stride divides the other, the border is not exact, or no tap is left.
    """
    if max(first.strides) == 1:
        conv, kernel = transpose_as_conv(w1, first)
        _require_ring(conv, second, size)
        return compose_geometry(conv, second), compose_kernels(kernel, w2, conv, second)
    pairs = list(zip(first.strides, second.strides, strict=True))
    gives_conv = all(s2 % s1 == 0 for s1, s2 in pairs)
    if not gives_conv and any(s1 % s2 for s1, s2 in pairs):
        raise DoesNotCompose("strides of the transposed conv and the conv do not divide")
    _require_ring(first, second, size)
    # Every n-th tap is taken, with n the smaller stride: the grid stays coarse only where n is 1.
    grid = tuple(
        coarse if min(pair) == 1 else 1
        for coarse, pair in zip(
            _grids(first.kernel, first.dilations, second.kernel, second.dilations),
            pairs,
            strict=True,
        )
    )
    kernel = compose_taps(
        swap_layout(as_float64(w1), first.group),
        flip(as_float64(w2)),
        (first.group, second.group),
        _steps(first.dilations, grid),
        _steps(second.dilations, grid),
    )
    offsets = [
        p1 + e2 - 1 - p2
        for p1, e2, p2 in zip(first.pads_begin, second.extent, second.pads_begin, strict=True)
    ]
    kept = [min(pair) for pair in pairs]
    skipped = [offset % n for offset, n in zip(offsets, kept, strict=True)]
    kernel = kernel[:, :, *(slice(o, None, n) for o, n in zip(skipped, kept, strict=True))]
    if not kernel.size:
        raise DoesNotCompose("the conv reads only positions that the transposed conv leaves empty")
    begin = tuple((p - o) // n for p, o, n in zip(offsets, skipped, kept, strict=True))
    # Input positions left for the last output, as in ⌊(s1(H − 1) + room) / s2⌋ + 1 outputs.
    rooms = [
        e1 - p1 - c1 + p2 + q2 - e2
        for e1, p1, c1, p2, q2, e2 in zip(
            first.extent,
            first.pads_begin,
            first.crop_end,
            second.pads_begin,
            second.pads_end,
            second.extent,
            strict=True,
        )
    ]
    group = math.gcd(first.group, second.group)
    taps = kernel.shape[2:]
    extent = tuple(g * (k - 1) + 1 for g, k in zip(grid, taps, strict=True))
    quotients = tuple(room // n for room, n in zip(rooms, kept, strict=True))
    if not gives_conv:
        end = tuple(e - b - (q + 1) for e, b, q in zip(extent, begin, quotients, strict=True))
        strides = tuple(s1 // s2 for s1, s2 in pairs)
        return _as_transpose(kernel, strides, grid, begin, end, group=group)
    pads = tuple(e - 1 - b for e, b in zip(extent, begin, strict=True))
    conv = ConvGeometry(
        kernel=taps,
        strides=tuple(s2 // s1 for s1, s2 in pairs),
        dilations=grid,
        pads_begin=pads,
        pads_end=tuple(e - 1 - p + q for e, p, q in zip(extent, pads, quotients, strict=True)),
        group=group,
    )
    return conv, flip(kernel)


def _as_transpose(
    kernel: Array, strides: Sizes, dilations: Sizes, begin: Sizes, end: Sizes, *, group: int
) -> tuple[TransposeGeometry, Array]:
    """A ConvTranspose of kernel (K, C/group, *k) that crops ``begin`` and ``end``.

    ONNX has no negative crop at the begin, and at the end ``output_padding`` stays below the
    stride: what is beyond that becomes taps of weight zero.
    """
    before = [max(0, -(b // d)) for b, d in zip(begin, dilations, strict=True)]
    behind = [max(0, -((c + s - 1) // d)) for c, s, d in zip(end, strides, dilations, strict=True)]
    widths = [(0, 0), (0, 0), *zip(before, behind, strict=True)]
    padded = np.pad(kernel, widths)
    crop = [c + d * n for c, d, n in zip(end, dilations, behind, strict=True)]
    geometry = TransposeGeometry(
        kernel=padded.shape[2:],
        strides=strides,
        dilations=dilations,
        pads_begin=tuple(b + d * n for b, d, n in zip(begin, dilations, before, strict=True)),
        pads_end=tuple(max(0, c) for c in crop),
        output_padding=tuple(max(0, -c) for c in crop),
        group=group,
    )
    return geometry, swap_layout(padded, group)


def _require_ring(first: Geometry, second: Geometry, size: MaybeSizes | None) -> None:
    zero, reason = ring_is_zero(first, second, size, first_bias_zero=True)
    if not zero:
        raise DoesNotCompose(reason)


def _grids(kernel1: Sizes, steps1: Sizes, kernel2: Sizes, steps2: Sizes) -> Sizes:
    axes = zip(kernel1, steps1, kernel2, steps2, strict=True)
    return tuple(common_grid(*axis) for axis in axes)


def _steps(distances: Sizes, grid: Sizes) -> Sizes:
    """Distances in units of the grid; at least 1 for a kernel of one tap, which has no distance."""
    return tuple(max(1, d // g) for d, g in zip(distances, grid, strict=True))
