"""Targets for a layer whose responses pass a rectifier: what matters is the error behind it."""

from __future__ import annotations

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64


def adjusted_targets(wanted: AnyArray, predicted: AnyArray, slope: AnyArray | float = 0.0) -> Array:
    """What to fit a layer to next, so that its error behind the activation falls.

    The activation is φ(t) = t for t > 0 and a·t elsewhere: Relu with a = 0, LeakyRelu and PRelu.
    What one sample misses is f(z) = (φ(z) − φ(y))² for a prediction z of the wanted y. Where the
    prediction is ẑ now, take the parabola of curvature L = max(1, a²) that touches f there,

        q(z) = f(ẑ) + f′(ẑ)(z − ẑ) + L·(z − ẑ)²  =  L·(z − t)² + const,
        t = ẑ − φ′(ẑ)(φ(ẑ) − φ(y)) / L,

    with φ′(0) = a. The targets are these t. Least squares on them minimises the sum of all q, and
    where q ≥ f everywhere, what is missed behind the activation cannot grow: it is not above the
    new sum of q, which is not above the old one, which is what was missed before. (Majorise and
    minimise; Zhang et al. 2015 alternate with a penalty instead.)

    For Relu q ≥ f always. The target is y where both are positive, and there
    (φ(z) − y)² ≤ (z − y)²; min(ẑ, 0) where y ≤ 0, and there φ(z)² ≤ (z − min(ẑ, 0))²; and ẑ where
    y > 0 ≥ ẑ, and there (φ(z) − y)² − y² is negative only for 0 < z < 2y, and is then
    z² − 2yz ≤ (z − ẑ)². For 0 < a < 1 it holds wherever y > 0, and where y and ẑ are negative with
    (1 + a)·ẑ ≤ a·y; elsewhere f has a kink upwards at 0 that no parabola covers, and exceeds q
    by at most a²y²(1 − a)/(1 + a) for ẑ > 0 ≥ y. So with a leak the loss hardly ever grows, but
    may: keep the best.

    A Relu that is wrongly closed has no slope to open it: such samples are given up. The fit to y
    itself, from which the turns start, leaves few of them.

    Args:
        wanted: y, (n, K), before the activation.
        predicted: ẑ, (n, K), likewise.
        slope: a, one or (K,).

    Returns:
        t, (n, K), float64. Start with ``wanted`` itself: (z − y)² bounds f, too, for a ≤ 1.

    Raises:
        ValueError: the two do not have the same shape.
    """
    y, now = as_float64(wanted), as_float64(predicted)
    if y.shape != now.shape:
        raise ValueError(f"wanted {y.shape}, predicted {now.shape}")
    leak = as_float64(np.asarray(slope))
    steepness = np.where(now > 0, 1.0, leak)
    error = _activated(now, leak) - _activated(y, leak)
    return now - steepness * error / np.maximum(1.0, leak * leak)


def _activated(values: Array, leak: Array) -> Array:
    return np.where(values > 0, values, leak * values)
