"""One convolution as a chain of smaller ones: their geometries, their cost, their ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

import numpy as np

from convc.algebra import ConvGeometry, compose_geometry, compose_kernels
from convc.conv import geometry_attributes
from convc.ir import Array
from convc.rewrite import Exactness, Replacement, Rewrite
from passes._chains import storable
from passes.factor_kernels.layer import Layer, taps

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Outline:
    """Convs one after the other with nothing between, but for their weights.

    Attributes:
        shapes: of the kernels, (K_i, C_i/g_i, *k_i), the first one first.
        geometries: of each conv.
    """

    shapes: tuple[Shape, ...]
    geometries: tuple[ConvGeometry, ...]

    def macs(self, size: Sequence[int]) -> int:
        """MACs on one image of spatial ``size``."""
        total = 0
        for shape, geometry in zip(self.shapes, self.geometries, strict=True):
            size = geometry.output_size(size)
            total += prod(shape) * prod(size)
        return total


@dataclass(frozen=True)
class Chain:
    """Convs one after the other with nothing between.

    Attributes:
        kernels: of each conv, (K_i, C_i/g_i, *k_i), the first one first.
        geometries: of each conv.
        label: for people: of how many terms they are.
    """

    kernels: tuple[Array, ...]
    geometries: tuple[ConvGeometry, ...]
    label: str = ""

    @property
    def outline(self) -> Outline:
        """Its shapes and geometries."""
        return Outline(tuple(kernel.shape for kernel in self.kernels), self.geometries)

    def kernel(self) -> Array:
        """(K, C/g, *k): the kernel that the chain computes."""
        return reduce(_after, zip(self.kernels, self.geometries, strict=True))[0]

    def text(self, *more: str) -> str:
        """For people: 3×1, 1×3 (rank 1), with more beside the rank."""
        details = [part for part in (self.label, *more) if part]
        factors = ", ".join(taps(kernel.shape) for kernel in self.kernels)
        return f"{factors} ({', '.join(details)})" if details else factors


def outline(layer: Layer, shapes: Sequence[Shape], owners: Sequence[int]) -> Outline:
    """The chain of which conv ``owners[a]`` does what the layer does on axis a.

    That conv has the axis's stride, dilation and pads; the others have one tap there and leave the
    axis as it is. As no conv but the last has a bias, zeros give zeros on the way: an axis may be
    padded in any of them.
    """
    geometries = []
    channels = layer.channels
    for number, shape in enumerate(shapes):
        own = [owner == number for owner in owners]
        geometries.append(_part(layer.geometry, own, group=channels // shape[1]))
        channels = shape[0]
    return Outline(tuple(shapes), tuple(geometries))


def composed(layer: Layer, first: Shape, second: Shape) -> Outline:
    """The chain of two kernels, one for each filter of one channel, on the same axes.

    The first conv has all of the padding, so that the second one reads nothing that the first did
    not compute: the borders are right without more. The second has the strides.
    """
    geometry = layer.geometry
    ones, none = (1,) * geometry.ndim, (0,) * geometry.ndim
    dilations = geometry.dilations
    pads = geometry.pads_begin, geometry.pads_end
    one = ConvGeometry(first[2:], ones, dilations, *pads, group=geometry.group)
    other = ConvGeometry(second[2:], geometry.strides, dilations, none, none, group=second[0])
    return Outline((first, second), (one, other))


def rewrite(
    layer: Layer,
    chain: Chain,
    exactness: Exactness,
    *,
    note: str,
    bound: float = 0.0,
    bias: Array | None = None,
) -> Rewrite:
    """The layer's op as the chain; the last conv has ``bias``, or what the op has."""
    op, given = layer.op, layer.op.operand(2)
    build = Replacement(layer.graph)
    last = None if given is None else build.take(given)
    if bias is not None:
        last = build.weight(storable(bias, layer.weight), like=given or layer.weight)
    value = build.take(layer.data)
    *inner, (kernel, geometry) = zip(chain.kernels, chain.geometries, strict=True)
    for weights, between in inner:
        factor = build.weight(storable(weights, layer.weight), like=layer.weight)
        value = build.conv(value, factor, None, between)
    operands = [value, build.weight(storable(kernel, layer.weight), like=layer.weight)]
    value = build.op(
        "Conv",
        operands if last is None else [*operands, last],
        geometry_attributes(geometry),
        type_=op.result.type,
        name=op.name,
    )
    return build.rewrite({op.result: value}, exactness, note=note, bound=bound)


def _after(
    first: tuple[Array, ConvGeometry], second: tuple[Array, ConvGeometry]
) -> tuple[Array, ConvGeometry]:
    both = first[1], second[1]
    return compose_kernels(first[0], second[0], *both), compose_geometry(*both)


def _part(geometry: ConvGeometry, own: Sequence[bool], group: int) -> ConvGeometry:
    """The geometry on the axes of ``own``; one tap and no stride on the others."""

    def pick(values: Sequence[int], other: int) -> tuple[int, ...]:
        return tuple(np.where(own, values, other).tolist())

    return ConvGeometry(
        kernel=pick(geometry.kernel, 1),
        strides=pick(geometry.strides, 1),
        dilations=pick(geometry.dilations, 1),
        pads_begin=pick(geometry.pads_begin, 0),
        pads_end=pick(geometry.pads_end, 0),
        group=group,
    )
