"""What random layers are drawn from: sizes, weights and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from convc.algebra import ConvGeometry, TransposeGeometry
from convc.build import Builder
from convc.ir import Value
from tests.strategies import layer, new_graph

Array = np.ndarray[Any, np.dtype[Any]]

MODEL = ("noise", "uniform", "signs")
"""Data that the probable bound speaks of: uncorrelated, of mean 0 and deviation 1."""
HARD = ("positive", "smooth", "constant", "offset", "uneven", "alternating", "aligned")
"""Other data, of which only the worst-case bound speaks."""
WEIGHTS = ("noise", "noise", "noise", "positive", "uneven", "sparse", "cancelling", "constant")
COMMON = (16, 32, 64, 128, 256)
"""Channels of layers of common size."""


@dataclass(frozen=True)
class Draw:
    """Draws with one generator; ``common``: layers of common size, with Gaussian weights."""

    rng: np.random.Generator
    common: int = 0
    weights: str = "noise"

    def among(self, *choices: Any) -> Any:
        """One of the choices."""
        return choices[int(self.rng.integers(len(choices)))]

    def between(self, low: int, high: int) -> int:
        """An integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def channels(self, most: int = 24) -> int:
        """A number of channels, small ones as often as large ones."""
        return self.common or round(2 ** self.rng.uniform(0, np.log2(most)))

    def size(self, ndim: int, least: Sequence[int]) -> tuple[int, ...]:
        """Sizes of the axes, not below ``least``."""
        if self.common:
            return (56 if self.common <= 64 else 28 if self.common == 128 else 14,) * ndim
        room = {1: 40, 2: 12, 3: 5}[ndim]
        return tuple(low + self.between(0, room) for low in least)

    def ndim(self) -> int:
        """1 to 3, mostly 2."""
        return 2 if self.common else self.among(1, 2, 2, 2, 3)

    def array(self, *shape: int) -> Array:
        """Weights of one kind, of deviation about one over the root of what is summed."""
        scale = 1 / np.sqrt(max(prod(shape[1:]), 1))
        noise = self.rng.standard_normal(shape)
        if self.weights == "positive":
            noise = np.abs(noise)
        if self.weights == "uneven":
            noise = noise * np.exp(2 * self.rng.standard_normal(shape))
        if self.weights == "sparse":
            noise = noise * (self.rng.random(shape) < 0.3)
        if self.weights == "cancelling" and len(shape) > 1 and shape[1] > 1:
            half = shape[1] // 2
            noise[:, half : 2 * half] = -noise[:, :half] * (1 + 1e-3)
        if self.weights == "constant":
            noise = np.full(shape, float(noise.flat[0]))
        return np.asarray(noise * scale)

    def bias(self, count: int) -> Array | None:
        """Biases, or none."""
        size = self.among(0, 1, 10)
        return size * self.rng.standard_normal(count) if size else None

    def geometry(self, ndim: int, group: int = 1, *, most: int = 5, plain: bool = False) -> Any:
        """A conv in every attribute; ``plain``: stride and dilation 1."""
        if self.common:
            return ConvGeometry(
                (3,) * ndim, (1,) * ndim, (1,) * ndim, (1,) * ndim, (1,) * ndim, group
            )
        kernel = tuple(self.between(1, most if ndim < 3 else 3) for _ in range(ndim))
        ones = (1,) * ndim
        strides = ones if plain else tuple(self.among(1, 1, 2, 3) for _ in kernel)
        dilations = ones if plain else tuple(self.among(1, 1, 2) for _ in kernel)
        begin, end = (tuple(self.between(0, k // 2) for k in kernel) for _ in range(2))
        return ConvGeometry(kernel, strides, dilations, begin, end, group)

    def start(self, channels: int, *geometries: Any) -> tuple[Builder, Value]:
        """A graph with one input on which the convs, one after the other, have room."""
        ndim = geometries[0].ndim
        least = [1] * ndim
        for geometry in geometries[::-1]:
            if isinstance(geometry, TransposeGeometry):
                continue
            pads = zip(geometry.pads_begin, geometry.pads_end, strict=True)
            least = [
                max((low - 1) * s + e - b - t, 1)
                for low, s, e, (b, t) in zip(
                    least, geometry.strides, geometry.extent, pads, strict=True
                )
            ]
        batch = 1 if self.common else self.between(1, 2)
        return new_graph((batch, channels, *self.size(ndim, least)))

    def conv(
        self,
        build: Builder,
        x: Value,
        outputs: int,
        geometry: Any,
        bias: Array | None = None,
        *,
        kernel: Array | None = None,
    ) -> Value:
        """A conv on all channels of ``x``."""
        assert x.shape is not None
        inputs = int(str(x.shape[1]))
        shape = (outputs, inputs // geometry.group, *geometry.kernel)
        kernel = self.array(*shape) if kernel is None else kernel
        return layer(build, x, geometry, kernel, bias, name=f"conv{len(build.graph)}")

    def constant(self, build: Builder, *shape: int) -> Value:
        """Noise as a constant."""
        return build.constant(self.rng.standard_normal(shape).astype(np.float32))


def data(kind: str, shape: Sequence[int], rng: np.random.Generator, weights: Array | None) -> Array:
    """An input; ``weights`` (C, taps) are those that *aligned* data follow the signs of."""
    noise = rng.standard_normal(shape)
    if kind == "uniform":
        noise = rng.uniform(-np.sqrt(3), np.sqrt(3), shape)
    if kind == "signs":
        noise = rng.choice([-1.0, 1.0], shape)
    if kind == "positive":
        noise = np.maximum(noise, 0)
    if kind == "smooth":
        for axis in range(2, len(shape)):
            noise = np.cumsum(noise, axis) * 0.1
        noise = noise + 1
    if kind == "constant":
        noise = np.full(shape, noise.flat[0])
    if kind == "offset":
        noise = 1000 + noise
    if kind == "uneven":
        noise = noise * np.exp(4 * rng.standard_normal(shape))
    if kind == "alternating":
        noise = (-1.0) ** np.indices(tuple(shape)).sum(axis=0) * (1 + 1e-3 * noise)
    if kind == "aligned" and weights is not None and weights.shape[0] == shape[1]:
        signs = np.sign(weights.sum(axis=1)).reshape(1, -1, *(1,) * (len(shape) - 2))
        noise = np.broadcast_to(signs * abs(noise.flat[0]), shape)
    return noise.astype(np.float32)
