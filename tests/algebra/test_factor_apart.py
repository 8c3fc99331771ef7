"""Singular vectors that stay in the blocks of a matrix."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from convc.algebra.arrays import Array
from convc.algebra.factor.apart import singular_vectors


@st.composite
def block_diagonal(draw: st.DrawFn) -> tuple[Array, Array, Array]:
    """Matrices (2, m, n), the blocks that their rows and columns are in; -1 is of none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    blocks = draw(st.integers(1, 3))
    rows, columns = (rng.integers(-1, blocks, draw(st.integers(1, 9))) for _ in range(2))
    inside = (rows[:, np.newaxis] == columns) & (rows[:, np.newaxis] >= 0)
    # Small integers: equal blocks and equal singular values are common.
    values = rng.integers(-1, 2, (2, rows.size, columns.size)).astype(np.float64)
    return values * inside, rows, columns


@given(block_diagonal())
def test_the_product_is_the_matrix(drawn: tuple[Array, Array, Array]) -> None:
    matrices, rows, columns = drawn
    u, s, v = singular_vectors(matrices)
    k = min(rows.size, columns.size)
    assert (u.shape, s.shape, v.shape) == (
        (2, rows.size, k),
        (2, k),
        (2, k, columns.size),
    )
    np.testing.assert_allclose(u * s[:, np.newaxis] @ v, matrices, atol=1e-14)
    np.testing.assert_allclose(s, np.linalg.svd(matrices, compute_uv=False), atol=1e-14)
    for i in range(2):
        used = s[i] > 0
        for basis in (u[i][:, used].T, v[i][used]):
            np.testing.assert_allclose(basis @ basis.T, np.eye(used.sum()), atol=1e-13)


@given(block_diagonal())
def test_a_vector_is_in_one_block(drawn: tuple[Array, Array, Array]) -> None:
    matrices, rows, columns = drawn
    u, s, v = singular_vectors(matrices)
    for i, r in zip(*np.nonzero(s), strict=True):
        left, right = rows[u[i, :, r] != 0], columns[v[i, r] != 0]
        assert len({*left.tolist(), *right.tolist()}) == 1
