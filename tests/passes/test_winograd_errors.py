"""Bounds of the rounding errors of tiled convs, against onnxruntime.

``python -m tests.bench.winograd`` does the same on 500 layers.
"""

from __future__ import annotations

from itertools import product
from math import log, sqrt

import numpy as np
import pytest

from convc.algebra.winograd import (
    AxisTile,
    axis_tile,
    data_kernels,
    output_matrix,
    transformed_filters,
)
from convc.algebra.winograd_error import ROUNDING, probable_error, worst_error
from tests.bench.winograd import samples
from tests.helpers import UNIT


def test_random_layers_stay_within_their_bounds() -> None:
    """The probable bound is 1.2 to 75 times what is seen on 500 layers.

    It is 2.3 to 20 times that on data as its model has them.
    """
    found = list(samples(45, seed=1))
    assert {sample.data for sample in found} == {"noise", "positive", "smooth"}
    for sample in found:
        assert 0 < sample.error <= sample.worst, sample
        assert sample.error <= sample.probable <= 100 * sample.error, sample


def test_the_rounding_of_a_number_has_that_mean_square() -> None:
    """Of numbers whose logarithms are evenly spread."""
    exact = np.exp(np.random.default_rng(0).uniform(0, 50, 400_000))
    relative = (exact.astype(np.float32) - exact) / exact
    assert (relative**2).mean() / UNIT**2 == pytest.approx(ROUNDING, rel=0.02)


def test_the_expected_variance_is_what_float32_has() -> None:
    """The sum of squares that the bound is λ times the root of, by simulation.

    Products, channels and rows are added one by one, as the formula has it; the channels in an
    order of their own for each tile. Entries of Aᵀ and Bᵀ are exact here, additions of the first
    product to nothing are too, and "no more than" stands in the formula: it is above, not by much.
    """
    rng = np.random.default_rng(3)
    axes = (axis_tile(4, 3),)
    channels, tiles = 48, 4000
    kernel = rng.standard_normal((1, channels, 3))
    filters = transformed_filters(kernel, axes)[:, 0, :, 0]
    data = rng.standard_normal((tiles, channels, 6)).astype(np.float32)
    bt, at = axes[0].data()[0].astype(np.float32), output_matrix(axes).astype(np.float32)
    transformed = added(bt[None, None] * data[:, :, None])
    products = filters.T.astype(np.float32)[None] * transformed
    turned = np.stack([product[rng.permutation(channels)] for product in products])
    sums = added(np.moveaxis(turned, 1, -1))
    found = added(at[None] * sums[:, None])
    windows = np.lib.stride_tricks.sliding_window_view(data.astype(np.float64), 3, axis=-1)
    exact = np.einsum("tcos,cs->to", windows, kernel[0])
    seen = sqrt(((found - exact) ** 2).mean(axis=0).max() / (kernel**2).sum())
    factor = sqrt(2 * log(2 * 1000 / 0.01))
    expected = probable_error(kernel, axes, UNIT, 1000) / factor
    assert 1 <= expected / seen < 1.6


def added(terms: np.ndarray) -> np.ndarray:
    """Sums over the last axis in float32, from the first to the last."""
    total = terms[..., 0]
    for i in range(1, terms.shape[-1]):
        total = total + terms[..., i]
    assert total.dtype == np.float32
    return total


def test_bounds_by_hand() -> None:
    """F(1, 1): every matrix is a one."""
    axes = (axis_tile(1, 1),)
    kernel = np.full((1, 4, 1), 2.0)
    filters = transformed_filters(kernel, axes)
    # One entry, 4 channels, 1 product, 3 + 2: eleven roundings of sums of magnitude 4·2·3.
    gamma = 11 * UNIT / (1 - 11 * UNIT)
    assert worst_error(filters, axes, UNIT, data=3.0) == pytest.approx(24 * gamma, rel=1e-12)
    assert worst_error(filters, axes, UNIT, 3.0, 5.0) == pytest.approx(29 * gamma, rel=1e-12)
    # ⟨Q, Γ⟩ = Γ·(n·1 + b + (C + 1)/2 + 2 + 2 + 1), and tr Γ is Γ.
    root = sqrt(ROUNDING * (1 + 1 + 2.5 + 4 + 1))
    factor = sqrt(2 * log(2 * 7 / 0.5))
    found = probable_error(kernel, axes, UNIT, 7, confidence=0.5)
    assert found == pytest.approx(factor * UNIT * root, rel=1e-12)
    assert probable_error(0 * kernel, axes, UNIT, 7) == 0


@pytest.mark.parametrize(
    "axes",
    [(axis_tile(4, 3),), (axis_tile(3, 5, 2),), (axis_tile(2, 3), axis_tile(3, 2))],
    ids=["F(4, 3)", "stride 2", "F(2×3, 3×2)"],
)
def test_the_sum_of_squares_term_by_term(axes: tuple[AxisTile, ...]) -> None:
    """The variances of all that is rounded, from each partial sum as a vector over the inputs."""
    kernel = np.random.default_rng(0).standard_normal((2, 3, *(axis.taps for axis in axes)))
    filters = transformed_filters(kernel, axes)
    rows = data_kernels(axes)
    rows = rows.reshape(*rows.shape[:2], -1)
    largest = 0.0
    for k, row in product(range(2), output_matrix(axes)):
        # What input j of channel c adds to product i.
        parts = np.einsum("icp,pij->icj", filters[:, k], rows).reshape(len(row), -1)
        squares = (parts**2).sum(axis=1)
        entries = np.count_nonzero(rows[0], axis=1)
        steps = entries + (3 * rows.shape[0] + 1) / 2 + 2 + 2 * len(axes)
        total = (kernel[k] ** 2).sum() + (row**2 * squares * steps).sum()
        total += (np.cumsum(row[:, None] * parts, axis=0) ** 2).sum()
        largest = max(largest, total)
    expected = sqrt(ROUNDING * largest / ((kernel**2).sum() / 2))
    factor = sqrt(2 * log(2 * 7 / 0.5))
    found = probable_error(kernel, axes, UNIT, 7, confidence=0.5)
    assert found == pytest.approx(factor * UNIT * expected, rel=1e-9)


def test_it_grows_with_the_root_of_the_channels() -> None:
    rng = np.random.default_rng(0)
    axes = (axis_tile(4, 3),) * 2
    few, many = (
        probable_error(rng.standard_normal((8, count, 3, 3)), axes, UNIT, 1000)
        for count in (1024, 16 * 1024)
    )
    assert many / few == pytest.approx(4, rel=0.15)
