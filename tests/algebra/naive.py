"""Convolutions written to be obviously right: one output or input position after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convc.algebra import (
    BorderStrips,
    ConvGeometry,
    Patch,
    TransposeGeometry,
    compose_bias,
    compose_kernels,
)

Array = NDArray[np.float64]


def pad(x: Array, begin: tuple[int, ...], end: tuple[int, ...]) -> Array:
    """Zeros around the spatial axes; a negative pad crops."""
    for axis, (b, e) in enumerate(zip(begin, end, strict=True), start=2):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (max(0, b), max(0, e))
        x = np.pad(x, widths)
        keep = slice(max(0, -b), x.shape[axis] - max(0, -e))
        x = x[(slice(None),) * axis + (keep,)]
    return x


def conv(x: Array, w: Array, b: Array | None, geometry: ConvGeometry) -> Array:
    padded = pad(x, geometry.pads_begin, geometry.pads_end)
    extents = [d * (k - 1) + 1 for d, k in zip(geometry.dilations, geometry.kernel, strict=True)]
    out = [
        (n - e) // s + 1
        for n, e, s in zip(padded.shape[2:], extents, geometry.strides, strict=True)
    ]
    g = geometry.group
    by_group = w.reshape(g, w.shape[0] // g, -1)
    y = np.empty((x.shape[0], w.shape[0], *out))
    for position in np.ndindex(*out):
        starts = [s * o for s, o in zip(geometry.strides, position, strict=True)]
        taps = (
            slice(a, a + e, d) for a, e, d in zip(starts, extents, geometry.dilations, strict=True)
        )
        window = padded[(slice(None), slice(None), *taps)]
        seen = window.reshape(x.shape[0], g, -1)
        y[(slice(None), slice(None), *position)] = np.einsum(
            "ngc,gkc->ngk", seen, by_group
        ).reshape(x.shape[0], -1)
    return y if b is None else y + b.reshape(-1, *(1,) * geometry.ndim)


def transpose(x: Array, w: Array, b: Array | None, geometry: TransposeGeometry) -> Array:
    size = x.shape[2:]
    extents = [d * (k - 1) + 1 for d, k in zip(geometry.dilations, geometry.kernel, strict=True)]
    whole = [
        s * (n - 1) + e + o
        for s, n, e, o in zip(geometry.strides, size, extents, geometry.output_padding, strict=True)
    ]
    g, per_group = geometry.group, w.shape[1]
    by_group = w.reshape(g, w.shape[0] // g, per_group, *geometry.kernel)
    y = np.zeros((x.shape[0], g * per_group, *whole))
    for position in np.ndindex(*size):
        value = x[(slice(None), slice(None), *position)].reshape(x.shape[0], g, -1)
        added = np.einsum("ngc,gck...->ngk...", value, by_group)
        target = tuple(
            slice(s * i, s * i + e, d)
            for s, i, e, d in zip(
                geometry.strides, position, extents, geometry.dilations, strict=True
            )
        )
        y[(slice(None), slice(None), *target)] += added.reshape(
            x.shape[0], g * per_group, *geometry.kernel
        )
    y = pad(y, tuple(-p for p in geometry.pads_begin), tuple(-p for p in geometry.pads_end))
    return y if b is None else y + b.reshape(-1, *(1,) * geometry.ndim)


def apply(x: Array, w: Array, b: Array | None, geometry: ConvGeometry | TransposeGeometry) -> Array:
    if isinstance(geometry, ConvGeometry):
        return conv(x, w, b, geometry)
    return transpose(x, w, b, geometry)


def apply_with_strips(
    x: Array,
    kernels: tuple[Array, Array],
    biases: tuple[Array | None, Array | None],
    geometries: tuple[ConvGeometry, ConvGeometry],
    strips: BorderStrips,
) -> Array:
    """What a rewritten graph does: slices, convs and concatenations, as described."""
    composed = compose_kernels(*kernels, *geometries)
    bias = compose_bias(biases[0], kernels[1], biases[1], geometries[1].group)

    def patch(part: Patch) -> Array:
        y = x[(slice(None), slice(None), *(slice(*span) for span in part.inputs))]
        assert y.size
        if len(part.convs) == 1:
            y = conv(y, composed, bias, part.convs[0])
        else:
            for w, b, geometry in zip(kernels, biases, part.convs, strict=True):
                y = conv(y, w, b, geometry)
        assert y.shape[2:] == tuple(hi - lo for lo, hi in part.outputs)
        assert all(min(geometry.pads) >= 0 for geometry in part.convs)
        return y

    y = patch(strips.interior)
    for axis in reversed(range(x.ndim - 2)):
        parts = [strips.begin[axis], strips.end[axis]]
        begin, end = ([] if part is None else [patch(part)] for part in parts)
        y = np.concatenate([*begin, y, *end], axis=axis + 2)
    return y


def close(a: Array, b: Array) -> bool:
    """Equal up to summation order: 1e-11 of the largest magnitude, thousands of roundings."""
    scale = max(float(np.abs(a).max()), float(np.abs(b).max()), 1.0)
    return a.shape == b.shape and float(np.abs(a - b).max()) <= 1e-11 * scale
