"""The convolutions that may be factored, as the algebra sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import ml_dtypes
import numpy as np

from convc.algebra import ConvGeometry
from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch
from passes._chains import constant, operand

LARGE = 2**12
"""Stands in for a size that is not known: far above any kernel, so that only strides count."""


@dataclass(frozen=True)
class Layer:
    """A Conv with its weights in float64.

    Attributes:
        graph: where it is.
        op: the op.
        kernel: (K, C/g, *k).
        geometry: its geometry, pads not negative.
        size: of the input, per axis; `LARGE` where it is not known.
        roundoff: the unit roundoff of the stored weights.
    """

    graph: Graph
    op: Op
    kernel: Array
    geometry: ConvGeometry
    size: tuple[int, ...]
    roundoff: float

    @property
    def data(self) -> Value:
        """What it reads."""
        return operand(self.op)

    @property
    def weight(self) -> Value:
        """Its weights: name and dtype for the new ones."""
        return operand(self.op, 1)

    @property
    def group(self) -> int:
        """Number of groups."""
        return self.geometry.group

    @property
    def filters(self) -> int:
        """Number of output channels, K."""
        return int(self.kernel.shape[0])

    @property
    def channels(self) -> int:
        """Number of input channels, C."""
        return self.group * self.inputs

    @property
    def inputs(self) -> int:
        """Input channels of a group, C/g."""
        return int(self.kernel.shape[1])

    @property
    def outputs(self) -> int:
        """Filters of a group, K/g."""
        return self.filters // self.group

    @property
    def macs(self) -> int:
        """MACs on one image of ``size``."""
        return self.kernel.size * prod(self.geometry.output_size(self.size))

    @property
    def wide_axes(self) -> tuple[int, ...]:
        """The axes on which the kernel has more than one tap."""
        return tuple(axis for axis, k in enumerate(self.geometry.kernel) if k > 1)

    @property
    def label(self) -> str:
        """The kernel for people: 3×3 Conv."""
        return f"{taps(self.kernel.shape)} {self.op.kind}"


def taps(shape: Sequence[int]) -> str:
    """The taps of a kernel (K, C/g, *k) for people: 3×3."""
    return "×".join(str(k) for k in shape[2:])


def read(graph: Graph, op: Op) -> Layer:
    """Reads a Conv; declines where its weights or its geometry are not known or not fit for it."""
    weight = constant(operand(op, 1))
    geometry = conv_geometry(op)
    if geometry is None:
        raise NoMatch("the geometry depends on an unknown size")
    if weight.ndim < 3 or not weight.size or weight.shape[0] % geometry.group:
        raise NoMatch("the Conv is not valid")
    if min(geometry.pads) < 0:
        raise NoMatch("the Conv crops its input")
    kernel = np.asarray(weight, np.float64)
    if not np.isfinite(kernel).all():
        raise NoMatch("the weights are not finite")
    size = _size(graph, operand(op), geometry.ndim)
    if min(geometry.axis_output(axis, entry) for axis, entry in enumerate(size)) < 1:
        raise NoMatch("the Conv has no output at its size")
    info = ml_dtypes.finfo(weight.dtype)  # type: ignore[no-untyped-call]  # stubs without types
    return Layer(graph, op, kernel, geometry, size, float(info.eps) / 2)


def _size(graph: Graph, value: Value, ndim: int) -> tuple[int, ...]:
    shape = value.shape
    if shape is None or len(shape) != ndim + 2:
        return (LARGE,) * ndim
    known = (graph.sizes.get(dim) if isinstance(dim, str) else dim for dim in shape[2:])
    return tuple(LARGE if size is None else size for size in known)
