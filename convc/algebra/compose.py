"""One convolution for two: geometry, kernel and bias of the composition.

Per axis the first conv gives ``y[i] = Σ_t w1[t]·x[s1·i + d1·t − p1]`` and the second reads it at
``i = s2·o + d2·u − p2``, so output o of the sequence reads x at

    s1·s2·o + (d1·t + s1·d2·u) − (p1 + s1·p2):

again a convolution, whose taps are the sums of a tap of the first and s1 times a tap of the
second. It equals the sequence except where the second conv pads with zeros while this formula
continues the first conv beyond its output: see ``convc.algebra.border``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from convc.algebra.arrays import AnyArray, Array, as_float64, channels
from convc.algebra.geometry import ConvGeometry
from convc.algebra.taps import common_grid, compose_taps


def compose_geometry(first: ConvGeometry, second: ConvGeometry) -> ConvGeometry:
    """The geometry of ``second`` after ``first``.

    Per axis: stride ``s1·s2``, pads ``p1 + s1·p2``, dilation ``g = gcd(d1, s1·d2)`` (a kernel of
    one tap drops out), kernel ``1 + (d1(k1−1) + s1·d2(k2−1)) / g``. Groups ``gcd(g1, g2)``: the
    two cuts of the channels between coincide nowhere else (see ``taps.compose_taps``).

    The output size is the sequence's for every input on which the sequence is defined, since
    ``⌊(⌊a/s1⌋ + n) / s2⌋ = ⌊(a + s1·n) / (s1·s2)⌋``.

    Raises:
        ValueError: the two have different numbers of axes.
    """
    _require_same_axes(first, second)
    spread = tuple(s * d for s, d in zip(first.strides, second.dilations, strict=True))
    grid = tuple(
        common_grid(k1, d1, k2, d2)
        for k1, d1, k2, d2 in zip(first.kernel, first.dilations, second.kernel, spread, strict=True)
    )
    return ConvGeometry(
        kernel=tuple(
            1 + (d1 * (k1 - 1) + d2 * (k2 - 1)) // g
            for k1, d1, k2, d2, g in zip(
                first.kernel, first.dilations, second.kernel, spread, grid, strict=True
            )
        ),
        strides=tuple(s1 * s2 for s1, s2 in zip(first.strides, second.strides, strict=True)),
        dilations=grid,
        pads_begin=_composed_pads(first.pads_begin, first.strides, second.pads_begin),
        pads_end=_composed_pads(first.pads_end, first.strides, second.pads_end),
        group=math.gcd(first.group, second.group),
    )


def compose_kernels(w1: AnyArray, w2: AnyArray, first: ConvGeometry, second: ConvGeometry) -> Array:
    """The kernel of ``second`` after ``first``, in float64.

    Args:
        w1: (M, C/g1, *k1), the first conv's kernel.
        w2: (K, M/g2, *k2), the second's.
        first: geometry of the first conv.
        second: geometry of the second.

    Returns:
        (K, C/gcd(g1, g2), *k), with the kernel size of ``compose_geometry``. Two depthwise kernels
        stay depthwise; a depthwise and a dense one give a dense one.

    Raises:
        ValueError: a kernel does not have its geometry's shape, or the channels do not match.
    """
    require_kernel(w1, first)
    require_kernel(w2, second)
    grid = compose_geometry(first, second).dilations
    steps1 = tuple(max(1, d // g) for d, g in zip(first.dilations, grid, strict=True))
    steps2 = tuple(
        max(1, s * d // g) for s, d, g in zip(first.strides, second.dilations, grid, strict=True)
    )
    return compose_taps(as_float64(w1), as_float64(w2), (first.group, second.group), steps1, steps2)


def compose_bias(b1: AnyArray | None, w2: AnyArray, b2: AnyArray | None, group2: int = 1) -> Array:
    """The bias of the composition wherever the second conv reads no padding.

    ``b[k] = b2[k] + Σ_m Σ_u w2[k, m, u]·b1[m]``, over the channels m of k's group. Where the
    second conv reads padding, the first bias is missing from it: ``border.border_map``.

    Args:
        b1: (M,) or None for zero.
        w2: (K, M/group2, *k2).
        b2: (K,) or None for zero.
        group2: groups of the second conv.

    Returns:
        (K,), float64.
    """
    sums = as_float64(w2).reshape(*w2.shape[:2], -1).sum(axis=2)
    sums = sums.reshape(group2, -1, w2.shape[1])
    values = channels(b1, group2 * w2.shape[1]).reshape(group2, -1, 1)
    result: Array = channels(b2, w2.shape[0]) + (sums @ values).reshape(-1)
    return result


def compose(
    w1: AnyArray,
    w2: AnyArray,
    b1: AnyArray | None = None,
    b2: AnyArray | None = None,
    *,
    strides: Sequence[int | Sequence[int]] = (1, 1),
    pads: Sequence[int | Sequence[int]] = (0, 0),
    dilations: Sequence[int | Sequence[int]] = (1, 1),
    groups: tuple[int, int] = (1, 1),
) -> tuple[Array, Array | None, ConvGeometry]:
    """One convolution for two, from bare arrays.

    Every keyword is a pair: the first conv's value and the second's. A value is one integer for
    all axes or one per axis; pads may also be in ONNX order, all begins and then all ends.

    Args:
        w1: (M, C/g1, *k1), 1 to 3 spatial axes or more.
        w2: (K, M/g2, *k2).
        b1: (M,) or None.
        b2: (K,) or None.
        strides: strides of the two.
        pads: pads of the two.
        dilations: dilations of the two.
        groups: groups of the two.

    Returns:
        Kernel (K, C/gcd(g1, g2), *k), bias (K,) (None if neither has one), geometry. Equal to the
        sequence everywhere if ``border.ring_is_zero`` says so, otherwise away from the border.

    Raises:
        ValueError: shapes or attributes do not fit each other.
    """
    first, second = (
        geometry_of(w, strides[i], pads[i], dilations[i], groups[i]) for i, w in enumerate((w1, w2))
    )
    kernel = compose_kernels(w1, w2, first, second)
    has_bias = b1 is not None or b2 is not None
    bias = compose_bias(b1, w2, b2, second.group) if has_bias else None
    return kernel, bias, compose_geometry(first, second)


def geometry_of(
    w: AnyArray,
    strides: int | Sequence[int] = 1,
    pads: int | Sequence[int] = 0,
    dilations: int | Sequence[int] = 1,
    group: int = 1,
) -> ConvGeometry:
    """The geometry of a conv with a given kernel; one integer means all axes.

    Args:
        w: (K, C/group, *k).
        strides: per axis.
        pads: per axis on both sides, or all begins and then all ends.
        dilations: per axis.
        group: number of groups.

    Raises:
        ValueError: the numbers of axes differ, or a value is out of its range.
    """
    ndim = w.ndim - 2
    both = (pads,) * 2 * ndim if isinstance(pads, int) else tuple(pads)
    if len(both) == ndim:
        both += both
    return ConvGeometry(
        kernel=tuple(w.shape[2:]),
        strides=(strides,) * ndim if isinstance(strides, int) else tuple(strides),
        dilations=(dilations,) * ndim if isinstance(dilations, int) else tuple(dilations),
        pads_begin=both[:ndim],
        pads_end=both[ndim:],
        group=group,
    )


def require_kernel(w: AnyArray, geometry: ConvGeometry) -> None:
    """Refuse a kernel (K, C/group, *k) that is not of ``geometry``."""
    if tuple(w.shape[2:]) != geometry.kernel:
        raise ValueError(f"kernel of shape {w.shape} for a geometry of {geometry.kernel}")
    if w.shape[0] % geometry.group:
        raise ValueError(f"{w.shape[0]} output channels in {geometry.group} groups")


def _require_same_axes(first: ConvGeometry, second: ConvGeometry) -> None:
    if first.ndim != second.ndim:
        raise ValueError(f"{first.ndim} spatial axes cannot be followed by {second.ndim}")


def _composed_pads(
    pads1: tuple[int, ...], strides1: tuple[int, ...], pads2: tuple[int, ...]
) -> tuple[int, ...]:
    return tuple(p1 + s1 * p2 for p1, s1, p2 in zip(pads1, strides1, pads2, strict=True))
