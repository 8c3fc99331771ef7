"""Block-diagonal weights against naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.algebra import regroup, swap_layout, wider_groups


def by_loops(w: np.ndarray, group: int, fewer: int) -> np.ndarray:
    """Every weight put where the channel that it reads is among those of the new group."""
    rows, columns, parts = w.shape[0] // group, w.shape[1], group // fewer
    wide = np.zeros((w.shape[0], parts * columns, *w.shape[2:]), w.dtype)
    for row in range(w.shape[0]):
        for column in range(columns):
            channel = row // rows * columns + column
            wide[row, channel % (parts * columns)] = w[row, column]
    return wide


@given(
    st.sampled_from([(1, 1), (2, 1), (4, 2), (6, 2), (6, 3), (8, 8), (12, 4)]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.lists(st.integers(1, 3), max_size=3),
)
def test_every_weight_is_in_its_place(
    groups: tuple[int, int], rows: int, columns: int, taps: list[int]
) -> None:
    group, fewer = groups
    shape = (group * rows, columns, *taps)
    w = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    wide = regroup(w, group, fewer)
    assert wide.dtype == w.dtype
    np.testing.assert_array_equal(wide, by_loops(w, group, fewer))
    # Of the transposed layout: the same map, read the other way round.
    swapped = regroup(swap_layout(w, group), group, fewer)
    np.testing.assert_array_equal(swap_layout(swapped, fewer), wide)


def test_two_blocks_are_a_diagonal() -> None:
    w = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    wide = regroup(w, 2, 1)
    assert wide.tolist() == [[1, 2, 0, 0], [3, 4, 0, 0], [0, 0, 5, 6], [0, 0, 7, 8]]


@pytest.mark.parametrize(("rows", "group", "fewer"), [(6, 6, 4), (6, 4, 2)])
def test_groups_that_do_not_divide(rows: int, group: int, fewer: int) -> None:
    with pytest.raises(ValueError, match=f"{rows} channels in {group} groups cannot be in {fewer}"):
        regroup(np.zeros((rows, 2, 1)), group, fewer)


@pytest.mark.parametrize(
    ("group", "inputs", "outputs", "new"),
    [
        (32, 4, 4, 8),  # ResNeXt: groups of 16
        (32, 8, 8, 16),
        (16, 1, 1, 1),  # depthwise
        (32, 1, 2, 2),  # 16 in, 32 out
        (8, 6, 6, 1),  # the first whole blocks are the dense one's: 48
        (4, 24, 8, 2),  # 48 in, 16 out
        (6, 8, 16, 3),
        (4, 10, 10, 2),  # 20: no divisor has whole blocks
        (2, 12, 12, 1),  # 24
        (4, 3, 3, 1),  # not one block in all
        (7, 5, 5, 1),
        (4, 16, 32, 4),  # wide enough as they are
    ],
)
def test_wider_groups(group: int, inputs: int, outputs: int, new: int) -> None:
    assert wider_groups(group, inputs, outputs, 16) == new


def test_blocks_of_another_width() -> None:
    assert wider_groups(32, 4, 4, 8) == 16
    assert wider_groups(32, 4, 4, 32) == 4
