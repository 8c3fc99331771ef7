"""Kernels made of factors and stored in float32 are found, all of them; random ones never.

A planted kernel is off its factors' product by one rounding of each entry, so by at most
u = 2⁻²⁴ of each filter's norm: the nearest of its rank is no farther in the Frobenius norm.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from convc.algebra.factor import (
    Factored,
    cp_factors,
    cp_rank,
    input_factors,
    input_rank,
    output_factors,
    output_rank,
    separable_factors,
    separable_rank,
    separable_terms,
    terms_rank,
    tucker_factors,
    tucker_ranks,
)
from convc.algebra.factor.unfolding import errors_by_rank, exact_rank
from tests.factor_strategies import (
    Planted,
    generic,
    planted_cp,
    planted_input,
    planted_output,
    planted_separable,
    planted_terms,
    planted_tucker,
)

U = 2.0**-24
# What the decomposition in float64 adds, for the few hundred rows that these matrices have.
ROUNDING = 1 + 1e-5


def within(planted: Planted, both: list[Factored], bound: float = U) -> bool:
    """Both ways of weighing filters are within the bound that the planted factors show."""
    nearest, alike = both
    rows = planted.kernel.shape[0] // planted.group
    # Of the squares of all filters' relative errors, at most u² each, one could have the sum.
    worst = bound * np.sqrt(rows)
    return nearest.error <= bound * ROUNDING and alike.channel_error <= worst * ROUNDING


def test_separable_kernels_are_found() -> None:
    rng = np.random.default_rng(1)
    found: Counter[str] = Counter()
    for _ in range(250):
        case = planted_separable(rng)
        rank = separable_rank(case.kernel, case.axes, case.group)
        both = [
            separable_factors(case.kernel, case.rank, case.axes, case.group, weighed)
            for weighed in (False, True)
        ]
        found["all"] += rank == case.rank and within(case, both)
        found["grouped"] += case.group > 1
        found["volume"] += case.kernel.ndim == 5
        found["two axes first"] += len(case.axes) == 2
    assert found["all"] == 250
    assert min(found["grouped"], found["volume"], found["two axes first"]) >= 25, found


def test_sums_of_products_are_found() -> None:
    rng = np.random.default_rng(2)
    for _ in range(150):
        case = planted_terms(rng)
        assert terms_rank(case.kernel) == case.rank
        assert terms_rank(case.kernel, axis=1) == case.rank
        terms = separable_terms(case.kernel, case.rank)
        # Each slice is the nearest to itself, so no root of the number of filters here.
        assert max(terms.error, terms.channel_error) <= U * ROUNDING


def test_low_rank_on_the_output_side_is_found() -> None:
    rng = np.random.default_rng(3)
    for _ in range(150):
        case = planted_output(rng)
        assert output_rank(case.kernel, case.group) == case.rank
        both = [output_factors(case.kernel, case.rank, case.group, w) for w in (False, True)]
        assert within(case, both)


def test_low_rank_on_the_input_side_is_found() -> None:
    rng = np.random.default_rng(4)
    for _ in range(150):
        case = planted_input(rng)
        assert input_rank(case.kernel, case.group) == case.rank
        both = [input_factors(case.kernel, case.rank, case.group, w) for w in (False, True)]
        assert within(case, both)


def test_tucker_is_found() -> None:
    rng = np.random.default_rng(5)
    for _ in range(150):
        case, ranks = planted_tucker(rng)
        assert tucker_ranks(case.kernel, case.group) == ranks
        both = [tucker_factors(case.kernel, ranks, case.group, w) for w in (False, True)]
        # The squares of two errors, each within the bound, add up.
        assert within(case, both, bound=U * np.sqrt(2))


def test_sums_of_products_of_vectors_are_found() -> None:
    rng = np.random.default_rng(6)
    for _ in range(150):
        case = planted_cp(rng)
        assert cp_rank(case.kernel, case.group) == case.rank
        both = [cp_factors(case.kernel, case.rank, case.group, w) for w in (False, True)]
        assert within(case, both)


def test_generic_kernels_are_not_factorable() -> None:
    rng = np.random.default_rng(7)
    decompositions: Counter[str] = Counter()
    for _ in range(1000):
        case = generic(rng)
        kernel, group = case.kernel, case.group
        rows, columns = kernel.shape[0] // group, kernel.shape[1]
        height, width = kernel.shape[2:]
        assert separable_rank(kernel, (0,), group) == min(columns * height, rows * width)
        assert separable_rank(kernel, (1,), group) == min(columns * width, rows * height)
        assert terms_rank(kernel) == min(height, width)
        assert output_rank(kernel, group) == min(rows, columns * height * width)
        assert input_rank(kernel, group) == min(columns, rows * height * width)
        # No fewer terms than the rank of any unfolding; mostly that is too few, and then none.
        terms = cp_rank(kernel, group)
        decompositions["none" if terms is None else "full"] += 1
        assert terms in (None, _largest_unfolding((rows, columns, height, width)))
    assert decompositions["none"] >= 700, decompositions


def _largest_unfolding(sides: tuple[int, ...]) -> int:
    """The largest shorter side of a matrix with some of these sides in its rows."""
    rows = [math.prod(part) for n in range(1, len(sides)) for part in combinations(sides, n)]
    return max(min(height, math.prod(sides) // height) for height in rows)


@pytest.mark.parametrize(
    ("dtype", "roundoff"), [("float16", 2.0**-11), ("float32", U), ("float64", 2.0**-53)]
)
def test_each_dtype_has_its_own_precision(dtype: str, roundoff: float) -> None:
    rng = np.random.default_rng(8)
    for _ in range(20):
        column, row = rng.uniform(0.5, 1, (2, 6, 1, 5))
        kernel = (column[..., np.newaxis] * row[..., np.newaxis, :]).astype(dtype)
        assert separable_rank(kernel, group=6, roundoff=roundoff) == 1
        assert terms_rank(kernel, roundoff=roundoff) == 1
        # A finer one takes the noise for structure.
        if dtype != "float64":
            assert separable_rank(kernel, group=6, roundoff=roundoff / 64) > 1
            assert terms_rank(kernel, roundoff=roundoff / 64) > 1


@pytest.mark.parametrize("planter", [planted_separable, planted_output, planted_input])
def test_noise_above_the_stored_precision_is_no_rounding(
    planter: Callable[[np.random.Generator], Planted],
) -> None:
    rng = np.random.default_rng(9)
    checked = 0
    for _ in range(40):
        case = planter(rng)
        noisy = case.kernel * (1 + 1e-5 * rng.standard_normal(case.kernel.shape))
        full = len(errors_by_rank(noisy, case.axes, case.group)) - 1
        if case.rank < full:
            checked += 1
            assert exact_rank(noisy, case.axes, case.group) > case.rank
    assert checked >= 30
