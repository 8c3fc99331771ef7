"""Which channels to keep where some are dropped: second-order selection with compensation.

A linear map y = W x reads channels, each as a block of n of the D numbers of its patches x: one for
each tap of a kernel, one for each position of a flattened image. With G = E x xᵀ (centred) and W
the least-squares optimum, to make the columns of block c zero and to solve for the others anew
costs, in variance of y,

    tr(W_c ([G⁻¹]_cc)⁻¹ W_cᵀ)            W ← W − W_c ([G⁻¹]_cc)⁻¹ [G⁻¹]_c:

(the optimal brain surgeon of Hassibi and Stork, 1993, in blocks). The inverse of what is left of G
is then the Schur complement G⁻¹ − [G⁻¹]_:c ([G⁻¹]_cc)⁻¹ [G⁻¹]_c:, so a greedy elimination of
channels is a pivoted block Cholesky factorisation of G⁻¹, whose columns are computed when they are
needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from convc.algebra.arrays import AnyArray, Array
from convc.algebra.channels import Indices, Mask
from convc.algebra.fit.common import ridged, solve
from convc.algebra.moments import Moments

STEPS = 256
"""Rounds of an elimination; of more channels than that several are dropped in a round."""
RIDGE_PER_SHARE, LEAST_RIDGE = 1e-4, 1e-6
"""See `choice_ridge`. With less of a ridge than the second one float64 cannot invert G where
channels are multiples of each other."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What an elimination knows of one linear map that reads channels.

    Attributes:
        members: (M,), the channels that it reads.
        kernel: (M, n, K), the optimal weights on them.
        inverse: (M·n, M·n), the part of G⁻¹ of their columns; None for the identity.
    """

    members: Indices
    kernel: Array
    inverse: Array | None


@dataclass(frozen=True, slots=True)
class Elimination:
    """The order in which channels go.

    Attributes:
        channels: C, how many there were.
        order: those that go, the first one first.
        losses: what it costs when so many have gone, as a sum over the readers.
    """

    channels: int
    order: Indices
    losses: Array

    def kept(self, count: int) -> Indices:
        """The ``count`` channels that stay, sorted; ValueError where fewer have to go first."""
        gone = self.channels - count
        if not 0 <= gone <= len(self.order):
            raise ValueError(f"{count} of {self.channels} channels: the elimination ended before")
        return np.setdiff1d(np.arange(self.channels), self.order[:gone])

    def loss(self, count: int) -> float:
        """What it costs to keep ``count`` channels."""
        gone = self.channels - count
        return float(self.losses[gone - 1]) if gone else 0.0


def choice_ridge(moments: Moments) -> float:
    """The ridge to choose by, in units of the mean variance of x.

    It adds to what it costs to drop a channel, times the square of the weights on it, which says
    nothing of the responses: so it is far below the one that is best for the weights that remain
    (`convc.algebra.fit.default_ridge`). Of those 0.03, 0.01, 0.001, 0.0001 and 1e-6 times D / count
    the last two chose best for a super-resolution network on other images, by up to 1 dB.
    """
    width = int(moments.xx.shape[1])
    return max(RIDGE_PER_SHARE * width / moments.count, LEAST_RIDGE)


def readers_of(
    moments: Moments, kernel: AnyArray, owner: Indices, ridge: float | None = None
) -> list[Reader]:
    """A layer as readers, one for each of its groups that reads any channel.

    Args:
        moments: of the layer.
        kernel: (K, C/g, *taps), its weights now; the ridge pulls towards them.
        owner: (C,), for each input channel of the layer the one of those to be selected that it
            belongs to, −1 for one that stays. Each has equally many.
        ridge: in units of the mean variance of x; None for `choice_ridge`.

    Returns:
        Readers whose losses are parts of the variance of all responses of the layer.

    Raises:
        ValueError: the channels have different numbers of input channels; kernel and moments do
            not fit each other, or are not finite.
    """
    noisy = ridged(moments, kernel, choice_ridge(moments) if ridge is None else ridge)
    scale = _inverse_root(float(moments.yy.sum()))
    readers = []
    for g, (members, columns) in enumerate(_owned_columns(moments.group, kernel, owner)):
        if not members.size:
            continue
        chosen, gram = columns.reshape(-1), noisy.xx[g]
        shape = (*columns.shape, -1)
        if _is_diagonal(gram):
            deviations = np.sqrt(np.diag(gram))[chosen, np.newaxis]
            weights = scale * noisy.xy[g][chosen] / deviations
            readers.append(Reader(members, weights.reshape(shape), None))
            continue
        inverse: Array = np.linalg.inv(gram)
        weights = scale * (inverse[chosen] @ noisy.xy[g])
        if not np.array_equal(chosen, np.arange(len(inverse))):
            inverse = inverse[np.ix_(chosen, chosen)]
        readers.append(Reader(members, weights.reshape(shape), inverse))
    return readers


def readers_of_weights(kernel: AnyArray, group: int, owner: Indices) -> list[Reader]:
    """As `readers_of` for white data: each channel costs the energy of the weights on it."""
    w = np.asarray(kernel, np.float64).reshape(group, kernel.shape[0] // group, -1)
    scale = _inverse_root(float(np.square(w).sum()))
    return [
        Reader(members, scale * w[g].T[columns], None)
        for g, (members, columns) in enumerate(_owned_columns(group, kernel, owner))
        if members.size
    ]


def _owned_columns(group: int, kernel: AnyArray, owner: Indices) -> list[tuple[Indices, Indices]]:
    """For each group the channels it reads, (M,), and the columns of each, (M, n)."""
    taps = _taps(kernel)
    found = []
    for part in np.asarray(owner).reshape(group, -1):
        place = np.argsort(part, kind="stable")
        place = place[part[place] >= 0]
        members, sizes = np.unique(part[place], return_counts=True)
        if len(set(sizes.tolist())) > 1:
            raise ValueError("the channels are not read equally often")
        columns = place[:, np.newaxis] * taps + np.arange(taps)
        width = columns.size // max(len(members), 1)
        found.append((members, columns.reshape(len(members), width)))
    return found


def _inverse_root(total: float) -> float:
    return 1.0 / float(np.sqrt(total)) if total > 0 else 0.0


def compensated(
    moments: Moments, kernel: AnyArray, kept: Mask, ridge: float | None = None
) -> tuple[Array, Array]:
    """The kernel and the bias of a layer that does without some of its input channels.

    Args:
        moments: of the layer.
        kernel: (K, C/g, *taps), its weights now; the ridge pulls towards them.
        kept: (C,), the input channels that are left.
        ridge: as of `convc.algebra.fit.refit`.

    Returns:
        A kernel of the same shape, zero for the channels that go and with the least loss for the
        others, and the bias (K,).

    Raises:
        ValueError: kernel and moments do not fit each other.
    """
    noisy = ridged(moments, kernel, ridge)
    columns = np.repeat(kept, _taps(kernel)).reshape(moments.group, -1)
    new = np.zeros(moments.xy.shape)
    for g, column in enumerate(columns):
        left = np.flatnonzero(column)
        if _is_diagonal(noisy.xx[g]):
            new[g, left] = noisy.xy[g][left] / np.diag(noisy.xx[g])[left, np.newaxis]
            continue
        gram = noisy.xx[g][np.ix_(left, left)]
        new[g, left] = solve(gram[np.newaxis], noisy.xy[g][np.newaxis, left])[0]
    weights: Array = new.swapaxes(1, 2).reshape(kernel.shape)
    return weights, moments.bias(weights)


def _taps(kernel: AnyArray) -> int:
    return prod(kernel.shape[2:])


def _is_diagonal(gram: AnyArray) -> bool:
    """Whether nothing is correlated, as on white data: then nothing is to be inverted."""
    return int(np.count_nonzero(gram)) == int(np.count_nonzero(np.diag(gram)))


def eliminate(
    readers: Sequence[Reader], channels: int, count: int, parts: Indices | None = None
) -> Elimination:
    """Drops channels, each time those that cost least, until ``count`` are left.

    Args:
        readers: all that read the channels; their losses are added.
        channels: C.
        count: how many stay.
        parts: (C,), numbers from 0 of parts that lose equally many, or differ by one on the way.
    """
    states = [_State(reader) for reader in readers]
    part = np.zeros(channels, np.intp) if parts is None else np.asarray(parts)
    left = np.ones(channels, bool)
    at_once = -(-channels // STEPS)
    order: list[int] = []
    losses: list[float] = []
    loss = 0.0
    while len(order) < channels - count:
        costs = np.zeros(channels)
        for state in states:
            costs[state.reader.members] += state.costs()
        for _ in range(min(at_once, channels - count - len(order))):
            sizes = np.bincount(part[left], minlength=part.max() + 1)
            allowed = left & (sizes == sizes.max())[part]
            chosen = int(np.argmin(np.where(allowed, costs, np.inf)))
            left[chosen] = False
            loss += sum(state.drop(chosen) for state in states)
            order.append(chosen)
            losses.append(loss)
    return Elimination(channels, np.array(order, np.intp), np.array(losses))


def select(
    readers: Sequence[Reader], channels: int, count: int, parts: Indices | None = None
) -> Indices:
    """The ``count`` of C channels to keep, sorted; see `eliminate`."""
    return eliminate(readers, channels, count, parts).kept(count)


class _State:
    """A reader while channels go: its weights, and G⁻¹ as it was less F Fᵀ."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        members, width, _ = reader.kernel.shape
        self.kernel = reader.kernel.copy()
        self.place = {int(c): i for i, c in enumerate(reader.members)}
        self.width = width
        if reader.inverse is None:
            self.diagonal = np.broadcast_to(np.eye(width), (members, width, width))
        else:
            split = reader.inverse.reshape(members, width, members, width)
            self.diagonal = np.einsum("anam->anm", split).copy()
            self.factor = np.empty_like(reader.inverse)  # Fᵀ, row by row
            self.rank = 0

    def costs(self) -> Array:
        """(M,): what it costs to drop each channel; 0 for those that have gone."""
        energy = self.kernel @ self.kernel.swapaxes(1, 2)
        if self.reader.inverse is None:
            found: Array = np.trace(energy, axis1=1, axis2=2)
        else:
            found = np.trace(np.linalg.solve(self.diagonal, energy), axis1=1, axis2=2)
        return np.maximum(found, 0.0)

    def drop(self, channel: int) -> float:
        """Drops one channel and returns what that costs."""
        i = self.place.get(channel)
        if i is None:
            return 0.0
        if self.reader.inverse is None:
            cost = float(np.square(self.kernel[i]).sum())
            self.kernel[i] = 0.0
            return cost
        rows = slice(i * self.width, (i + 1) * self.width)
        done = self.factor[: self.rank]
        column = self.reader.inverse[:, rows] - done.T @ done[:, rows]
        root = np.linalg.cholesky(self.diagonal[i])
        new = np.linalg.solve(root, column.T)
        moved = np.linalg.solve(root, self.kernel[i])
        self.kernel -= (new.T @ moved).reshape(self.kernel.shape)
        blocks = new.T.reshape(-1, self.width, self.width)
        self.diagonal -= blocks @ blocks.swapaxes(1, 2)
        self.kernel[i] = 0.0
        self.diagonal[i] = np.eye(self.width)
        self.factor[self.rank : self.rank + self.width] = new
        self.rank += self.width
        return float(np.square(moved).sum())
