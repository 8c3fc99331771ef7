"""CP, the canonical polyadic decomposition: a kernel as a sum of products of vectors.

::

    W[k, c, y, x] = Σ_r K[k, r]·Y[y, r]·X[x, r]·C[c, r]

1×1 to R channels, one depthwise conv for each spatial axis of more than one tap, 1×1 to K: with
``R·(C + k_h + k_w + K)`` MACs an output it is the cheapest of all forms, and the rarest.

A decomposition with R terms gives every unfolding at most the rank R. So the largest of these ranks
is a lower bound, and where R is that and small enough, simultaneous diagonalisation finds the terms
(see `diagonalise`). Alternating least squares (Carroll and Chang 1970) takes off what rounding did
to them. Where there is no exact one, the same gives a near one: a local optimum, whose error bounds
the distance to the nearest from above. A nearest need not exist for R > 1 (De Silva, Lim 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from math import prod

import numpy as np

from convc.algebra.arrays import AnyArray, Array, Sizes, as_float64
from convc.algebra.factor.diagonalise import diagonalised, matrix_terms, merging
from convc.algebra.factor.factored import (
    FLOAT32,
    Factored,
    exact_bound,
    measured,
    scaled,
    signs,
)
from convc.algebra.factor.unfolding import require_rank, tail_norms

_SWEEPS = 200
_GAIN = 0.999
"""A sweep that leaves more than this part of the error is the last."""


def cp_rank(kernel: AnyArray, group: int = 1, roundoff: float = FLOAT32) -> int | None:
    """The number of terms of an exact decomposition, but for rounding, if one is found.

    It is looked for with as many terms as the largest rank of an unfolding: no fewer can do. A
    tensor may have more (its rank is hard to compute in general).

    Args:
        kernel: (K, C/group, *taps).
        group: number of groups; the number of terms is that of the worst.
        roundoff: unit roundoff of the stored dtype.

    Returns:
        The rank, 0 for zeros. None where no decomposition was found with a `channel_error` of at
        most ``√(K/group)`` times the `exact_bound`.
    """
    tensors = _tensors(scaled(kernel, group, per_channel=True)[0])
    rank = _unfolding_rank(tensors, roundoff)
    if rank == 0:
        return 0
    if not _is_matrix(tensors.shape[1:]) and merging(tensors.shape[1:], rank) is None:
        return None
    found = cp_factors(kernel, rank, group, per_channel=True)
    bound = exact_bound(prod(kernel.shape[1:]), roundoff) * np.sqrt(kernel.shape[0] / group)
    return rank if found.channel_error <= bound else None


def cp_factors(kernel: AnyArray, rank: int, group: int = 1, per_channel: bool = False) -> Factored:
    """A kernel as a sum of so many products of vectors, exactly or nearly.

    In each term the vectors have equal norms, and the largest entry of each but the last one's is
    positive; the largest term comes first.

    Args:
        kernel: (K, C/group, *taps).
        rank: R, from 1 to the product of C/group, K/group and the taps without the largest of
            these, with which any kernel is exact.
        group: number of groups.
        per_channel: weigh every filter by its own norm.

    Returns:
        Kernels (group·R, C/group, 1..), (group·R, 1, .., k, ..) for every spatial axis of more than
        one tap, (K, R, 1..).

    Raises:
        ValueError: no such rank or number of groups.
    """
    w, scale = scaled(kernel, group, per_channel)
    tensors = _tensors(w)
    require_rank(rank, prod(tensors.shape[1:]) // max(tensors.shape[1:]))
    parts = [
        _balanced(_decomposed(tensor, rank), by)
        for tensor, by in zip(tensors, scale.reshape(group, -1), strict=True)
    ]
    first, *middle, last = (np.stack(vectors) for vectors in zip(*parts, strict=True))
    ones = (1,) * (kernel.ndim - 2)
    depthwise = (
        vectors.swapaxes(1, 2).reshape(group * rank, 1, *ones[:axis], -1, *ones[axis + 1 :])
        for axis, vectors in zip(_long_axes(kernel.shape[2:]), middle, strict=True)
    )
    kernels = (
        first.swapaxes(1, 2).reshape(group * rank, -1, *ones),
        *depthwise,
        last.reshape(kernel.shape[0], rank, *ones),
    )
    return measured(kernel, kernels, group)


def _long_axes(taps: Sizes) -> list[int]:
    return [axis for axis, size in enumerate(taps) if size > 1]


def _tensors(w: Array) -> Array:
    """(group, K/group, C/group, *taps) as (group, C/group, taps of more than one, K/group)."""
    sizes = [size for size in w.shape[3:] if size > 1]
    return np.moveaxis(w.reshape(*w.shape[:3], *sizes), 1, -1)


def _is_matrix(shape: Sizes) -> bool:
    return sum(n > 1 for n in shape) <= 2


def _unfolding_rank(tensors: Array, roundoff: float) -> int:
    """The largest rank of all unfoldings into a matrix, but for rounding, of the worst group."""
    ndim = tensors.ndim - 1
    # Of each unfolding and its transpose only the one with the last axis in the columns.
    rows = [part for n in range(1, ndim) for part in combinations(range(1, ndim), n)]
    return max(_rank(tensors, part, roundoff) for part in rows)


def _rank(tensors: Array, rows: Sizes, roundoff: float) -> int:
    columns = [axis for axis in range(1, tensors.ndim) if axis not in rows]
    height = prod(tensors.shape[axis] for axis in rows)
    matrices = tensors.transpose(0, *rows, *columns).reshape(tensors.shape[0], height, -1)
    tails = tail_norms(matrices)
    within = tails <= exact_bound(max(matrices.shape[1:]), roundoff) * tails[:, :1]
    return int(np.argmax(within.all(axis=0)))


def _decomposed(tensor: Array, terms: int) -> list[Array]:
    """(n, R) of every axis."""
    if _is_matrix(tensor.shape):
        return matrix_terms(tensor, terms)
    merged = merging(tensor.shape, terms)
    if merged is None:
        rng = np.random.default_rng(0)
        return _refined(tensor, [rng.standard_normal((n, terms)) for n in tensor.shape])
    return _refined(tensor, diagonalised(tensor, terms, merged))


def _refined(tensor: Array, start: list[Array]) -> list[Array]:
    """Alternating least squares, until a sweep hardly helps; never worse than one sweep."""
    vectors = [_unit(part) for part in start]
    kept, least = vectors, np.inf
    for _ in range(_SWEEPS):
        vectors = _swept(tensor, vectors)
        missed = _missed(tensor, vectors)
        if missed < least:
            kept = vectors
        if missed >= _GAIN * least:
            break
        least = missed
    return kept


def _swept(tensor: Array, vectors: list[Array]) -> list[Array]:
    """The best vectors of each axis in turn for those of the others; all but the last of norm 1.

    The axes are in two halves: the product of the tensor with one serves all axes of the other.
    """
    found = list(vectors)
    matrix = _halved(tensor)
    halves = tuple(range(tensor.ndim // 2)), tuple(range(tensor.ndim // 2, tensor.ndim))
    for axes, others, side in ((*halves, matrix), (*halves[::-1], matrix.T)):
        contracted = side @ _products([found[i] for i in others])
        contracted = contracted.reshape(*[tensor.shape[i] for i in axes], -1)
        for axis in axes:
            found[axis] = _solved(contracted, found, axes, axis)
            if axis < tensor.ndim - 1:
                found[axis] = _unit(found[axis])
    return found


def _solved(contracted: Array, vectors: list[Array], axes: Sizes, axis: int) -> Array:
    """The best (n, R) of one axis for given others, by the normal equations.

    Args:
        contracted: (*n of ``axes``, R), the tensor times the vectors of all other axes.
        vectors: (n, R) of every axis.
        axes: the axes that are left.
        axis: one of them.
    """
    terms = contracted.shape[-1]
    gram = np.ones((terms, terms))
    for i, part in enumerate(vectors):
        if i != axis:
            gram *= part.T @ part
    shared = contracted
    for place in reversed(range(len(axes))):
        if axes[place] != axis:
            ones = (1,) * (shared.ndim - 2 - place)
            shared = (shared * vectors[axes[place]].reshape(-1, *ones, terms)).sum(axis=place)
    return as_float64(np.linalg.lstsq(gram, shared.T, rcond=None)[0].T)


def _missed(tensor: Array, vectors: list[Array]) -> float:
    half = tensor.ndim // 2
    whole = _products(vectors[:half]) @ _products(vectors[half:]).T
    return float(np.linalg.norm(_halved(tensor) - whole))


def _halved(tensor: Array) -> Array:
    """The tensor as a matrix, the first half of its axes in the rows."""
    return tensor.reshape(prod(tensor.shape[: tensor.ndim // 2]), -1)


def _products(parts: Sequence[Array]) -> Array:
    """(n, R) each to (product of the n, R): the products of all their entries (Khatri, Rao)."""
    return reduce(lambda a, b: (a[:, np.newaxis] * b).reshape(-1, b.shape[1]), parts)


def _unit(vectors: Array) -> Array:
    """Columns of norm 1, the largest entry of each positive; zeros stay."""
    norms = np.linalg.norm(vectors, axis=0)
    return vectors * signs(vectors) / np.where(norms > 0, norms, 1.0)


def _balanced(vectors: list[Array], scale: Array) -> list[Array]:
    """The same terms, the last axis times ``scale``, all columns of a term of equal norms.

    Only the columns of the last axis keep a sign.
    """
    parts = [*vectors[:-1], vectors[-1] * scale[:, np.newaxis]]
    norms = np.array([np.linalg.norm(part, axis=0) for part in parts])
    sign = np.prod([signs(part) for part in parts[:-1]], axis=0)
    strength = np.prod(norms, axis=0) ** (1 / len(parts))
    order = np.argsort(-strength, kind="stable")
    units = [_unit(part) for part in parts]
    units[-1] = units[-1] * signs(parts[-1]) * sign
    return [(unit * strength)[:, order] for unit in units]
