"""The terms of a sum of products of vectors, by simultaneous diagonalisation.

A tensor of three axes ``T = Σ_r p_r ⊗ q_r ⊗ s_r`` contracted with a vector x along the third is
``X = P·diag(Sᵀx)·Qᵀ``. So for two vectors ``X·Y⁻¹ = P·diag(Sᵀx / Sᵀy)·P⁻¹``: its eigenvectors are
the p_r, if P and Q have full column rank and no two s_r are parallel (Harshman 1970, due to
Jennrich; Leurgans, Ross, Abel 1993). More axes are merged into three: merged vectors are products
of vectors, which the leading singular vectors of their unfoldings take apart again.
"""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from convc.algebra.arrays import Array, Sizes, as_float64
from convc.algebra.factor.unfolding import split

Merging = tuple[Sizes, Sizes, Sizes]
"""Which axes are merged into p, q and s."""


def merging(shape: Sizes, terms: int) -> Merging | None:
    """The best way to merge axes, for so many terms.

    Args:
        shape: of the tensor.
        terms: R.

    Returns:
        The merging where the smaller of p and q is largest, then s; both of at least R entries, s
        of at least two. None where there is none.
    """
    best: tuple[tuple[int, int, int], Merging] | None = None
    for labels in product(range(3), repeat=len(shape)):
        p, q, s = (tuple(i for i, label in enumerate(labels) if label == part) for part in range(3))
        sizes = [prod(shape[i] for i in part) for part in (p, q, s)]
        if not sizes[0] >= sizes[1] >= terms or sizes[2] < 2:
            continue
        score = (sizes[1], sizes[2], sizes[0])
        if best is None or score > best[0]:
            best = score, (p, q, s)
    return None if best is None else best[1]


def matrix_terms(tensor: Array, terms: int) -> list[Array]:
    """A tensor with at most two axes of more than one entry: its singular vectors.

    Returns:
        (n, R) of every axis.
    """
    row, column = sorted(range(tensor.ndim), key=lambda axis: -tensor.shape[axis])[:2]
    matrix = np.moveaxis(tensor, (row, column), (0, 1))
    left, right = split(matrix.reshape(matrix.shape[:2]), terms)
    found = [np.ones((1, terms)) for _ in tensor.shape]
    found[row], found[column] = left, right.T
    return found


def diagonalised(tensor: Array, terms: int, merged: Merging) -> list[Array]:
    """So many terms of a tensor: the true ones, but for rounding, if that is what it is made of.

    The two vectors are random, of a fixed seed.

    Args:
        tensor: of three axes or more.
        terms: R.
        merged: of `merging`.

    Returns:
        (n, R) of every axis; the product of the columns r is a term.
    """
    p, q, s = merged
    sizes = [prod(tensor.shape[i] for i in part) for part in merged]
    three = tensor.transpose(*p, *q, *s).reshape(sizes)
    u = _basis(three, terms)
    v = _basis(three.swapaxes(0, 1), terms)
    core = np.einsum("pqs,pr,qt->rts", three, u, v, optimize=True)
    x, y = np.random.default_rng(0).standard_normal((2, sizes[2]))
    vectors = u @ _real_eigenvectors(core @ x, core @ y)
    rest = as_float64(np.linalg.lstsq(vectors, three.reshape(sizes[0], -1), rcond=None)[0])
    found = dict(zip(p, _taken_apart(vectors.T, [tensor.shape[i] for i in p]), strict=True))
    shape = [tensor.shape[i] for i in (*q, *s)]
    found |= dict(zip((*q, *s), _taken_apart(rest, shape), strict=True))
    return [found[axis] for axis in range(tensor.ndim)]


def _basis(three: Array, rank: int) -> Array:
    u: Array = np.linalg.svd(three.reshape(three.shape[0], -1), full_matrices=False)[0]
    return u[:, :rank]


def _real_eigenvectors(x: Array, y: Array) -> Array:
    """Eigenvectors of X·Y⁻¹; for a complex pair, which no true terms give, both of its parts."""
    values, vectors = np.linalg.eig(x @ np.linalg.pinv(y))
    real: Array = np.where(values.imag < 0, vectors.imag, vectors.real)
    return real


def _taken_apart(rows: Array, shape: list[int]) -> list[Array]:
    """Rows (R, prod(shape)) that are nearly products: (n, R) of every axis, the scale dropped."""
    if len(shape) == 1:
        return [rows.T]
    tensors = rows.reshape(-1, *shape)
    found = []
    for axis, n in enumerate(shape):
        flat = np.moveaxis(tensors, 1 + axis, 1).reshape(tensors.shape[0], n, -1)
        found.append(np.linalg.svd(flat, full_matrices=False)[0][:, :, 0].T)
    return found
