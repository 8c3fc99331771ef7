"""What all fits share: the ridge, solving with Gram matrices, conjugate gradients, chains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.moments import Moments
from convc.algebra.taps import compose_taps

EPS = float(np.finfo(np.float64).eps)

RIDGE_PER_SHARE = 3e-2
"""The default ridge is this times D / count; see `default_ridge`."""


def default_ridge(moments: Moments) -> float:
    """The ridge that the count of samples asks for, in units of the mean variance of x.

    Let y = W x + noise of variance s² with n samples, and let the true W differ from the original
    one by independent entries of variance t². The best estimate (Hoerl and Kennard's ridge; the
    posterior mean) adds s² / (n·t²) to the diagonal of the Gram matrix. Let ρ be the share of the
    response's variance v that no W explains, so s² = ρ·v, and τ the relative change of the
    weights, so t² = τ·v / tr G, as if x were white. Then in units of tr G / D the ridge is
    (ρ/τ)·(D/n). Layers behind an approximation have ρ between 1e-3 and 1e-2 and weights that change
    by a third or more (τ ≥ 0.1): ρ/τ is about 1e-2. And patches of one image overlap and look
    alike: three are worth about one. With D = 576 and 16 thousand patches this makes 1e-3. (On a
    super-resolution network, fitted to 3 and to 16 thousand patches, the best factors for
    held-back images were between 0.015 and 0.08.)
    """
    return RIDGE_PER_SHARE * int(moments.xx.shape[1]) / moments.count


def ridged(moments: Moments, kernel: AnyArray, ridge: float | None = None) -> Moments:
    """The moments of a layer that reads noise as well, and answers it as ``kernel`` does.

    With μ = ridge · tr G / D, for each group, they are G + μI, c + μK₀ᵀ and yy + μ‖k₀‖²: a least
    squares fit to them minimises E‖y − W x‖² + μ‖W − K₀‖². Where x does not vary, it keeps K₀.

    Args:
        moments: of the layer.
        kernel: K₀, (K, C/g, *taps), the original weights.
        ridge: in units of the mean variance of x; None for `default_ridge`.

    Raises:
        ValueError: kernel and moments do not fit each other, or hold NaN or infinity; the ridge is
            negative.
    """
    group, width = moments.mean_x.shape
    w = as_float64(kernel)
    outputs = moments.yy.size
    if w.shape[0] != outputs or w.size != outputs * width:
        raise ValueError(
            f"a kernel of shape {w.shape} for moments of {outputs} outputs and patches of {width}"
        )
    if not all(np.isfinite(a).all() for a in (w, moments.xx, moments.xy, moments.yy)):
        raise ValueError("moments or kernel are not finite")
    share = default_ridge(moments) if ridge is None else ridge
    if not share >= 0:
        raise ValueError(f"a ridge of {share}")
    trace = np.einsum("gdd->g", moments.xx)
    # Without any variance there is nothing to weigh the original weights against.
    noise = np.where(trace > 0, share * trace / width, 1.0)
    w = w.reshape(group, -1, width)
    xx = moments.xx.copy()
    xx[:, np.arange(width), np.arange(width)] += noise[:, np.newaxis]
    energy = np.square(w).sum(axis=2)
    return replace(
        moments,
        xx=xx,
        xy=moments.xy + noise[:, np.newaxis, np.newaxis] * w.swapaxes(1, 2),
        yy=moments.yy + (noise[:, np.newaxis] * energy).reshape(-1),
    )


def require_rank(rank: int, full: int, what: str = "rank") -> None:
    """Refuse a rank below 1 or above the one that gives every kernel."""
    if not 1 <= rank <= full:
        raise ValueError(f"a {what} of {rank}: from 1 to {full} are possible")


def least_squares(moments: Moments, kernel: Array) -> Array:
    """(g, K/g, D): the weights with the least loss, found as a correction of ``kernel``.

    So the weights of inputs that do not vary stay exactly as they are.

    Args:
        moments: of the layer, `ridged` or not.
        kernel: (K, C/g, *taps).
    """
    w = kernel.reshape(moments.group, -1, moments.mean_x.shape[1])
    missing = moments.xy - moments.xx @ w.swapaxes(1, 2)
    return w + solve(moments.xx, missing).swapaxes(1, 2)


def solve(gram: Array, right: Array) -> Array:
    """gram⁻¹ · right for symmetric positive (semi)definite matrices (g, n, n) and (g, n, m).

    The matrix is scaled to a unit diagonal and lifted by n·2⁻⁵², the rounding of its own entries,
    so that a singular one is solved, too: what ``right`` has beyond its range must be rounding.
    """
    size = gram.shape[1]
    diagonal = np.einsum("gnn->gn", gram)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))[:, :, np.newaxis]
    scaled = gram * scale
    scaled *= scale.swapaxes(1, 2)
    scaled[:, np.arange(size), np.arange(size)] += size * EPS
    result: Array = scale * np.linalg.solve(scaled, scale * right)
    return result


def root(gram: Array) -> Array:
    """(g, n, n): L with L·Lᵀ = gram, for symmetric positive (semi)definite matrices."""
    try:
        return as_float64(np.linalg.cholesky(gram))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(gram)
        scaled: Array = vectors * np.sqrt(np.maximum(values, 0.0))[:, np.newaxis, :]
        return scaled


def conjugate_gradients(
    normal: Callable[[Array], Array],
    right: Array,
    start: Array,
    precondition: Callable[[Array], Array],
    *,
    steps: int,
    fall: float,
) -> Array:
    """Solves normal(x) = right approximately, for each group on its own.

    Every step lowers ½⟨x, normal(x)⟩ − ⟨x, right⟩, so stopping early is safe (Hestenes and Stiefel,
    with a preconditioner).

    Args:
        normal: a symmetric positive semidefinite linear map of arrays (g, n, m), group by group.
        right: (g, n, m).
        start: (g, n, m), where to start.
        precondition: a symmetric positive definite map, near the inverse of ``normal``.
        steps: the most steps.
        fall: stop where the residual, in the norm of the preconditioner, is this part of the first.
    """
    x = start
    residual = right - normal(x)
    ready = precondition(residual)
    direction = ready
    size = first = _inner(residual, ready)
    for _ in range(steps):
        if np.all(size <= fall**2 * first):
            break
        image = normal(direction)
        step = _ratio(size, _inner(direction, image))
        x = x + step * direction
        residual = residual - step * image
        ready = precondition(residual)
        before, size = size, _inner(residual, ready)
        direction = ready + _ratio(size, before) * direction
    return x


def _inner(a: Array, b: Array) -> Array:
    """(g, 1, 1): inner products, group by group."""
    product: Array = (a * b).sum(axis=(1, 2), keepdims=True)
    return product


def _ratio(a: Array, b: Array) -> Array:
    """Quotient a / b, and 0 where b is not positive."""
    result: Array = np.where(b > 0, a / np.where(b > 0, b, 1.0), 0.0)
    return result


def effective(*kernels: AnyArray, group: int = 1) -> Array:
    """The one kernel of a chain of convs, first conv first, strides and dilations left out.

    Args:
        kernels: (R1, C/g, *k1), (R2, R1/g, *k2) and so on; on every axis at most one of them has
            more than one tap, as in the chains that the fits give.
        group: g, of all of them.

    Returns:
        (K, C/g, *k), float64.
    """
    steps = (1,) * (kernels[0].ndim - 2)

    def compose(first: Array, second: Array) -> Array:
        return compose_taps(first, second, (group, group), steps, steps)

    return reduce(compose, [as_float64(kernel) for kernel in kernels])
