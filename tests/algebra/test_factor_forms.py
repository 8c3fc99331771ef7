"""Every form of a factored kernel: exact at full rank, nearest below, and its errors as stated."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from convc.algebra import compose_kernels, geometry_of
from convc.algebra.factor import (
    Factored,
    cp_factors,
    cp_rank,
    distances,
    input_errors,
    input_factors,
    input_rank,
    output_errors,
    output_factors,
    output_rank,
    recompose,
    recompose_terms,
    separable_errors,
    separable_factors,
    separable_rank,
    separable_terms,
    smallest_rank,
    terms_rank,
    tucker_factors,
    tucker_ranks,
)
from convc.algebra.factor.diagonalise import diagonalised
from convc.algebra.factor.unfolding import errors_by_rank, two_kernels
from tests.factor_strategies import Array, Case, kernels

EXACT = 1e-12
many = settings(max_examples=100)
some = settings(max_examples=40)


def sides(case: Case, axes: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of the unfolding."""
    taps = case.kernel.shape[2:]
    first = math.prod(n for i, n in enumerate(taps) if i in axes)
    rows = case.kernel.shape[0] // case.group
    return case.kernel.shape[1] * first, rows * math.prod(taps) // first


def naive_unfoldings(case: Case, axes: tuple[int, ...]) -> list[Array]:
    """One matrix for each group, entry by entry."""
    _, columns, *taps = case.kernel.shape
    rows = case.kernel.shape[0] // case.group
    first = [n if i in axes else 1 for i, n in enumerate(taps)]
    second = [1 if i in axes else n for i, n in enumerate(taps)]
    matrices = np.zeros((case.group, *sides(case, axes)))
    for index, value in np.ndenumerate(case.kernel):
        k, c, *place = index
        t = np.ravel_multi_index([p if i in axes else 0 for i, p in enumerate(place)], first)
        u = np.ravel_multi_index([0 if i in axes else p for i, p in enumerate(place)], second)
        row, column = c * math.prod(first) + t, k % rows * math.prod(second) + u
        matrices[k // rows, row, column] = value
    assert matrices.shape[1] == columns * math.prod(first)
    return list(matrices)


def draw_axes(data: st.DataObject, case: Case) -> tuple[int, ...]:
    places = range(case.kernel.ndim - 2)
    return tuple(sorted(data.draw(st.sets(st.sampled_from(places), max_size=len(places)))))


def draw_tucker(data: st.DataObject, case: Case) -> tuple[int, int]:
    rows, columns = case.kernel.shape[0] // case.group, case.kernel.shape[1]
    return data.draw(st.integers(1, columns)), data.draw(st.integers(1, rows))


def chained(kernels: tuple[Array, ...], group: int) -> Array:
    """The chain by the rules of composition, which convolve."""
    whole = kernels[0]
    for kernel in kernels[1:]:
        after = geometry_of(kernel, group=whole.shape[0] // kernel.shape[1])
        whole = compose_kernels(whole, kernel, geometry_of(whole, group=group), after)
    return whole


@many
@given(kernels(), st.data())
def test_full_rank_is_the_kernel_itself(case: Case, data: st.DataObject) -> None:
    axes = draw_axes(data, case)
    weighed = data.draw(st.booleans())
    rows, columns = case.kernel.shape[0] // case.group, case.kernel.shape[1]
    for found in (
        two_kernels(case.kernel, min(sides(case, axes)), axes, case.group, weighed),
        tucker_factors(case.kernel, (columns, rows), case.group, weighed),
    ):
        assert found.error <= EXACT
        # Where the filters' scales differ, the smallest is as good only if it is weighed.
        if weighed:
            assert found.channel_error <= EXACT
        assert distances(case.kernel, recompose(found.kernels, case.group))[0] <= EXACT
        assert all(kernel.dtype == np.float64 for kernel in found.kernels)


@some
@given(kernels(min_axes=2), st.data())
def test_all_terms_are_the_kernel_itself(case: Case, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, case.kernel.ndim - 3))
    taps = case.kernel.shape[2:]
    terms = separable_terms(case.kernel, min(taps[axis], math.prod(taps) // taps[axis]), axis)
    assert max(terms.error, terms.channel_error) <= EXACT
    assert distances(case.kernel, recompose_terms(terms.pairs))[1] <= EXACT


@many
@given(kernels(), st.data())
def test_the_error_is_the_tail_of_the_singular_values(case: Case, data: st.DataObject) -> None:
    axes = draw_axes(data, case)
    rank = data.draw(st.integers(1, min(sides(case, axes))))
    found = two_kernels(case.kernel, rank, axes, case.group)
    tails = [np.linalg.svd(m, compute_uv=False)[rank:] for m in naive_unfoldings(case, axes)]
    expected = np.linalg.norm(np.concatenate(tails)) / np.linalg.norm(case.kernel)
    assert found.error == pytest.approx(expected, rel=1e-9, abs=EXACT)
    errors = errors_by_rank(case.kernel, axes, case.group)
    assert errors[rank] == pytest.approx(expected, rel=1e-9, abs=EXACT)
    assert errors[0] == pytest.approx(1.0)
    assert errors[-1] == 0.0
    assert smallest_rank(errors, errors[rank]) <= rank


@some
@given(kernels(), st.data())
def test_weighed_filters_do_not_see_their_scale(case: Case, data: st.DataObject) -> None:
    axes = draw_axes(data, case)
    rank = data.draw(st.integers(1, min(sides(case, axes))))
    by = 2.0 ** np.random.default_rng(0).integers(-30, 30, (len(case.kernel),))
    by = by.reshape(-1, *[1] * (case.kernel.ndim - 1))
    plain = two_kernels(case.kernel, rank, axes, case.group, per_channel=True)
    large = two_kernels(case.kernel * by, rank, axes, case.group, per_channel=True)
    # Powers of two are exact: up to them the same bits go into the decomposition.
    expected = recompose(plain.kernels, case.group) * by
    assert distances(expected, recompose(large.kernels, case.group))[1] <= EXACT
    assert large.channel_error == pytest.approx(plain.channel_error, abs=EXACT)


@some
@given(kernels(), st.data())
def test_tucker_is_between_its_bounds(case: Case, data: st.DataObject) -> None:
    reads, writes = draw_tucker(data, case)
    found = tucker_factors(case.kernel, (reads, writes), case.group)
    sides = (
        input_errors(case.kernel, case.group)[: reads + 1][-1],
        output_errors(case.kernel, case.group)[: writes + 1][-1],
    )
    assert max(sides) - EXACT <= found.error <= math.hypot(*sides) + EXACT
    shapes = [kernel.shape[:2] for kernel in found.kernels]
    rows, columns = case.kernel.shape[:2]
    group = case.group
    assert shapes == [(group * reads, columns), (group * writes, reads), (rows, writes)]


def test_tucker_iterates_beyond_the_truncated_decompositions() -> None:
    rng = np.random.default_rng(0)
    better = 0
    for _ in range(10):
        kernel = rng.standard_normal((6, 6, 3, 3))
        reads = np.linalg.svd(kernel.swapaxes(0, 1).reshape(6, -1))[0][:, :2]
        writes = np.linalg.svd(kernel.reshape(6, -1))[0][:, :2]
        errors = []
        for _ in range(150):
            start = np.einsum("kq,lq,lcyx,cr,dr->kdyx", writes, writes, kernel, reads, reads)
            errors.append(distances(kernel, start)[0])
            half = np.einsum("kq,kcyx->cqyx", writes, kernel)
            reads = np.linalg.svd(half.reshape(6, -1))[0][:, :2]
            half = np.einsum("cr,kcyx->kryx", reads, kernel)
            writes = np.linalg.svd(half.reshape(6, -1))[0][:, :2]
        found = tucker_factors(kernel, (2, 2)).error
        better += found < errors[0] - 1e-3
        # The last sweep gains less than 1e-4 of the energy; slow ones may follow.
        assert found <= errors[-1] * (1 + 1e-2)
    assert better >= 9


@some
@given(kernels(min_axes=2), st.data())
def test_terms_are_the_nearest_of_each_slice(case: Case, data: st.DataObject) -> None:
    height, width = case.kernel.shape[2], math.prod(case.kernel.shape[3:])
    count = data.draw(st.integers(1, min(height, width)))
    terms = separable_terms(case.kernel, count)
    whole = recompose_terms(terms.pairs)
    for place in np.ndindex(*case.kernel.shape[:2]):
        s = np.linalg.svd(case.kernel[place].reshape(height, width), compute_uv=False)
        missed = np.linalg.norm(case.kernel[place] - whole[place])
        assert missed == pytest.approx(np.linalg.norm(s[count:]), rel=1e-9, abs=1e-12 * s[0])
    assert len(terms.pairs) == count


@some
@given(kernels(max_axes=2), st.data())
def test_recomposed_chains_are_what_the_convs_compose_to(case: Case, data: st.DataObject) -> None:
    axes = draw_axes(data, case)
    full = min(sides(case, axes))
    for found in (
        two_kernels(case.kernel, data.draw(st.integers(1, full)), axes, case.group),
        tucker_factors(case.kernel, draw_tucker(data, case), case.group),
        cp_factors(case.kernel, 1, case.group),
    ):
        expected = chained(found.kernels, case.group)
        np.testing.assert_allclose(
            recompose(found.kernels, case.group), expected, rtol=0, atol=1e-12 * abs(expected).max()
        )


@some
@given(kernels(max_axes=2), st.integers(1, 4))
def test_a_decomposition_is_no_nearer_than_its_unfoldings(case: Case, rank: int) -> None:
    rows, columns = case.kernel.shape[0] // case.group, case.kernel.shape[1]
    dims = [rows, columns, *case.kernel.shape[2:]]
    rank = min(rank, math.prod(dims) // max(dims))
    found = cp_factors(case.kernel, rank, case.group)
    for axes in ((), (0,), tuple(range(case.kernel.ndim - 2))):
        errors = errors_by_rank(case.kernel, axes, case.group)
        assert found.error >= errors[min(rank, len(errors) - 1)] - EXACT
    assert found.error <= 1 + EXACT


def test_a_decomposition_takes_noise_off() -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        k, c, y, x = (rng.standard_normal((n, 3)) for n in (7, 5, 4, 3))
        clean = np.einsum("kr,cr,yr,xr->kcyx", k, c, y, x)
        noise = rng.standard_normal(clean.shape)
        noise *= 1e-3 * np.linalg.norm(clean) / np.linalg.norm(noise)
        found = cp_factors(clean + noise, 3)
        # The clean one is a candidate; and most directions of noise are none of the terms'.
        assert found.error <= np.linalg.norm(noise) / np.linalg.norm(clean + noise)
        assert distances(clean, recompose(found.kernels))[0] < 1e-3
        assert [kernel.shape for kernel in found.kernels] == [
            (3, 5, 1, 1), (3, 1, 4, 1), (3, 1, 1, 3), (7, 3, 1, 1),
        ]  # fmt: skip


def test_a_sum_of_too_few_products_is_none() -> None:
    # All unfoldings have rank 2; but a rotation by 90° has no real eigenvectors, so the tensor is
    # no sum of two real products (ten Berge 1991: it takes three).
    kernel = np.stack([np.eye(2), [[0, -1], [1, 0]]], axis=2)
    assert cp_rank(kernel) is None
    assert 0.1 < cp_factors(kernel, 2).error < 1
    start = diagonalised(kernel, 2, ((0,), (1,), (2,)))
    assert [np.linalg.matrix_rank(vectors) for vectors in start] == [2, 2, 2]


def test_the_slice_that_needs_most_terms_counts() -> None:
    rng = np.random.default_rng(9)
    kernel = rng.standard_normal((5, 1, 4, 1)) * rng.standard_normal((5, 1, 1, 6))
    kernel[3] = rng.standard_normal((1, 4, 6))
    assert terms_rank(kernel[:3]) == 1
    assert terms_rank(kernel) == separable_rank(kernel, group=5) == 4


FORMS: dict[str, Callable[[NDArray[Any]], Factored]] = {
    "column first": partial(separable_factors, rank=4),
    "row first": partial(separable_factors, rank=4, axes=(1,), per_channel=True),
    "output": partial(output_factors, rank=3),
    "input": partial(input_factors, rank=2, per_channel=True),
    "tucker": partial(tucker_factors, ranks=(3, 2)),
    "cp": partial(cp_factors, rank=4),
    "cp of too many terms": partial(cp_factors, rank=13, per_channel=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_bits_each_time_and_the_kernel_untouched(form: str) -> None:
    kernel = np.random.default_rng(4).standard_normal((6, 4, 3, 5)).astype(np.float32)
    kernel.setflags(write=False)
    first, second = FORMS[form](kernel), FORMS[form](kernel.copy())
    for a, b in zip(first.kernels, second.kernels, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first.error, first.channel_error) == (second.error, second.channel_error)
    assert (first.error, first.channel_error) == distances(kernel, recompose(first.kernels))


@pytest.mark.parametrize("form", ["column first", "row first", "output", "input", "cp"])
def test_terms_have_fixed_signs_and_equal_norms(form: str) -> None:
    kernel = np.random.default_rng(5).standard_normal((6, 4, 3, 5))
    *earlier, last = FORMS[form](kernel).kernels
    norms = np.linalg.norm(last.swapaxes(0, 1).reshape(last.shape[1], -1), axis=1)
    for factor in earlier:
        rows = factor.reshape(len(factor), -1)
        places = np.argmax(np.abs(rows), axis=1)
        assert (np.take_along_axis(rows, places[:, np.newaxis], axis=1) > 0).all()
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), norms, rtol=1e-9)


def test_tucker_kernels_have_equal_norms() -> None:
    kernel = np.random.default_rng(6).standard_normal((6, 4, 3, 5))
    norms = [np.linalg.norm(factor) for factor in FORMS["tucker"](kernel).kernels]
    np.testing.assert_allclose(norms, norms[0], rtol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_dead_filters_stay_dead(form: str) -> None:
    kernel = np.random.default_rng(7).standard_normal((6, 4, 3, 5))
    kernel[[1, 4]] = 0
    found = FORMS[form](kernel)
    assert not recompose(found.kernels)[[1, 4]].any()
    assert found.channel_error <= 1 + EXACT
    zero = FORMS[form](np.zeros_like(kernel))
    assert (zero.error, zero.channel_error) == (0, 0)
    assert not recompose(zero.kernels).any()


def test_zeros_have_rank_zero() -> None:
    kernel = np.zeros((4, 2, 3, 3))
    assert separable_rank(kernel) == terms_rank(kernel) == cp_rank(kernel) == 0
    assert output_rank(kernel) == input_rank(kernel) == 0
    assert tucker_ranks(kernel, group=2) == (0, 0)


def test_a_tiny_filter_is_not_lost() -> None:
    rng = np.random.default_rng(8)
    kernel = np.einsum("kr,rcyx->kcyx", rng.standard_normal((8, 2)), rng.random((2, 3, 3, 3)))
    kernel[5] = 1e-9 * rng.standard_normal((3, 3, 3))
    # In the Frobenius norm it is nothing, and the error of its own channel says so.
    assert output_errors(kernel)[2] < 2.0**-24
    nearest = output_factors(kernel, 2)
    assert nearest.error < 2.0**-24
    assert nearest.channel_error > 0.5
    assert output_rank(kernel) == 3
    assert output_factors(kernel, 3, per_channel=True).channel_error < 1e-12
    assert cp_rank(1e-9 * kernel) == cp_rank(kernel)


def test_filters_of_image_processing() -> None:
    def single(matrix: NDArray[Any]) -> NDArray[Any]:
        return matrix.astype(np.float32)[np.newaxis, np.newaxis]

    # Computed in float32 all the way, as users do: several roundings an entry.
    t = np.arange(-7, 8, dtype=np.float32)
    radius = np.hypot(t[:, np.newaxis], t)
    gaussian, wide = np.exp(-(radius**2) / 8), np.exp(-(radius**2) / 18)
    wave = np.cos(t[:, np.newaxis] + 0.5 * t)
    sobel = np.outer([1, 2, 1], [1, 0, -1])
    ranks = {
        "gaussian": (gaussian / gaussian.sum(), 1),
        "box": (np.full((11, 11), 1 / 121), 1),
        "binomial": (np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256, 1),
        "sobel": (sobel, 1),
        "laplacian": (np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]]), 2),
        "difference of gaussians": (gaussian / gaussian.sum() - wide / wide.sum(), 2),
        "laplacian of gaussian": ((radius**2 - 8) * gaussian, 2),
        "gabor": (gaussian * wave, 2),
        "disk": ((radius <= 5).astype(np.float64), 4),
    }
    found = {name: separable_rank(single(matrix)) for name, (matrix, _) in ranks.items()}
    assert found == {name: rank for name, (_, rank) in ranks.items()}
    assert found == {name: terms_rank(single(matrix)) for name, (matrix, _) in ranks.items()}
    assert found == {name: cp_rank(single(matrix)) for name, (matrix, _) in ranks.items()}
    column, row = separable_factors(single(sobel), 1).kernels
    np.testing.assert_allclose(column[0, 0, :, 0] / column[0, 0, 0, 0], [1, 2, 1], rtol=1e-12)
    np.testing.assert_allclose(row[0, 0, 0] / row[0, 0, 0, 0], [1, 0, -1], atol=1e-12)


KERNEL = np.ones((4, 2, 3, 5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: separable_factors(KERNEL, 0), "rank 0 is not one of 1 .. 6"),
        (lambda: separable_factors(KERNEL, 7), "rank 7 is not one of 1 .. 6"),
        (lambda: output_factors(KERNEL, 5), "rank 5 is not one of 1 .. 4"),
        (lambda: input_factors(KERNEL, 3), "rank 3 is not one of 1 .. 2"),
        (lambda: input_factors(KERNEL, -1, group=2), "rank -1 is not one of 1 .. 2"),
        (lambda: tucker_factors(KERNEL, (0, 4)), "input rank 0 is not one of 1 .. 2"),
        (lambda: tucker_factors(KERNEL, (2, 5)), "output rank 5 is not one of 1 .. 4"),
        (lambda: cp_factors(KERNEL, 0), "rank 0 is not one of 1 .. 24"),
        (lambda: cp_factors(KERNEL, 25), "rank 25 is not one of 1 .. 24"),
        (lambda: separable_terms(KERNEL, 4), "number of terms 4 is not one of 1 .. 3"),
        (lambda: separable_terms(KERNEL, 1, axis=2), r"axes (2,) do not split 2 spatial axes"),
        (lambda: separable_rank(KERNEL, (0, 1)), r"axes (0, 1) do not split 2 spatial axes"),
        (lambda: separable_errors(KERNEL, ()), r"axes () do not split 2 spatial axes"),
        (lambda: two_kernels(KERNEL, 1, (0, 0)), r"axes (0, 0) of a kernel with 2 spatial axes"),
        (lambda: two_kernels(KERNEL, 1, (-1,)), r"axes (-1,) of a kernel with 2 spatial axes"),
        (lambda: separable_rank(KERNEL[..., 0]), "has fewer than two spatial axes"),
        (lambda: terms_rank(KERNEL[0, 0]), "has fewer than two spatial axes"),
        (lambda: output_rank(KERNEL[0, 0, 0]), r"a kernel is (K, C/group, *taps), not (5,)"),
        (lambda: cp_rank(KERNEL[:0]), r"a kernel is (K, C/group, *taps), not (0, 2, 3, 5)"),
        (lambda: tucker_ranks(KERNEL, group=3), "4 output channels in 3 groups"),
        (lambda: input_rank(KERNEL, group=0), "4 output channels in 0 groups"),
        (lambda: cp_factors(KERNEL / 0.0, 1), "entries that are not finite"),
        (lambda: recompose((KERNEL, KERNEL[:, :1, :1, :1]), group=3), "cannot follow"),
        (lambda: recompose((KERNEL, np.ones((4, 3, 1, 1)))), "cannot follow"),
        (lambda: recompose((KERNEL, np.ones((3, 4, 1, 2)))), "share a spatial axis"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_arguments_are_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  (the text is compared as it is)
        call()
    assert message in str(refused.value)
