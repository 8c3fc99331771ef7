"""Products with constant weights: Conv, ConvTranspose, MatMul and Gemm.

All of them are brought to one form: weights (G, M, D, T) and data (B, G, D) give (B, G, M), summed
over the D channels and T taps of a group. Taps read the data at different places, channels at one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Literal

import numpy as np

from convc.ir import Array
from convc.rounding.state import Part, Parts, Sizes, Sources, State, bounded, fresh, gamma, variance

CHUNK = 1 << 21
"""Weights that are looked at together: 16 MiB of float64."""

EXACT_NORM = 1024
"""Rows, or columns, of a matrix whose largest singular value is computed."""

Weighting = Literal["absolute", "square", "rows", "apart", "inside"]
Request = tuple[Weighting, Array]
APART = ("square", True)
"""How deviations add up that are uncorrelated."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product.

    Attributes:
        shape: of the result.
        weights: (G, M, D, T).
        gather: compressed data to (B, G, D), one number where B does not matter.
        scatter: (B, G, M) to the compressed result.
        free: which axes of the result are uncorrelated, given those of the data.
        channels, taps: for a part's free axes: what is summed over channels is uncorrelated; and
            what is summed over taps.
        norm: at least the largest singular value of the whole map.
        inside: (T,): in which part of the places a tap meets data and no padding.
        bias: (G·M,) or none.
        extra: roundings on the way of each product besides those of the sum.
        cast: the weights are rounded when they are stored.
        own_weights: by axis of the result: entries have weights of their own.
        run: products that are summed before they are added to the rest; 0: any order of all.
        taps_apart: no run goes over more than one tap.
        bias_first: the runs are added to the bias, not the bias to them.
    """

    shape: Sizes
    weights: Array
    gather: Callable[[Array], Array]
    scatter: Callable[[Array], Array]
    free: Callable[[Sequence[bool]], tuple[bool, ...]]
    channels: Callable[[Sequence[bool]], bool]
    taps: Callable[[Sequence[bool]], bool]
    norm: Callable[[], float]
    inside: Array
    bias: Array | None
    extra: int
    cast: bool
    own_weights: tuple[bool, ...]
    run: int = 0
    taps_apart: bool = False
    bias_first: bool = False

    @property
    def rank(self) -> int:
        """Of the result."""
        return len(self.shape)


def totals(weights: Array, requests: Sequence[Request], inside: Array) -> tuple[list[Array], Array]:
    """Weighted sums of the data, (B, G, M) each, and the number of weights but 0, (G, M).

    The weights are reduced over the taps first: Σ|w|, Σw², √Σw², (Σ|w|)², or Σw²·inside.
    """
    groups, rows, depth, taps = weights.shape
    step = max(CHUNK // max(groups * depth * taps, 1), 1)
    sums: list[list[Array]] = [[] for _ in requests]
    counts: list[Array] = []
    for start in range(0, rows, step):
        block = weights[:, start : start + step].astype(np.float64)
        reduced: dict[str, Array] = {}
        for found, (weighting, data) in zip(sums, requests, strict=True):
            if weighting not in reduced:
                reduced[weighting] = _reduced(block, weighting, inside)
            found.append(np.einsum("gmd,bgd->bgm", reduced[weighting], data))
        counts.append(np.count_nonzero(block, axis=(2, 3)))
    return [np.concatenate(found, axis=2) for found in sums], np.concatenate(counts, axis=1)


def _reduced(block: Array, weighting: Weighting, inside: Array) -> Array:
    if weighting == "absolute":
        return np.asarray(np.abs(block).sum(axis=3))
    if weighting == "apart":
        return np.asarray(np.abs(block).sum(axis=3) ** 2)
    if weighting == "inside":
        return np.asarray(np.square(block) @ inside)
    squares = np.square(block).sum(axis=3)
    return np.asarray(squares if weighting == "square" else np.sqrt(squares))


def multiplied(product: Product, state: State, unit: float, source: Hashable) -> State:
    """What is known of the product."""
    parts = [*state.signal.items(), *state.noise.items()]
    requests: list[Request] = [
        ("absolute", product.gather(state.high)),
        ("absolute", product.gather(state.error)),
        ("absolute", product.gather(state.mean)),
        ("inside", product.gather(state.power)),
        ("square", np.ones((1, *product.weights.shape[:3:2]))),
        *(_request(product, part) for _, part in parts),
    ]
    (high, error, mean, power, rows, *deviations), count = totals(
        product.weights, requests, product.inside
    )
    through = [
        (sources, _through(product, part, found, np.sqrt(rows)))
        for (sources, part), found in zip(parts, deviations, strict=True)
    ]
    signal, noise = dict(through[: len(state.signal)]), dict(through[len(state.signal) :])
    back, bias = product.scatter, _bias(product)
    inner_mean = back(mean)
    mean, high = inner_mean + back(bias), back(high + bias)
    inherited = back(error)
    square = np.asarray(mean**2 + variance(signal))
    within, between = (back(steps[np.newaxis]) for steps in _steps(product, count))
    # No partial sum is more than the whole, nor are all runs together; then each product, and what
    # is besides. The bias is in all sums; where runs are known, in none of them, but in their sums
    # where they are added to it.
    last = int(product.run > 0 and product.bias is not None)
    inner = inner_mean**2 + variance(signal) if last else square
    sums = square if product.bias_first else inner
    found = inner * (within + 1) + sums * between + square * (last + product.extra)
    noise[frozenset({source})] = fresh(found, 1, unit, product.rank)
    path = within + between + last
    if product.cast:
        std = fresh(square, 1, unit, product.rank).std
        noise[frozenset({(source, "cast")})] = Part(std, product.own_weights, lambda: inf)
    return State(
        product.shape,
        high,
        inherited + gamma(path + product.cast + product.extra, unit) * (high + inherited),
        mean,
        back(power + bias**2),
        state.known
        and not state.mean.any()
        and all(_way(product, part) == APART for part in state.signal.values()),
        float(between.max() + last if product.run else within.max()),
        signal,
        noise,
    )


def _steps(product: Product, count: Array) -> tuple[Array, Array]:
    """Additions on the longest way to the result: within a run (or in all), and of the runs."""
    if product.run == 0:
        return count + float(product.bias is not None), np.zeros(count.shape)
    depth, taps = product.weights.shape[2:]
    # The first run is not added to anything.
    if product.taps_apart:
        within = np.minimum(count, min(product.run, depth)).astype(np.float64)
        runs = np.minimum(count, -(-depth // product.run) * taps)
    else:
        within = np.minimum(count, product.run).astype(np.float64)
        runs = np.ceil(count / product.run)
    return within, np.maximum(runs - 1.0, 0.0)


def _request(product: Product, part: Part) -> Request:
    weighting, squared = _way(product, part)
    data = product.gather(part.std)
    return weighting, data**2 if squared else data


def _through(product: Product, part: Part, found: Array, rows: Array) -> Part:
    """A part behind the product: ``found`` is its sum, ``rows`` are the norms of the weights."""
    way = _way(product, part)
    std = np.sqrt(found) if way[1] else found
    if way != APART:
        limit = np.multiply(part.norm(), rows, out=np.zeros(rows.shape), where=rows > 0)
        std = np.minimum(std, limit)
    free = product.free(part.free)
    return Part(product.scatter(std), free, lambda: bounded(product.norm(), part.norm()))


def _way(product: Product, part: Part) -> tuple[Weighting, bool]:
    """How deviations add up in a sum: the weights' reduction, and whether they add up squared."""
    channels, taps = product.channels(part.free), product.taps(part.free)
    if channels:
        return ("square" if taps else "apart"), True
    # By Minkowski's inequality: the root of the sum over taps of squared sums over channels.
    return ("rows" if taps else "absolute"), False


