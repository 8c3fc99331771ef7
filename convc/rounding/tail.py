"""How far the largest of many rounding errors is from their deviation."""

from __future__ import annotations

from math import erfc, exp, pi, sqrt


def factor(count: int, confidence: float) -> float:
    """What |e|/√V stays below, for ``count`` errors at once, with probability ``confidence``.

    An error is a sum ``e = Σ δ_j·s_j``. The roundings δ are sub-Gaussian with variance v·u² given
    all that was computed before, so that by Azuma's inequality, given the data,

        P(|e| > x·√V) ≤ 2·exp(−x²·V/(2·Q)),      Q = v·u²·Σ s_j².

    The numbers s that are rounded are Gaussian: Q is a quadratic form of the data with the mean V.
    Among those of one mean, V·Z² with one Gaussian Z spreads most (in convex order), and the sums
    of a walk are nearly that: where the last is large, all are. For it the mean of the right side
    is ``2·exp(−x)``. The exponential is convex in Q up to x²·V/4 only; beyond, its tangent there
    takes its place, which adds ``8·e⁻²/x²·E[Z²; Z² > x²/4]`` at the most. So

        P(|e| > x·√V) ≤ 2·exp(−x) + (8/(e·x)²)·(x·φ(x/2) + 2·Φ(−x/2)):

    the tail of a product of two Gaussians, and longer than that of one.
    """
    target = (1 - confidence) / count
    low, high = 0.0, 1.0
    while _tail(high) > target:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _tail(middle) > target else (low, middle)
    return high


def _tail(x: float) -> float:
    """The bound of P(|e| > x·√V); it decreases in x."""
    beyond = x * exp(-x * x / 8) / sqrt(2 * pi) + erfc(x / (2 * sqrt(2)))
    return 2 * exp(-x) + 8 * exp(-2) / (x * x) * beyond
