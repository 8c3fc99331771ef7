"""Rows and columns of a matrix sorted so that most of it lies in equal blocks on the diagonal.

Exact balanced partitions are NP-hard. Rows and columns are assigned in turn: with the columns in b
parts, each row goes where most of its weight lies, as far as there is room, and the reverse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray, Array

Index = NDArray[np.int64]
TURNS = 20
"""Assignments of the rows, and of the columns, at the most: hardly any start needs more than 5."""


def co_clusters(energy: AnyArray, blocks: int) -> tuple[Index, Index]:
    """An order of the rows and of the columns with much of the energy in b diagonal blocks.

    Deterministic. The order as it is is one of the starts, so nothing is lost to it.

    Args:
        energy: (K, C), not negative.
        blocks: b, a divisor of K and of C.

    Returns:
        (K,) and (C,): which row and which column comes at each place.

    Raises:
        ValueError: b does not divide the rows and the columns.
    """
    e = np.asarray(energy, np.float64)
    if e.shape[0] % blocks or e.shape[1] % blocks:
        raise ValueError(f"{e.shape[0]} × {e.shape[1]} are not {blocks} equal blocks")
    starts = [np.repeat(np.arange(blocks), e.shape[1] // blocks), _by_likeness(e, blocks)]
    ends = [_settled(e, columns, blocks) for columns in starts]
    rows, columns = max(ends, key=lambda end: _kept(e, *end))
    plain = tuple(np.repeat(np.arange(blocks), n // blocks) for n in e.shape)
    if _kept(e, rows, columns) <= _kept(e, *plain):
        rows, columns = plain
    return np.argsort(rows, kind="stable"), np.argsort(columns, kind="stable")


def _settled(e: Array, columns: Index, blocks: int) -> tuple[Index, Index]:
    """The part of each row and column, where assigning them again gains nothing."""
    rows = _assigned(_gathered(e, columns, blocks), blocks)
    best = rows, columns
    for _ in range(TURNS):
        columns = _assigned(_gathered(e.T, rows, blocks), blocks)
        rows = _assigned(_gathered(e, columns, blocks), blocks)
        if _kept(e, rows, columns) <= _kept(e, *best):
            break
        best = rows, columns
    return best


def _by_likeness(e: Array, blocks: int) -> Index:
    """Columns by whichever of b unlike columns they are most like.

    The first is the one of most energy, each next the one that is least like those before it.
    """
    norms = np.linalg.norm(e, axis=0)
    unit = e / np.where(norms > 0, norms, 1.0)
    likeness = np.empty((e.shape[1], blocks))
    seed = int(norms.argmax())
    for b in range(blocks):
        likeness[:, b] = unit.T @ unit[:, seed]
        # Columns of nothing are unlike all others and would make bad seeds.
        seed = int(np.where(norms > 0, likeness[:, : b + 1].max(axis=1), np.inf).argmin())
    return _assigned(likeness, blocks)


def _assigned(score: Array, blocks: int) -> Index:
    """The part of each item, all parts of one size: who has most to lose chooses first."""
    ranked = np.sort(score, axis=1)
    regret = ranked[:, -1] - ranked[:, -2]
    room = np.full(blocks, score.shape[0] // blocks)
    parts = np.empty(score.shape[0], np.int64)
    for item in np.argsort(-regret, kind="stable"):
        part = int(np.where(room > 0, score[item], -np.inf).argmax())
        parts[item] = part
        room[part] -= 1
    return parts


def _gathered(e: Array, columns: Index, blocks: int) -> Array:
    """(K, b): the energy of each row in each part of the columns."""
    return np.asarray(e @ (columns[:, np.newaxis] == np.arange(blocks)).astype(np.float64))


def _kept(e: Array, rows: Index, columns: Index) -> float:
    return float(e[rows[:, np.newaxis] == columns].sum())
