"""Convolution and transposed convolution, 1-D to n-D, in every attribute.

Shapes: x (N, C, spatial), Conv weights (K, C/group, kernel), ConvTranspose weights
(C, K/group, kernel), bias (K,), result (N, K, output).
"""

from __future__ import annotations

import math

import numpy as np

from .support import (
    Array,
    Attributes,
    Inputs,
    KernelError,
    choice,
    optional,
    per_axis,
    required,
)
from .windows import (
    AUTO_PADS,
    Window,
    blocks,
    covered,
    explicit_pads,
    patches,
    resolve,
    split_padding,
    taps,
)

# Entries of one im2col block and its product: 32 MiB of float64.
SCRATCH_ENTRIES = 1 << 22


def conv(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Conv: cross-correlation with zero padding, by blocks of im2col and a matrix product."""
    x, weights = required(inputs, 0, "X"), required(inputs, 1, "W")
    group = int(attributes.get("group", 1))
    _check_operands(x, weights, attributes)
    if group < 1 or x.shape[1] != weights.shape[1] * group or weights.shape[0] % group:
        raise KernelError(
            f"Conv of {x.shape[1]} channels, weights {weights.shape} and group {group}"
        )
    window = resolve(attributes, x.shape[2:], weights.shape[2:])
    depthwise = weights.shape[1] == 1 and weights.shape[0] == group
    source = covered(window, x)
    result = (
        _depthwise(source, weights, window)
        if depthwise
        else _grouped(source, weights, window, group)
    )
    return [_with_bias(result, optional(inputs, 2))]


def _check_operands(x: Array, weights: Array, attributes: Attributes) -> None:
    if x.ndim < 3 or weights.ndim != x.ndim:
        raise KernelError(f"input {x.shape} and weights {weights.shape} do not fit together")
    kernel = per_axis(attributes, "kernel_shape", x.ndim - 2, 0)
    if any(kernel) and kernel != weights.shape[2:]:
        raise KernelError(f"kernel_shape {kernel} but weights {weights.shape}")


def _with_bias(result: Array, bias: Array | None) -> Array:
    if bias is None:
        return result
    if bias.shape != (result.shape[1],):
        raise KernelError(f"bias {bias.shape} for {result.shape[1]} channels")
    result += bias.reshape(-1, *(1,) * (result.ndim - 2))
    return result


def _depthwise(source: Array, weights: Array, window: Window) -> Array:
    result = np.zeros((*source.shape[:2], *window.output), dtype=source.dtype)
    columns = weights.reshape(weights.shape[0], -1)
    for tap, samples in enumerate(taps(window, source)):
        result += samples * columns[:, tap].reshape(-1, *(1,) * window.rank)
    return result


def _grouped(source: Array, weights: Array, window: Window, group: int) -> Array:
    batch = source.shape[0]
    filters, depth = weights.shape[0], math.prod(weights.shape[1:])
    matrix = weights.reshape(group, filters // group, depth)
    views = patches(window, source)
    rank = window.rank
    # (N, C, output, kernel) -> (N, C, kernel, output): rows of the im2col matrix first.
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    result = np.empty((batch, filters, *window.output), dtype=source.dtype)
    limit = SCRATCH_ENTRIES // max(depth * group + filters, 1)
    for images, *region in blocks((batch, *window.output), limit):
        block = views[(images, slice(None), *region)]
        size = block.shape[2 : 2 + rank]
        columns = block.transpose(order).reshape(len(block), group, depth, math.prod(size))
        product = np.matmul(matrix, columns)
        result[(images, slice(None), *region)] = product.reshape(len(block), filters, *size)
    return result


def conv_transpose(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """ConvTranspose: each sample adds its multiple of the kernel at stride times its place.

    Per axis the full extent s(n-1)+d(k-1)+1 is cropped by the pads and grown at its end by
    output_padding. Where output_shape or auto_pad ask for more than that extent, the missing
    samples of output_shape come last, and auto_pad SAME gives the extent instead of stride
    times input size: both as onnxruntime does; the specification would pad negatively.
    """
    x, weights = required(inputs, 0, "X"), required(inputs, 1, "W")
    group = int(attributes.get("group", 1))
    _check_operands(x, weights, attributes)
    if group < 1 or x.shape[1] != weights.shape[0] or x.shape[1] % group:
        raise KernelError(
            f"ConvTranspose of {x.shape[1]} channels, weights {weights.shape} and group {group}"
        )
    rank = x.ndim - 2
    strides = per_axis(attributes, "strides", rank, 1)
    dilations = per_axis(attributes, "dilations", rank, 1)
    if min((*strides, *dilations, *weights.shape[2:])) < 1:
        raise KernelError("kernel_shape, strides and dilations must be positive")
    full = tuple(
        s * (n - 1) + d * (k - 1) + 1
        for n, k, s, d in zip(x.shape[2:], weights.shape[2:], strides, dilations, strict=True)
    )
    begin, output = _transposed_region(attributes, x.shape[2:], strides, full)
    if min(output) < 1:
        raise KernelError(f"the pads leave nothing of {full}")
    # Room at the end for what the result has beyond the full extent.
    room = tuple(max(f, b + o) for f, b, o in zip(full, begin, output, strict=True))
    result = _scatter(x, weights, group, room, strides=strides, dilations=dilations)
    region = tuple(slice(b, b + o) for b, o in zip(begin, output, strict=True))
    result = np.ascontiguousarray(result[(slice(None), slice(None), *region)])
    return [_with_bias(result, optional(inputs, 2))]


def _transposed_region(
    attributes: Attributes,
    spatial: tuple[int, ...],
    strides: tuple[int, ...],
    full: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where the result begins in the full extent, and its size."""
    rank = len(spatial)
    extra = per_axis(attributes, "output_padding", rank, 0)
    grown = tuple(f + p for f, p in zip(full, extra, strict=True))
    auto_pad = choice(attributes, "auto_pad", "NOTSET", AUTO_PADS)
    upper = auto_pad == "SAME_UPPER"
    if attributes.get("output_shape") is not None:
        wanted = _output_shape(attributes, rank)
        totals = tuple(max(g - w, 0) for g, w in zip(grown, wanted, strict=True))
        return split_padding(totals, upper)[0], wanted
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        totals = tuple(max(g - n * s, 0) for g, n, s in zip(grown, spatial, strides, strict=True))
        output = tuple(g - total for g, total in zip(grown, totals, strict=True))
        return split_padding(totals, upper)[0], output
    if auto_pad == "VALID":
        return (0,) * rank, grown
    begin, end = explicit_pads(attributes, rank)
    return begin, tuple(g - b - e for g, b, e in zip(grown, begin, end, strict=True))


def _output_shape(attributes: Attributes, rank: int) -> tuple[int, ...]:
    shape = tuple(int(size) for size in attributes["output_shape"])
    # Some exporters wrote the batch and channel sizes too.
    return shape[2:] if len(shape) == rank + 2 else per_axis(attributes, "output_shape", rank, 0)


def _scatter(
    x: Array,
    weights: Array,
    group: int,
    size: tuple[int, ...],
    *,
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> Array:
    batch, channels = x.shape[:2]
    kernel = weights.shape[2:]
    filters = weights.shape[1] * group
    samples = x.reshape(batch, group, channels // group, math.prod(x.shape[2:]))
    # (group, C/group, K/group, taps) -> (taps, group, K/group, C/group)
    matrices = weights.reshape(group, channels // group, filters // group, -1)
    matrices = np.ascontiguousarray(matrices.transpose(3, 0, 2, 1))
    result = np.zeros((batch, filters, *size), dtype=x.dtype)
    for matrix, position in zip(matrices, np.ndindex(*kernel), strict=True):
        # A product with an inner size of one is an outer product: faster by broadcasting.
        product = matrix * samples if matrix.shape[-1] == 1 else np.matmul(matrix, samples)
        region = tuple(
            slice(p * d, p * d + s * (n - 1) + 1, s)
            for p, d, s, n in zip(position, dilations, strides, x.shape[2:], strict=True)
        )
        result[(slice(None), slice(None), *region)] += product.reshape(batch, filters, *x.shape[2:])
    return result
