"""The ranks of a layer's kernel, found out at no great cost where they are full, as most are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convc.algebra.factor.factored import exact_bound, scaled
from convc.algebra.factor.unfolding import exact_rank, unfolded
from convc.ir import Array
from passes.factor_kernels.layer import Layer


def rank_up_to(layer: Layer, axes: Sequence[int], most: int) -> int | None:
    """The exact rank of an unfolding, None where it is above ``most``.

    Args:
        layer: whose kernel, (K, C/g, *k), is unfolded to (C/g·t, K/g·u) for each group.
        axes: those of t; u are the others.
        most: 1 or more.
    """
    blocks = unfolded(scaled(layer.kernel, layer.group, per_channel=True)[0], axes)
    error = exact_bound(max(blocks.shape[1:]), layer.roundoff)
    if is_above(blocks[0], most, error):
        return None
    rank = exact_rank(layer.kernel, axes, layer.group, layer.roundoff)
    return rank if rank <= most else None


def is_above(matrix: Array, rank: int, error: float) -> bool:
    """Whether this shows that no matrix of ``rank`` is within ``error · ‖matrix‖``.

    A matrix within E of one of rank r has no r + 1 rows whose smallest singular value, in any of
    the columns, exceeds ‖E‖ (Weyl; parts of a matrix have no larger singular values). The Cholesky
    decomposition of G − μ·I, with G = B·Bᵀ of such rows B, exists only if all eigenvalues of G
    exceed μ, but for rounding. It takes r³ MACs or two where singular values take twenty n³.

    Args:
        matrix: (m, n).
        rank: 0 or more.
        error: relative, Frobenius norm.

    Returns:
        False where the rows and columns that were looked at do not show it: the rank may be either.
    """
    rows, columns = matrix.shape
    if rank >= min(rows, columns):
        return False
    rng = np.random.default_rng(0)
    size = rank + 1
    some = rng.permutation(rows)[:size]
    few = rng.permutation(columns)[: size + size // 4 + 8]
    part = matrix[np.ix_(some, few)]
    gram = part @ part.T
    rounding = len(few) * 2.0**-50 * float(np.trace(gram))
    gram.flat[:: size + 1] -= (error * float(np.linalg.norm(matrix))) ** 2 + rounding
    try:
        np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return False
    return True
