"""Pools over sliding windows and over the whole extent.

Input and result are (N, C, spatial); the output size follows `windows.resolve_pool`. With
ceil_mode no window starts in the padding at the end, and an average with count_include_pad
counts the declared padding but not what ceil_mode adds beyond it: both as onnxruntime does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import numpy as np

from .support import Array, Attributes, Inputs, KernelError, per_axis, required
from .windows import Window, covered, resolve_pool, taps


def average_pool(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """AveragePool: the window's sum over the count of its samples (padding as asked)."""
    x, window = _windowed(inputs, attributes)
    total = _separable(covered(window, x), window, np.add)
    include = bool(attributes.get("count_include_pad", 0))
    if include and opset < 19 and not attributes.get("ceil_mode", 0):
        # Before opset 19 onnxruntime counts all of a window, even what exceeds a short input.
        return [total / np.prod(window.kernel)]
    for axis, counts in enumerate(_counts(window, x.shape[2:], include)):
        # A window without samples, possible with dilations, averages to zero.
        total /= np.maximum(counts, 1).reshape(-1, *(1,) * (window.rank - axis - 1))
    return [total]


def max_pool(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """MaxPool and its Indices: flat positions in the whole input, the first of equal maxima.

    With storage_order 1 the spatial part of a position counts the first axis fastest.
    Indices are left out when attribute `num_outputs` is 1. A NaN in a window is its maximum;
    onnxruntime keeps or drops it depending on rank and on whether Indices are asked for, and
    without Indices makes the lowest float32 of a window of -inf, which stays -inf here.
    """
    x, window = _windowed(inputs, attributes)
    source = covered(window, x, _lowest(x.dtype))
    if 0 in window.output:
        shape = (*x.shape[:2], *window.output)
        return [np.zeros(shape, dtype=x.dtype), np.zeros(shape, dtype=np.int64)]
    if attributes.get("num_outputs") == 1:
        results = [_separable(source, window, np.maximum)]
    else:
        column_major = bool(attributes.get("storage_order", 0))
        results = _max_with_indices(x, source, window, column_major)
    _fill_empty(results[0], window, x.shape[2:])
    return results


def lp_pool(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """LpPool: the p-norm of each window, (sum |x|^p)^(1/p)."""
    x, window = _windowed(inputs, attributes)
    p = _order(attributes)
    powers = np.abs(covered(window, x)) ** p
    return [_separable(powers, window, np.add) ** (1 / p)]


def global_average_pool(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """GlobalAveragePool: the mean over all spatial axes, kept with size one."""
    x = required(inputs, 0, "X")
    return [x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)]


def global_max_pool(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """GlobalMaxPool: the maximum over all spatial axes, kept with size one."""
    x = required(inputs, 0, "X")
    return [x.max(axis=tuple(range(2, x.ndim)), keepdims=True)]


def global_lp_pool(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """GlobalLpPool: the p-norm over all spatial axes, kept with size one."""
    x, p = required(inputs, 0, "X"), _order(attributes)
    powers: Array = np.sum(np.abs(x) ** p, axis=tuple(range(2, x.ndim)), keepdims=True)
    return [powers ** (1 / p)]


def _windowed(inputs: Inputs, attributes: Attributes) -> tuple[Array, Window]:
    x = required(inputs, 0, "X")
    if x.ndim < 3:
        raise KernelError(f"a pool needs at least one spatial axis, got shape {x.shape}")
    if attributes.get("kernel_shape") is None:
        raise KernelError("kernel_shape is missing")
    kernel = per_axis(attributes, "kernel_shape", x.ndim - 2, 1)
    return x, resolve_pool(attributes, x.shape[2:], kernel)


def _order(attributes: Attributes) -> float:
    p = float(attributes.get("p", 2))
    if p <= 0:
        raise KernelError(f"p is {p}, expected a positive number")
    return p


def _lowest(dtype: np.dtype[Any]) -> float | int:
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def _separable(source: Array, window: Window, combine: Callable[[Array, Array], Array]) -> Array:
    """Combine each window's samples axis by axis: k_h + k_w passes instead of k_h * k_w."""
    if 0 in window.output:
        return np.zeros((*source.shape[:2], *window.output), dtype=source.dtype)
    for axis in reversed(range(window.rank)):
        source = reduce(combine, _axis_taps(source, window, axis), _first_tap(source, window, axis))
    return np.ascontiguousarray(source)


def _axis_taps(source: Array, window: Window, axis: int) -> Iterator[Array]:
    for position in range(1, window.kernel[axis]):
        yield _tap(source, window, axis, position)


def _first_tap(source: Array, window: Window, axis: int) -> Array:
    return _tap(source, window, axis, 0).copy()


def _tap(source: Array, window: Window, axis: int, position: int) -> Array:
    start = position * window.dilations[axis]
    stop = start + (window.output[axis] - 1) * window.strides[axis] + 1
    lead = (slice(None),) * (2 + axis)
    return source[(*lead, slice(start, stop, window.strides[axis]))]


def _fill_empty(result: Array, window: Window, spatial: tuple[int, ...]) -> None:
    """Give windows without samples, possible with dilations, the lowest float32."""
    if result.dtype.kind != "f":
        return
    for axis, counts in enumerate(_counts(window, spatial, include_pad=False)):
        lead = (slice(None),) * (2 + axis)
        result[(*lead, counts == 0)] = float(np.finfo(np.float32).min)


def _axis_positions(window: Window, axis: int) -> Array:
    """(output, kernel): the place on the unpadded axis of each window's samples."""
    starts = np.arange(window.output[axis]) * window.strides[axis] - window.begin[axis]
    return starts[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]


def _counts(window: Window, spatial: tuple[int, ...], include_pad: bool) -> Iterator[Array]:
    """Per axis, how many samples each window counts, as float64."""
    for axis, n in enumerate(spatial):
        positions = _axis_positions(window, axis)
        low, high = (-window.begin[axis], n + window.end[axis]) if include_pad else (0, n)
        yield ((positions >= low) & (positions < high)).sum(axis=1).astype(np.float64)


def _max_with_indices(x: Array, source: Array, window: Window, column_major: bool) -> list[Array]:
    offsets = [_axis_positions(window, axis) for axis in range(window.rank)]
    # Where nothing exceeds the padding value, the first sample inside the input is the maximum.
    first = np.ravel_multi_index(
        np.ix_(*[np.argmax(positions >= 0, axis=1) for positions in offsets]), window.kernel
    )
    best = np.full((*x.shape[:2], *window.output), _lowest(x.dtype), dtype=x.dtype)
    winner = np.broadcast_to(first, best.shape).copy()
    for tap, samples in enumerate(taps(window, source)):
        # True for a larger sample and for the first NaN, never after a NaN.
        larger = ~(samples <= best) & ~np.isnan(best)
        winner[larger] = tap
        np.copyto(best, samples, where=larger)
    flat = np.zeros(best.shape, dtype=np.int64)
    weight = 1
    chosen = np.unravel_index(winner, window.kernel)
    order = range(window.rank) if column_major else reversed(range(window.rank))
    for axis in order:
        starts = offsets[axis][:, 0].reshape(-1, *(1,) * (window.rank - axis - 1))
        flat += weight * (starts + chosen[axis] * window.dilations[axis])
        weight *= x.shape[2 + axis]
    planes = np.arange(x.shape[0] * x.shape[1], dtype=np.int64) * weight
    flat += planes.reshape(*x.shape[:2], *(1,) * window.rank)
    return [best, flat]
