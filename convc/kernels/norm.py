"""Normalisations, all in inference form.

Float defaults are the float32 values of the specification.
"""

from __future__ import annotations

import numpy as np

from .support import (
    Array,
    Attributes,
    Inputs,
    KernelError,
    normalized_axis,
    optional,
    required,
    single,
)


def batch_normalization(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """BatchNormalization with given statistics: scale (x - mean) / sqrt(var + epsilon) + B.

    Parameters are (C,); with `spatial` 0 (before opset 9) they are x.shape[1:]. Training
    form is refused. Opset 6 without is_test counts as inference, as all deployed files mean.
    """
    x = required(inputs, 0, "X")
    if attributes.get("training_mode", 0):
        raise KernelError("BatchNormalization in training mode is not supported")
    names = ("scale", "B", "mean", "var")
    scale, bias, mean, variance = (required(inputs, i, n) for i, n in enumerate(names, start=1))
    spatial = opset >= 9 or bool(attributes.get("spatial", 1))
    channels = x.shape[1:2] if x.ndim > 1 else (1,)
    inner = channels if spatial else x.shape[1:]
    shape = (*channels, *(1,) * (x.ndim - 2)) if spatial else inner
    for name, value in zip(names, (scale, bias, mean, variance), strict=True):
        if value.shape != inner:
            raise KernelError(f"{name} is {value.shape}, expected {inner}")
    epsilon = float(attributes.get("epsilon", single(1e-5)))
    factor = scale / np.sqrt(variance + epsilon)
    return [(x - mean.reshape(shape)) * factor.reshape(shape) + bias.reshape(shape)]


def instance_normalization(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """InstanceNormalization: each (n, c) plane to zero mean and unit variance, then affine."""
    x = required(inputs, 0, "input")
    axes = tuple(range(2, x.ndim))
    epsilon = float(attributes.get("epsilon", single(1e-5)))
    shape = (-1, *(1,) * (x.ndim - 2))
    scale, bias = required(inputs, 1, "scale"), required(inputs, 2, "B")
    return [_standardized(x, axes, epsilon)[0] * scale.reshape(shape) + bias.reshape(shape)]


def group_normalization(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """GroupNormalization: scale and bias per group at opset 18, per channel from 21 on."""
    x = required(inputs, 0, "X")
    scale, bias = required(inputs, 1, "scale"), required(inputs, 2, "bias")
    groups = int(attributes.get("num_groups", 0))
    if groups < 1 or x.shape[1] % groups:
        raise KernelError(f"num_groups {groups} does not divide {x.shape[1]} channels")
    if opset < 21:
        scale, bias = (np.repeat(v, x.shape[1] // groups) for v in (scale, bias))
    epsilon = float(attributes.get("epsilon", single(1e-5)))
    grouped = x.reshape(x.shape[0], groups, -1)
    normal = _standardized(grouped, (2,), epsilon)[0].reshape(x.shape)
    shape = (-1, *(1,) * (x.ndim - 2))
    return [normal * scale.reshape(shape) + bias.reshape(shape)]


def layer_normalization(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """LayerNormalization over the axes from `axis` on; also Mean and InvStdDev."""
    x, scale, bias = required(inputs, 0, "X"), required(inputs, 1, "Scale"), optional(inputs, 2)
    first = normalized_axis(int(attributes.get("axis", -1)), x.ndim)
    epsilon = float(attributes.get("epsilon", single(1e-5)))
    normal, mean, inverse = _standardized(x, tuple(range(first, x.ndim)), epsilon)
    result = normal * scale
    return [result if bias is None else result + bias, mean, inverse]


def _standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    inverse = 1 / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + epsilon)
    return centred * inverse, mean, inverse


def local_response_normalization(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """LRN across channels: x / (bias + alpha/size * sum of squares of `size` neighbours)^beta.

    The neighbours of channel c run from c - floor((size-1)/2) to c + ceil((size-1)/2).
    """
    x = required(inputs, 0, "X")
    size = int(attributes.get("size", 0))
    if size < 1:
        raise KernelError(f"size is {size}, expected a positive number")
    alpha = float(attributes.get("alpha", single(1e-4)))
    beta = float(attributes.get("beta", 0.75))
    bias = float(attributes.get("bias", 1.0))
    before, after = (size - 1) // 2, size // 2
    channels = x.shape[1]
    squares = x * x
    total = np.zeros_like(x)
    for offset in range(-before, after + 1):
        low, high = max(-offset, 0), min(channels - offset, channels)
        if low < high:
            total[:, low:high] += squares[:, low + offset : high + offset]
    return [x / (bias + alpha / size * total) ** beta]
