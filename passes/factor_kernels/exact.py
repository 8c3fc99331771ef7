"""Chains that are a layer but for the rounding of its weights.

One function for each kind: it returns the chain of that kind with the fewest MACs, fewer than the
layer has, or declines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from convc.algebra.factor import (
    cp_factors,
    cp_rank,
    distances,
    separable_terms,
    terms_rank,
    tucker_factors,
)
from convc.algebra.factor.unfolding import two_kernels
from convc.algebra.hidden_blocks import components
from convc.graph import Graph
from convc.ir import Array, Op
from convc.rewrite import Exactness, NoMatch, Rewrite
from passes._chains import operand, storable
from passes.factor_kernels.bound import bound
from passes.factor_kernels.chain import Chain, Outline, rewrite
from passes.factor_kernels.compositions import factor_composed
from passes.factor_kernels.layer import Layer, read
from passes.factor_kernels.outlines import by_axes, separated, splits, summed, through_core
from passes.factor_kernels.ranks import rank_up_to

ONE_CHANNEL = ("terms", "composed")
"""Kinds that are about filters of one channel only."""
LOST = 16
"""Unit roundoffs, of a filter's norm, that the rounding of the factors may cost it."""
APART = 64
"""How many times larger than a filter, each in its own measure, the change of the weights that read
one input channel may be: 6e-5 of them in float32."""
NOISE = 2.0**-50
"""Weights below this part of their filter's largest are what rounding left of a zero."""


def factor_exactly(graph: Graph, op: Op, kind: str, saves: float = 1.0) -> Rewrite:
    """A Conv as a chain of smaller ones that is the same but for the rounding of its weights.

    It has ``saves`` times fewer MACs or less.
    """
    shape = operand(op, 1).shape
    if kind in ONE_CHANNEL and shape is not None and len(shape) > 1 and shape[1] != 1:
        raise NoMatch  # without a look at the weights, of which there may be many
    layer = read(graph, op)
    if not layer.kernel.any():
        raise NoMatch("the weights are zero")
    chain = _without_noise(FINDERS[kind](layer))
    shapes = tuple(kernel.shape for kernel in chain.kernels)
    if saves * Outline(shapes, chain.geometries).macs(layer.size) > layer.macs:
        raise NoMatch(f"the factors have not {saves:g} times fewer MACs")
    require_precise(layer, chain)
    note = f"{layer.label} → {chain.text()}"
    moved = bound(layer, chain.kernel())
    return rewrite(layer, chain, Exactness.ROUNDING, note=note, bound=moved)


def separable(layer: Layer) -> Chain:
    """Some of the axes first, the others behind."""
    if len(layer.wide_axes) < 2:
        raise NoMatch
    return _cheapest_unfolding(layer, splits(layer), "the kernel is not separable")


def low_rank_out(layer: Layer) -> Chain:
    """All taps to few channels, and a 1×1 conv to all."""
    if layer.outputs < 2:
        raise NoMatch
    axes = tuple(range(layer.geometry.ndim))
    return _cheapest_unfolding(layer, [axes], "the filters have full rank")


def low_rank_in(layer: Layer) -> Chain:
    """A 1×1 conv to few channels, and all taps from these."""
    if not layer.wide_axes or layer.inputs < 2:
        raise NoMatch  # of one tap it is the same as on the other side
    return _cheapest_unfolding(layer, [()], "the input channels have full rank")


def terms(layer: Layer) -> Chain:
    """Each filter of one channel as a sum of products."""
    if layer.kernel.shape[1] > 1 or len(layer.wide_axes) < 2:
        raise NoMatch
    found: list[tuple[int, int, int]] = []
    for axis in layer.wide_axes:
        most = _most(layer, partial(summed, layer, axis))
        count = terms_rank(layer.kernel, axis, layer.roundoff) if most else 0
        if 0 < count <= most:
            found.append((summed(layer, axis, count).macs(layer.size), axis, count))
    if not found:
        raise NoMatch("the filters are no sums of few separable ones")
    _, axis, count = min(found)
    return sum_of_terms(layer, axis, count)


