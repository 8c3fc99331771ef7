"""Transposed convs phase by phase, against the naive loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import TransposeGeometry, transpose_as_conv
from convc.algebra.phases import (
    best_shift,
    common_window,
    phase_convs,
    phase_windows,
    shifted,
    stacked_phases,
    surplus,
    taps_of,
)
from tests.algebra.naive import apply, close
from tests.algebra.strategies import Array, kernel_for, ndims, transpose_geometries


def woven(phases: Sequence[Array], strides: Sequence[int]) -> Array:
    """Phase r of the output at positions s·q + r, axis by axis, by assignment."""
    batch, count, *sizes = phases[0].shape
    whole = np.zeros((batch, count, *(s * q for s, q in zip(strides, sizes, strict=True))))
    for phase, residues in zip(phases, np.ndindex(*strides), strict=True):
        spots = tuple(slice(r, None, s) for r, s in zip(residues, strides, strict=True))
        whole[:, :, *spots] = phase
    return whole


def cropped(whole: Array, begin: Sequence[int], end: Sequence[int]) -> Array:
    spans = tuple(slice(b, n - e) for b, e, n in zip(begin, end, whole.shape[2:], strict=True))
    return whole[:, :, *spans]


@st.composite
def cases(draw: st.DrawFn) -> tuple[TransposeGeometry, Array, Array]:
    """A geometry, its kernel and an input; crops may reach beyond the kernel, or be negative."""
    group = draw(st.sampled_from([1, 1, 2]))
    geometry = draw(transpose_geometries(draw(ndims()), group))
    if draw(st.integers(0, 3)) == 0:
        geometry = replace(geometry, pads_begin=tuple(-p for p in geometry.pads_begin))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    room = st.integers(0, 3)
    size = [
        next(n for n in range(1, 99) if geometry.axis_output(axis, n) > 0) + draw(room)
        for axis in range(geometry.ndim)
    ]
    x = rng.standard_normal((1, 2 * group, *size))
    return geometry, kernel_for(geometry, 2 * group, group, rng), x


def test_woven_phases_are_the_transposed_conv() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=200, deadline=None)
    @given(cases())
    def check(case: tuple[TransposeGeometry, Array, Array]) -> None:
        geometry, w, x = case
        expected = apply(x, w, None, geometry)
        for windows in (phase_windows, common_window):
            less = best_shift(geometry, windows)
            whole = shifted(geometry, less)
            if windows is phase_windows:
                convs = phase_convs(w, whole)
            else:
                conv, kernels = stacked_phases(w, whole)
                convs = [(conv, kernel) for kernel in kernels]
            assert len(convs) == prod(geometry.strides)
            assert sum(prod(conv.kernel) for conv, _ in convs) == taps_of(whole, windows)
            assert all(min(conv.pads) >= 0 for conv, _ in convs)
            phases = [apply(x, kernel, None, conv) for conv, kernel in convs]
            assert close(cropped(woven(phases, geometry.strides), less, surplus(whole)), expected)
            seen["shifted"] += any(less)
            seen["surplus"] += any(surplus(whole))
            seen["dilated"] += max(geometry.dilations) > 1

    check()
    assert all(seen[case] >= 50 for case in ("shifted", "surplus", "dilated")), seen


def on_one_axis(
    kernel: int, stride: int, dilation: int = 1, begin: int = 0, end: int = 0
) -> TransposeGeometry:
    return TransposeGeometry((kernel,), (stride,), (dilation,), (begin,), (end,), (0,))


def test_stride_one_is_the_flipped_kernel() -> None:
    geometry = on_one_axis(3, 1, 2, 1, 0)
    w = np.arange(6.0).reshape(2, 1, 3)
    ((conv, kernel),) = phase_convs(w, geometry)
    expected, flipped = transpose_as_conv(w, geometry)
    assert conv == expected
    np.testing.assert_array_equal(kernel, flipped)


@pytest.mark.parametrize(
    ("geometry", "less", "apart", "together"),
    [
        (on_one_axis(2, 2), 0, 2, 2),
        (on_one_axis(3, 2), 0, 3, 4),
        (on_one_axis(4, 2, begin=1, end=1), 1, 4, 4),
        (on_one_axis(5, 3, begin=1, end=1), 1, 5, 6),
        # Every tap falls into one phase: the other reads a zero.
        (on_one_axis(3, 2, dilation=2), 0, 4, 6),
    ],
)
def test_how_many_taps_the_phases_have(
    geometry: TransposeGeometry, less: int, apart: int, together: int
) -> None:
    assert best_shift(geometry, common_window) == (less,)
    assert taps_of(geometry, phase_windows) == apart
    assert taps_of(shifted(geometry, (less,)), common_window) == together
