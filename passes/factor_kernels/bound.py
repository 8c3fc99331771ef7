"""By how much an output moves where the factors are exact but for the rounding of the weights."""

from __future__ import annotations

from itertools import count

import numpy as np

from convc.algebra import ConvGeometry
from convc.ir import Array
from convc.rewrite import NoMatch
from passes._chains import sizes
from passes.factor_kernels.layer import Layer

SPREAD = 2.0**10
"""How much larger an input may be where the weights move than where the largest weight is."""
NEIGHBOUR = 1e-6
"""A filter is measured by at least this part of the kernel's largest value."""


def bound(layer: Layer, kernel: Array) -> float:
    """The largest change of an output relative to its channel's scale, by the layer's new kernel.

    For inputs of magnitude at most X, output channel k moves by no more than ``X·Σ|Δw_k|``; its
    scale is taken as ``2⁻¹⁰·X·max|w_k|``, over the taps that see the input at the smallest size it
    may have: padding may hide the large ones. A filter without any is measured by its neighbours.

    Args:
        layer: with its kernel w, (K, C/g, *k).
        kernel: w + Δw.
    """
    moved = np.abs(kernel - layer.kernel).reshape(layer.filters, -1).sum(axis=1)
    fixed = sizes(layer.data.shape, layer.geometry.ndim)
    seen = layer.kernel
    for axis, size in enumerate(fixed):
        seen = np.compress(_seen(layer.geometry, axis, size), seen, axis=2 + axis)
    largest = np.abs(seen).reshape(layer.filters, -1).max(axis=1, initial=0.0)
    if not largest.any():
        raise NoMatch("the padding hides all weights")
    return float((SPREAD * moved / np.maximum(largest, NEIGHBOUR * largest.max())).max())


def _seen(geometry: ConvGeometry, axis: int, size: int | None) -> Array:
    """(k,): which taps of an axis some output reads the input with, at the smallest size."""
    taps = np.arange(geometry.kernel[axis]) * geometry.dilations[axis] - geometry.pads_begin[axis]
    for known in count(1) if size is None else (size,):
        # The first output whose read is not before the input: none reads nearer to its begin.
        first = np.maximum(-(taps // geometry.strides[axis]), 0)
        reads = first * geometry.strides[axis] + taps
        seen: Array = (first < geometry.axis_output(axis, known)) & (reads < known)
        if seen.any():
            break
    return seen
