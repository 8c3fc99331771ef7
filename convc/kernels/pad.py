"""Pad in every mode, by one index map per axis.

Negative pads crop first; the reflected, repeated or wrapped samples are those of the
cropped input.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from .windows import padded

MODES = ("constant", "reflect", "edge", "wrap")


def pad(inputs: Inputs, attributes: Attributes, opset: int) -> list[Array]:
    """Pad: pads, value and axes are attributes before opset 11 and inputs after."""
    x = required(inputs, 0, "data")
    mode = choice(attributes, "mode", "constant", MODES)
    begin, end = _pads_per_axis(inputs, attributes, opset, x.ndim)
    if any(b + e + n < 0 for b, e, n in zip(begin, end, x.shape, strict=True)):
        raise KernelError(f"pads {begin}, {end} crop more than {x.shape}")
    if mode == "constant":
        return [padded(x, begin, end, _fill(inputs, attributes, opset))]
    x = padded(x, [min(b, 0) for b in begin], [min(e, 0) for e in end])
    for axis, (b, e) in enumerate(zip(begin, end, strict=True)):
        if b > 0 or e > 0:
            x = np.take(x, _source_indices(x.shape[axis], max(b, 0), max(e, 0), mode), axis=axis)
    return [x]


def _pads_per_axis(
    inputs: Inputs, attributes: Attributes, opset: int, rank: int
) -> tuple[list[int], list[int]]:
    pads = attributes.get("pads") if opset < 11 else required(inputs, 1, "pads")
    if pads is None:
        raise KernelError("pads are missing")
    values = integers(np.ravel(pads), "pads")
    given = optional(inputs, 3)
    axes: Sequence[int] = range(rank)
    if given is not None:
        axes = normalized_axes(integers(given, "axes"), rank)
    if len(values) != 2 * len(axes):
        raise KernelError(f"{len(values)} pads for {len(axes)} axes")
    begin, end = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        begin[axis], end[axis] = values[place], values[place + len(axes)]
    return begin, end


def _fill(inputs: Inputs, attributes: Attributes, opset: int) -> float | int | bool:
    if opset < 11:
        return float(attributes.get("value", 0.0))
    value = optional(inputs, 2)
    if value is None or not value.size:
        return 0
    filler: float | int | bool = value.reshape(-1)[0].item()
    return filler


def _source_indices(size: int, begin: int, end: int, mode: str) -> Array:
    """For each sample of the padded axis, which of the `size` samples it repeats."""
    if not size:
        raise KernelError(f"mode {mode} cannot pad an empty axis")
    positions = np.arange(-begin, size + end)
    if mode == "edge":
        return positions.clip(0, size - 1)
    if mode == "wrap":
        return positions % size
    if size == 1:
        return np.zeros_like(positions)
    # Reflection without the edge sample has period 2(size-1).
    folded = positions % (2 * (size - 1))
    return np.minimum(folded, 2 * (size - 1) - folded)
