"""Block-diagonal structure that a permutation of the channels hides.

Let the output and input channels of a convolution be the nodes of a graph, with an edge where any
tap of ``w[k, c]`` is not zero. Sorted by its connected components the weights are block-diagonal:
whatever does not lie in a component's rows and columns is zero. So the convolution is one in
groups, its input channels permuted before it and its output channels after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray

Index = NDArray[np.int64]
NONE = -1
"""Stands for no channel: zero weights."""

TRIES = 5_000
"""Components put into a bin, at the most, in search of one packing."""

MOST_FILLED = 64
"""Groups of unequal content, filled up with zeros, that are tried at the most."""

SAVING = 0.25
"""Part of the products that groups filled up with zeros must save: channels are moved for it."""

Component = tuple[list[int], list[int]]
"""Output channels, input channels."""


@dataclass(frozen=True, slots=True)
class HiddenBlocks:
    """A convolution in groups that computes the same, up to the order of the channels.

    Attributes:
        rows: (g, o), the output channel that each filter gives; -1: none.
        columns: (g, i), the input channel that each column of a group reads; -1: none.
    """

    rows: Index
    columns: Index

    @property
    def groups(self) -> int:
        """Number of groups g."""
        return int(self.rows.shape[0])

    def kernel(self, w: AnyArray, group: int = 1) -> AnyArray:
        """The weights in the new groups.

        Args:
            w: (K, C/group, *taps), those that the structure was found in.
            group: of ``w``.

        Returns:
            (g·o, i, *taps) in the dtype of ``w``.
        """
        filters, width = w.shape[0] // group, w.shape[1]
        rows, columns = self.rows[:, :, np.newaxis], self.columns[:, np.newaxis, :]
        blocks: AnyArray = w[rows, columns % width]
        stored = (rows != NONE) & (columns != NONE) & (rows // filters == columns // width)
        blocks[~stored] = 0
        return np.asarray(blocks.reshape(self.rows.size, *blocks.shape[2:]))

    @property
    def inputs(self) -> Index:
        """(g·i,): the input channel to put at each place; any where nothing is read."""
        first = self.columns.max(axis=1, keepdims=True).clip(0)
        return np.where(self.columns == NONE, first, self.columns).reshape(-1)


def components(w: AnyArray, group: int = 1) -> list[Component]:
    """The connected components of a convolution's channels, by their first output channel.

    Args:
        w: (K, C/group, *taps).
        group: number of groups.

    Returns:
        Components of at least one output and one input channel. Channels in none of them have
        zero weights only.
    """
    filters, width = w.shape[0] // group, w.shape[1]
    found: list[Component] = []
    for g, part in enumerate(w.reshape(group, filters, width, -1)):
        for rows, columns in flooded(np.any(part, axis=2)):
            found.append(
                ((g * filters + rows).tolist(), (g * width + columns).tolist()),
            )
    return found


def flooded(mask: NDArray[np.bool_]) -> Iterator[tuple[Index, Index]]:
    """Rows and columns of each component of a bipartite graph, of at least one edge.

    Args:
        mask: (m, n), True where a row and a column are joined.
    """
    left = mask.any(axis=1)
    while left.any():
        rows = np.zeros(mask.shape[0], bool)
        columns = np.zeros(mask.shape[1], bool)
        fresh = np.array([int(left.argmax())])
        while fresh.size:
            rows[fresh] = True
            reached = mask[fresh].any(axis=0) & ~columns
            columns |= reached
            fresh = np.flatnonzero(mask[:, reached].any(axis=1) & ~rows)
        left &= ~rows
        yield np.flatnonzero(rows), np.flatnonzero(columns)


def hidden_blocks(w: AnyArray, group: int = 1, width: int = 1) -> HiddenBlocks | None:
    """More groups than a convolution has, by a permutation of its channels.

    The groups hold whole components and are of equal size: as many as there can be. Where
    components do not add up to equal groups, these are filled up with zeros.

    Args:
        w: (K, C/group, *taps).
        group: number of groups.
        width: the least number of channels of a group, in and out. Where the groups have whole
            multiples of it now, the new ones do too.

    Returns:
        None where no such groups take fewer products; groups that need zeros must save a quarter.
    """
    filters, columns = w.shape[0] // group, w.shape[1]
    if min(filters, columns) <= width or _is_connected(w, group):
        return None
    found = components(w, group)
    total = w.shape[0], columns * group
    unit = width if filters % width == columns % width == 0 else 1
    size = w.shape[0] * columns
    return _equal(found, total, size, width, unit) or _filled(found, total, size, width, unit)


def _is_connected(w: AnyArray, group: int) -> bool:
    """Whether one look at the first filters and columns shows that all is connected."""
    parts = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
    return bool(parts[:, 0].any(axis=2).all() and parts[:, :, 0].any(axis=2).all())


def _equal(
    found: Sequence[Component], total: tuple[int, int], size: int, width: int, unit: int
) -> HiddenBlocks | None:
    """As many groups as hold whole components and are all of one size; None: none save."""
    for groups in range(len(found), 1, -1):
        if total[0] % groups or total[1] % groups:
            continue
        room = total[0] // groups, total[1] // groups
        if min(room) < width or room[0] % unit or room[1] % unit:
            continue
        if groups * room[0] * room[1] >= size:
            return None
        places = _packed(found, groups, room)
        if places is not None:
            return _laid_out(found, places, total, groups, room)
    return None


def _filled(
    found: Sequence[Component], total: tuple[int, int], size: int, width: int, unit: int
) -> HiddenBlocks | None:
    """The groups of the fewest products, filled up with zeros; None: none save enough."""
    best = None
    most = (1 - SAVING) * size
    for groups in range(2, min(len(found), MOST_FILLED) + 1):
        places, load = _balanced(found, groups, total)
        # Channels in no component need a place only where they are outputs.
        needed = max(load[0], -(-total[0] // groups)), load[1]
        room = tuple(max(-(-n // unit) * unit, width) for n in needed)
        products = groups * room[0] * room[1]
        if products <= most and (best is None or products < best[0]):
            best = products, places, groups, (room[0], room[1])
    return None if best is None else _laid_out(found, best[1], total, *best[2:])


def _packed(
    found: Sequence[Component], groups: int, room: tuple[int, int]
) -> dict[int, int] | None:
    """The group of each component so that none holds more than ``room``; depth first."""
    order = sorted(range(len(found)), key=lambda i: -len(found[i][0]) * len(found[i][1]))
    free = [room] * groups
    chosen: list[int] = []
    start = tries = 0
    while len(chosen) < len(order):
        rows, columns = map(len, found[order[len(chosen)]])
        seen = set(free[:start])
        for place in range(start, groups):
            # Groups with equal room are alike: one of them is enough to try.
            if free[place] not in seen and free[place][0] >= rows and free[place][1] >= columns:
                break
            seen.add(free[place])
        else:
            place = NONE
        if place != NONE and tries < TRIES:
            free[place] = free[place][0] - rows, free[place][1] - columns
            chosen.append(place)
            start, tries = 0, tries + 1
            continue
        if not chosen or tries >= TRIES:
            return None
        last = chosen.pop()
        rows, columns = map(len, found[order[len(chosen)]])
        free[last] = free[last][0] + rows, free[last][1] + columns
        start = last + 1
    return dict(zip(order, chosen, strict=True))


def _balanced(
    found: Sequence[Component], groups: int, total: tuple[int, int]
) -> tuple[dict[int, int], tuple[int, int]]:
    """Each component in the group that is then the least full; rows and columns of the fullest."""
    order = sorted(range(len(found)), key=lambda i: -len(found[i][0]) * len(found[i][1]))
    load = np.zeros((groups, 2), np.int64)
    places: dict[int, int] = {}
    for i in order:
        size = np.array([len(found[i][0]), len(found[i][1])])
        places[i] = int(((load + size) / total).max(axis=1).argmin())
        load[places[i]] += size
    rows, columns = load.max(axis=0).tolist()
    return places, (rows, columns)


def _laid_out(
    found: Sequence[Component],
    places: dict[int, int],
    total: tuple[int, int],
    groups: int,
    room: tuple[int, int],
) -> HiddenBlocks:
    """Groups by their first output channel, channels in their order: blocks that lie in place stay.

    Channels in no component fill what is free.
    """
    sides = []
    for side in (0, 1):
        taken: list[list[int]] = [[] for _ in range(groups)]
        for i, place in places.items():
            taken[place] += found[i][side]
        known = set(chain.from_iterable(taken))
        lone = iter([channel for channel in range(total[side]) if channel not in known])
        for channels in taken:
            free = room[side] - len(channels)
            channels.extend(islice(lone, free))
        sides.append([sorted(channels) for channels in taken])
    order = sorted(range(groups), key=lambda g: sides[0][g])
    rows, columns = (
        np.array([side[g] + [NONE] * (room[i] - len(side[g])) for g in order], np.int64)
        for i, side in enumerate(sides)
    )
    return HiddenBlocks(rows, columns)
