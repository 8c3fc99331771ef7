"""Dense kernels as block-diagonal factors, against singular values and naive convolutions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.algebra import geometry_of
from convc.algebra.block_factors import (
    BlockFactors,
    Partition,
    best_partition,
    block_rank,
    energies,
    factor_products,
    grouped_partitions,
    missed,
    nearest_diagonal,
    nearest_grouped,
    nearest_shuffled,
    shuffled_partitions,
)
from convc.algebra.co_clusters import co_clusters
from tests.algebra import naive
from tests.strategies import seeds

FORMS: dict[str, Callable[[np.ndarray, int], BlockFactors]] = {
    "diagonal": nearest_diagonal,
    "grouped": nearest_grouped,
    "shuffled": nearest_shuffled,
}


@st.composite
def kernels(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """A kernel and a number of blocks that divides its channels."""
    blocks = draw(st.sampled_from([2, 3, 4]))
    outputs, inputs = (blocks * draw(st.integers(1, 5)) for _ in range(2))
    taps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    return draw(seeds()).standard_normal((outputs, inputs, *taps)), blocks


def by_convs(factors: BlockFactors, x: np.ndarray) -> np.ndarray:
    """The factors one after the other on data, by loops."""
    if factors.columns is not None:
        x = x[:, factors.columns]
    x = naive.conv(x, factors.first, None, geometry_of(factors.first, group=factors.blocks))
    if factors.middle is not None:
        x = x[:, factors.middle]
    if factors.second is not None:
        x = naive.conv(x, factors.second, None, geometry_of(factors.second, group=factors.mixing))
    return x if factors.rows is None else x[:, factors.rows]


@settings(deadline=None, max_examples=60)
@given(kernels(), st.sampled_from(sorted(FORMS)), seeds())
def test_the_kernel_is_what_the_factors_compute(
    drawn: tuple[np.ndarray, int], form: str, rng: np.random.Generator
) -> None:
    kernel, blocks = drawn
    factors = FORMS[form](kernel, blocks)
    x = rng.standard_normal((2, kernel.shape[1], *(k + 1 for k in kernel.shape[2:])))
    whole = factors.kernel()
    assert whole.shape == kernel.shape
    expected = naive.conv(x, whole, None, geometry_of(whole))
    np.testing.assert_allclose(by_convs(factors, x), expected, rtol=0, atol=1e-11)


@settings(deadline=None, max_examples=60)
@given(kernels())
def test_no_blocks_of_that_rank_are_nearer(drawn: tuple[np.ndarray, int]) -> None:
    """What is missed are the singular values left out of every block (Eckart and Young)."""
    kernel, blocks = drawn
    for mixing, partitions in (
        (1, grouped_partitions(kernel, blocks)),
        (blocks, shuffled_partitions(kernel, blocks)),
    ):
        losses = []
        for partition in partitions:
            w, left_out = partition.sorted(kernel), 0.0
            for i, j in product(range(mixing), range(blocks)):
                rows = np.array_split(w, mixing)[i]
                block = np.array_split(rows, blocks, axis=1)[j]
                values = np.linalg.svd(block.reshape(len(block), -1), compute_uv=False)
                left_out += float(np.square(values[partition.rank :]).sum())
            losses.append(left_out / float(np.square(kernel).sum()))
        found = FORMS["grouped" if mixing == 1 else "shuffled"](kernel, blocks)
        plain, *others = losses
        best = min(others, default=plain)
        expected = best if best < 0.8 * plain else plain
        assert missed(kernel, found.kernel()) == pytest.approx(expected, rel=1e-9, abs=1e-13)
        assert found.products == factor_products(kernel.shape, blocks, mixing)


def test_the_diagonal_is_the_energy_in_it() -> None:
    rng = np.random.default_rng(0)
    for blocks in (2, 4):
        kernel = rng.standard_normal((8, 12, 3))
        found = nearest_diagonal(kernel, blocks)
        rows, columns = co_clusters(energies(kernel), blocks)
        sorted_ = energies(kernel)[rows][:, columns].reshape(blocks, 8 // blocks, blocks, -1)
        kept = sum(sorted_[i, :, i].sum() for i in range(blocks))
        assert missed(kernel, found.kernel()) == pytest.approx(1 - kept / np.square(kernel).sum())
        assert found.products * blocks == kernel.size
        plain = energies(kernel).reshape(blocks, 8 // blocks, blocks, -1)
        assert kept >= sum(plain[i, :, i].sum() for i in range(blocks))


def test_planted_factors_are_found() -> None:
    rng = np.random.default_rng(0)
    for mixing, form in ((1, nearest_grouped), (4, nearest_shuffled)):
        rank = block_rank((16, 32, 3, 3), 4, mixing)
        partition = Partition(4, mixing, rank)
        left = rng.standard_normal((mixing, 4, 16 // mixing, rank))
        right = rng.standard_normal((mixing, 4, rank, 8 * 9))
        planted = partition.factors(left, right, (3, 3))
        kernel = planted.kernel().astype(np.float32)
        found = form(kernel, 4)
        assert found.columns is found.rows is None
        assert missed(kernel, found.kernel()) ** 0.5 < 2**-23
        assert found.first.shape == planted.first.shape == (16, 8, 3, 3)
        assert found.second is not None
        assert found.second.shape == (16, 16 // mixing, 1, 1)


def test_hidden_blocks_are_clusters() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        blocks = int(rng.integers(2, 5))
        energy = np.kron(np.eye(blocks), rng.uniform(1, 2, (4, 6))) + rng.uniform(
            0, 0.2, (4 * blocks, 6 * blocks)
        )
        p, q = rng.permutation(4 * blocks), rng.permutation(6 * blocks)
        rows, columns = co_clusters(energy[p][:, q], blocks)
        parts = {tuple(sorted(p[rows][i : i + 4])) for i in range(0, p.size, 4)}
        assert parts == {tuple(range(i, i + 4)) for i in range(0, p.size, 4)}
        assert (p[rows] // 4 == np.repeat(p[rows][::4] // 4, 4)).all()
        assert (q[columns] // 6 == np.repeat(p[rows][::4] // 4, 6)).all()


def test_clusters_never_lose_to_the_order_as_it_is() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        energy = rng.random((8, 12)) ** 4
        rows, columns = co_clusters(energy, 4)
        assert sorted(rows) == list(range(8))
        assert sorted(columns) == list(range(12))
        kept, plain = (
            sum(e[2 * i : 2 * i + 2, 3 * i : 3 * i + 3].sum() for i in range(4))
            for e in (energy[rows][:, columns], energy)
        )
        assert kept >= plain
    for empty in (np.zeros((4, 4)), np.ones((4, 4))):
        assert [order.tolist() for order in co_clusters(empty, 2)] == [[0, 1, 2, 3]] * 2


def test_an_order_must_clearly_pay() -> None:
    plain = BlockFactors(np.zeros((2, 1, 1)), None, 2)
    other = BlockFactors(np.zeros((2, 1, 1)), None, 2, columns=np.array([1, 0]))
    partitions = [Partition(2, 1, 1), Partition(2, 1, 1, columns=np.array([1, 0]))]
    for loss, best in ((0.79, other), (0.81, plain), (0.0, other)):
        losses = {id(partitions[0]): (1.0, plain), id(partitions[1]): (loss, other)}
        assert best_partition(partitions, lambda p, known=losses: known[id(p)]) is best


def test_an_order_that_pays_is_taken() -> None:
    """Of a kernel whose input channels come in two kinds the blocks are these kinds."""
    rng = np.random.default_rng(0)
    plain = Partition(2, 1, 4)
    left, right = rng.standard_normal((1, 2, 8, 4)), rng.standard_normal((1, 2, 4, 8))
    left[0, 0, 4:] = left[0, 1, :4] = 0
    order = rng.permutation(16)
    kernel = plain.factors(left, right, (1,)).kernel()[:, order]
    found = nearest_grouped(kernel, 2)
    assert found.columns is not None
    assert missed(kernel, found.kernel()) < 1e-24


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("shape", "blocks"), [((6, 8, 3), 4), ((8, 6, 3), 4), ((8, 8, 3), 0)])
def test_channels_that_are_no_blocks(form: str, shape: tuple[int, ...], blocks: int) -> None:
    with pytest.raises(ValueError, match=f"are not {blocks} blocks"):
        FORMS[form](np.ones(shape), blocks)


def test_clusters_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="6 × 8 are not 4 equal blocks"):
        co_clusters(np.ones((6, 8)), 4)


def test_a_kernel_of_zeros() -> None:
    for form in FORMS.values():
        assert missed(np.zeros((8, 8, 3)), form(np.zeros((8, 8, 3)), 2).kernel()) == 0
