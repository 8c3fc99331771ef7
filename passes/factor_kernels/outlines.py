"""The chains that a layer may become, by the ranks they have.

K, C and g are the layer's filters, channels and groups, *k its taps. On an axis of one tap the
first conv that may takes stride and pads: that leaves less for the next.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain, combinations

from passes.factor_kernels.chain import Outline, Shape, outline
from passes.factor_kernels.layer import Layer


def splits(layer: Layer) -> list[tuple[int, ...]]:
    """The sets of axes that the first of two convs may take, and leave the second one more."""
    wide = layer.wide_axes
    sizes = range(1, len(wide))
    return list(chain.from_iterable(combinations(wide, size) for size in sizes))


def separated(layer: Layer, axes: Collection[int], rank: int) -> Outline:
    """(g·R, C/g, *t) and (K, R, *u): the first has the taps of ``axes``, the second the others."""
    shapes = (
        (layer.group * rank, layer.inputs, *_taps(layer, axes)),
        (layer.filters, rank, *_taps(layer, _others(layer, axes))),
    )
    return outline(layer, shapes, [int(axis in _others(layer, axes)) for axis in _every(layer)])


def summed(layer: Layer, axis: int, terms: int) -> Outline:
    """(K·T, 1, *t) and (K, T, *u): each filter of one channel is a sum of so many products."""
    shapes = (
        (layer.filters * terms, 1, *_taps(layer, [axis])),
        (layer.filters, terms, *_taps(layer, _others(layer, [axis]))),
    )
    return outline(layer, shapes, [int(other in _others(layer, [axis])) for other in _every(layer)])


def through_core(layer: Layer, ranks: tuple[int, int]) -> Outline:
    """(g·R₁, C/g, 1..), (g·R₂, R₁, *k) and (K, R₂, 1..)."""
    ones, group = (1,) * layer.geometry.ndim, layer.group
    shapes = (
        (group * ranks[0], layer.inputs, *ones),
        (group * ranks[1], ranks[0], *layer.geometry.kernel),
        (layer.filters, ranks[1], *ones),
    )
    return outline(layer, shapes, [int(axis in layer.wide_axes) for axis in _every(layer)])


def by_axes(layer: Layer, rank: int) -> tuple[Outline, list[int]]:
    """(g·R, C/g, 1..), for each wide axis (g·R, 1, 1.., k, 1..), and (K, R, 1..); and those axes.

    The axis of the largest stride comes first.
    """
    ones, channels = (1,) * layer.geometry.ndim, layer.group * rank
    order = sorted(layer.wide_axes, key=lambda axis: -layer.geometry.strides[axis])
    shapes: list[Shape] = [(channels, layer.inputs, *ones)]
    shapes += [(channels, 1, *_taps(layer, [axis])) for axis in order]
    shapes.append((layer.filters, rank, *ones))
    owners = [1 + order.index(axis) if axis in order else 0 for axis in _every(layer)]
    return outline(layer, shapes, owners), order


def _every(layer: Layer) -> range:
    return range(layer.geometry.ndim)


def _others(layer: Layer, axes: Collection[int]) -> list[int]:
    """The axes of more than one tap that are not among ``axes``."""
    return [axis for axis in layer.wide_axes if axis not in axes]


def _taps(layer: Layer, axes: Collection[int]) -> tuple[int, ...]:
    return tuple(k if axis in axes else 1 for axis, k in enumerate(layer.geometry.kernel))
