"""Block-diagonal structure hidden by permutations: planted, found, and nowhere else."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from convc.algebra import regroup
from convc.algebra.hidden_blocks import NONE, HiddenBlocks, components, hidden_blocks

PLANTED = 300


def planted(
    rng: np.random.Generator, sizes: list[tuple[int, int]], taps: tuple[int, ...] = ()
) -> np.ndarray:
    """Dense blocks (rows, columns) on a diagonal in float32, rows and columns permuted.

    The blocks are connected though not all of their weights are other than zero.
    """
    total = np.sum(sizes, axis=0)
    w = np.zeros((*total, *taps), np.float32)
    row = column = 0
    for rows, columns in sizes:
        block = rng.standard_normal((rows, columns, *taps)).astype(np.float32)
        block[rng.random(block.shape) < 0.3] = 0
        block[0], block[:, 0] = 1, 1
        w[row : row + rows, column : column + columns] = block
        row, column = row + rows, column + columns
    return w[rng.permutation(total[0])][:, rng.permutation(total[1])]


def dense(found: HiddenBlocks, w: np.ndarray, group: int = 1) -> np.ndarray:
    """(K, C, *taps): the grouped weights with every channel back in its place."""
    wide = regroup(found.kernel(w, group), found.groups, 1)
    back = np.zeros((w.shape[0], w.shape[1] * group, *w.shape[2:]), w.dtype)
    columns = found.columns.reshape(-1)
    for i, row in enumerate(found.rows.reshape(-1)):
        if row != NONE:
            back[row, columns[columns != NONE]] = wide[i, columns != NONE]
    return back


def partition(w: np.ndarray) -> set[frozenset[tuple[str, int]]]:
    """The components by networkx."""
    graph = nx.Graph()
    graph.add_edges_from(
        (("row", int(k)), ("column", int(c)))
        for k, c in zip(*np.nonzero(w.reshape(*w.shape[:2], -1).any(axis=2)), strict=True)
    )
    return {frozenset(part) for part in nx.connected_components(graph)}


def as_sets(found: list[tuple[list[int], list[int]]]) -> set[frozenset[tuple[str, int]]]:
    return {
        frozenset([*(("row", k) for k in rows), *(("column", c) for c in columns)])
        for rows, columns in found
    }


def test_equal_blocks_are_found() -> None:
    rng = np.random.default_rng(1)
    recovered = 0
    for _ in range(PLANTED):
        groups = int(rng.integers(2, 9))
        size = int(rng.integers(1, 9)), int(rng.integers(2, 9))
        taps = tuple(rng.integers(1, 4, rng.integers(0, 3)))
        w = planted(rng, [size] * groups, taps)
        found = hidden_blocks(w)
        recovered += (
            found is not None
            and (found.groups, *found.rows.shape[1:], *found.columns.shape[1:]) == (groups, *size)
            and np.array_equal(dense(found, w), w)
        )
    assert recovered == PLANTED


def test_unequal_blocks_are_found() -> None:
    """Two halves of equal size, each of components of any size."""
    rng = np.random.default_rng(2)
    recovered = 0
    for _ in range(PLANTED):
        half = [(int(a), int(b)) for a, b in rng.integers(1, 6, (rng.integers(1, 4), 2))]
        room = np.sum(half, axis=0)
        one = int(rng.integers(0, min(room)))
        other = [(int(room[0]) - one, int(room[1]) - one), *[(1, 1)] * one]
        w = planted(rng, [*half, *other], (3, 3))
        found = hidden_blocks(w)
        recovered += (
            found is not None
            and found.groups >= 2
            and found.rows.size * found.columns.shape[1] < w.shape[0] * w.shape[1]
            and np.array_equal(dense(found, w), w)
        )
        assert as_sets(components(w)) == partition(w)
    assert recovered == PLANTED


def test_dense_weights_have_none() -> None:
    rng = np.random.default_rng(3)
    for _ in range(PLANTED):
        shape = tuple(rng.integers(2, 40, 2))
        w = rng.standard_normal((*shape, *rng.integers(1, 4, 2))).astype(np.float32)
        assert hidden_blocks(w) is None
        # One weight in five left, and all still connected through it.
        w[rng.random(w.shape) < 0.8] = 0
        w[0, :, 0, 0], w[:, 0, 0, 0] = 1, 1
        order = rng.permutation(shape[0])
        assert len(components(w[order])) == 1
        assert hidden_blocks(w[order]) is None


def test_sparse_weights_fall_apart_as_networkx_says() -> None:
    rng = np.random.default_rng(4)
    several = 0
    for _ in range(100):
        w = rng.standard_normal((*rng.integers(2, 30, 2), 2))
        w[rng.random(w.shape) < rng.uniform(0.9, 1)] = 0
        found = components(w)
        assert as_sets(found) == partition(w)
        several += len(found) > 1
    assert several > 50


@pytest.mark.parametrize("seed", range(20))
def test_what_is_hidden_within_groups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = np.concatenate([planted(rng, [(2, 3)] * 4, (3,)) for _ in range(2)])
    found = hidden_blocks(w, 2)
    assert found is not None
    assert found.groups == 8
    np.testing.assert_array_equal(dense(found, w, 2), regroup(w, 2, 1))
    assert hidden_blocks(found.kernel(w, 2), 8) is None


def test_blocks_in_place_stay_in_place() -> None:
    w = regroup(np.ones((12, 4, 3)), 3, 1)
    found = hidden_blocks(w)
    assert found is not None
    np.testing.assert_array_equal(found.rows.reshape(-1), np.arange(12))
    np.testing.assert_array_equal(found.inputs, np.arange(12))


def test_greedy_packing_is_not_enough() -> None:
    # 5+4, then 4+3+3 leaves no room of 3; 5+3+3 and 4+4+3 fill two groups of 11.
    sizes = [(n, n) for n in (5, 4, 4, 3, 3, 3)]
    found = hidden_blocks(planted(np.random.default_rng(0), sizes))
    assert found is not None
    assert found.rows.shape == found.columns.shape == (2, 11)


def test_zeros_fill_groups_where_a_quarter_is_saved() -> None:
    rng = np.random.default_rng(0)
    w = planted(rng, [(5, 5), (4, 4)], (3,))
    found = hidden_blocks(w)
    assert found is not None
    assert found.rows.shape == found.columns.shape == (2, 5)
    assert (found.rows == NONE).sum() == (found.columns == NONE).sum() == 1
    assert found.inputs.size == 10
    assert set(found.inputs.tolist()) == set(range(9))
    np.testing.assert_array_equal(dense(found, w), w)
    # 2 · 5 · 5 of 8 · 8 products: less than a quarter is saved.
    assert hidden_blocks(planted(rng, [(5, 5), (3, 3)])) is None


def test_channels_without_weights_fill_groups() -> None:
    w = planted(np.random.default_rng(0), [(5, 3), (3, 5)], (2,))
    w = np.pad(w, [(0, 2), (0, 2), (0, 0)])
    found = hidden_blocks(w)
    assert found is not None
    assert found.rows.shape == found.columns.shape == (2, 5)
    assert NONE not in found.rows
    assert NONE not in found.columns
    np.testing.assert_array_equal(dense(found, w), w)
    assert len(components(w)) == 2
    assert hidden_blocks(np.zeros((4, 4, 1))) is None


def test_input_channels_that_nobody_reads_are_left_out() -> None:
    w = np.pad(planted(np.random.default_rng(0), [(5, 2), (4, 2)]), [(0, 0), (0, 3)])
    found = hidden_blocks(w)
    assert found is not None
    assert found.columns.shape == (2, 2)
    assert found.inputs.max() < 4
    np.testing.assert_array_equal(dense(found, w), w)


def test_width() -> None:
    w = planted(np.random.default_rng(0), [(4, 4)] * 12)  # 48 channels
    shapes = [
        None if found is None else found.rows.shape
        for found in (hidden_blocks(w, width=width) for width in (1, 4, 8, 16, 24, 32, 48, 64))
    ]
    # 48 are whole blocks of 8, 16 and 24, and stay so; they are no whole blocks of 32.
    assert shapes == [(12, 4), (12, 4), (6, 8), (3, 16), (2, 24), None, None, None]


def test_whole_blocks_are_not_given_up() -> None:
    rng = np.random.default_rng(0)
    # 32 channels in two groups of 16: two of 10 + 6.
    found = hidden_blocks(planted(rng, [(10, 10), (6, 6), (10, 10), (6, 6)]), width=16)
    assert found is not None
    assert found.rows.shape == (2, 16)
    # 80 are whole blocks, 20 are not: filled up to 32.
    found = hidden_blocks(planted(rng, [(20, 20)] * 4), width=16)
    assert found is not None
    assert found.rows.shape == found.columns.shape == (4, 32)
    # 40 are not, and 20 are wide enough.
    found = hidden_blocks(planted(rng, [(20, 20)] * 2), width=16)
    assert found is not None
    assert found.rows.shape == (2, 20)
    assert NONE not in found.rows
