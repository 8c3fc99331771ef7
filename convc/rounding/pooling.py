"""Pooling: means and maxima over windows and over axes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import gcd, inf, log, prod, sqrt

import numpy as np

from convc.conv import ints
from convc.ir import Array, Op
from convc.kernels import KernelError
from convc.kernels.windows import Window, resolve_pool
from convc.rounding.movement import Move, uniform
from convc.rounding.state import (
    NoBoundError,
    Part,
    Sizes,
    Sources,
    State,
    bounded,
    fresh,
    gamma,
    merged,
    variance,
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Of the windows of a pool.

    Attributes:
        fewest, most: how many numbers of the data a window reads.
        repeats: how many windows read one number at the most.
        share: of what windows divide by, the part that they read, on average over them.
    """

    fewest: int
    most: int
    repeats: int
    share: float


def average_pool(op: Op, state: State, shape: Sizes, unit: float) -> State:
    """AveragePool."""
    counts = counts_of(op, state)
    if op.attributes.get("count_include_pad", 0) and not op.attributes.get("ceil_mode", 0):
        # All windows divide by the kernel's size: those with padding have smaller means.
        counts = replace(counts, fewest=counts.most)
    else:
        counts = replace(counts, share=1.0)
    return averaged(state, shape, range(2, state.rank), counts, unit=unit, source=op)


def counts_of(op: Op, state: State) -> Counts:
    """How the windows of a pool lie on its data."""
    kernel = ints(op, "kernel_shape", ())
    sizes = [size for size in state.shape[2:] if size]
    strides = ints(op, "strides", (1,) * len(kernel))
    dilations = ints(op, "dilations", (1,) * len(kernel))
    repeats = prod(
        -(-k // (s // gcd(s, d))) for k, s, d in zip(kernel, strides, dilations, strict=True)
    )
    if len(sizes) < len(kernel):
        raise NoBoundError(f"{op.kind}: a size is not known")
    try:
        window = resolve_pool(op.attributes, sizes, kernel)
    except KernelError as error:
        raise NoBoundError(f"{op.kind}: {error}") from error
    read = [_read(window, axis, size) for axis, size in enumerate(sizes)]
    fewest = prod(max(int(axis.min()), 1) for axis in read)
    share = prod(float(axis.mean()) / k for axis, k in zip(read, kernel, strict=True))
    return Counts(fewest, prod(kernel), repeats, share)


def _read(window: Window, axis: int, size: int) -> Array:
    """How many places of the data each window along an axis reads."""
    starts = np.arange(window.output[axis]) * window.strides[axis] - window.begin[axis]
    places = starts[:, np.newaxis] + np.arange(window.kernel[axis]) * window.dilations[axis]
    return np.asarray(((places >= 0) & (places < size)).sum(axis=1))


def max_pool(op: Op, state: State, shape: Sizes) -> State:
    """MaxPool: to first order the errors are those of the numbers that are chosen."""
    counts = counts_of(op, state)
    flat = flattened(state, range(2, state.rank))
    free = (False,) * state.rank

    def through(part: Part) -> Part:
        return Part(part.std, free, lambda: bounded(sqrt(counts.repeats), part.norm()))

    signal: dict[Sources, Part] = {}
    mean = flat.mean
    if flat.signal:
        one = merged(flat.signal, state.rank)
        signal[frozenset[Hashable]().union(*flat.signal)] = Part(one.std, free, lambda: inf)
        # The largest of n Gaussians of deviation σ is at most σ·√(2·ln n) on average.
        mean = mean + one.std * sqrt(2 * log(max(counts.most, 2)))
    noise = {key: through(part) for key, part in flat.noise.items()}
    return State(shape, flat.high, flat.error, mean, flat.power, False, 0.0, signal, noise)


def averaged(
    state: State,
    shape: Sizes,
    axes: Sequence[int],
    counts: Counts,
    *,
    unit: float,
    source: Hashable,
) -> State:
    """Means over windows along ``axes``."""
    fewest, most, repeats = counts.fewest, counts.most, counts.repeats
    kept = [axis for axis in range(state.rank) if axis not in axes]
    flat = flattened(state, axes)
    scale = sqrt(repeats / fewest)

    def through(part: Part) -> Part:
        apart = all(part.free[axis] or state.shape[axis] == 1 for axis in axes)
        std = part.std / (sqrt(fewest) if apart else 1.0)
        free = tuple(f and (axis in kept or repeats == 1) for axis, f in enumerate(part.free))
        if not apart:
            norm = part.norm() / sqrt(fewest)
            std = np.minimum(std, norm)
        return Part(std, free, lambda: bounded(scale, part.norm()))

    signal = {key: through(part) for key, part in flat.signal.items()}
    noise = {key: through(part) for key, part in flat.noise.items()}
    square = np.asarray(flat.mean**2 + variance(signal))
    noise[frozenset({source})] = fresh(square, most + 2, unit, state.rank)
    apart = all(
        part.free[axis] or state.shape[axis] == 1 for part in flat.signal.values() for axis in axes
    )
    error = flat.error + gamma(most + 2, unit) * (flat.high + flat.error)
    return State(
        shape,
        flat.high,
        error,
        flat.mean,
        flat.power * counts.share / most,
        flat.known and apart and not flat.mean.any() and fewest == most,
        0.0,
        signal,
        noise,
    )


def flattened(state: State, axes: Sequence[int]) -> State:
    """The value with one number along each of ``axes``."""
    return Move(state.shape, lambda array, reduce: uniform(array, axes, reduce), tuple)(state)
