"""The error function in float64, vectorised.

Rational Chebyshev approximations on three intervals: W. J. Cody, Rational Chebyshev
approximations for the error function, Math. Comp. 23 (1969), 631-637. Coefficients are in
order of ascending powers.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.polynomial import polyval

from .support import Array

# erf(x) = x P(x^2) / Q(x^2) for |x| <= 0.46875.
SMALL = (
    (
        3.20937758913846947e3,
        3.77485237685302021e2,
        1.13864154151050156e2,
        3.16112374387056560e0,
        1.85777706184603153e-1,
    ),
    (
        2.84423683343917062e3,
        1.28261652607737228e3,
        2.44024637934444173e2,
        2.36012909523441209e1,
        1.0,
    ),
)
# erfc(x) = exp(-x^2) P(x) / Q(x) for 0.46875 <= x <= 4.
MIDDLE = (
    (
        1.23033935479799725e3,
        2.05107837782607147e3,
        1.71204761263407058e3,
        8.81952221241769090e2,
        2.98635138197400131e2,
        6.61191906371416295e1,
        8.88314979438837594e0,
        5.64188496988670089e-1,
        2.15311535474403846e-8,
    ),
    (
        1.23033935480374942e3,
        3.43936767414372164e3,
        4.36261909014324716e3,
        3.29079923573345963e3,
        1.62138957456669019e3,
        5.37181101862009858e2,
        1.17693950891312499e2,
        1.57449261107098347e1,
        1.0,
    ),
)
# Beyond 6 erfc is below 2.2e-17, half a unit in the last place of 1.
SATURATED = 6.0
# erfc(x) = exp(-x^2)/x (1/sqrt(pi) - P(x^-2)/(x^2 Q(x^-2))) for x > 4.
LARGE = (
    (
        6.58749161529837803e-4,
        1.60837851487422766e-2,
        1.25781726111229246e-1,
        3.60344899949804439e-1,
        3.05326634961232344e-1,
        1.63153871373020978e-2,
    ),
    (
        2.33520497626869185e-3,
        6.05183413124413191e-2,
        5.27905102951428412e-1,
        1.87295284992346047e0,
        2.56852019228982242e0,
        1.0,
    ),
)


def erf(x: Array) -> Array:
    """Erf of each entry, to a few units in the last place; NaN stays NaN."""
    size = np.abs(x)
    result = np.where(np.isnan(x), x, np.ones_like(size))
    small = size <= 0.46875
    t = size[small] ** 2
    result[small] = size[small] * polyval(t, SMALL[0]) / polyval(t, SMALL[1])
    middle = (size > 0.46875) & (size <= 4)
    t = size[middle]
    result[middle] = 1 - np.exp(-t * t) * polyval(t, MIDDLE[0]) / polyval(t, MIDDLE[1])
    large = (size > 4) & (size < SATURATED)
    t = size[large] ** -2
    tail = 1 / np.sqrt(np.pi) - t * polyval(t, LARGE[0]) / polyval(t, LARGE[1])
    result[large] = 1 - np.exp(-1 / t) * np.sqrt(t) * tail
    return np.copysign(result, x)