def tucker(layer: Layer) -> Chain:
    """A 1×1 conv to few channels, all taps from few to few, a 1×1 conv to all."""
    if not layer.wide_axes or min(layer.inputs, layer.outputs) < 2:
        raise NoMatch
    every = tuple(range(layer.geometry.ndim))
    ranks = tuple(
        rank_up_to(layer, axes, full - 1)
        for axes, full in (((), layer.inputs), (every, layer.outputs))
    )
    if ranks[0] is None or ranks[1] is None:
        raise NoMatch("the channels have full rank on one side")
    return cheaper(layer, core(layer, (ranks[0], ranks[1])))


def cp(layer: Layer) -> Chain:
    """A 1×1 conv, one conv for each axis, each channel for itself, and a 1×1 conv."""
    fewer = min(layer.inputs, layer.outputs) - 1
    if not layer.wide_axes or not fewer:
        raise NoMatch
    # A sum of R products has at most the rank R in every unfolding.
    every = tuple(range(layer.geometry.ndim))
    low = all(rank_up_to(layer, axes, fewer) for axes in ((), every, layer.wide_axes[:1]))
    rank = cp_rank(layer.kernel, layer.group, layer.roundoff) if low else None
    if rank is None or rank > fewer:
        raise NoMatch("the kernel is no sum of few products of vectors")
    first, *middle, last = cp_factors(layer.kernel, rank, layer.group, per_channel=True).kernels
    by_axis = dict(zip(layer.wide_axes, middle, strict=True))
    plan, order = by_axes(layer, rank)
    kernels = (first, *(by_axis[axis] for axis in order), last)
    return cheaper(layer, Chain(kernels, plan.geometries, f"rank {rank}"))


def composed(layer: Layer) -> Chain:
    """Each filter of one channel as two smaller ones, one after the other."""
    if layer.kernel.shape[1] > 1 or layer.geometry.ndim != 2 or min(layer.geometry.kernel) < 2:
        raise NoMatch
    if terms_rank(layer.kernel, roundoff=layer.roundoff) < 2:
        raise NoMatch  # a column and a row for each: the terms
    return cheaper(layer, factor_composed(layer))


FINDERS: Mapping[str, Callable[[Layer], Chain]] = MappingProxyType(
    {
        "separable": separable,
        "terms": terms,
        "low-rank-out": low_rank_out,
        "low-rank-in": low_rank_in,
        "tucker": tucker,
        "cp": cp,
        "composed": composed,
    }
)


def unfolding(layer: Layer, axes: Sequence[int], rank: int, *, per_channel: bool = True) -> Chain:
    """Two convs with ``rank`` channels between for each group, the first with the taps of axes."""
    found = two_kernels(layer.kernel, rank, axes, layer.group, per_channel)
    plan = separated(layer, axes, rank)
    return Chain(found.kernels, plan.geometries, f"rank {rank}")


def sum_of_terms(layer: Layer, axis: int, count: int) -> Chain:
    """Two convs with ``count`` channels between for each filter of one channel."""
    pairs = separable_terms(layer.kernel, count, axis).pairs
    first = np.stack([one[:, 0] for one, _ in pairs], axis=1)
    second = np.stack([other[:, 0] for _, other in pairs], axis=1)
    plan = summed(layer, axis, count)
    kernels = first.reshape(plan.shapes[0]), second.reshape(plan.shapes[1])
    return Chain(kernels, plan.geometries, f"{count} terms" if count > 1 else "rank 1")


def core(layer: Layer, ranks: tuple[int, int], *, per_channel: bool = True) -> Chain:
    """Three convs with so many channels between them for each group."""
    found = tucker_factors(layer.kernel, ranks, layer.group, per_channel)
    plan = through_core(layer, ranks)
    return Chain(found.kernels, plan.geometries, f"ranks {ranks[0]}, {ranks[1]}")


