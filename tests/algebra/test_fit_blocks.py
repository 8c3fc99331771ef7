"""Block-diagonal factors fitted to moments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.algebra import regroup
from convc.algebra.block_factors import (
    BlockFactors,
    Partition,
    missed,
    nearest_diagonal,
    nearest_grouped,
    nearest_shuffled,
)
from convc.algebra.fit.blocks import fit_diagonal, fit_grouped, fit_shuffled, response_energies
from convc.algebra.fit.common import default_ridge
from convc.algebra.moments import Gathering, Moments, white

Fit = Callable[[Moments, np.ndarray, int], BlockFactors]
FITS: dict[str, tuple[Fit, Callable[[np.ndarray, int], BlockFactors]]] = {
    "grouped": (fit_grouped, nearest_grouped),
    "shuffled": (fit_shuffled, nearest_shuffled),
}
SHAPE = (16, 24, 3, 2)


def samples(rng: np.random.Generator, count: int = 3000) -> np.ndarray:
    """(n, D), correlated as neighbouring pixels and channels are, and not centred."""
    width = int(np.prod(SHAPE[1:]))
    mixing = np.exp(-np.abs(np.subtract.outer(np.arange(width), np.arange(width))) / 12)
    scale = rng.uniform(0.2, 2, width)
    return rng.standard_normal((count, width)) @ mixing * scale + rng.standard_normal(width)


def moments_of(x: np.ndarray, y: np.ndarray) -> Moments:
    gathering = Gathering(1, x.shape[1], y.shape[1])
    gathering.add(x[np.newaxis], y)
    return gathering.moments()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("blocks", [2, 4, 8])
@pytest.mark.parametrize("form", FITS)
def test_the_loss_is_the_error_on_the_samples(
    form: str, blocks: int, rng: np.random.Generator
) -> None:
    fit, nearest = FITS[form]
    kernel, x = rng.standard_normal(SHAPE), samples(rng)
    y = x @ kernel.reshape(SHAPE[0], -1).T + rng.standard_normal((len(x), SHAPE[0]))
    moments = moments_of(x, y)
    found = fit(moments, kernel, blocks)
    whole = found.kernel()
    given = x @ whole.reshape(SHAPE[0], -1).T + moments.bias(whole)
    measured = np.square(y - given).sum() / np.square(y - y.mean(axis=0)).sum()
    assert moments.loss(whole) == pytest.approx(measured, rel=1e-9)
    # Data that are correlated leave much of the error of the weights alone unseen.
    assert measured < 0.5 * moments.loss(nearest(kernel, blocks).kernel())
    again = fit(moments, kernel, blocks)
    np.testing.assert_array_equal(again.kernel(), whole)


@pytest.mark.parametrize("form", FITS)
def test_white_noise_knows_the_weights_alone(form: str, rng: np.random.Generator) -> None:
    fit, nearest = FITS[form]
    for blocks in (2, 4):
        kernel = rng.standard_normal(SHAPE)
        found, expected = fit(white(kernel), kernel, blocks), nearest(kernel, blocks)
        assert missed(kernel, found.kernel()) == pytest.approx(
            missed(kernel, expected.kernel()), rel=1e-9
        )
        np.testing.assert_allclose(found.kernel(), expected.kernel(), atol=1e-9)


@pytest.mark.parametrize("form", FITS)
def test_planted_factors_are_found(form: str, rng: np.random.Generator) -> None:
    """The responses are those of factors, the weights that the fit starts from are not."""
    fit, _ = FITS[form]
    mixing = 1 if form == "grouped" else 4
    rank = 4 // mixing
    left = rng.standard_normal((mixing, 4, 16 // mixing, rank))
    right = rng.standard_normal((mixing, 4, rank, 6 * 6))
    planted = Partition(4, mixing, rank).factors(left, right, SHAPE[2:]).kernel()
    x = samples(rng, 20_000)
    moments = moments_of(x, x @ planted.reshape(SHAPE[0], -1).T)
    start = planted + 0.1 * rng.standard_normal(SHAPE)
    assert moments.loss(start) > 1e-3
    found = fit(moments, start, 4)
    # The ridge towards the weights it starts from is all that is left: 1e-2 · D/n of 1 %.
    assert moments.loss(found.kernel()) < 1e-5
    assert moments.loss(fit(moments, planted, 4).kernel()) < 1e-12


@pytest.mark.parametrize("form", FITS)
def test_the_order_of_the_channels_is_found(form: str, rng: np.random.Generator) -> None:
    """Input channels in two kinds that see outputs apart, dealt out in any order."""
    fit, _ = FITS[form]
    kernel = np.zeros(SHAPE)
    mixing = 1 if form == "grouped" else 2
    if form == "grouped":
        kernel[:8, :12], kernel[8:, 12:] = rng.standard_normal((2, 8, 12, 3, 2))
    else:
        part = Partition(2, 2, 4)
        left = rng.standard_normal((mixing, 2, 8, 4)) * [[[[5]], [[1]]], [[[1]], [[5]]]]
        kernel = part.factors(left, rng.standard_normal((2, 2, 4, 72)), SHAPE[2:]).kernel()
    rows, columns = rng.permutation(16), rng.permutation(24)
    kernel = kernel[rows][:, columns]
    x = samples(rng)
    moments = moments_of(x, x @ kernel.reshape(SHAPE[0], -1).T)
    found = fit(moments, kernel, 2)
    assert found.columns is not None
    assert (found.rows is None) == (form == "grouped")
    # Nothing but the order was in the way.
    assert moments.loss(found.kernel()) < 1e-6


@pytest.mark.parametrize("blocks", [2, 4, 8])
def test_blocks_alone_are_regressions_on_their_own_channels(
    blocks: int, rng: np.random.Generator
) -> None:
    kernel, x = rng.standard_normal(SHAPE), samples(rng)
    moments = moments_of(x, x @ kernel.reshape(SHAPE[0], -1).T)
    found = fit_diagonal(moments, kernel, blocks)
    assert found.second is found.middle is None
    rows = np.arange(16) if found.rows is None else np.argsort(found.rows)
    columns = np.arange(24) if found.columns is None else found.columns
    # The ridge is noise that is answered by the original weights: so many more samples.
    noise = np.sqrt(default_ridge(moments) * np.trace(moments.xx[0]) / 144 * len(x))
    inputs = np.concatenate([x - x.mean(axis=0), noise * np.eye(144)])
    y = inputs @ kernel.reshape(16, -1).T
    whole = np.zeros((16, 24, 6))
    for gives, reads in zip(np.split(rows, blocks), np.split(columns, blocks), strict=True):
        read = inputs.reshape(-1, 24, 6)[:, reads].reshape(len(inputs), -1)
        best = np.linalg.lstsq(read, y[:, gives], rcond=None)[0]
        whole[np.ix_(gives, reads)] = best.T.reshape(len(gives), len(reads), 6)
    np.testing.assert_allclose(found.kernel(), whole.reshape(SHAPE), atol=1e-9)
    loss = moments.loss(found.kernel())
    assert loss < moments.loss(nearest_diagonal(kernel, blocks).kernel())
    np.testing.assert_allclose(
        fit_diagonal(white(kernel), kernel, blocks).kernel(),
        nearest_diagonal(kernel, blocks).kernel(),
        atol=1e-12,
    )


def test_energies_are_variances_of_single_channels(rng: np.random.Generator) -> None:
    kernel, x = rng.standard_normal(SHAPE), samples(rng)
    found = response_energies(moments_of(x, np.zeros((len(x), 16))), kernel)
    alone = np.einsum("nct,kct->nkc", x.reshape(len(x), 24, 6), kernel.reshape(16, 24, 6))
    np.testing.assert_allclose(found, alone.var(axis=0), rtol=1e-9)


def test_inputs_that_do_not_vary_keep_the_weights(rng: np.random.Generator) -> None:
    kernel = rng.standard_normal(SHAPE)
    x = np.ones((50, 144))
    moments = moments_of(x, x @ kernel.reshape(16, -1).T)
    for fit, nearest in FITS.values():
        found = fit(moments, kernel, 2)
        assert np.isfinite(found.kernel()).all()
        assert missed(kernel, found.kernel()) == pytest.approx(
            missed(kernel, nearest(kernel, 2).kernel()), rel=1e-6
        )


@pytest.mark.parametrize("form", FITS)
def test_layers_that_are_not_dense(form: str, rng: np.random.Generator) -> None:
    fit, _ = FITS[form]
    kernel = rng.standard_normal(SHAPE)
    with pytest.raises(ValueError, match="a layer in 2 groups is not dense"):
        fit(white(kernel, 2), kernel, 2)
    with pytest.raises(ValueError, match="24 and 16 channels are not 3 blocks"):
        fit(white(kernel), kernel, 3)
    with pytest.raises(ValueError, match="for moments of 16 outputs and patches of 144"):
        fit(white(kernel), kernel[:, :12], 2)


@pytest.mark.parametrize("form", FITS)
def test_no_second_factor_does_better_behind_the_first(form: str, rng: np.random.Generator) -> None:
    kernel, x = rng.standard_normal(SHAPE), samples(rng)
    moments = moments_of(x, x @ kernel.reshape(SHAPE[0], -1).T)
    found = FITS[form][0](moments, kernel, 4)
    assert found.second is not None
    # The ridge, as so many more samples.
    noise = np.sqrt(default_ridge(moments) * np.trace(moments.xx[0]) / 144 * len(x))
    inputs = np.concatenate([x - x.mean(axis=0), noise * np.eye(144)])
    columns = np.arange(24) if found.columns is None else np.argsort(found.columns)
    first = regroup(found.first, 4, 1)[:, columns].reshape(-1, 144)
    first = first if found.middle is None else first[found.middle]
    rows = np.arange(16) if found.rows is None else np.argsort(found.rows)
    wanted = (inputs @ kernel.reshape(16, -1).T)[:, rows]
    missed_ = 0.0
    for gives, reads in zip(
        np.split(wanted, found.mixing, axis=1), np.split(first, found.mixing), strict=True
    ):
        between = inputs @ reads.T
        best = np.linalg.lstsq(between, gives, rcond=None)[0]
        missed_ += float(np.square(gives - between @ best).sum())
    given = inputs @ found.kernel().reshape(16, -1).T
    error = float(np.square(given[:, rows] - wanted).sum())
    assert error == pytest.approx(missed_, rel=1e-6)
