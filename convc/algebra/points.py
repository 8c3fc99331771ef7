"""The points at which Toom–Cook rounds least: found by trying, kept as a table.

Which points are taken decides by how much rounding errors grow (`toom_cook.error_growth`), and the
best ones for one number of points do not contain the best ones for fewer. `search` tries all sets
of a kind; `best_points` is what it found.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, islice

import numpy as np

from convc.algebra.arrays import Array
from convc.algebra.toom_cook import POINTS

Points = tuple[Fraction, ...]

PAIRS: tuple[tuple[Fraction, ...], ...] = (
    (),
    (),
    (Fraction(2, 3),),
    (Fraction(1),),
    (Fraction(2, 5), Fraction(5, 4)),
    (Fraction(2, 3), Fraction(3, 2)),
    (Fraction(1, 4), Fraction(4, 5), Fraction(5, 3)),
    (Fraction(1, 2), Fraction(1), Fraction(2)),
    (Fraction(1, 4), Fraction(2, 3), Fraction(5, 4), Fraction(2)),
    (Fraction(2, 5), Fraction(4, 5), Fraction(5, 4), Fraction(5, 2)),
    (Fraction(1, 5), Fraction(3, 5), Fraction(1), Fraction(4, 3), Fraction(5, 2)),
    (Fraction(1, 3), Fraction(2, 3), Fraction(1), Fraction(3, 2), Fraction(3)),
)
"""For each number of finite points, from none to 11, the p of the pairs ±p; 0 is in the odd ones.

What `search` finds with fractions up to 5/5. Three taps and five give the same sets.
"""


def best_points(count: int) -> Points:
    """``count`` finite points that let errors grow least; beyond the table the general ones.

    Raises:
        ValueError: more points than there are in `POINTS`.
    """
    if count >= len(PAIRS):
        if count > len(POINTS):
            raise ValueError(f"{count} points: of itself it knows {len(POINTS)}")
        return POINTS[:count]
    signed = (sign * p for p in PAIRS[count] for sign in (1, -1))
    return (*(Fraction(0),) * (count % 2), *signed)


def search(m: int, k: int, largest: int = 5) -> tuple[float, Points]:
    """The points that let the errors of F(m, k) grow least, and by how much.

    All sets of pairs ±p/q with p and q up to ``largest``, with and without 0, with and without one
    point whose negative is not in the set. That takes minutes from 10 points on.

    Returns:
        `error_growth` of the best set, and the set.
    """
    sets = _symmetric_sets(m + k - 2, largest)
    best = np.inf
    found: Points = ()
    while chunk := list(islice(sets, 20_000)):
        values = np.array([[float(point) for point in points] for points in chunk])
        growths = _growths(m, k, values.reshape(len(chunk), -1))
        place = int(growths.argmin())
        if growths[place] < best * (1 - 1e-12):
            best, found = float(growths[place]), chunk[place]
    return best, found


def _symmetric_sets(count: int, largest: int) -> Iterator[Points]:
    numbers = range(1, largest + 1)
    bases = sorted({Fraction(p, q) for p in numbers for q in numbers})
    for zeros, singles in ((1, 0), (0, 0), (1, 1), (0, 1)):
        pairs, odd = divmod(count - zeros - singles, 2)
        if odd or pairs < 0:
            continue
        for chosen in combinations(bases, pairs):
            points = (*(Fraction(0),) * zeros, *(s * p for p in chosen for s in (1, -1)))
            if not singles:
                yield points
                continue
            for base in bases:
                if base not in chosen:
                    yield (*points, base)
                    yield (*points, -base)


def _growths(m: int, k: int, points: Array) -> Array:
    """`error_growth` of F(m, k) for each row of ``points`` (sets, m + k − 2), in float64."""
    sets, count = points.shape
    whole = np.zeros((sets, count + 1))  # Π (x − a_j), the highest power first
    whole[:, 0] = 1
    for j in range(count):
        whole[:, 1 : j + 2] -= points[:, j : j + 1] * whole[:, : j + 1].copy()
    total = (whole**2).sum(1)
    powers = points[:, :, None] ** (2 * np.arange(max(m, k)))
    for i in range(count):
        quotient = _divided(whole, points[:, i])
        divisor = np.zeros(sets)
        for coefficient in quotient.T:
            divisor = divisor * points[:, i] + coefficient
        scale = powers[:, i, :m].sum(1) * powers[:, i, :k].sum(1)
        total += scale * (quotient**2).sum(1) / divisor**2
    return np.asarray(np.sqrt(total / (m * k)))


def _divided(whole: Array, root: Array) -> Array:
    """Polynomials by ``x − root``, the highest power first."""
    rows = []
    carry = np.zeros(len(root))
    for coefficient in whole.T[:-1]:
        carry = coefficient + root * carry
        rows.append(carry)
    return np.stack(rows, axis=1)
