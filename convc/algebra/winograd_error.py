"""How far rounding takes a tiled conv from the exact one: at worst, and probably.

What is computed, with unit roundoff u (2⁻²⁴ in float32) and the matrices of a whole tile
(`convc.algebra.winograd`):

    V_ic = Σ_j B_ij·d_jc      over the b_i entries of the row that are not zero
    M_ik = Σ_c U_ikc·V_ic     over C channels (phases included); U = G·g is rounded once
    y_ok = Σ_i A_oi·M_ik      over n products, and the bias

**At worst.** Every product ``A_oi·U_ikc·B_ij·d_jc`` in y_ok is rounded at most
``t = b_i + C + n + 3 + 2·axes`` times on its way: once for each addition, the bias's too, once each
for the stored A and U, and for B, which may be applied to one axis after the other, twice an axis.
With ``γ_t = t·u/(1 − t·u)`` (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. 2002,
lemma 3.1), whatever the data and the order of the additions,

    |ŷ_ok − y_ok| ≤ γ_t·(max|d|·Σ_i |A_oi|·Σ_c |U_ikc|·Σ_j |B_ij| + |bias_k|·Σ_i |A_oi|·|β_i|)

where β are the products that Aᵀ makes ones of, to which a bias may have been added. It is a product
of norms of the three matrices as Barabasz et al. 2020 (arXiv:1803.10986) have it, with the layer's
own weights.

**Probably.** The rounding of a number s is taken as uniform between its two neighbours, independent
of all others, and mantissas as spread by Benford's law: its mean square is ``v·u²·s²`` with

    v = ⅓·∫₁² x⁻²·dx/(x·ln 2) = 1/(8·ln 2) ≈ 0.18.

Errors are then the steps of a martingale, and like those of a Gaussian of the summed variance V
they stay below λ·√V with probability ``1 − 2·exp(−λ²/2)`` (a uniform variable is sub-Gaussian with
its own variance; Azuma's inequality). So they grow with the root of the number of additions (Higham
& Mary 2019, "A new approach to probabilistic rounding error analysis", SIAM J. Sci. Comput. 41,
A2815). How large the sums s are depends on the data, which are taken as uncorrelated, of mean 0 and
variance σ² (as in Higham & Mary 2020, "Sharper probabilistic backward error analysis", SIAM J. Sci.
Comput. 42, A3427). Then

- M_ik has the variance ``σ²·‖B_i‖²·(G_i·Γ_k·G_iᵀ)`` with ``Γ_k = Σ_c g_kc·g_kcᵀ`` (taps × taps);
  its C partial sums have, over all orders of the channels, half of that on average, and the b_i
  partial sums of the V's in it, as what is rounded once, count as the whole each;
- M_ik and M_jk have the covariance ``σ²·(B_i·B_j)·(G_i·Γ_k·G_jᵀ)``, and the pair is in the last
  ``n − max(i, j)`` of the n partial sums of y_ok.

So ``V = v·u²·σ²·⟨Q_o, Γ_k⟩`` with a matrix of the tile alone,

    Q_o = Gᵀ·[(A_oi·A_oj·(B_i·B_j)·(n − max(i, j)))_ij
              + diag(A_oi²·‖B_i‖²·(b_i + (C + 1)/2 + 2 + 2·axes))]·G + 1,

the one for the bias. Phases read inputs of their own, and their matrices add up. The outputs have
the variance ``σ²·tr Γ_k``, and the largest of them is not below their rms: for all outputs of the
layer at once, with confidence p where the model holds,

    max|ŷ − y| / max|y| ≤ λ·u·√(v·max_ok ⟨Q_o, Γ_k⟩ / mean_k tr Γ_k),

with ``λ = √(2·ln(2·outputs/(1 − p)))``.

That takes the sums s at their expected size. Where the data make them large, so are their errors:
strictly, the tail is that of a product of two Gaussians, ``ln(2·outputs/(1 − p))`` in place of λ
(`convc.rounding.tail`), two to three times as long. What runtimes do not round of what is counted
here (a fused product, a sum begun anew every hundred terms) has been more than that on every layer
tried; for a bound that does not rely on it see `convc.rounding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt

import numpy as np

from convc.algebra.arrays import Array
from convc.algebra.winograd import AxisTile, kron, output_matrix, products_of_one

CONFIDENCE = 0.99
"""Probability with which no output of a layer exceeds `probable_error`."""

ROUNDING = 1 / (8 * log(2))
"""Mean square of a relative rounding error, in units of u²."""


def worst_error(
    filters: Array, axes: Sequence[AxisTile], unit: float, data: float = 1.0, bias: float = 0.0
) -> float:
    """Largest possible |error| of an output; see above.

    Args:
        filters: (products, K, C, phases), from `transformed_filters`.
        axes: the tile.
        unit: unit roundoff of the arithmetic, half the distance from 1 to the next number.
        data: largest magnitude of the input.
        bias: largest magnitude of the biases.
    """
    rows, matrix = _rows(axes), np.abs(output_matrix(axes))
    sums = np.abs(filters).sum(axis=(2, 3)) * np.abs(rows).sum(axis=1)[:, None]
    scale = data * (matrix @ sums).max() + bias * (matrix @ np.abs(products_of_one(axes))).max()
    terms = np.count_nonzero(rows, axis=1).max() + filters[0, 0].size + len(rows)
    terms += 3 + 2 * len(axes)
    return float(scale * terms * unit / (1 - terms * unit))


def probable_error(
    kernel: Array,
    axes: Sequence[AxisTile],
    unit: float,
    outputs: int,
    confidence: float = CONFIDENCE,
) -> float:
    """What no error exceeds, relative to the largest output, with the given confidence; see above.

    Args:
        kernel: (K, C, *taps), C of one group.
        axes: the tile.
        unit: unit roundoff of the arithmetic.
        outputs: how many numbers the layer computes.
        confidence: the probability, below 1.

    Returns:
        The bound; 0 for a kernel of zeros.
    """
    flat = kernel.reshape(*kernel.shape[:2], -1)
    grams = np.matmul(flat.transpose(0, 2, 1), flat).reshape(len(flat), -1)
    power = (flat**2).sum() / len(flat)
    if power == 0.0:
        return 0.0
    forms = _error_forms(axes, flat.shape[1]).reshape(-1, grams.shape[1])
    largest = (forms @ grams.T).max()
    factor = sqrt(2 * log(2 * outputs / (1 - confidence)))
    return float(factor * unit * sqrt(ROUNDING * largest / power))


def _error_forms(axes: Sequence[AxisTile], channels: int) -> Array:
    """Q_o for each output of a tile: (outputs, taps, taps)."""
    rows, matrix = _rows(axes), output_matrix(axes)
    weights = kron([axis.weights() for axis in axes])
    count = len(rows)
    covariance = rows @ rows.T
    place = np.arange(count)
    covariance = covariance * (count - np.maximum(place[:, None], place))
    steps = np.count_nonzero(rows, axis=1) + (channels * len(weights) + 1) / 2 + 2 + 2 * len(axes)
    covariance[place, place] += (rows**2).sum(axis=1) * steps
    forms = [
        sum(g.T @ (row[:, None] * covariance * row) @ g for g in weights) + np.eye(weights.shape[2])
        for row in matrix
    ]
    return np.stack(forms)


def _rows(axes: Sequence[AxisTile]) -> Array:
    """Bᵀ of one phase; those of the others have the same entries in other places."""
    return kron([axis.transforms.arrays()[2] for axis in axes])
