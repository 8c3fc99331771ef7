"""Paths of linear ops, back from a value to the value that they read, as one convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Literal

import numpy as np

from convc.algebra import ConvGeometry, compose_geometry, ring_condition
from convc.algebra.arrays import as_float64
from convc.algebra.branches import (
    Branch,
    after,
    average_branch,
    pointwise_geometry,
    scale_branch,
)
from convc.conv import conv_geometry, pool_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value, is_real
from convc.rewrite import NoMatch, Replacement
from passes import _elementwise as elementwise
from passes._chains import (
    constant,
    operand,
    require_alone,
    require_small,
    sizes,
    storable,
    trace,
)
from passes._conv_layers import require_near, require_output
from passes._linear import per_channel

AFFINE = (*elementwise.KINDS, "Neg")
KINDS = ("Conv", "AveragePool", *AFFINE)


@dataclass(frozen=True)
class Link:
    """One linear op as a conv, its kernel in the stored dtype.

    Attributes:
        op: the op.
        data: what it reads.
        kernel: (K, C/group, *k).
        bias: (K,), None where there is none or it is zero.
        geometry: of the conv.
    """

    op: Op
    data: Value
    kernel: Array
    bias: Array | None
    geometry: ConvGeometry

    @property
    def branch(self) -> Branch:
        """The link in float64."""
        bias = None if self.bias is None else as_float64(self.bias)
        return Branch(as_float64(self.kernel), bias, self.geometry)

    @property
    def inputs(self) -> int:
        """Channels of ``data``."""
        return int(self.kernel.shape[1]) * self.geometry.group


@dataclass(frozen=True)
class Path:
    """A value as a linear map of ``base``.

    Attributes:
        base: what the first link reads, traced back through copies.
        links: in the order in which they are applied; none is the identity.
        channels: of the result.
        geometry: of all links together.
        reason: why it does not go back further; empty where it is plain to see.
    """

    base: Value
    links: tuple[Link, ...]
    channels: int
    geometry: ConvGeometry
    reason: str

    @property
    def inputs(self) -> int:
        """Channels of ``base``."""
        return self.links[0].inputs if self.links else self.channels

    @property
    def parts_cost(self) -> int:
        """Products per output position and sample of the links one after the other."""
        total, strides = 0, 1
        for link in reversed(self.links):
            if link.op.kind not in AFFINE:
                total += strides * link.kernel.size
            strides *= prod(link.geometry.strides)
        return total

    @property
    def convs(self) -> list[Op]:
        """The convs on the path."""
        return [link.op for link in self.links if link.op.kind == "Conv"]

    @property
    def branch(self) -> Branch:
        """The path as one conv, in float64."""
        if not self.links:
            return scale_branch(np.ones(self.channels), None, self.geometry.ndim)
        require_small(weights(self.inputs, self.channels, self.geometry))
        return reduce(after, [link.branch for link in self.links])

    @property
    def label(self) -> str:
        """The path for people: kernels, the last one first, or what it is without any."""
        names = [_label(link) for link in self.links[::-1] if link.op.kind not in AFFINE]
        return " ∘ ".join(names) or ("scale" if self.links else "identity")


Reach = Literal["any", "cheap", "one conv"]


def read_path(graph: Graph, value: Value, reach: Reach = "any") -> Path:
    """The longest path of linear ops that ends in ``value`` and whose border is exact.

    It goes back over values that nobody else uses. If ``cheap``, not where the composition takes
    more products than its parts; if ``one conv``, no further than one conv and scales behind it.

    Declines where the channels or the rank of ``value`` are not known.
    """
    count, ndim = _dims(value)
    whole = pointwise_geometry(ndim, count)
    links: list[Link] = []
    while True:
        source = trace(graph, value)
        kind = source[-1].op.kind
        try:
            if reach == "one conv" and (kind == "AveragePool" or _begins_with_conv(links)):
                raise NoMatch
            link = read_link(graph, source[-1])
            require_alone(graph, source)
            if links:
                _require_exact(link, whole)
            if links and reach == "cheap":
                _require_cheap(link, links[0].inputs, count, whole)
        except NoMatch as stop:
            return Path(source[-1], tuple(links), count, whole, stop.reason)
        whole = compose_geometry(link.geometry, whole) if links else link.geometry
        links.insert(0, link)
        value = link.data


def read_link(graph: Graph, value: Value) -> Link:
    """The op that makes ``value`` as a conv; declines, mostly without a word, where it is none."""
    op = value.op
    if op.domain or op.kind not in KINDS or value.index:
        raise NoMatch
    if op.kind == "Conv":
        return _read_conv(op)
    if op.kind == "AveragePool":
        return _read_pool(op)
    return _read_affine(graph, op)


def emit(build: Replacement, data: Value, branch: Branch, like: Op) -> Value:
    """Adds a conv with the weights of ``branch``, stored and named as those of ``like``, a conv."""
    if min(branch.geometry.pads) < 0:
        raise NoMatch("the merged conv would crop its input")
    weight, old = operand(like, 1), like.operand(2)
    kernel = build.weight(storable(branch.kernel, weight), weight)
    bias = None
    if branch.bias is not None and branch.bias.any():
        label = f"{weight.name}_bias" if old is None else old.name
        bias = build.constant(storable(branch.bias, weight), weight.dtype, label)
    return build.conv(data, kernel, bias, branch.geometry, name=like.name)


def weights(inputs: int, outputs: int, geometry: ConvGeometry) -> int:
    """The number of weights of a conv: products per output position and sample."""
    return outputs * (inputs // geometry.group) * prod(geometry.kernel)


def label(geometry: ConvGeometry) -> str:
    """The kernel for people."""
    return "×".join(str(k) for k in geometry.kernel)


def _label(link: Link) -> str:
    return ("avg " if link.op.kind == "AveragePool" else "") + label(link.geometry)


def _read_conv(op: Op) -> Link:
    data, bias = operand(op), op.operand(2)
    kernel = constant(operand(op, 1))
    vector = None if bias is None else constant(bias, "the biases")
    geometry = conv_geometry(op)
    if geometry is None:
        raise NoMatch("the geometry depends on an unknown size")
    inputs = kernel.shape[1] * geometry.group
    if kernel.shape[0] % geometry.group or _dims(data)[0] != inputs:
        raise NoMatch("the Conv is not valid")
    if vector is not None and not vector.any():
        vector = None
    return Link(op, data, kernel, vector, geometry)


def _read_pool(op: Op) -> Link:
    data = operand(op)
    geometry = pool_geometry(op)
    if not is_real(data.dtype):
        raise NoMatch
    if op.attributes.get("ceil_mode"):
        raise NoMatch("the AveragePool rounds its size up")
    if geometry is None:
        raise NoMatch("the geometry depends on an unknown size")
    if any(geometry.pads) and not op.attributes.get("count_include_pad"):
        raise NoMatch("the AveragePool does not count its padding")
    branch = average_branch(_dims(data)[0], geometry)
    return Link(op, data, branch.kernel, None, branch.geometry)


def _read_affine(graph: Graph, op: Op) -> Link:
    if op.kind == "Neg":
        data, scale, shift = operand(op), -np.ones(()), np.zeros(())
    else:
        read = elementwise.read(graph, op)
        data, (scale, shift) = read.data, read.affine
    count, ndim = _dims(data)
    factors, shifts = (per_channel(part, -1 - ndim, count) for part in (scale, shift))
    if factors is None or shifts is None:
        raise NoMatch(f"the constant of the {op.kind} is not one value per channel")
    branch = scale_branch(
        np.broadcast_to(factors, (count,)), np.broadcast_to(shifts, (count,)), ndim
    )
    return Link(op, data, branch.kernel, branch.bias, branch.geometry)


def _require_exact(first: Link, second: ConvGeometry) -> None:
    """Declines where ``second`` pads what the composition would compute."""
    if first.geometry.ndim != second.ndim:
        raise NoMatch("the Conv is not valid")
    size = sizes(first.data.shape, second.ndim)
    require_output(first.geometry, second, size)
    require_near(first.geometry, second, size)
    ring = ring_condition(first.geometry, second, size)
    reason = ring.input or (ring.bias if first.bias is not None else None)
    if reason is not None:
        raise NoMatch(f"border: {reason}")


def _require_cheap(first: Link, between: int, outputs: int, second: ConvGeometry) -> None:
    """Declines where ``second`` after ``first`` takes more products than the two."""
    apart = weights(between, outputs, second) + prod(second.strides) * first.kernel.size
    together = weights(first.inputs, outputs, compose_geometry(first.geometry, second))
    if together > apart:
        raise NoMatch("composing the ops of a branch would cost more than is saved (grow=true)")


def _begins_with_conv(links: Sequence[Link]) -> bool:
    return bool(links) and links[0].op.kind == "Conv"


def _dims(value: Value) -> tuple[int, int]:
    """Channels and number of spatial axes."""
    shape = value.shape
    if shape is None or len(shape) < 3 or not isinstance(shape[1], int):
        raise NoMatch("the channels are not known")
    if not shape[1]:
        raise NoMatch  # no channels, no conv
    return shape[1], len(shape) - 2
