"""The best weights of a layer as it is."""

from __future__ import annotations

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.fit.common import least_squares, ridged
from convc.algebra.moments import Moments


def refit(moments: Moments, kernel: AnyArray, ridge: float | None = None) -> Array:
    """The weights with the least loss, drawn towards the original ones by a ridge.

    W = W₀ + (c − G W₀ᵀ)ᵀ (G + μI)⁻¹ with μ = ridge · tr G / D, group by group: the minimum of
    E‖y − W x − b‖² + μ‖W − W₀‖². Where x does not vary, the weights stay.

    Args:
        moments: of the layer, with g groups.
        kernel: W₀, (K, C/g, *taps).
        ridge: in units of the mean variance of x; None for `common.default_ridge`.

    Returns:
        (K, C/g, *taps), float64.

    Raises:
        ValueError: kernel and moments do not fit each other, or are not finite.
    """
    w = as_float64(kernel)
    return least_squares(ridged(moments, w, ridge), w).reshape(w.shape)
