"""Reading a Conv as one that tiles can compute, with its filters transformed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from convc.algebra import ConvGeometry, split_crop
from convc.algebra.winograd import (
    AxisTile,
    axis_tile,
    data_kernels,
    output_matrix,
    products_of_one,
    products_per_output,
    transformed_filters,
)
from convc.algebra.winograd_error import probable_error
from convc.costs.strips.conv import UNIT_ROUNDOFF
from convc.ir import Array, Op, TensorType, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import fixed, require_small, sizes
from passes._conv_layers import Layer, read_layer
from passes._interleave import interleaved

LARGEST_KERNEL = 7

MOST_PRODUCTS = 512
"""Of a tile: the bound of its errors takes their square for each output, for a volume's seconds."""


@dataclass(frozen=True)
class Tiling:
    """A Conv of known size and its tile.

    Attributes:
        layer: the conv, its kernel in float64.
        geometry: its geometry, without negative pads.
        crop: what is cut off the input at the begin and the end of each axis.
        axes: the tile; an axis that is left to a conv is none of them.
        size: spatial input size, cropped.
        outputs: spatial output size.
    """

    layer: Layer
    geometry: ConvGeometry
    crop: tuple[tuple[int, ...], tuple[int, ...]]
    axes: tuple[AxisTile, ...]
    size: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def batch(self) -> int:
        """The number of images, −1 where it varies."""
        shape = self.layer.data.shape
        assert shape is not None
        return shape[0] if isinstance(shape[0], int) else -1

    @property
    def channels(self) -> tuple[int, int]:
        """Input and output channels."""
        return self.layer.channels

    @property
    def group(self) -> int:
        """Groups of channels."""
        return self.geometry.group

    @property
    def taps(self) -> Array:
        """(K, C/group, *taps of the tile): the kernel, its taps on other axes as channels."""
        kernel, rank = self.layer.kernel, 2 + len(self.axes)
        if kernel.ndim == rank:
            return kernel
        turned = np.moveaxis(kernel, range(2, rank), range(-len(self.axes), 0))
        return turned.reshape(len(kernel), -1, *kernel.shape[2:rank])

    @cached_property
    def filters(self) -> Array:
        """(products, K, C/group, phases), float64; taps on other axes are channels too."""
        return transformed_filters(self.taps, self.axes)

    @property
    def products(self) -> int:
        """Products of a tile, for each channel and phase."""
        return prod(axis.n for axis in self.axes)

    @property
    def phases(self) -> int:
        """Phases of the strides that have taps."""
        return prod(axis.phases for axis in self.axes)

    @property
    def tiles(self) -> tuple[int, ...]:
        """Tiles on each axis of the tile."""
        return tuple(axis.tiles(out) for axis, out in zip(self.axes, self.outputs, strict=False))

    @cached_property
    def window(self) -> ConvGeometry:
        """Where the conv reads that transforms the input, axis by axis; pads fill ragged tiles."""
        # What a stride leaves over at the end is less than a step: it makes no tile.
        ends = [
            max((count - 1) * axis.step + axis.reach - size - begin, 0)
            for axis, count, size, begin in zip(
                self.axes, self.tiles, self.size, self.geometry.pads_begin, strict=False
            )
        ]
        rank = len(self.axes)
        return ConvGeometry(
            kernel=tuple(axis.reach for axis in self.axes),
            strides=tuple(axis.step for axis in self.axes),
            dilations=(1,) * rank,
            pads_begin=self.geometry.pads_begin[:rank],
            pads_end=tuple(ends),
        )

    def kernels(self) -> Array:
        """(phases, products, *reach): Bᵀ of the tile."""
        return data_kernels(self.axes)

    def matrix(self) -> Array:
        """(outputs, products): Aᵀ of the tile."""
        return output_matrix(self.axes)

    @property
    def label(self) -> str:
        """F(tile, kernel) for people: F(4×4, 3×3)."""
        tile = "×".join(str(axis.m) for axis in self.axes)
        return f"F({tile}, {self.layer.label})"


