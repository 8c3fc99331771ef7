"""Resize and Upsample: one weighted gather per axis, in every mode.

Each output sample of an axis lies at a coordinate of the input axis and is a weighted sum of
its neighbours there; axes are resampled one after the other. Output sizes and the
coordinates of mode `nearest` are computed in float32, because runtimes do so and a
coordinate on the verge of two samples decides which one is read (and whether it counts as
outside of a crop); the coordinates of `linear` and `cubic` are float64.

Two rules are onnxruntime's and not the specification's: with tf_crop_and_resize the output
size by scales ignores the crop, and what keeps its size is copied: an axis of scale 1, with
antialias any axis, and the whole input where none of its axes changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .support import (
    Array,
    Attributes,
    Inputs,
    KernelError,
    choice,
    integers,
    normalized_axes,
    optional,
    required,
)

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "tf_half_pixel_for_nn",
)
TIE = 1e-6
"""How far from a half onnxruntime still takes a coordinate for one: that of a scale such as 2/7 is
rounded."""
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
POLICIES = ("stretch", "not_larger", "not_smaller")


@dataclass(frozen=True)
class Axis:
    """How one axis is resampled: sizes, scale, and the crop [start, end] in units of it."""

    size: int
    output: int
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class Sampling:
    """The attributes that hold for all axes."""

    mode: str
    coordinates: str
    nearest: str = "round_prefer_floor"
    cubic_a: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


def resize(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Resize. Opset 10 has inputs (X, scales), later ones (X, roi, scales, sizes)."""
    x = required(inputs, 0, "X")
    mode = choice(attributes, "mode", "nearest", ("nearest", "linear", "cubic"))
    if opset < 11:
        return [_upsampled(x, required(inputs, 1, "scales"), mode)]
    sampling = Sampling(
        mode=mode,
        coordinates=choice(attributes, "coordinate_transformation_mode", "half_pixel", COORDINATES),
        nearest=choice(attributes, "nearest_mode", "round_prefer_floor", NEAREST),
        cubic_a=float(attributes.get("cubic_coeff_a", -0.75)),
        exclude_outside=bool(attributes.get("exclude_outside", 0)),
        antialias=bool(attributes.get("antialias", 0)) and mode != "nearest",
        extrapolation=float(attributes.get("extrapolation_value", 0.0)),
    )
    return [_resampled(x, _axes(inputs, attributes, x, sampling), sampling)]


