"""Inputs where no data is given: pink noise and dead leaves, which have the statistics of images.

Both are models of natural images: pink noise has their spectrum (amplitude 1/f, so that every
octave holds as much energy), dead leaves (D. Mumford and B. Gidas, "Stochastic models for generic
images", 2001) besides their edges and flat regions, at all scales. White noise has neither, and a
network fitted to it is fitted to the wrong thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from convc.feeds import Case, Feeds, input_shape, make_input, required
from convc.graph import Graph
from convc.ir import Array, Value, is_real
from convc.samples.preprocess import image_layout
from convc.samples.split import NEIGHBOURS

Make = Callable[[tuple[int, ...], np.random.Generator], Array]
"""Makes (C, *spatial) values."""

MOST_BYTES = 2**28
"""Bytes that all synthetic samples together take at most, if more than `FEWEST` fit in there."""

FEWEST = 4

LONGEST = {1: 2**16, 2: 1024, 3: 128}
"""Side up to which a field of 1, 2 or 3 axes is made; beyond it is continued by its mirror image.
The layers of a network see no further, and a volume of 256³ would take seconds each."""

COLOUR_AXES = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Principal axes of the colours of natural images: light, blue against red, green against both."""

COLOUR_SPREAD = np.sqrt([0.91, 0.07, 0.02])
"""Standard deviation along these, of 1 in all: most of what varies is light."""

COVERED = 4
"""Area of all dead leaves in images: e⁻⁴ of an image is left uncovered."""


