"""Second-order selection of channels, against solving anew for every choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from convc.algebra.fit import refit, ridged
from convc.algebra.moments import Gathering, Moments, white
from convc.algebra.selection import (
    Reader,
    choice_ridge,
    compensated,
    eliminate,
    readers_of,
    readers_of_weights,
    select,
)

CLOSE = 1e-8
"""Rounding of float64 over matrices of condition 10⁶ and less, which these are."""


def correlated(rng: np.random.Generator, width: int, count: int = 2000) -> np.ndarray:
    """Samples (count, width) of which a few directions hold most of the variance."""
    spectrum = np.arange(1, width + 1) ** -1.0
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0]
    return (rng.standard_normal((count, width)) * spectrum) @ turn + rng.standard_normal(width)


def observed(
    rng: np.random.Generator, kernel: np.ndarray, group: int = 1, noise: float = 0.1
) -> Moments:
    """Moments of a layer on correlated data, whose wanted responses are not quite its own."""
    outputs, width = len(kernel), kernel[0].size
    x = np.stack([correlated(rng, width) for _ in range(group)])
    w = kernel.reshape(group, -1, width)
    y = np.einsum("gnd,gkd->ngk", x, w).reshape(-1, outputs)
    gathering = Gathering(group, width, outputs)
    gathering.add(x, y + noise * y.std() * rng.standard_normal(y.shape))
    return gathering.moments()


def missed(moments: Moments, kernel: np.ndarray, kept: np.ndarray, ridge: float) -> float:
    """The loss after solving anew, with the ridge's part, relative to the responses' variance."""
    new, _ = compensated(moments, kernel, kept, ridge)
    return float(ridged(moments, kernel, ridge).residual(new).sum() / moments.yy.sum())


def mask(count: int, kept: np.ndarray) -> np.ndarray:
    chosen = np.zeros(count, bool)
    chosen[kept] = True
    return chosen


@pytest.mark.parametrize("taps", [(), (1, 1), (3,), (2, 2)])
@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_losses_are_those_of_solving_anew(taps: tuple[int, ...], ridge: float) -> None:
    rng = np.random.default_rng(len(taps))
    kernel = rng.standard_normal((5, 6, *taps))
    moments = observed(rng, kernel)
    start = missed(moments, kernel, np.ones(6, bool), ridge)
    elimination = eliminate(readers_of(moments, kernel, np.arange(6), ridge), 6, 1)
    left = list(range(6))
    for step, chosen in enumerate(elimination.order):
        tried = [
            missed(moments, kernel, mask(6, np.setdiff1d(left, [c])), ridge) - start for c in left
        ]
        assert chosen == left[int(np.argmin(tried))]
        np.testing.assert_allclose(elimination.losses[step], min(tried), CLOSE)
        left.remove(int(chosen))
        np.testing.assert_array_equal(elimination.kept(len(left)), left)
        assert elimination.loss(len(left)) == elimination.losses[step]
    assert elimination.loss(6) == 0.0


def test_groups_are_readers_of_their_own() -> None:
    rng = np.random.default_rng(7)
    kernel = rng.standard_normal((6, 4, 2))
    moments = observed(rng, kernel, group=2)
    readers = readers_of(moments, kernel, np.arange(8), 1e-3)
    assert [reader.members.tolist() for reader in readers] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    elimination = eliminate(readers, 8, 4, parts=np.arange(8) // 4)
    kept = elimination.kept(4)
    assert (np.bincount(kept // 4) == 2).all()
    start = missed(moments, kernel, np.ones(8, bool), 1e-3)
    wanted = missed(moments, kernel, mask(8, kept), 1e-3) - start
    np.testing.assert_allclose(elimination.loss(4), wanted, CLOSE)


def test_columns_that_stay_help() -> None:
    """Input channels 0, 2 are no candidates; the candidates 0, 1 own two input channels each."""
    rng = np.random.default_rng(8)
    kernel = rng.standard_normal((4, 6))
    moments = observed(rng, kernel)
    owner = np.array([-1, 1, -1, 0, 0, 1])
    start = missed(moments, kernel, np.ones(6, bool), 1e-4)
    losses = [missed(moments, kernel, owner != c, 1e-4) - start for c in (0, 1)]
    elimination = eliminate(readers_of(moments, kernel, owner, 1e-4), 2, 1)
    assert elimination.order.tolist() == [int(np.argmin(losses))]
    np.testing.assert_allclose(elimination.losses, [min(losses)], CLOSE)


def test_a_channel_that_nobody_reads_goes_first() -> None:
    rng = np.random.default_rng(9)
    kernel = rng.standard_normal((4, 3))
    readers = readers_of(observed(rng, kernel), kernel, np.array([3, 0, 2]))
    elimination = eliminate(readers, 4, 2)
    assert elimination.order[0] == 1
    assert elimination.losses[0] == 0.0
    assert elimination.losses[1] > 0.0


def test_readers_add_up_whatever_their_scale() -> None:
    rng = np.random.default_rng(10)
    one, other = rng.standard_normal((4, 8)), rng.standard_normal((3, 8, 2))
    both = [(observed(rng, w), w) for w in (one, other)]
    readers = [reader for m, w in both for reader in readers_of(m, w, np.arange(8), 1e-4)]
    elimination = eliminate(readers, 8, 3)
    wanted = sum(
        missed(m, w, mask(8, elimination.kept(3)), 1e-4) - missed(m, w, np.ones(8, bool), 1e-4)
        for m, w in both
    )
    np.testing.assert_allclose(elimination.loss(3), wanted, CLOSE)
    moments, _ = both[1]
    louder = Moments(
        moments.count, moments.mean_x, 1e3 * moments.mean_y, moments.xx, 1e3 * moments.xy,
        1e6 * moments.yy,
    )  # fmt: skip
    readers = [*readers[:1], *readers_of(louder, 1e3 * other, np.arange(8), 1e-4)]
    np.testing.assert_array_equal(eliminate(readers, 8, 3).order, elimination.order)


def test_linear_combinations_are_found() -> None:
    """Half of the channels are sums of the others: they go and nothing is lost."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        free = correlated(rng, 8)
        x = np.column_stack([free, free @ rng.standard_normal((8, 8))])[:, rng.permutation(16)]
        kernel = rng.standard_normal((5, 16))
        gathering = Gathering(1, 16, 5)
        gathering.add(x[np.newaxis], x @ kernel.T)
        moments = gathering.moments()
        kept = select(readers_of(moments, kernel, np.arange(16), 1e-7), 16, 8)
        assert np.linalg.matrix_rank(moments.xx[0][np.ix_(kept, kept)]) == 8
        new, bias = compensated(moments, kernel, mask(16, kept), 1e-7)
        np.testing.assert_array_equal(new[:, ~mask(16, kept)], 0)
        # A ridge μ costs at most μ/4 for each unit by which the optimum is away from the old
        # weights: μ²λ/(λ + μ)² ≤ μ/4 in every direction of variance λ.
        exact = np.linalg.lstsq(x[:, kept] - x[:, kept].mean(0), x @ kernel.T, rcond=None)[0]
        moved = np.square(exact.T - kernel[:, kept]).sum()
        noise = 1e-7 * np.trace(moments.xx[0]) / 16
        assert moments.residual(new).sum() <= noise / 4 * moved
        np.testing.assert_allclose(bias, moments.mean_y - new @ moments.mean_x[0])


