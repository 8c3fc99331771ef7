"""Element-wise operators of two or more inputs, with numpy broadcasting.

Before opset 7 the second input broadcasts only when attribute `broadcast` is set, its axes
aligned to those of the first input from `axis` on (to the last ones without it).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from .support import Array, Attributes, Inputs, Kernel, KernelError, normalized_axis, required


def binary(function: Callable[[Array, Array], Array]) -> Kernel:
    """The kernel of an operator that applies `function` to two broadcast inputs."""

    def kernel(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
        a, b = required(inputs, 0, "A"), required(inputs, 1, "B")
        if opset < 7:
            b = _legacy_aligned(a, b, attributes)
        _check_broadcast([a, b])
        return [np.asarray(function(a, b))]

    return kernel


def variadic(function: Callable[[Array, Array], Array]) -> Kernel:
    """The kernel of an operator that folds `function` over any number of inputs."""

    def kernel(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
        return [np.asarray(reduce(function, _all(inputs)))]

    return kernel


def mean(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Mean of all inputs, element-wise."""
    values = _all(inputs)
    return [np.asarray(reduce(np.add, values) / len(values))]


def where(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Where: X at true entries of the condition, Y at the others."""
    names = ("condition", "X", "Y")
    condition, x, y = (required(inputs, i, name) for i, name in enumerate(names))
    _check_broadcast([condition, x, y])
    return [np.where(condition, x, y)]


def _all(inputs: Inputs) -> list[Array]:
    values = [required(inputs, i, f"number {i}") for i in range(len(inputs))]
    if not values:
        raise KernelError("at least one input is needed")
    _check_broadcast(values)
    return values


def _check_broadcast(values: list[Array]) -> None:
    shapes = [value.shape for value in values]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise KernelError(f"shapes {shapes} do not broadcast") from error


def _legacy_aligned(a: Array, b: Array, attributes: Attributes) -> Array:
    if not attributes.get("broadcast", 0):
        if a.shape != b.shape:
            raise KernelError(f"shapes {a.shape} and {b.shape} differ without broadcast")
        return b
    if attributes.get("axis") is None:
        return b
    first = normalized_axis(int(attributes["axis"]), max(a.ndim, 1))
    trailing = a.ndim - first - b.ndim
    if trailing < 0:
        raise KernelError(f"shape {b.shape} at axis {first} of {a.shape} does not fit")
    return b.reshape(*b.shape, *(1,) * trailing)


def divide(a: Array, b: Array) -> Array:
    """A / b; for integers the quotient truncated towards zero."""
    if a.dtype.kind not in "iu":
        return np.asarray(np.divide(a, b))
    quotient = np.floor_divide(a, b)
    below = (a % b != 0) & ((a < 0) != (b < 0))
    return np.asarray(quotient + below.astype(quotient.dtype))


def power(base: Array, exponent: Array) -> Array:
    """Base ** exponent in the type of the base; integer results are truncated."""
    if base.dtype.kind not in "iu":
        return np.asarray(np.power(base, exponent), dtype=base.dtype)
    if exponent.dtype.kind in "iu" and (exponent >= 0).all():
        return np.asarray(np.power(base, exponent.astype(base.dtype)))
    return np.asarray(np.power(base.astype(np.float64), exponent)).astype(base.dtype)


ADD = binary(np.add)
SUB = binary(np.subtract)
MUL = binary(np.multiply)
DIV = binary(divide)
POW = binary(power)
EQUAL = binary(np.equal)
GREATER = binary(np.greater)
LESS = binary(np.less)
GREATER_OR_EQUAL = binary(np.greater_equal)
LESS_OR_EQUAL = binary(np.less_equal)
AND = binary(np.logical_and)
OR = binary(np.logical_or)
XOR = binary(np.logical_xor)
MIN = variadic(np.minimum)
MAX = variadic(np.maximum)
SUM = variadic(np.add)