def synthetic(graph: Graph, sizes: Mapping[str, int], count: int, seed: int) -> list[Case]:
    """Samples for a model without data, each its own source, the same for the same seed.

    Inputs that take images get pink noise and dead leaves in turn (three of each, of which
    `convc.samples.split` holds one back), in [0, 1], or 0 to 255 where they take bytes. Of the
    others, feature maps (four axes) get non-negative pink noise, each channel of each sample with
    a scale of its own, volumes (five) 3-D pink noise in [0, 1], signals (two or three) signed 1-D
    pink noise of a tenth of full scale, single numbers numbers in [0, 1); integers are made up as
    `convc.feeds.made_up` does.

    Args:
        graph: whose inputs to make.
        sizes: size of each named dim.
        count: number of samples; fewer, but at least `FEWEST`, where they would be too large.
        seed: of the random numbers.

    Raises CannotFeedError where an input cannot be made up.
    """
    count = min(count, max(FEWEST, MOST_BYTES // max(1, _sample_bytes(graph, sizes))))
    makers: tuple[tuple[str, Make], ...] = (
        ("pink noise", pink_image),
        ("dead leaves", dead_leaves),
    )
    if not any(image_layout(value.type) for value in required(graph)):
        makers = makers[:1]
    cases: list[Case] = []
    for i in range(count):
        rng = np.random.default_rng((seed, i))
        kind, make = makers[i // NEIGHBOURS % len(makers)]
        name = f"{kind} {i}"
        cases.append(Case(name, _feeds(graph, sizes, make, rng), source=name))
    return cases


def pink_image(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Pink noise in [0, 1]: (C, *spatial), the channels of three correlated as colours are."""
    fields = np.stack([pink_noise(shape[1:], rng) for _ in range(shape[0])])
    level, contrast = rng.uniform(0.3, 0.6), rng.uniform(0.15, 0.3)
    return np.clip(level + contrast * _coloured(fields), 0, 1)


def dead_leaves(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Discs that hide each other, in [0, 1]: (C, H, W).

    Their radii r have density r⁻³, for which the image looks the same at all scales. Each has its
    colour and as much of one pink texture as chance gives it. Drawn at twice the size and
    averaged over 2×2, as a camera's pixels average over edges.
    """
    channels, height, width = shape
    labels = discs(2 * height, 2 * width, rng)
    count = int(labels.max()) + 1
    colours = 0.45 + 0.25 * _coloured(rng.standard_normal((channels, count)))
    strength = rng.uniform(0, 0.12, count)
    texture = np.repeat(np.repeat(pink_noise((height, width), rng), 2, 0), 2, 1)
    large = colours[:, labels] + strength[labels] * texture
    small: Array = large.reshape(channels, height, 2, width, 2).mean((2, 4))
    return np.clip(small, 0, 1)


def pink_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise of mean 0 and standard deviation 1 whose amplitude falls as f^(−d/2) in d axes.

    Every octave of frequency then holds as much energy: 1/f power in one axis, 1/f amplitude in
    two, as images have it. Zero where there is one position alone.
    """
    longest = LONGEST.get(len(shape), 64)
    core = tuple(min(side, longest) for side in shape)
    if prod(core) < 2:
        return np.zeros(shape)
    axes = [np.fft.fftfreq(side) for side in core[:-1]] + [np.fft.rfftfreq(core[-1])]
    squares = sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True))
    squares = np.asarray(squares)
    squares.flat[0] = np.inf
    spectrum = np.fft.rfftn(rng.standard_normal(core)) * squares ** (-len(core) / 4)
    field = np.fft.irfftn(spectrum, core, axes=range(len(core)))
    field /= field.std()
    missing = [(0, side - made) for side, made in zip(shape, core, strict=True)]
    return np.asarray(np.pad(field, missing, mode="symmetric"))


def _feeds(graph: Graph, sizes: Mapping[str, int], make: Make, rng: np.random.Generator) -> Feeds:
    return {value.name: _input(value, sizes, make, rng) for value in required(graph)}


def _input(value: Value, sizes: Mapping[str, int], make: Make, rng: np.random.Generator) -> Array:
    layout = image_layout(value.type)
    if layout and value.dtype == np.uint8:
        shape = input_shape(value, sizes)
        images = 255 * _images(shape, layout, make, rng)
        return np.asarray(np.rint(images).astype(np.uint8))
    if layout and is_real(value.dtype):
        return make_input(value, sizes, lambda shape: _images(shape, layout, make, rng), rng)
    return make_input(value, sizes, lambda shape: _other(shape, rng), rng)


def _images(shape: tuple[int, ...], layout: str, make: Make, rng: np.random.Generator) -> Array:
    """Images in [0, 1] for an input of this shape, which has four axes."""
    axis = 1 if layout == "nchw" else 3
    spatial = tuple(side for i, side in enumerate(shape) if i not in (0, axis))
    if 0 in shape:
        return np.zeros(shape)
    each = [make((shape[axis], *spatial), rng) for _ in range(shape[0])]
    return np.moveaxis(np.stack(each), 1, axis)


def _other(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if len(shape) < 2 or 0 in shape:
        return rng.random(shape)
    if len(shape) < 4:
        return _signals(shape, rng)
    make = _feature_map if len(shape) == 4 else _volume
    fields = [make(shape[2:], rng) for _ in range(shape[0] * shape[1])]
    return np.stack(fields).reshape(shape)


def _feature_map(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    scale, offset = np.exp(rng.normal(-0.5, 0.5)), rng.normal(0.0, 0.5)
    return np.asarray(scale * np.maximum(pink_noise(shape, rng) + offset, 0))


def _volume(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return np.clip(0.4 + 0.2 * pink_noise(shape, rng), 0, 1)


def _signals(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Pink noise along the longest axis but the first."""
    axis = 1 + int(np.argmax(shape[1:]))
    others = tuple(side for i, side in enumerate(shape) if i != axis)
    rows = np.stack([pink_noise((shape[axis],), rng) for _ in range(prod(others))])
    signals = np.clip(0.1 * rows, -1, 1).reshape(*others, shape[axis])
    return np.moveaxis(signals, -1, axis)


def _coloured(fields: Array) -> Array:
    """Independent fields of variance 1, mixed as colours are where there are three."""
    if len(fields) != 3:
        return fields
    # The variance of light alone is spread over three channels: √3 gives each a variance near 1.
    mixing = np.sqrt(3) * (COLOUR_AXES.T * COLOUR_SPREAD)
    return np.tensordot(mixing, fields, 1)


def discs(height: int, width: int, rng: np.random.Generator) -> Array:
    """Which disc is seen at each place, (H, W), later ones on top; 0 where none is."""
    smallest, largest = 4.0, max(8.0, max(height, width) / 4)
    # Mean of r² for density r⁻³ between the two; the radii by the inverse of their distribution.
    square = 2 * np.log(largest / smallest) / (smallest**-2 - largest**-2)
    count = int(np.ceil(COVERED * height * width / (np.pi * square)))
    radii = smallest / np.sqrt(1 - rng.random(count) * (1 - (smallest / largest) ** 2))
    labels = np.zeros((height, width), np.int32)
    rows, columns = np.ogrid[:height, :width]
    tops = rng.uniform(0, height, count)
    lefts = rng.uniform(0, width, count)
    for i, (y, x, r) in enumerate(zip(tops, lefts, radii, strict=True), 1):
        box = (
            slice(max(0, int(y - r)), int(y + r) + 2),
            slice(max(0, int(x - r)), int(x + r) + 2),
        )
        inside = (rows[box[0]] - y) ** 2 + (columns[:, box[1]] - x) ** 2 <= r * r
        labels[box][inside] = i
    return labels


def _sample_bytes(graph: Graph, sizes: Mapping[str, int]) -> int:
    return sum(
        prod(input_shape(value, sizes)) * (value.dtype.itemsize if value.dtype else 1)
        for value in required(graph)
    )
