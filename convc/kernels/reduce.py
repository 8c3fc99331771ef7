"""Reductions over axes.

`axes` is an attribute before opset 18 (ReduceSum: before 13) and an input after; missing or
empty means all axes, or none with `noop_with_empty_axes`. Integers keep their type.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .support import (
    Array,
    Attributes,
    Inputs,
    Kernel,
    axes_argument,
    normalized_axes,
    normalized_axis,
    required,
)

Reduction = Callable[[Array, tuple[int, ...], bool], Array]


def reduction(function: Reduction) -> Kernel:
    """The kernel of a reduction from `function(x, axes, keepdims)`."""

    def kernel(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
        x = required(inputs, 0, "data")
        axes = axes_argument(inputs, attributes, 1)
        if axes:
            chosen = normalized_axes(axes, x.ndim)
        else:
            chosen = () if attributes.get("noop_with_empty_axes", 0) else tuple(range(x.ndim))
        result = np.asarray(function(x, chosen, bool(attributes.get("keepdims", 1))))
        return [result.astype(x.dtype, copy=False)]

    return kernel


def _sum(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.sum(x, axis=axes, keepdims=keepdims))


def _mean(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    # The cast of an integer mean back to its type truncates towards zero.
    return np.asarray(np.mean(x, axis=axes, keepdims=keepdims))


def _prod(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.prod(x, axis=axes, keepdims=keepdims))


def _extreme(x: Array, axes: tuple[int, ...], keepdims: bool, largest: bool) -> Array:
    if x.dtype == np.bool_:
        return np.asarray((np.any if largest else np.all)(x, axis=axes, keepdims=keepdims))
    if x.dtype.kind == "f":
        empty: float | int = -np.inf if largest else np.inf
    else:
        limits = np.iinfo(x.dtype)
        empty = limits.min if largest else limits.max
    extreme = np.max if largest else np.min
    return np.asarray(extreme(x, axis=axes, keepdims=keepdims, initial=empty))


def _max(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return _extreme(x, axes, keepdims, largest=True)


def _min(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return _extreme(x, axes, keepdims, largest=False)


def _sum_square(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return _sum(x * x, axes, keepdims)


def _l1(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return _sum(np.abs(x), axes, keepdims)


def _l2(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.sqrt(_sum_square(x, axes, keepdims)))


def _log_sum(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.log(_sum(x, axes, keepdims)))


def _log_sum_exp(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    largest = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, 0)
    total = np.log(np.sum(np.exp(x - shift), axis=axes, keepdims=True)) + shift
    return np.asarray(total if keepdims else np.squeeze(total, axis=axes))


REDUCE_SUM = reduction(_sum)
REDUCE_MEAN = reduction(_mean)
REDUCE_PROD = reduction(_prod)
REDUCE_MAX = reduction(_max)
REDUCE_MIN = reduction(_min)
REDUCE_SUM_SQUARE = reduction(_sum_square)
REDUCE_L1 = reduction(_l1)
REDUCE_L2 = reduction(_l2)
REDUCE_LOG_SUM = reduction(_log_sum)
REDUCE_LOG_SUM_EXP = reduction(_log_sum_exp)


def _extreme_position(function: Callable[..., Array]) -> Kernel:
    def kernel(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
        x = required(inputs, 0, "data")
        axis = normalized_axis(int(attributes.get("axis", 0)), x.ndim)
        if attributes.get("select_last_index", 0):
            reverse = function(np.flip(x, axis), axis=axis, keepdims=True)
            result = x.shape[axis] - 1 - reverse
        else:
            result = function(x, axis=axis, keepdims=True)
        result = np.asarray(result, dtype=np.int64)
        return [result if attributes.get("keepdims", 1) else np.squeeze(result, axis)]

    return kernel


ARG_MAX = _extreme_position(np.argmax)
ARG_MIN = _extreme_position(np.argmin)