def test_the_second_order_beats_sizes() -> None:
    """Channels of different variance, some of them near sums of others: the weights tell neither,
    weights times deviations do not tell the second."""
    rng = np.random.default_rng(12)
    losses = []
    for _ in range(30):
        kernel = rng.standard_normal((8, 16))
        mix = rng.standard_normal((16, 16)) * np.arange(1, 17)[:, np.newaxis] ** -2.0
        x = rng.standard_normal((2000, 16)) @ mix * rng.uniform(0.2, 2.0, 16)
        gathering = Gathering(1, 16, 8)
        gathering.add(x[np.newaxis], x @ kernel.T)
        moments = gathering.moments()
        scaled = kernel * np.sqrt(np.diag(moments.xx[0]))
        kept = [
            select(readers, 16, 6)
            for readers in (
                readers_of(moments, kernel, np.arange(16), 1e-6),
                readers_of_weights(kernel, 1, np.arange(16)),
                readers_of_weights(scaled, 1, np.arange(16)),
            )
        ]
        losses.append([missed(moments, kernel, mask(16, k), 1e-6) for k in kept])
    second, weights, sizes = np.array(losses).T
    # Greedy elimination may lose once: over 30 networks it must not matter.
    assert (second < weights).sum() >= 27
    assert (second < sizes).sum() >= 27
    assert second.sum() < weights.sum() / 2
    assert second.sum() < sizes.sum()


