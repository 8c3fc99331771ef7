"""Element-wise operators of one input, softmax and the operators that pass data through.

Float defaults are the float32 values of the specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .special import erf
from .support import (
    Array,
    Attributes,
    Inputs,
    Kernel,
    KernelError,
    broadcasts_to,
    choice,
    normalized_axis,
    optional,
    required,
    single,
)

FLOAT32_MAX = float(np.finfo(np.float32).max)


def unary(function: Callable[[Array], Array]) -> Kernel:
    """The kernel of an operator that applies `function` to its one input."""

    def kernel(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
        return [np.asarray(function(required(inputs, 0, "X")))]

    return kernel


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.asarray(np.maximum(x, x.dtype.type(0)))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1 + small))


def softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.asarray(np.logaddexp(0.0, x))


def softsign(x: Array) -> Array:
    """X / (1 + |x|)."""
    return np.asarray(x / (1 + np.abs(x)))


def mish(x: Array) -> Array:
    """X tanh(softplus(x))."""
    return np.asarray(x * np.tanh(softplus(x)))


def hard_swish(x: Array) -> Array:
    """X max(0, min(1, x/6 + 1/2))."""
    return np.asarray(x * np.clip(x / 6 + 0.5, 0, 1))


def leaky_relu(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """LeakyRelu: x, or alpha x below zero."""
    x, alpha = required(inputs, 0, "X"), float(attributes.get("alpha", single(0.01)))
    return [np.where(x < 0, alpha * x, x)]


def prelu(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """PRelu: x, or slope x below zero; before opset 7 a slope (C,) belongs to axis 1."""
    x, slope = required(inputs, 0, "X"), required(inputs, 1, "slope")
    if opset < 7 and slope.size > 1 and slope.ndim == 1:
        slope = slope.reshape(-1, *(1,) * (x.ndim - 2))
    if not broadcasts_to(slope.shape, x.shape):
        raise KernelError(f"slope {slope.shape} does not broadcast to {x.shape}")
    return [np.where(x < 0, slope * x, x)]


def _exponential_below(x: Array, alpha: float, rate: float) -> Array:
    """X above zero, alpha (exp(rate x) - 1) below."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) * rate))


def elu(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Elu: x, or alpha (exp(x) - 1) below zero."""
    alpha = float(attributes.get("alpha", 1.0))
    return [_exponential_below(required(inputs, 0, "X"), alpha, 1.0)]


def celu(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Celu: x, or alpha (exp(x/alpha) - 1) below zero."""
    alpha = float(attributes.get("alpha", 1.0))
    if alpha == 0:
        raise KernelError("alpha is 0")
    return [_exponential_below(required(inputs, 0, "X"), alpha, 1 / alpha)]


def selu(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Selu: gamma x, or gamma alpha (exp(x) - 1) below zero."""
    alpha = float(attributes.get("alpha", single(1.67326319217681884765625)))
    gamma = float(attributes.get("gamma", single(1.05070102214813232421875)))
    return [gamma * _exponential_below(required(inputs, 0, "X"), alpha, 1.0)]


def hard_sigmoid(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """HardSigmoid: alpha x + beta cut to [0, 1]."""
    alpha = float(attributes.get("alpha", single(0.2)))
    beta = float(attributes.get("beta", 0.5))
    return [np.clip(alpha * required(inputs, 0, "X") + beta, 0, 1)]


def gelu(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Gelu: x Phi(x), or with approximate="tanh" the form of Hendrycks and Gimpel."""
    x = required(inputs, 0, "X")
    if choice(attributes, "approximate", "none", ("none", "tanh")) == "tanh":
        return [0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))]
    return [0.5 * x * (1 + erf(x / math.sqrt(2)))]


def clip(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Clip: min(max(x, low), high), so that high wins where the two cross.

    The bounds are attributes before opset 11 and scalar inputs after. A missing one is the
    range of float32, whatever the width: so the specification's default for that type turns
    infinity into the largest number.
    """
    x = required(inputs, 0, "input")
    if opset < 11:
        low, high = attributes.get("min"), attributes.get("max")
    else:
        low, high = (_bound(optional(inputs, index)) for index in (1, 2))
    if x.dtype.kind == "f":
        low = -FLOAT32_MAX if low is None else low
        high = FLOAT32_MAX if high is None else high
    if low is not None:
        x = np.maximum(x, x.dtype.type(low))
    return [x if high is None else np.minimum(x, x.dtype.type(high))]


def _bound(value: Array | None) -> float | int | None:
    if value is not None and value.size != 1:
        raise KernelError(f"a bound of shape {value.shape}, expected a scalar")
    return None if value is None else value.item()


def softmax(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Softmax along `axis`; before opset 13 over all axes from `axis` (default 1) on."""
    shifted, axes = _shifted(inputs, attributes, opset)
    powers = np.exp(shifted)
    return [powers / powers.sum(axis=axes, keepdims=True)]


def log_softmax(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """LogSoftmax over the same axes as Softmax."""
    shifted, axes = _shifted(inputs, attributes, opset)
    return [shifted - np.log(np.exp(shifted).sum(axis=axes, keepdims=True))]


def _shifted(inputs: Inputs, attributes: Attributes, opset: int) -> tuple[Array, tuple[int, ...]]:
    """The input minus its maximum over the softmax axes, which overflow nowhere, and these."""
    x = required(inputs, 0, "input")
    if opset >= 13:
        axes: tuple[int, ...] = (normalized_axis(int(attributes.get("axis", -1)), x.ndim),)
    else:
        axis = int(attributes.get("axis", 1))
        first = x.ndim if axis == x.ndim else normalized_axis(axis, x.ndim)
        axes = tuple(range(first, x.ndim))
    return x - x.max(axis=axes, keepdims=True), axes


def identity(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Identity: the input itself."""
    return [required(inputs, 0, "input")]


def dropout(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Dropout that drops nothing: the input and a mask of ones (boolean from opset 10 on)."""
    x, ratio, training = required(inputs, 0, "data"), optional(inputs, 1), optional(inputs, 2)
    if training is not None and training.any() and (ratio is None or ratio.any()):
        raise KernelError("Dropout in training mode is not a function of its inputs")
    return [x, np.ones(x.shape, dtype=bool if opset >= 10 else x.dtype)]
