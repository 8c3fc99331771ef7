"""3-D convs as 2-D ones over stacked slices, against the naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.algebra.stacked import depth_reads, flat_geometry, stack_depth
from tests.algebra.naive import apply, close
from tests.algebra.strategies import conv_geometries, kernel_for


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([1, 1, 2]).flatmap(lambda group: conv_geometries(3, group, 0)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2),
)
def test_slices_as_channels_and_depth_as_batch(
    geometry: ConvGeometry, seed: int, more: int
) -> None:
    rng = np.random.default_rng(seed)
    group = geometry.group
    size = [
        max(1, e - b - p) + more
        for e, b, p in zip(geometry.extent, geometry.pads_begin, geometry.pads_end, strict=True)
    ]
    x = rng.standard_normal((1, 2 * group, *size))
    w = kernel_for(geometry, 2 * group, 3 * group, rng)
    reads = depth_reads(geometry, size[0])
    padded = np.concatenate([x, np.zeros_like(x[:, :, :1])], axis=2)
    # (D', k_d, C, H, W): within each group first by slice, then by channel.
    slices = np.moveaxis(padded[0][:, reads], 0, 2)
    outputs, taps = reads.shape
    grouped = slices.reshape(outputs, taps, group, 2, *size[1:]).swapaxes(1, 2)
    stack = grouped.reshape(outputs, taps * 2 * group, *size[1:])
    flat = apply(stack, stack_depth(w), None, flat_geometry(geometry))
    assert close(np.moveaxis(flat, 0, 1)[np.newaxis], apply(x, w, None, geometry))


def test_padding_is_the_slice_behind_the_last() -> None:
    geometry = ConvGeometry((3, 1, 1), (2, 1, 1), (2, 1, 1), (2, 0, 0), (1, 0, 0))
    assert depth_reads(geometry, 4).tolist() == [[4, 0, 2], [0, 2, 4]]


def test_a_kernel_that_does_not_fit() -> None:
    geometry = ConvGeometry((5, 1, 1), (1,) * 3, (1,) * 3, (0,) * 3, (0,) * 3)
    with pytest.raises(ValueError, match="depth 4 is too small"):
        depth_reads(geometry, 4)
