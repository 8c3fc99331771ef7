"""Toom–Cook on a strip: its products, its operations and the growth of its rounding errors."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod

from convc.algebra.geometry import ConvGeometry
from convc.algebra.toom_cook import (
    POINTS,
    error_growth,
    matrix_operations,
    multiplications_per_output,
    transforms,
)
from convc.costs.strips.conv import StripConv


@dataclass(frozen=True, slots=True)
class ToomCook:
    """F(D, k) on the strip, or on tiles of D × D of its outputs.

    Attributes:
        multiplications: per output and input channel.
        operations: multiplications and additions per output value, all input channels and both
            transforms of the data counted; the kernel's transform is done once and is not.
        error_growth: rms rounding error over that of the direct sum; see
            `convc.algebra.toom_cook.error_growth`.
        weight_bytes: the transformed weights that take the place of ``Strips.weight_bytes``.
    """

    multiplications: float
    operations: float
    error_growth: float
    weight_bytes: int


def why_no_toom_cook(geometry: ConvGeometry) -> str:
    """Why Toom–Cook does not apply to strips of this geometry; "" where it does."""
    axes = range(geometry.ndim)[-2:]
    if any(geometry.strides[axis] > 1 for axis in axes):
        return "Toom–Cook takes neighbouring outputs: stride 1"
    if any(geometry.dilations[axis] > 1 and geometry.kernel[axis] > 1 for axis in axes):
        return "Toom–Cook takes neighbouring inputs: dilation 1"
    if all(geometry.kernel[axis] == 1 for axis in axes):
        return "with one tap across and along, neighbouring outputs share no input"
    return ""


@dataclass(frozen=True, slots=True)
class _Figures:
    """F(d, k) on one axis: products of a tile, operations of Bᵀ and of Aᵀ, growth of the error."""

    n: int
    data: int
    result: int
    growth: float


@cache
def _figures(d: int, k: int) -> _Figures | None:
    """None beyond the points that are known. One output, or one tap, is the direct sum."""
    if d == 1 or k == 1:
        return _Figures(d * k, 0, d * (k - 1), 1.0)
    if d + k - 2 > len(POINTS):
        return None
    found = transforms(d, k)
    return _Figures(
        n=found.n,
        data=matrix_operations(found.bt),
        result=matrix_operations(found.at),
        growth=error_growth(found),
    )


def one_axis(conv: StripConv, d: int) -> ToomCook | None:
    """F(d, k) across the strip, direct sums along it; None where no points are known for it."""
    k = conv.geometry.kernel[conv.across]
    found = _figures(d, k)
    if found is None:
        return None
    terms = conv.products // k
    # A column of the strip is transformed once and serves every filter and every tap along.
    transformed = Fraction(found.data * conv.channels, conv.filters)
    operations = found.n * (2 * terms - 1) + transformed + found.result
    return ToomCook(
        multiplications=float(_products_per_output(d, k) * (conv.taps // k)),
        operations=float(operations / d),
        error_growth=found.growth,
        weight_bytes=conv.weight_bytes // k * found.n,
    )


def two_axes(conv: StripConv, d: int) -> ToomCook | None:
    """F(d, k) across and along; None in 1-D, beyond the output, or where no points are known."""
    if conv.along is None or d > conv.outputs[conv.along]:
        return None
    kernels = (conv.geometry.kernel[conv.across], conv.geometry.kernel[conv.along])
    first, second = (_figures(d, k) for k in kernels)
    if first is None or second is None:
        return None
    terms = conv.other_taps * conv.channels
    # Down the columns of the tile, then along its rows, of which Aᵀ has left d.
    per_tile = second.n * first.data + first.n * second.data
    transformed = Fraction(per_tile * conv.channels, conv.filters)
    result = second.n * first.result + d * second.result
    operations = first.n * second.n * (2 * terms - 1) + transformed + result
    products = prod((_products_per_output(d, k) for k in kernels), start=Fraction(1))
    return ToomCook(
        multiplications=float(products * conv.other_taps),
        operations=float(operations / d**2),
        error_growth=first.growth * second.growth,
        weight_bytes=conv.weight_bytes // prod(kernels) * first.n * second.n,
    )


def _products_per_output(d: int, k: int) -> Fraction:
    return Fraction(k) if d == 1 else multiplications_per_output(d, k)
