"""Singular value decompositions that do not mix what a matrix keeps apart.

Let rows and columns be joined where an entry is not zero. Sorted by the connected components of
that graph a matrix is block-diagonal, and the singular vectors of its blocks are its own. LAPACK
does not look for them: where singular values of two blocks are equal, or zero, it returns any basis
of their common space, and entries of such a mixture, rounded, no longer cancel to the zeros that
were there. A kernel's zeros between channels say that a large value of the one never reaches the
other.
"""

from __future__ import annotations

import numpy as np

from convc.algebra.arrays import Array
from convc.algebra.hidden_blocks import flooded


def singular_vectors(matrices: Array) -> tuple[Array, Array, Array]:
    """As `numpy.linalg.svd` of (..., m, n) without ``full_matrices``, each vector in one block.

    Returns:
        (..., m, k), (..., k) in falling order, (..., k, n), k the shorter side. Vectors of the
        singular value zero may be zero.
    """
    *batch, m, n = matrices.shape
    flat = matrices.reshape(-1, m, n)
    if all(_is_joined(part) for part in flat):
        return np.linalg.svd(matrices, full_matrices=False)
    k = min(m, n)
    left, values, right = (np.zeros((len(flat), *shape)) for shape in ((m, k), (k,), (k, n)))
    for i, part in enumerate(flat):
        at = 0
        for rows, columns in flooded(part != 0):
            u, s, v = np.linalg.svd(part[np.ix_(rows, columns)], full_matrices=False)
            own = np.arange(at, at + s.size)
            left[i][np.ix_(rows, own)], values[i, own], right[i][np.ix_(own, columns)] = u, s, v
            at += s.size
        order = np.argsort(-values[i], kind="stable")
        left[i], values[i], right[i] = left[i][:, order], values[i][order], right[i][order]
    return left.reshape(*batch, m, k), values.reshape(*batch, k), right.reshape(*batch, k, n)


def _is_joined(part: Array) -> bool:
    """Whether one row and one column without zeros show that all is one block."""
    full = part != 0
    return bool(full.all(axis=1).any() and full.all(axis=0).any())
