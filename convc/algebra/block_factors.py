"""A dense convolution as block-diagonal ones: exercise 7, and how to repair what it loses.

As a matrix over the channels a convolution in b groups is block-diagonal. It takes b times fewer
products, and its groups do not see each other. A second convolution of one tap mixes them:

- *diagonal*: the grouped convolution alone;
- *grouped*: in b groups, then a dense one of one tap. Of each of b column blocks of the kernel
  that leaves a part of rank K/b;
- *shuffled*: in b groups, the channels dealt out again, and one tap in b groups. Of each of the b²
  blocks that leaves a part of rank K/b². Two block-diagonal matrices with such a permutation
  between are the Monarch matrices of Dao et al. 2022.

In either case the best approximation, in the Frobenius norm, is block by block the truncated SVD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.blocks import regroup
from convc.algebra.co_clusters import co_clusters

Index = NDArray[np.int64]
T = TypeVar("T")

CLEAR = 0.8
"""Part of the loss that an order of the channels must leave at the most to be worth a Gather."""


@dataclass(frozen=True, slots=True)
class BlockFactors:
    """Two convolutions in groups, one after the other, with the channels permuted around them.

    Attributes:
        first: (M, C/b, *taps), in b groups.
        second: (K, M/q, 1, ...), in q groups; None: there is none, and M is K.
        blocks: b.
        mixing: q: 1 or b.
        columns: (C,), the input channel that comes at each place; None: in their order.
        middle: (M,), the same between the two.
        rows: (K,), the same behind them: where each output channel is found.
    """

    first: Array
    second: Array | None
    blocks: int
    mixing: int = 1
    columns: Index | None = None
    middle: Index | None = None
    rows: Index | None = None

    @property
    def products(self) -> int:
        """Products for one position of the output, all channels."""
        return self.first.size + (0 if self.second is None else self.second.size)

    def kernel(self) -> Array:
        """(K, C, *taps): the one kernel that computes the same."""
        wide = regroup(self.first, self.blocks, 1)
        if self.middle is not None:
            wide = wide[self.middle]
        if self.second is not None:
            mixing = regroup(self.second, self.mixing, 1)
            wide = np.tensordot(mixing.reshape(mixing.shape[:2]), wide, axes=1)
        if self.rows is not None:
            wide = wide[self.rows]
        return wide if self.columns is None else wide[:, np.argsort(self.columns)]


@dataclass(frozen=True, slots=True)
class Partition:
    """The kernel in q × b blocks, each to be replaced by one of rank r.

    Attributes:
        blocks: b, of the input channels and of the groups of the first factor.
        mixing: q, of the output channels and of the groups of the second one.
        rank: r.
        rows: (K,), the output channel at each place; None: in their order.
        columns: (C,), the input channel at each place; None: in their order.
    """

    blocks: int
    mixing: int
    rank: int
    rows: Index | None = None
    columns: Index | None = None

    def sorted(self, kernel: AnyArray) -> Array:
        """(K, C, *taps) with the channels in their places."""
        w = as_float64(kernel)
        w = w if self.rows is None else w[self.rows]
        return w if self.columns is None else w[:, self.columns]

    def alone(self, first: Array) -> BlockFactors:
        """The grouped convolution without a second one."""
        rows = None if self.rows is None else np.argsort(self.rows)
        return BlockFactors(first, None, self.blocks, columns=self.columns, rows=rows)

    def factors(self, left: Array, right: Array, taps: Sequence[int]) -> BlockFactors:
        """The two convolutions, from (q, b, K/q, r) and (q, b, r, C/b · taps)."""
        q, b, r = self.mixing, self.blocks, self.rank
        first = right.swapaxes(0, 1).reshape(b * q * r, -1, *taps)
        second = left.swapaxes(1, 2).reshape(-1, b * r, *(1 for _ in taps))
        # Channel (j, i, ρ) of the first factor is the one at place (i, j, ρ) of the second.
        middle = np.arange(b * q * r).reshape(b, q, r).swapaxes(0, 1).reshape(-1)
        return BlockFactors(
            first=first,
            second=second,
            blocks=b,
            mixing=q,
            columns=self.columns,
            middle=middle if q > 1 else None,
            rows=None if self.rows is None else np.argsort(self.rows),
        )


def nearest_diagonal(kernel: AnyArray, blocks: int) -> BlockFactors:
    """The grouped convolution nearest to a dense one, its channels sorted to keep most of it.

    Args:
        kernel: (K, C, *taps).
        blocks: b, a divisor of K and of C.

    Raises:
        ValueError: b does not divide the channels.
    """
    partition = diagonal_partition(kernel, blocks)
    w = partition.sorted(kernel)
    parts = w.reshape(blocks, w.shape[0] // blocks, blocks, w.shape[1] // blocks, *w.shape[2:])
    index = np.arange(blocks)
    first = parts[index, :, index].reshape(w.shape[0], -1, *w.shape[2:])
    return partition.alone(first)


def nearest_grouped(kernel: AnyArray, blocks: int) -> BlockFactors:
    """The grouped and the dense one-tap convolution nearest to a dense one.

    Args, Raises: as of `nearest_diagonal`. The input channels are sorted only where that clearly
    lowers the loss.
    """
    return best_partition(grouped_partitions(kernel, blocks), _nearest_to(kernel))


def nearest_shuffled(kernel: AnyArray, blocks: int) -> BlockFactors:
    """The grouped convolution and the grouped one of one tap behind a shuffle nearest to a dense.

    Args, Raises: as of `nearest_diagonal`. Channels are sorted only where that clearly lowers the
    loss.
    """
    return best_partition(shuffled_partitions(kernel, blocks), _nearest_to(kernel))


def missed(kernel: AnyArray, other: AnyArray) -> float:
    """‖kernel − other‖² / ‖kernel‖²: the loss on white noise; 0 of a kernel of zeros."""
    total = float(np.square(as_float64(kernel)).sum())
    return float(np.square(other - kernel).sum()) / total if total else 0.0


def best_partition(
    partitions: Iterable[Partition], fit: Callable[[Partition], tuple[float, T]]
) -> T:
    """What fits the first partition, or one that clearly lowers its loss.

    Args:
        partitions: the first one leaves the channels in their order.
        fit: gives a partition's loss, and what fits it.
    """
    (loss, best), *others = [fit(partition) for partition in partitions]
    if not others:
        return best
    other, sorted_ = min(others, key=lambda found: found[0])
    return sorted_ if other < CLEAR * loss else best


def diagonal_partition(kernel: AnyArray, blocks: int, energy: AnyArray | None = None) -> Partition:
    """The order of the channels that keeps most in the blocks; args as of `grouped_partitions`."""
    require_blocks(kernel, blocks)
    rows, columns = co_clusters(energies(kernel) if energy is None else energy, blocks)
    return Partition(blocks, blocks, 0, _unless_plain(rows), _unless_plain(columns))


def grouped_partitions(
    kernel: AnyArray, blocks: int, energy: AnyArray | None = None
) -> list[Partition]:
    """The column blocks to try for a grouped and a dense one-tap convolution.

    Args:
        kernel: (K, C, *taps).
        blocks: b.
        energy: (K, C), what each input channel brings to each output; by default the squares of
            the weights.
    """
    require_blocks(kernel, blocks)
    rank = block_rank(kernel.shape, blocks, 1)
    _, columns = co_clusters(energies(kernel) if energy is None else energy, blocks)
    plain, order = Partition(blocks, 1, rank), _unless_plain(columns)
    return [plain] if order is None else [plain, Partition(blocks, 1, rank, columns=order)]


def shuffled_partitions(
    kernel: AnyArray, blocks: int, energy: AnyArray | None = None
) -> list[Partition]:
    """The blocks to try for two grouped convolutions; args as of `grouped_partitions`.

    All blocks keep the same rank. So besides most of the energy on the diagonal its opposite is
    tried: the channels that belong together dealt out over all blocks.
    """
    require_blocks(kernel, blocks)
    rank = block_rank(kernel.shape, blocks, blocks)
    rows, columns = co_clusters(energies(kernel) if energy is None else energy, blocks)
    order = _unless_plain(columns)
    dealt = rows.reshape(blocks, -1).T.reshape(-1)
    return [
        Partition(blocks, blocks, rank),
        Partition(blocks, blocks, rank, _unless_plain(rows), order),
        Partition(blocks, blocks, rank, _unless_plain(dealt), order),
    ]


def block_rank(shape: Sequence[int], blocks: int, mixing: int) -> int:
    """The rank r of each of the q × b blocks of a kernel (K, C, *taps): about K channels between.

    It is K / (b·q), rounded up, and not more than a block can have.
    """
    outputs, inputs, *taps = shape
    whole = outputs // mixing, inputs // blocks * prod(taps)
    return min(-(-outputs // (blocks * mixing)), *whole)


def factor_products(shape: Sequence[int], blocks: int, mixing: int) -> int:
    """Products at one position of the output: the `BlockFactors.products` of a kernel's shape."""
    outputs, inputs, *taps = shape
    between = blocks * mixing * block_rank(shape, blocks, mixing)
    return between * (inputs // blocks) * prod(taps) + outputs * between // mixing


def energies(kernel: AnyArray) -> Array:
    """(K, C): the sum of squares over the taps."""
    w = as_float64(kernel)
    return np.asarray(np.square(w).reshape(*w.shape[:2], -1).sum(axis=2))


def require_blocks(kernel: AnyArray, blocks: int) -> None:
    """Raises ValueError where b does not divide the channels of (K, C, *taps)."""
    outputs, inputs = kernel.shape[:2]
    if blocks < 1 or outputs % blocks or inputs % blocks:
        raise ValueError(f"{inputs} and {outputs} channels are not {blocks} blocks")


def truncated(kernel: Array, partition: Partition) -> tuple[Array, Array]:
    """The part of rank r of every block, in the Frobenius norm.

    Args:
        kernel: (K, C, *taps), its channels in the partition's places.
        partition: the blocks.

    Returns:
        (q, b, K/q, r) and (q, b, r, C/b · taps).
    """
    q, b, r = partition.mixing, partition.blocks, partition.rank
    blocks = kernel.reshape(q, kernel.shape[0] // q, b, -1).swapaxes(1, 2)
    turned = blocks.swapaxes(2, 3)
    # By the eigenvectors of the smaller Gram matrix: an SVD takes many times as long.
    if blocks.shape[2] <= blocks.shape[3]:
        left = np.linalg.eigh(blocks @ turned)[1][..., : -r - 1 : -1]
        return left, left.swapaxes(2, 3) @ blocks
    right = np.linalg.eigh(turned @ blocks)[1][..., : -r - 1 : -1]
    return blocks @ right, right.swapaxes(2, 3)


def _nearest_to(kernel: AnyArray) -> Callable[[Partition], tuple[float, BlockFactors]]:
    def fit(partition: Partition) -> tuple[float, BlockFactors]:
        left, right = truncated(partition.sorted(kernel), partition)
        factors = partition.factors(left, right, kernel.shape[2:])
        return missed(kernel, factors.kernel()), factors

    return fit


def _unless_plain(order: Index) -> Index | None:
    return None if np.array_equal(order, np.arange(order.size)) else order