def _bias(product: Product) -> Array:
    groups, rows = product.weights.shape[:2]
    if product.bias is None:
        return np.zeros((1, groups, rows))
    return np.abs(product.bias.astype(np.float64)).reshape(1, groups, rows)


def spectral(weights: Array) -> float:
    """At least the largest singular value of the groups' matrices, (M, D·T) each."""
    groups, rows = weights.shape[:2]
    matrices = weights.reshape(groups, rows, -1).astype(np.float64)
    if min(matrices.shape[1:]) > EXACT_NORM:
        size = np.abs(matrices)
        product = size.sum(axis=1).max(axis=1) * size.sum(axis=2).max(axis=1)
        return float(np.sqrt(np.minimum(product, (matrices**2).sum(axis=(1, 2)))).max())
    turned = matrices if rows <= matrices.shape[2] else matrices.transpose(0, 2, 1)
    gram = np.matmul(turned, turned.transpose(0, 2, 1))
    # Eigenvalues are computed to a few units of the largest.
    return float(np.sqrt(np.linalg.eigvalsh(gram).max(initial=0.0) * (1 + 1e-9)))


def largest_of(states: Sequence[State]) -> State:
    """At least each of several values of one shape, of which every place has one.

    The phases of a transposed conv: their parts have the same sources.
    """
    first = states[0]

    def most(arrays: Sequence[Array]) -> Array:
        return np.asarray(np.max(np.broadcast_arrays(*arrays), axis=0))

    def parts(given: Sequence[Parts]) -> dict[Sources, Part]:
        return {
            key: Part(
                most([mapping[key].std for mapping in given]),
                part.free,
                partial(_largest, [mapping[key].norm for mapping in given]),
            )
            for key, part in given[0].items()
        }

    return State(
        first.shape,
        most([s.high for s in states]),
        most([s.error for s in states]),
        most([s.mean for s in states]),
        most([s.power for s in states]),
        all(s.known for s in states),
        max(s.pending for s in states),
        parts([s.signal for s in states]),
        parts([s.noise for s in states]),
    )


def _largest(norms: Sequence[Callable[[], float]]) -> float:
    return max(norm() for norm in norms)