def read_tiling(op: Op, tile: int, tolerance: float, *, rows: bool = False) -> Tiling:
    """Reads a Conv whose tiles of ``tile`` positions take fewer products than itself.

    Args:
        op: the op.
        tile: outputs of a tile on an axis of more than one tap; fewer where as many tiles do.
        tolerance: largest error, of the output's largest magnitude, that rounding may lead to.
        rows: tiles on the first axis only; the others are left to a conv.

    Raises NoMatch with the reason where it is no such conv.
    """
    layer = _plain_layer(op)
    geometry = layer.geometry
    assert isinstance(geometry, ConvGeometry)
    size = fixed(sizes(layer.data.shape, geometry.ndim))
    if size is None:
        raise NoMatch("the size is not known")
    begin, end, geometry = split_crop(geometry)
    size = tuple(s - b - e for s, b, e in zip(size, begin, end, strict=True))
    outputs = tuple(geometry.axis_output(axis, s) for axis, s in enumerate(size))
    if min(outputs) < 1:
        raise NoMatch("the conv has no output at its size")
    axes = _axes(geometry, outputs, tile, 1 if rows else geometry.ndim)
    require_small(
        layer.kernel.size * prod(a.n * a.phases for a in axes) // prod(a.taps for a in axes)
    )
    tiling = Tiling(layer, geometry, (begin, end), axes, size, outputs)
    products = prod(axis.n for axis in axes)
    if products > MOST_PRODUCTS:
        raise NoMatch(f"a tile takes {products} products, more than {MOST_PRODUCTS}")
    _require_tolerance(tiling, tolerance)
    return tiling


def cropped_input(build: Replacement, tiling: Tiling) -> Value:
    """The conv's input without what negative pads cut off."""
    data = build.take(tiling.layer.data)
    begin, end = tiling.crop
    cut = [axis for axis in range(len(begin)) if begin[axis] or end[axis]]
    if not cut:
        return data
    starts = [begin[axis] for axis in cut]
    ends = [begin[axis] + tiling.size[axis] for axis in cut]
    return build.slice(data, [axis + 2 for axis in cut], starts, ends)


def reshaped(build: Replacement, tiling: Tiling, data: Value, shape: Sequence[int]) -> Value:
    """``data`` as (N, *shape), its type included where N is open."""
    source, dtype = tiling.layer.data, tiling.layer.data.dtype
    assert source.shape is not None
    assert dtype is not None
    type_ = TensorType(dtype, (source.shape[0], *shape))
    operands = (data, build.ints([tiling.batch, *shape]))
    return build.op("Reshape", operands, type_=type_)


def stored(build: Replacement, tiling: Tiling, array: Array, what: str) -> Value:
    """A constant in the conv's dtype, named after the conv."""
    name = tiling.layer.op.result.name
    return build.constant(np.ascontiguousarray(array), tiling.layer.weight.dtype, f"{name}_{what}")


def outputs_of_products(build: Replacement, tiling: Tiling, products: Value) -> Value:
    """Aᵀ times (N, products, K × places), with or without the N."""
    return build.op("MatMul", (stored(build, tiling, tiling.matrix(), "outputs"), products))


def put_together(build: Replacement, tiling: Tiling, phases: Value, places: Sequence[int]) -> Value:
    """(N, outputs of a tile, K × places) to (N, K, *size): interleaved, the surplus cut off."""
    tile = [axis.m for axis in tiling.axes]
    value = reshaped(build, tiling, phases, [prod(tile) * tiling.channels[1], *places])
    whole = [*tile, *(1,) * (len(places) - len(tile))]
    return cut_surplus(build, tiling, interleaved(build, value, whole))


def cut_surplus(build: Replacement, tiling: Tiling, data: Value) -> Value:
    """Without the outputs of the last tiles that lie beyond the size."""
    covered = [axis.m * count for axis, count in zip(tiling.axes, tiling.tiles, strict=True)]
    cut = [axis for axis, size in enumerate(covered) if size > tiling.outputs[axis]]
    if not cut:
        return data
    ends = [tiling.outputs[axis] for axis in cut]
    return build.slice(data, [axis + 2 for axis in cut], [0] * len(cut), ends)