def test_the_size_of_the_weights_is_the_loss_on_white_data() -> None:
    rng = np.random.default_rng(13)
    kernel = rng.standard_normal((6, 4, 3)) * rng.uniform(0.5, 2.0, (4, 1))
    owner = np.arange(8)
    one = eliminate(readers_of_weights(kernel, 2, owner), 8, 2)
    other = eliminate(readers_of(white(kernel, 2), kernel, owner, 0.0), 8, 2)
    np.testing.assert_array_equal(one.order, other.order)
    np.testing.assert_allclose(one.losses, other.losses, CLOSE)
    energy = np.square(kernel).sum(axis=2).reshape(2, 3, 4).sum(axis=1).reshape(-1)
    np.testing.assert_array_equal(one.order, np.argsort(energy)[:6])
    np.testing.assert_allclose(one.losses, np.sort(energy)[:6].cumsum() / energy.sum())


def test_of_many_channels_several_go_at_once() -> None:
    rng = np.random.default_rng(14)
    kernel = rng.standard_normal((3, 600))
    reader = Reader(np.arange(600), kernel.T.reshape(600, 1, 3), np.diag(rng.uniform(1, 2, 600)))
    costs = np.square(kernel).sum(axis=0) / np.diag(reader.inverse)
    elimination = eliminate([reader], 600, 7)
    np.testing.assert_array_equal(elimination.order, np.argsort(costs)[:593])
    np.testing.assert_allclose(elimination.losses, np.sort(costs)[:593].cumsum())


def test_all_channels_kept_is_a_refit() -> None:
    rng = np.random.default_rng(15)
    kernel = rng.standard_normal((4, 5, 2, 2))
    moments = observed(rng, kernel)
    new, bias = compensated(moments, kernel, np.ones(5, bool), 1e-3)
    np.testing.assert_allclose(new, refit(moments, kernel, 1e-3))
    np.testing.assert_allclose(bias, moments.bias(new))


def test_a_layer_without_responses_has_no_say() -> None:
    kernel = np.zeros((2, 3))
    readers = readers_of(white(kernel), kernel, np.arange(3))
    assert eliminate(readers, 3, 1).losses.tolist() == [0.0, 0.0]


def test_what_cannot_be_asked_is_refused() -> None:
    kernel = np.ones((2, 3))
    with pytest.raises(ValueError, match="the channels are not read equally often"):
        readers_of(white(kernel), kernel, np.array([0, 0, 1]))
    elimination = eliminate(readers_of(white(kernel), kernel, np.arange(3)), 3, 2)
    for count in (1, 4):
        with pytest.raises(ValueError, match=f"{count} of 3 channels"):
            elimination.kept(count)


def test_multiples_of_each_other_do_not_upset_it() -> None:
    """Twelve channels are multiples of the other twelve: G is singular but for the ridge."""
    rng = np.random.default_rng(16)
    free = np.stack([correlated(rng, 12) for _ in range(4)], axis=2)
    x = np.concatenate([free, free * rng.uniform(0.5, 2.0, (12, 1))], axis=1).reshape(-1, 96)
    kernel = rng.standard_normal((5, 24, 4))
    gathering = Gathering(1, 96, 5)
    gathering.add(x[np.newaxis], x @ kernel.reshape(5, -1).T)
    # However many samples there are, the ridge does not vanish.
    moments = replace(gathering.moments(), count=10**9)
    elimination = eliminate(readers_of(moments, kernel, np.arange(24)), 24, 6)
    assert sorted(elimination.kept(12) % 12) == list(range(12))
    # The penalty μ‖W_c‖² of what went, and no more.
    penalty = choice_ridge(moments) * np.trace(moments.xx[0]) / 96 * np.square(kernel).sum()
    assert elimination.loss(12) <= 2 * penalty / moments.yy.sum()
    assert elimination.loss(6) > 100 * elimination.loss(12)


def test_uncorrelated_columns_need_no_inverse() -> None:
    rng = np.random.default_rng(17)
    kernel = rng.standard_normal((5, 6, 3))
    variances = rng.uniform(0.5, 2.0, 18)
    gram, w = np.diag(variances)[np.newaxis], kernel.reshape(1, 5, 18)
    moments = Moments(
        1000, np.zeros((1, 18)), np.ones(5), gram, gram @ w.swapaxes(1, 2),
        (np.square(w[0]) * variances).sum(axis=1),
    )  # fmt: skip
    nearly = replace(moments, xx=gram + 1e-13)
    one, other = (
        eliminate(readers_of(m, kernel, np.arange(6), 1e-3), 6, 1) for m in (moments, nearly)
    )
    assert readers_of(moments, kernel, np.arange(6), 1e-3)[0].inverse is None
    np.testing.assert_array_equal(one.order, other.order)
    np.testing.assert_allclose(one.losses, other.losses)
    kept = mask(6, one.kept(3))
    for new, same in zip(
        *(compensated(m, kernel, kept, 1e-3) for m in (moments, nearly)), strict=True
    ):
        np.testing.assert_allclose(new, same, atol=1e-9)
