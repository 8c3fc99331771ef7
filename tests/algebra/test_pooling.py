"""What average pooling makes of ones, against windows that are looked at one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.algebra.pooling import keeps_ones, pooled_size, shares_of_ones
from convc.kernels import KERNELS


@st.composite
def pools(draw: st.DrawFn) -> tuple[ConvGeometry, tuple[int, ...], bool, bool]:
    """A window, an input size that it fits into, ceil_mode and count_include_pad."""
    ndim = draw(st.integers(1, 2))
    kernel, strides, dilations = (
        tuple(draw(st.lists(st.integers(1, most), min_size=ndim, max_size=ndim)))
        for most in (4, 3, draw(st.sampled_from([1, 3])))
    )
    begin, end = (tuple(draw(st.integers(0, k - 1)) for k in kernel) for _ in range(2))
    geometry = ConvGeometry(kernel, strides, dilations, begin, end)
    size = tuple(
        max(1, e - b - f) + draw(st.integers(0, 6))
        for e, b, f in zip(geometry.extent, begin, end, strict=True)
    )
    return geometry, size, draw(st.booleans()), draw(st.booleans())


def naive(geometry: ConvGeometry, size: tuple[int, ...], ceil_mode: bool, include: bool) -> list:
    """For each output position, the real samples over those that are counted."""
    shares = []
    outputs = []
    for axis, n in enumerate(size):
        last = n + geometry.pads_begin[axis] + geometry.pads_end[axis] - geometry.extent[axis]
        starts = list(range(0, last + 1, geometry.strides[axis])) or [0]
        following = starts[-1] + geometry.strides[axis]
        if ceil_mode and starts[-1] < last and following < n + geometry.pads_begin[axis]:
            starts.append(following)
        outputs.append([start - geometry.pads_begin[axis] for start in starts])
    for index in np.ndindex(*[len(starts) for starts in outputs]):
        real = counted = 0
        for tap in np.ndindex(*geometry.kernel):
            at = [
                outputs[axis][i] + t * geometry.dilations[axis]
                for axis, (i, t) in enumerate(zip(index, tap, strict=True))
            ]
            inside = [0 <= p < n for p, n in zip(at, size, strict=True)]
            padded = [
                -geometry.pads_begin[axis] <= p < size[axis] + geometry.pads_end[axis]
                for axis, p in enumerate(at)
            ]
            real += all(inside)
            counted += all(padded if include else inside)
        shares.append(real / counted if counted else 0.0)
    return [tuple(len(starts) for starts in outputs), shares]


@settings(max_examples=300)
@given(pools())
def test_shares_against_one_window_after_the_other(
    case: tuple[ConvGeometry, tuple[int, ...], bool, bool],
) -> None:
    geometry, size, ceil_mode, include = case
    shape, wanted = naive(*case)
    shares = shares_of_ones(geometry, size, ceil_mode=ceil_mode, include_pad=include)
    assert shares.shape == shape == pooled_size(geometry, size, ceil_mode=ceil_mode)
    np.testing.assert_allclose(shares.reshape(-1), wanted, rtol=1e-15)


@settings(max_examples=300)
@given(pools())
def test_shares_are_the_pool_of_ones(
    case: tuple[ConvGeometry, tuple[int, ...], bool, bool],
) -> None:
    geometry, size, ceil_mode, include = case
    attributes = {
        "kernel_shape": geometry.kernel,
        "strides": geometry.strides,
        "dilations": geometry.dilations,
        "pads": geometry.pads,
        "ceil_mode": int(ceil_mode),
        "count_include_pad": int(include),
    }
    (pooled,) = KERNELS["AveragePool"]([np.ones((1, 1, *size))], attributes, 22)
    shares = shares_of_ones(geometry, size, ceil_mode=ceil_mode, include_pad=include)
    np.testing.assert_allclose(shares, pooled[0, 0], rtol=1e-15)


@settings(max_examples=300)
@given(pools(), st.integers(0, 40))
def test_ones_are_kept_at_every_size_or_at_this_one(
    case: tuple[ConvGeometry, tuple[int, ...], bool, bool], more: int
) -> None:
    geometry, size, ceil_mode, include = case
    size = tuple(n + more for n in size)  # beyond the borders one size is as another
    modes = {"ceil_mode": ceil_mode, "include_pad": include}
    kept = bool((shares_of_ones(geometry, size, **modes) == 1).all())
    assert keeps_ones(geometry, size, **modes) == kept
    if keeps_ones(geometry, (None,) * geometry.ndim, **modes):
        assert kept


def test_an_axis_too_long_to_look_at() -> None:
    for pads in (0, 1):
        geometry = ConvGeometry((3,), (2,), (1,), (pads,), (0,))
        assert keeps_ones(geometry, (2**40 + 1,), include_pad=True) == (pads == 0)


def test_where_every_size_keeps_ones() -> None:
    def keeps(pads: int, dilation: int = 1, include: bool = False, stride: int = 2) -> bool:
        geometry = ConvGeometry((3,), (stride,), (dilation,), (pads,), (pads,))
        return keeps_ones(geometry, (None,), include_pad=include)

    assert keeps(0)
    assert keeps(0, dilation=2, include=True, stride=1)
    assert not keeps(0, include=True)  # an input of two samples passes, too
    assert keeps(2)
    assert not keeps(3)
    assert not keeps(1, dilation=2)
    assert not keeps(1, include=True)
