"""Tiles of a conv against the sum itself, and the points that were searched for."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.algebra.points import PAIRS, best_points, search
from convc.algebra.toom_cook import POINTS, error_growth, transforms
from convc.algebra.winograd import (
    AxisTile,
    axis_tile,
    data_kernels,
    output_matrix,
    products_of_one,
    products_per_output,
    transformed_filters,
)

AXES = st.builds(axis_tile, st.integers(1, 6), st.integers(1, 7), st.integers(1, 3))


def tile_by_sum(data: np.ndarray, kernel: np.ndarray, axes: tuple[AxisTile, ...]) -> np.ndarray:
    """(K, *outputs): every output of one tile, tap by tap."""
    found = np.zeros((len(kernel), *(axis.m for axis in axes)))
    for place in np.ndindex(*found.shape[1:]):
        for tap in np.ndindex(*kernel.shape[2:]):
            at = tuple(axis.stride * o + t for axis, o, t in zip(axes, place, tap, strict=True))
            found[(slice(None), *place)] += (
                kernel[(slice(None), slice(None), *tap)] @ data[(slice(None), *at)]
            )
    return found


def tile_by_products(
    data: np.ndarray, kernel: np.ndarray, axes: tuple[AxisTile, ...]
) -> np.ndarray:
    reads = data_kernels(axes)
    window = data[(slice(None), *(slice(axis.reach) for axis in axes))]
    transformed = np.tensordot(reads, window, (range(2, reads.ndim), range(1, window.ndim)))
    products = np.einsum("ikcp,pic->ik", transformed_filters(kernel, axes), transformed)
    return (output_matrix(axes) @ products).T.reshape(-1, *(axis.m for axis in axes))


@given(st.lists(AXES, min_size=1, max_size=2), st.integers(0, 99))
def test_a_tile_is_the_sum(axes: list[AxisTile], seed: int) -> None:
    rng = np.random.default_rng(seed)
    taps = [axis.taps for axis in axes]
    kernel = rng.standard_normal((2, 3, *taps))
    # Beyond what the sum reads, a phase may read more with a weight of zero.
    size = [max(axis.reach, axis.step + axis.taps) for axis in axes]
    data = rng.standard_normal((3, *size))
    one, other = tile_by_sum(data, kernel, tuple(axes)), tile_by_products(data, kernel, tuple(axes))
    np.testing.assert_allclose(other, one, atol=1e-9 * np.abs(one).max())


@given(AXES)
def test_what_a_tile_reads(axis: AxisTile) -> None:
    reads = axis.data()
    assert reads.shape == (axis.phases, axis.n, axis.reach)
    assert axis.weights().shape == (axis.phases, axis.n, axis.taps)
    # Between the inputs of a phase are those of the others: at every input, one phase at most.
    assert (np.any(reads != 0, axis=1).sum(axis=0) <= 1).all()
    assert np.any(reads != 0, axis=(0, 1))[[0, -1]].all()
    # Every tap is in one phase, and no phase is without.
    assert np.any(axis.weights() != 0, axis=(1, 2)).all()
    assert (np.any(axis.weights() != 0, axis=1).sum(axis=0) == 1).all()
    assert axis.reach >= axis.stride * (axis.m - 1) + axis.taps
    assert axis.step == axis.stride * axis.m


@given(st.lists(AXES, min_size=1, max_size=3))
def test_products_that_make_ones(axes: list[AxisTile]) -> None:
    ones = output_matrix(axes) @ products_of_one(axes)
    assert ones.shape == (prod(axis.m for axis in axes),)
    np.testing.assert_allclose(ones, 1, rtol=1e-9)


def test_counts() -> None:
    square = (axis_tile(4, 3),) * 2
    assert products_per_output(square) == Fraction(36, 16)
    assert products_per_output((axis_tile(4, 3, 2),) * 2) == Fraction(5 * 2, 4) ** 2
    assert products_per_output(()) == 1
    assert [square[0].tiles(size) for size in (1, 4, 5, 8, 9)] == [1, 1, 2, 2, 3]
    strided = axis_tile(3, 5, 2)
    assert (strided.n, strided.phases, strided.reach, strided.step) == (5, 2, 10, 6)


def test_a_tile_of_one_output_is_the_sum_itself() -> None:
    axis = axis_tile(1, 5)
    assert error_growth(axis.transforms) == 1
    np.testing.assert_array_equal(axis.weights()[0], np.eye(5))


def test_a_stride_must_be_positive() -> None:
    with pytest.raises(ValueError, match="stride 0 must be positive"):
        axis_tile(4, 3, 0)


@pytest.mark.parametrize("count", range(len(PAIRS)))
def test_the_points_are_different(count: int) -> None:
    points = best_points(count)
    assert len(set(points)) == len(points) == count


def test_beyond_the_table_are_the_general_points() -> None:
    assert best_points(13) == POINTS[:13]
    with pytest.raises(ValueError, match="18 points"):
        best_points(18)


@pytest.mark.parametrize("count", range(2, 8))
def test_the_points_are_what_the_search_finds(count: int) -> None:
    for k in (3, 5) if count > 4 else (min(count, 3),):
        m = count + 2 - k
        least, points = search(m, k)
        assert set(points) == set(best_points(count))
        assert error_growth(transforms(m, k, points)) == pytest.approx(least, rel=1e-9)
        assert least <= error_growth(transforms(m, k))


def test_no_set_of_a_coarser_grid_is_better() -> None:
    """All sets of five points, symmetric or not, with numerators and denominators up to 3."""
    grid = sorted({Fraction(s * p, q) for p, q in product(range(1, 4), repeat=2) for s in (1, -1)})
    rng = np.random.default_rng(0)
    best = error_growth(transforms(4, 3, best_points(5)))
    for _ in range(100):
        points = [Fraction(0), *rng.choice(len(grid), 4, replace=False)]
        chosen = [Fraction(0), *(grid[int(i)] for i in points[1:])]
        assert error_growth(transforms(4, 3, chosen)) >= best


def test_f_4_3_against_the_usual_points() -> None:
    """Rms errors as modelled: over 0, ±1, ±2 and over those that grow in pairs."""
    own = error_growth(transforms(4, 3, best_points(5))) ** 2
    usual = error_growth(transforms(4, 3, (0, 1, -1, 2, -2))) ** 2
    assert own / usual == pytest.approx(0.443, abs=0.001)
    assert own / error_growth(transforms(4, 3)) ** 2 == pytest.approx(0.686, abs=0.001)
