"""Blocks of neighbouring outputs by one conv, against the naive loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.algebra.wide import widen_geometry, widen_kernel
from tests.algebra.naive import close, conv
from tests.algebra.strategies import Array, conv_geometries, kernel_for, ndims


@st.composite
def cases(draw: st.DrawFn) -> tuple[ConvGeometry, tuple[int, ...], Array, Array]:
    """A geometry, how many outputs are computed at once, a kernel and an input."""
    geometry = draw(conv_geometries(draw(ndims()), 1))
    phases = tuple(draw(st.integers(1, 4)) for _ in range(geometry.ndim))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = [
        next(n for n in range(1, 99) if geometry.axis_output(axis, n) > 0) + draw(st.integers(0, 4))
        for axis in range(geometry.ndim)
    ]
    return geometry, phases, kernel_for(geometry, 2, 3, rng), rng.standard_normal((2, 2, *size))


def taken_apart(blocks: Array, phases: tuple[int, ...], count: int) -> Array:
    """Output ``p·q + j`` of each axis from channel j of block q, by assignment."""
    batch, _, *sizes = blocks.shape
    whole = np.zeros((batch, count, *(p * q for p, q in zip(phases, sizes, strict=True))))
    for i, place in enumerate(np.ndindex(*phases)):
        spots = tuple(slice(j, None, p) for j, p in zip(place, phases, strict=True))
        whole[:, :, *spots] = blocks[:, i * count : (i + 1) * count]
    return whole


@pytest.mark.parametrize("is_known", [False, True])
def test_blocks_are_the_outputs(is_known: bool) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=200, deadline=None)
    @given(cases())
    def check(case: tuple[ConvGeometry, tuple[int, ...], Array, Array]) -> None:
        geometry, phases, kernel, x = case
        expected = conv(x, kernel, None, geometry)
        outputs = expected.shape[2:]
        surplus = [-n % p for n, p in zip(outputs, phases, strict=True)] if is_known else None
        wide = widen_geometry(geometry, phases, surplus)
        stacked = widen_kernel(kernel, geometry, phases)
        assert stacked.shape == (np.prod(phases), 3, 2, *wide.kernel)
        blocks = conv(x, stacked.reshape(-1, *stacked.shape[2:]), None, wide)
        assert blocks.shape[2:] == tuple(-(-n // p) for n, p in zip(outputs, phases, strict=True))
        whole = taken_apart(blocks, phases, 3)[:, :, *(slice(n) for n in outputs)]
        close(whole, expected)
        found["wide"] += max(phases) > 1
        found["strided"] += max(geometry.strides) > 1
        found["dilated"] += max(geometry.dilations) > 1
        found["ragged"] += any(n % p for n, p in zip(outputs, phases, strict=True))

    check()
    assert found["wide"] >= 100, found
    assert found["strided"] >= 50, found
    assert found["dilated"] >= 50, found
    assert found["ragged"] >= 50, found


def test_one_output_at_once_is_the_conv_itself() -> None:
    geometry = ConvGeometry((3, 1), (2, 3), (2, 1), (1, 0), (0, 2))
    kernel = np.arange(6.0).reshape(2, 1, 3, 1)
    assert widen_geometry(geometry, (1, 1)) == geometry
    np.testing.assert_array_equal(widen_kernel(kernel, geometry, (1, 1)), kernel[np.newaxis])


def test_each_filter_sits_one_step_further() -> None:
    geometry = ConvGeometry((1, 2), (1, 1), (1, 1), (0, 0), (0, 1))
    wide = widen_geometry(geometry, (1, 3))
    assert wide == ConvGeometry((1, 4), (1, 3), (1, 1), (0, 0), (0, 3))
    kernel = widen_kernel(np.array([[[[1.0, 2.0]]]]), geometry, (1, 3))
    np.testing.assert_array_equal(kernel.reshape(3, 4), [[1, 2, 0, 0], [0, 1, 2, 0], [0, 0, 1, 2]])


def test_a_common_stride_and_dilation_stays_a_dilation() -> None:
    geometry = ConvGeometry((3,), (2,), (2,), (0,), (0,))
    assert widen_geometry(geometry, (2,)) == ConvGeometry((4,), (4,), (2,), (0,), (2,))