def upsample(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Upsample (opsets 7 to 9): scales are an attribute before opset 9 and an input in it."""
    x = required(inputs, 0, "X")
    mode = choice(attributes, "mode", "nearest", ("nearest", "linear"))
    scales = attributes.get("scales") if opset < 9 else required(inputs, 1, "scales")
    if scales is None:
        raise KernelError("scales are missing")
    return [_upsampled(x, np.asarray(scales), mode)]


def _upsampled(x: Array, scales: Array, mode: str) -> Array:
    if scales.shape != (x.ndim,) or not (scales > 0).all():
        raise KernelError(f"scales {scales} for shape {x.shape}")
    axes = {
        axis: Axis(size, _scaled_size(size, float(scale)), float(scale))
        for axis, (size, scale) in enumerate(zip(x.shape, scales, strict=True))
    }
    # The specification of these opsets names no rounding; onnxruntime's is "simple".
    return _resampled(x, axes, Sampling(mode=mode, coordinates="asymmetric", nearest="simple"))


def _scaled_size(size: int, scale: float) -> int:
    return int(np.floor(np.float32(scale) * np.float32(size)))


def _axes(inputs: Inputs, attributes: Attributes, x: Array, sampling: Sampling) -> dict[int, Axis]:
    given = attributes.get("axes")
    chosen = tuple(range(x.ndim))
    if given is not None:
        chosen = normalized_axes(integers(given, "axes"), x.ndim)
    crop = sampling.coordinates == "tf_crop_and_resize"
    roi = _numbers(optional(inputs, 1)) if crop else None
    scales, sizes = _numbers(optional(inputs, 2)), _numbers(optional(inputs, 3))
    if crop and (roi is None or len(roi) != 2 * len(chosen)):
        raise KernelError(f"tf_crop_and_resize needs {2 * len(chosen)} entries in roi")
    bounds = [(0.0, 1.0)] * len(chosen) if roi is None else _pairs(roi)
    if (scales is None) == (sizes is None):
        raise KernelError("exactly one of scales and sizes is needed")
    lengths = [x.shape[axis] for axis in chosen]
    if len(scales if scales is not None else sizes or ()) != len(chosen):
        raise KernelError(f"scales or sizes do not have {len(chosen)} entries")
    if scales is not None:
        outputs = [_scaled_size(n, scale) for n, scale in zip(lengths, scales, strict=True)]
    else:
        outputs, scales = _from_sizes(attributes, lengths, [int(size) for size in sizes or ()])
    if not all(scale > 0 for scale in scales):
        raise KernelError(f"scales {scales} must be positive")
    return {
        axis: Axis(n, output, scale, *bound)
        for axis, n, output, scale, bound in zip(
            chosen, lengths, outputs, scales, bounds, strict=True
        )
    }


def _numbers(value: Array | None) -> list[float] | None:
    """The entries of an input; None for one that is missing or empty, which is the same."""
    return None if value is None or not value.size else [float(entry) for entry in value]


def _pairs(roi: list[float]) -> list[tuple[float, float]]:
    half = len(roi) // 2
    return list(zip(roi[:half], roi[half:], strict=True))


def _from_sizes(
    attributes: Attributes, lengths: list[int], sizes: list[int]
) -> tuple[list[int], list[float]]:
    policy = choice(attributes, "keep_aspect_ratio_policy", "stretch", POLICIES)
    if policy == "stretch":
        return sizes, [size / n for n, size in zip(lengths, sizes, strict=True)]
    ratios = np.array(sizes, dtype=np.float32) / np.array(lengths, dtype=np.float32)
    scale = ratios.min() if policy == "not_larger" else ratios.max()
    outputs = [int(np.floor(scale * np.float32(n) + np.float32(0.5))) for n in lengths]
    return outputs, [float(scale)] * len(lengths)


def _resampled(x: Array, axes: dict[int, Axis], sampling: Sampling) -> Array:
    crop = sampling.coordinates == "tf_crop_and_resize"
    if all(axis.output == axis.size for axis in axes.values()):
        return x
    outside = []
    result = x
    for number, axis in axes.items():
        if axis.scale == 1:
            continue
        if crop:
            places = _coordinates(axis, sampling.coordinates, np.float32)
            outside.append((number, (places < 0) | (places > axis.size - 1)))
        if sampling.antialias and axis.output == axis.size:
            continue
        kind = np.float32 if sampling.mode == "nearest" else np.float64
        places = _coordinates(axis, sampling.coordinates, kind)
        indices, weights = _neighbours(places, axis, sampling)
        result = _weighted(result, number, indices, weights)
    for number, mask in outside:
        result = np.where(
            mask.reshape(-1, *(1,) * (x.ndim - number - 1)),
            np.asarray(sampling.extrapolation).astype(x.dtype),
            result,
        )
    return result


def _coordinates(axis: Axis, mode: str, kind: type[np.floating[Any]]) -> Array:
    """Where on the input axis each output sample lies, in precision `kind`."""
    places = np.arange(axis.output, dtype=kind)
    values = (axis.scale, axis.size, axis.output, axis.start, axis.end)
    scale, size, output, start, end = np.array(values, dtype=kind)
    result: Array
    if mode == "asymmetric":
        result = places / scale
    elif mode == "align_corners":
        result = places * (size - 1) / (output - 1) if axis.output > 1 else places * 0
    elif mode == "tf_half_pixel_for_nn":
        result = (places + 0.5) / scale
    elif mode == "tf_crop_and_resize" and axis.output == 1:
        result = places + 0.5 * (start + end) * (size - 1)
    elif mode == "tf_crop_and_resize":
        result = start * (size - 1) + places * (end - start) * (size - 1) / (output - 1)
    elif mode == "pytorch_half_pixel" and axis.output == 1:
        result = places * 0
    elif mode == "half_pixel_symmetric":
        offset = size / 2 * (1 - output / (scale * size))
        # Rounded once, as in onnxruntime: 0.5 is a double there, and the rest of the line with it.
        exact = np.float64(offset) + (places.astype(np.float64) + 0.5) / np.float64(scale) - 0.5
        result = exact.astype(kind)
    else:
        result = (places + 0.5) / scale - 0.5
    return result


def _neighbours(places: Array, axis: Axis, sampling: Sampling) -> tuple[Array, Array | None]:
    """Indices (output, taps) into the input axis and their weights; None where all are 1."""
    if sampling.mode == "nearest":
        nearest = _rounded(places, sampling.nearest, axis.scale < 1)
        return nearest.clip(0, axis.size - 1)[:, None], None
    shrink = min(axis.scale, 1.0) if sampling.antialias else 1.0
    reach = (1 if sampling.mode == "linear" else 2) / shrink
    if sampling.mode == "linear" and not sampling.antialias and not sampling.exclude_outside:
        places = places.clip(0, axis.size - 1)
    width = int(np.ceil(reach))
    indices = np.floor(places).astype(np.int64)[:, None] + np.arange(1 - width, width + 1)
    distances = np.abs(indices - places[:, None]) * shrink
    if sampling.mode == "linear":
        weights = np.maximum(1 - distances, 0)
    else:
        weights = _cubic(distances, sampling.cubic_a)
    inside = indices.clip(0, axis.size - 1)
    if sampling.exclude_outside:
        weights = np.where(inside == indices, weights, 0)
    if sampling.exclude_outside or sampling.antialias:
        weights = weights / weights.sum(axis=1, keepdims=True)
    return inside, weights


def _rounded(places: Array, mode: str, shrinking: bool) -> Array:
    if mode == "simple":
        result = np.ceil(places) if shrinking else np.trunc(places)
    elif mode in ("floor", "ceil"):
        result = np.floor(places) if mode == "floor" else np.ceil(places)
    else:
        # The fraction is exact, a half added to the coordinate may round.
        below = np.floor(places)
        beyond = (places - below).astype(np.float64) - 0.5
        result = below + (beyond > TIE if mode == "round_prefer_floor" else beyond >= -TIE)
    return np.asarray(result.astype(np.int64))


def _cubic(distance: Array, a: float) -> Array:
    """Keys' cubic convolution kernel at distances >= 0 (IEEE ASSP 29, 1981, equation 4)."""
    d, d2 = distance, distance * distance
    near = ((a + 2) * d - (a + 3)) * d2 + 1
    far = a * (d * d2 - 5 * d2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _weighted(x: Array, axis: int, indices: Array, weights: Array | None) -> Array:
    if weights is None:
        return np.take(x, indices[:, 0], axis=axis)
    shape = (-1, *(1,) * (x.ndim - axis - 1))
    kind = x.dtype
    x = x.astype(np.float64, copy=False)
    result = np.take(x, indices[:, 0], axis=axis) * weights[:, 0].reshape(shape)
    for tap in range(1, indices.shape[1]):
        result += np.take(x, indices[:, tap], axis=axis) * weights[:, tap].reshape(shape)
    return np.asarray(result.astype(kind, copy=False))
