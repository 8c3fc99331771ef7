"""Several slices of the depth at once, against the naive loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.algebra.depth import depth_groups, stack_groups
from convc.algebra.stacked import flat_geometry
from tests.algebra.naive import close, conv
from tests.algebra.strategies import conv_geometries, kernel_for


def test_groups_compute_the_conv() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=200, deadline=None)
    @given(conv_geometries(3), st.integers(1, 5), st.integers(0, 6), st.integers(0, 2**32 - 1))
    def check(geometry: ConvGeometry, phases: int, room: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        smallest = [
            next(n for n in range(1, 99) if geometry.axis_output(axis, n) > 0) for axis in range(3)
        ]
        depth = smallest[0] + room
        x = rng.standard_normal((1, 2, depth, smallest[1], smallest[2] + 1))
        w = kernel_for(geometry, 2, 3, rng)
        groups = depth_groups(geometry, depth, phases)
        slices = np.concatenate([x[0].swapaxes(0, 1), np.zeros((1, 2, *x.shape[3:]))])
        stack = slices[groups.reads].reshape(len(groups.reads), -1, *x.shape[3:])
        blocks = conv(stack, stack_groups(w, groups), None, flat_geometry(geometry))
        rows = blocks.reshape(groups.rows, 3, *blocks.shape[2:])
        expected = conv(x, w, None, geometry)
        close(rows[groups.places].swapaxes(0, 1)[np.newaxis], expected)
        found["several"] += phases > 1
        found["apart"] += phases > 1 and geometry.dilations[0] > 1 and geometry.kernel[0] > 1
        found["strided"] += geometry.strides[0] > 1
        found["surplus"] += groups.rows > len(groups.places)

    check()
    assert min(found.values()) >= 30, found
    assert len(found) == 4, found


def test_two_of_three_taps_share_slices() -> None:
    geometry = ConvGeometry((3, 1, 1), (1, 1, 1), (2, 1, 1), (2, 0, 0), (2, 0, 0))
    groups = depth_groups(geometry, 6, 2)
    # Depths 0 and 2, then 4 and one too many; then 1 and 3, then 5.
    np.testing.assert_array_equal(
        groups.reads, [[6, 0, 2, 4], [2, 4, 6, 6], [6, 1, 3, 5], [3, 5, 6, 6]]
    )
    np.testing.assert_array_equal(groups.taps, [[0, 1, 2], [1, 2, 3]])
    np.testing.assert_array_equal(groups.places, [0, 4, 1, 5, 2, 6])


def test_a_depth_that_is_too_small() -> None:
    geometry = ConvGeometry((3, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0))
    with pytest.raises(ValueError, match="depth 2 is too small"):
        depth_groups(geometry, 2, 1)