def with_bias(build: Replacement, tiling: Tiling, data: Value) -> Value:
    """Adds the bias to (N, K, *size), where there is one."""
    layer = tiling.layer
    if layer.bias is None:
        return data
    if build.opset < 7:
        raise NoMatch("before opset 7 an Add does not broadcast")
    column = layer.bias.reshape(-1, *(1,) * len(tiling.size))
    return build.add(data, build.weight(column, layer.bias_name))


def bias_of_products(
    build: Replacement, tiling: Tiling, first: int = 0, last: int | None = None
) -> Value | None:
    """The bias of the convs that make products ``first`` up to ``last``, None where there is none.

    It is what Aᵀ takes to the layer's bias at every position.
    """
    layer = tiling.layer
    if layer.bias is None:
        return None
    ones = products_of_one(tiling.axes)[first:last]
    return build.weight(np.multiply.outer(ones, layer.bias).reshape(-1), layer.bias_name)


def finished(build: Replacement, tiling: Tiling, data: Value, form: str) -> Rewrite:
    """The proposal."""
    old = tiling.layer.op.result
    data.type = old.type or data.type
    data.op.name = tiling.layer.op.name
    return build.rewrite({old: data}, note=f"Conv {tiling.layer.label} → {tiling.label} ({form})")


def _plain_layer(op: Op) -> Layer:
    """The conv; declines where it is one that tiles cannot compute or have nothing to save in."""
    weight = op.operand(1)
    # A conv of one channel a group sums over taps only, which is what tiles save: nothing is left.
    if weight is None or weight.shape is None or 1 in weight.shape[1:2]:
        raise NoMatch
    if len(weight.shape) < 3 or all(d == 1 for d in weight.shape[2:]):
        raise NoMatch
    layer = read_layer(op)
    geometry = layer.geometry
    if any(d > 1 and k > 1 for d, k in zip(geometry.dilations, geometry.kernel, strict=True)):
        raise NoMatch("the conv is dilated")
    if weight.dtype == np.float16:
        # Data is scaled by thousands on the way: inputs of 10 are infinite there.
        raise NoMatch("the sums of a tile go beyond float16")
    if max(geometry.kernel) > LARGEST_KERNEL:
        raise NoMatch(f"the kernel has more than {LARGEST_KERNEL} taps on an axis")
    return layer


def _axes(
    geometry: ConvGeometry, outputs: Sequence[int], tile: int, count: int
) -> tuple[AxisTile, ...]:
    kernel = geometry.kernel[:count]
    if all(k == 1 for k in kernel):
        raise NoMatch("the kernel has one tap on the axis of the tiles")
    if all(out < tile for k, out in zip(kernel, outputs, strict=False) if k > 1):
        raise NoMatch("the output is smaller than the tile")
    axes = tuple(
        axis_tile(_evenly(tile, out) if k > 1 else 1, k, stride)
        for k, stride, out in zip(kernel, geometry.strides, outputs, strict=False)
    )
    if products_per_output(axes) >= prod(kernel):
        raise NoMatch("tiles have no fewer products than the conv")
    return axes


def _evenly(tile: int, outputs: int) -> int:
    """The smallest tile of which no more are needed: 14 outputs are three of 5, not of 6."""
    count = -(-outputs // tile)
    return -(-outputs // count)


def _require_tolerance(tiling: Tiling, tolerance: float) -> None:
    dtype, count = tiling.layer.weight.dtype, tiling.channels[1] * prod(tiling.outputs)
    assert dtype is not None
    error = probable_error(tiling.taps, tiling.axes, UNIT_ROUNDOFF[dtype.name], count)
    if not error <= tolerance:
        raise NoMatch(f"rounding errors could reach {error:.0e} of the output")