def cheaper(layer: Layer, chain: Chain) -> Chain:
    """``chain``, if it has fewer MACs than the layer."""
    if chain.outline.macs(layer.size) >= layer.macs:
        raise NoMatch("the factors would not cost less")
    return chain


def _cheapest_unfolding(layer: Layer, choices: Sequence[tuple[int, ...]], reason: str) -> Chain:
    limits = {axes: _most(layer, partial(separated, layer, axes)) for axes in choices}
    if not any(limits.values()):
        raise NoMatch("the factors would not cost less")
    found: list[tuple[int, tuple[int, ...], int]] = []
    for axes, most in limits.items():
        rank = rank_up_to(layer, axes, most) if most else None
        if rank is not None:
            found.append((separated(layer, axes, rank).macs(layer.size), axes, rank))
    if not found:
        raise NoMatch(reason)
    _, axes, rank = min(found)
    return unfolding(layer, axes, rank)


def _most(layer: Layer, plan: Callable[[int], Outline]) -> int:
    """The largest rank with fewer MACs than the layer, which they are proportional to."""
    return (layer.macs - 1) // plan(1).macs(layer.size)


def _without_noise(chain: Chain) -> Chain:
    """The chain with zeros where a decomposition in float64 gives no better than zero."""

    def cleaned(kernel: Array) -> Array:
        size = np.abs(kernel)
        largest = size.max(axis=_behind(kernel, 1), keepdims=True)
        return np.where(size < NOISE * largest, 0.0, kernel)

    return replace(chain, kernels=tuple(cleaned(kernel) for kernel in chain.kernels))


def require_precise(layer: Layer, chain: Chain) -> None:
    """Declines where the factors, stored, are a kernel that is farther off than rounding."""
    stored = tuple(
        storable(kernel, layer.weight).astype(layer.weight.dtype).astype(np.float64)
        for kernel in chain.kernels
    )
    kernel = Chain(stored, chain.geometries).kernel()
    own = layer.kernel[0].size * 2.0**-52  # of decompositions
    if distances(layer.kernel, kernel)[1] > LOST * layer.roundoff + own:
        raise NoMatch("the rounding of the factors would count")
    # What is read with small weights may be large: a channel's own weights have to be right, too.
    by_input = tuple(_by_input(w, layer.group) for w in (layer.kernel, layer.kernel - kernel))
    norms, missed = (np.linalg.norm(w, axis=1) for w in by_input)
    allowed = APART * LOST * layer.roundoff * norms + own * np.linalg.norm(layer.kernel)
    if (missed > allowed).any():
        raise NoMatch("the weights of some input channels would be lost beside larger ones")
    if _mixes(layer.kernel, kernel, layer.group):
        raise NoMatch("channels that the layer keeps apart would mix")


def _mixes(old: Array, new: Array, group: int) -> bool:
    """Whether ``new`` (K, C/g, *k) connects channels that ``old`` has in different components.

    However small the weight: values of the one may be any number of times those of the other.
    """
    made = np.asarray(new.any(axis=_behind(new, 2)) & ~old.any(axis=_behind(old, 2)))
    if not made.any():
        return False
    for rows, columns in components(old, group):
        made[np.ix_(rows, np.asarray(columns) % old.shape[1])] = False
    return bool(made.any())


def _behind(array: Array, axis: int) -> tuple[int, ...]:
    """All axes from this one on."""
    return tuple(range(axis, array.ndim))


def _by_input(kernel: Array, group: int) -> Array:
    """(K, C/g, *k) as (C, K/g·taps): the weights that read each input channel."""
    parts = kernel.reshape(group, kernel.shape[0] // group, kernel.shape[1], -1)
    rows: Array = parts.swapaxes(1, 2).reshape(group * kernel.shape[1], -1)
    return rows
