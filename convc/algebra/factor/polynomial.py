"""Kernels of one channel as compositions of two smaller ones: can you always decompose?

Composing convolutions multiplies the polynomials of their kernels (``products``). So a kernel
(h, w) is a composition of an (h1, w1) and an (h2, w2), with ``h1 + h2 = h + 1`` and
``w1 + w2 = w + 1``, if and only if its polynomial is reducible over the real numbers, where degrees
count as the shape says: a first or last row of zeros is a factor too, a shift.

In one variable every polynomial of degree 3 or more is reducible. In two hardly any is: the
products are a surface of few dimensions among all kernels. Stored weights are rounded, so that
"no" is an answer only with a distance: how far the nearest composition is at least (``ruppert``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64
from convc.algebra.factor.products import EPS, balanced, product, quotient, refine
from convc.algebra.factor.ruppert import (
    closed_forms,
    distance_over_complex,
    distance_over_reals,
)
from convc.algebra.factor.splits import groups, proposals

_LOOSER = 1e3
"""By how much a factor found may be worse known than the kernel, when it is split further."""
_LOOSEST = 1e-4
"""And how well it is known at least."""
_NEAR_MISS = 1e3
"""Up to how many times what is accepted a residual counts as a near miss."""
_PUSHES = 8
"""How many times a near miss is pushed off and refined again."""
_ATTEMPTS = 16
"""How many ways to join the parts to two factors are tried."""
_STARTS = 8
"""How many pseudorandom kernels the nearest composition is looked for from."""


@dataclass(frozen=True)
class Composition:
    """What ``decompose`` found.

    Attributes:
        factors: the two kernels whose composition is the kernel, or none.
        parts: real kernels that split no further, to stored precision, and whose composition is
            the kernel; the kernel alone where there are no factors.
        residual: ``‖K − A∗B‖ / ‖K‖`` in the Frobenius norm; infinite where there are no factors.
        distance: a lower bound on ``‖K − A∗B‖ / ‖K‖`` over all pairs of smaller kernels. Above
            the precision asked for, "no" is proved; below it, no factors were found. Zero where
            there are factors, infinite where no smaller kernels have a composition of this shape
            (one tap, or two).
    """

    factors: tuple[Array, Array] | tuple[()]
    parts: tuple[Array, ...]
    residual: float
    distance: float


def decompose(kernel: AnyArray, precision: float = 2.0**-24) -> Composition:
    """Decide whether a kernel is, to stored precision, a composition of two smaller ones.

    Of several splits the one with the fewest taps in total is taken. The two factors have equal
    norms, and the largest tap of the first is positive.

    Args:
        kernel: (h, w), finite.
        precision: unit roundoff of the stored weights; 2⁻²⁴ for float32, 2⁻⁵³ for float64. A
            composition rounded to that has a residual of at most ``precision``.

    Raises:
        ValueError: the kernel has not two axes, is empty, or has values that are not finite; the
            precision is not between 0 and 1.
    """
    values = _checked(kernel)
    if not 0.0 < precision < 1.0:
        raise ValueError(f"a unit roundoff is between 0 and 1, not {precision}")
    if sum(values.shape) < 4:
        return Composition((), (values,), math.inf, math.inf)
    if not values.any():
        shape_a, shape_b = _shapes(values.shape)[0]
        zeros = (np.zeros(shape_a), np.zeros(shape_b))
        return Composition(zeros, zeros, 0.0, 0.0)
    unit, norm = _normed(values)
    distance = _distance(unit)
    accepted = precision + EPS * values.size
    if distance > accepted:
        return Composition((), (values,), math.inf, max(distance, _real_distance(unit)))
    core, shifts = _without_zero_border(unit, precision)
    parts = _parts(core, precision, accepted)
    for a, b in _splits(core, parts, shifts):
        residual = float(np.linalg.norm(unit - product(a, b)))
        if residual <= accepted:
            first, second = _scaled(balanced((a, b)), norm)
            pieces = _scaled(_without_scalars([*parts, *shifts]), norm)
            return Composition((first, second), pieces, residual, 0.0)
    return Composition((), (values,), math.inf, max(distance, _real_distance(unit)))


def nearest_composition(
    kernel: AnyArray, first_shape: tuple[int, int]
) -> tuple[Array, Array, float]:
    """A composition near a kernel: structured total least squares from several starts.

    The nearest of the local minima that Levenberg–Marquardt finds from the factors of a nearby
    reducible polynomial and from fixed pseudorandom kernels: its error is an upper bound on the
    distance to the nearest composition of these shapes.

    Args:
        kernel: (h, w), finite.
        first_shape: (h1, w1) of the first factor; the second has (h − h1 + 1, w − w1 + 1).

    Returns:
        The two factors, of equal norms, and ``‖K − A∗B‖ / ‖K‖``.

    Raises:
        ValueError: the kernel as in ``decompose``, or a factor would have no taps, or be 1×1.
    """
    values = _checked(kernel)
    second_shape = (
        values.shape[0] - first_shape[0] + 1,
        values.shape[1] - first_shape[1] + 1,
    )
    if min(*first_shape, *second_shape) < 1 or (1, 1) in (first_shape, second_shape):
        raise ValueError(f"no two smaller kernels, one of {first_shape}, give {values.shape}")
    if not values.any():
        return np.zeros(first_shape), np.zeros(second_shape), 0.0
    unit, norm = _normed(values)
    found = [
        refine(start, unit, damping=1e-3, settled=1e-6) for start in _starts(unit, first_shape)
    ]
    factors, error = min(found, key=lambda pair: pair[1])
    a, b = _scaled(factors, norm)
    return a, b, error


def _checked(kernel: AnyArray) -> Array:
    values = as_float64(kernel)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"a kernel of one channel has shape (h, w), this one {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("the kernel has values that are not finite")
    return values


def _normed(values: Array) -> tuple[Array, float]:
    """A kernel of norm one and the norm, whatever the scale."""
    peak = float(np.abs(values).max())
    norm = peak * float(np.linalg.norm(values / peak))
    return values / norm, norm


def _scaled(factors: Sequence[Array], scale: float) -> tuple[Array, ...]:
    """The factors of a product ``scale`` times as large, all scaled alike."""
    return tuple(f * scale ** (1.0 / len(factors)) for f in factors)


def _without_scalars(pieces: Sequence[Array]) -> tuple[Array, ...]:
    """Balanced pieces of the same product, none of them 1×1."""
    scalar = math.prod(float(p[0, 0]) for p in pieces if p.size == 1)
    first, *others = [p for p in pieces if p.size > 1]
    return balanced((first * scalar, *others))


def _shapes(shape: tuple[int, int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """All pairs of smaller shapes that compose to ``shape``, those of the fewest taps first."""
    h, w = shape
    pairs = [((i, j), (h - i + 1, w - j + 1)) for i, j in np.ndindex(h + 1, w + 1) if i and j]
    smaller = [p for p in pairs if (1, 1) not in p]
    return sorted(smaller, key=_cost)


def _cost(pair: tuple[tuple[int, int], tuple[int, int]]) -> tuple[int, int]:
    """Taps in total, then how unequal the two are."""
    first, second = (h * w for h, w in pair)
    return first + second, abs(first - second)


def _distance(unit: Array) -> float:
    """A lower bound for a kernel of norm one; zero where one axis alone always splits."""
    if min(unit.shape) > 1:
        return distance_over_complex(unit)
    if unit.size > 3:
        return 0.0
    # a·x² + b·x + c has no real root where ((a, b/2), (b/2, c)) is definite. The matrix moves by
    # no more than the coefficients, and its eigenvalue by no more than the matrix.
    c, b, a = unit.reshape(-1)
    low, high = np.linalg.eigvalsh(np.array([[a, b / 2.0], [b / 2.0, c]]))
    return max(0.0, float(low), -float(high))


def _real_distance(unit: Array) -> float:
    return distance_over_reals(unit) if min(unit.shape) > 1 else 0.0


def _without_zero_border(unit: Array, precision: float) -> tuple[Array, list[Array]]:
    """The kernel without border rows and columns of zeros, and the shifts they stand for."""
    shifts = []
    core = unit
    for axis in (0, 1):
        sizes = np.linalg.norm(core, axis=1 - axis)
        inside = np.flatnonzero(sizes > min(precision / 4.0, 0.5 * float(sizes.max())))
        first, last = int(inside[0]), int(inside[-1])
        core = np.take(core, range(first, last + 1), axis)
        lead, tail = np.array([[0.0], [1.0]]), np.array([[1.0], [0.0]])
        found = [lead] * first + [tail] * (len(sizes) - 1 - last)
        shifts += [shift if axis == 0 else shift.T for shift in found]
    return core, shifts


def _parts(core: Array, precision: float, accepted: float) -> list[Array]:
    """Real kernels whose product is ``core`` and for which no split was found.

    A split counts if all parts together, refined, give the whole core to ``accepted``. So errors
    of parts do not pile up.
    """
    left, singular, right = np.linalg.svd(core)
    if np.linalg.norm(singular[1:]) <= precision:
        waiting = [left[:, :1] * singular[0], right[:1]]
    else:
        waiting = [core]
    whole = len(waiting) == 1
    done: list[Array] = []
    while waiting:
        part = waiting.pop()
        tolerance = precision if whole else max(precision, min(_LOOSER * precision, _LOOSEST))
        rest = [*done, *waiting]
        for pieces in proposals(part / np.linalg.norm(part), tolerance):
            refined = _accepted([*rest, *pieces], core, accepted)
            if refined is not None:
                done, waiting, whole = refined[: len(done)], refined[len(done) :], False
                break
        else:
            done.append(part)
    return done


def _accepted(parts: Sequence[Array], core: Array, accepted: float) -> list[Array] | None:
    """The parts refined, or None where their product is not ``core``.

    Two nearly equal factors may be guessed equal: then ``K = P² − D²``, and near P² are saddles and
    local minima of the residual, some D away. So near misses are pushed off, ever farther.
    """
    shape = tuple(1 + sum(p.shape[axis] - 1 for p in parts) for axis in (0, 1))
    if shape != core.shape or not all(np.isfinite(p).all() for p in parts):
        return None
    limit = accepted / float(np.linalg.norm(core))
    refined, residual = refine(parts, core, limit / 2.0)
    missed, size = refined, math.sqrt(residual)
    for way in range(_PUSHES if residual <= _NEAR_MISS * limit else 0):
        if residual <= limit:
            break
        refined, residual = refine(_pushed(missed, size * (1 + way), way), core, limit / 2.0)
    return list(refined) if residual <= limit else None


def _pushed(parts: Sequence[Array], size: float, way: int) -> list[Array]:
    """The parts, each changed by ``size`` times its norm in a pseudorandom direction."""
    random = np.random.default_rng(way)
    directions = [random.standard_normal(part.shape) for part in parts]
    return [
        part + direction * (size * float(np.linalg.norm(part)) / float(np.linalg.norm(direction)))
        for part, direction in zip(parts, directions, strict=True)
    ]


def _splits(core: Array, parts: list[Array], shifts: list[Array]) -> Iterator[tuple[Array, Array]]:
    """Products of two from the parts and shifts, those of the fewest taps first."""
    pieces = [*parts, *shifts]
    ways = _subsets([(p.shape[0] - 1, p.shape[1] - 1) for p in pieces])
    shape = tuple(1 + sum(p.shape[axis] - 1 for p in pieces) for axis in (0, 1))
    tried = 0
    for first, _ in _shapes((shape[0], shape[1])):
        chosen = ways.get((first[0] - 1, first[1] - 1))
        if chosen is None or tried == _ATTEMPTS:
            continue
        tried += 1
        sides = [[i for i in range(len(pieces)) if (i in chosen) is side] for side in (True, False)]
        cores = [product(*(parts[i] for i in side if i < len(parts))) for side in sides]
        (a, b), _ = refine(cores, core)
        moves = [product(*(pieces[i] for i in side if i >= len(parts))) for side in sides]
        yield product(a, moves[0]), product(b, moves[1])


def _subsets(degrees: Sequence[tuple[int, int]]) -> dict[tuple[int, int], frozenset[int]]:
    """One subset of indices for every pair of degrees that a subset adds up to."""
    ways = {(0, 0): frozenset[int]()}
    for index, (rows, columns) in enumerate(degrees):
        for (m, n), chosen in list(ways.items()):
            ways.setdefault((m + rows, n + columns), chosen | {index})
    return ways


def _starts(unit: Array, first_shape: tuple[int, int]) -> Iterator[tuple[Array, Array]]:
    """Pairs of kernels of the wanted shapes to start from."""
    left, values, right = np.linalg.svd(unit)
    column, row = left[:, :1] * values[0], right[:1]
    if first_shape in (column.shape, row.shape):
        # An outer product: the nearest is known.
        yield (column, row) if first_shape == column.shape else (row, column)
        return
    wanted = (first_shape[0] - 1, first_shape[1] - 1)
    for parts in _nearby_factors(unit):
        chosen = _subsets([(p.shape[0] - 1, p.shape[1] - 1) for p in parts]).get(wanted)
        if chosen is not None:
            a = product(*(parts[i] for i in sorted(chosen)))
            yield a, quotient(unit, a)
    random = np.random.default_rng(0)
    for _ in range(_STARTS):
        a = random.standard_normal(first_shape)
        yield a, quotient(unit, a)


def _nearby_factors(unit: Array) -> Iterator[list[Array]]:
    """Factors that a nearby kernel may have."""
    if min(unit.shape) == 1:
        yield from proposals(unit, 0.0)
        return
    for f in (unit, unit.T):
        forms = closed_forms(f)[1]
        for count in range(1, min(4, f.shape[0])):
            for parts in groups(f, forms[:count]):
                yield [p if f is unit else p.T for p in parts]
