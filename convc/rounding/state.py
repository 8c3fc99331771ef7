"""What is known of a value before it is computed: how large it and its error may be.

Arrays here are *compressed*: they have the rank of the value they speak of, and along each axis
either its size or 1, where one number holds for all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import inf, prod, sqrt

import numpy as np

from convc.algebra.winograd_error import ROUNDING
from convc.errors import ConvcError
from convc.ir import Array

UNIT_ROUNDOFF: Mapping[str, float] = {
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
    "float32": 2.0**-24,
    "float64": 2.0**-53,
}
"""Half the distance from 1 to the next number, by the dtype's name."""

Sizes = tuple[int | None, ...]
"""A shape; None where a size is not known."""


class NoBoundError(ConvcError):
    """No bound is known for a region: the message says of which op, and why."""


@dataclass(frozen=True, slots=True)
class Part:
    """A random tensor of mean zero, uncorrelated with those of other sources.

    Attributes:
        std: at least the standard deviation of every entry, compressed.
        free: by axis: entries at different places along it are uncorrelated, wherever they are
            along the others.
        norm: gives at least the root of the largest eigenvalue of the covariance, so that w·x has
            a deviation of at most norm·‖w‖. It is asked only where an op needs it.
    """

    std: Array
    free: tuple[bool, ...]
    norm: Callable[[], float]

    def times(self, factor: Array | float) -> Part:
        """The part multiplied, entry by entry, by numbers of at most these magnitudes."""
        most = float(np.max(factor, initial=0.0))
        return Part(self.std * factor, self.free, lambda: bounded(most, self.norm()))


def bounded(size: float, factor: float) -> float:
    """The product of two bounds; nothing of something unbounded is nothing."""
    return size * factor if size and factor else 0.0


Sources = frozenset[Hashable]
"""What a part is made of: parts of other sources are uncorrelated with it."""

Parts = Mapping[Sources, Part]
"""A random tensor as the sum of its parts; no two of them share a source."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one value.

    At worst, for inputs of at most the magnitude that they were given:

    Attributes:
        shape: of the value.
        high: at least every magnitude of the exact value.
        error: at least every difference of the computed value from the exact one.
        pending: how many additions made it last. A runtime may add a further term first of all
            (a residual into a conv), so that the term goes through all of them.

    Probably, for random inputs:

    Attributes:
        mean: at least every magnitude of the expectation.
        signal: the value less its expectation.
        noise: its rounding error.
        power: the mean square over all places; what there is along an axis of which it has one
            number is averaged.
        known: ``power`` is exact and no estimate.
    """

    shape: Sizes
    high: Array
    error: Array
    mean: Array
    power: Array
    known: bool = True
    pending: float = 0.0
    signal: Parts = field(default_factory=dict)
    noise: Parts = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def square(self) -> Array:
        """At least the expected square of every entry."""
        return np.asarray(self.mean**2 + variance(self.signal))

    def arrays(self) -> list[Array]:
        """All compressed arrays."""
        parts = (*self.signal.values(), *self.noise.values())
        return [self.high, self.error, self.mean, self.power, *(part.std for part in parts)]

    def exact(self) -> State:
        """The same value without an error."""
        return replace(self, error=np.zeros_like(self.error), noise={}, pending=0.0)


def variance(parts: Parts) -> Array:
    """The variance of the sum of uncorrelated parts."""
    return np.asarray(sum((part.std**2 for part in parts.values()), np.zeros(())))


def gamma(roundings: Array | float, unit: float) -> Array:
    """γ_t = t·u/(1 − t·u) for t roundings on the way; infinite from t·u = 1 on."""
    steps = np.asarray(roundings, np.float64) * unit
    return np.asarray(np.where(steps < 1, steps / np.maximum(1 - steps, 1e-300), inf))


def fresh(square: Array, steps: Array | float, unit: float, rank: int) -> Part:
    """The error of ``steps`` roundings of numbers of mean square ``square``, as a part.

    Errors made in different entries are uncorrelated, given all that was computed before.
    """
    std = np.sqrt(ROUNDING * unit**2 * steps * square)
    std = std.reshape((1,) * (rank - std.ndim) + std.shape)
    return Part(std, (True,) * rank, lambda: float(std.max(initial=0.0)))


def white(shape: Sizes, source: Hashable, magnitude: float) -> State:
    """An input: of at most this magnitude; or uncorrelated, of mean 0 and this deviation."""
    one = np.full((1,) * len(shape), magnitude)
    part = Part(one, (True,) * len(shape), lambda: magnitude)
    none = np.zeros_like(one)
    return State(shape, one, none, none, one**2, signal={frozenset({source}): part})


def constant(array: Array, stored: np.dtype[np.generic] | None, source: Hashable) -> State:
    """A constant, which is cast to the dtype it is ``stored`` in."""
    exact = np.asarray(array, np.float64)
    size = np.abs(exact)
    state = State(tuple(exact.shape), size, np.zeros_like(size), size, size**2)
    if stored is None or not is_rounded(array, stored):
        return state
    unit = UNIT_ROUNDOFF[stored.name]
    noise = fresh(size**2, 1, unit, size.ndim)
    return replace(state, error=unit * size, noise={frozenset({source}): noise})


def is_rounded(array: Array, stored: np.dtype[np.generic]) -> bool:
    """Whether the cast to the dtype it is stored in changes any entry."""
    if array.dtype == stored or stored.name not in UNIT_ROUNDOFF:
        return False
    rows = np.atleast_1d(array)
    return any((row.astype(stored).astype(array.dtype) != row).any() for row in rows)


def joined(given: Sequence[Parts]) -> dict[Sources, list[tuple[int, Part]]]:
    """The parts of several values, each with the number of its value, put together by source."""
    groups: dict[Sources, list[tuple[int, Part]]] = {}
    for i, mapping in enumerate(given):
        for sources, part in mapping.items():
            shared = [other for other in groups if other & sources]
            members = [member for other in shared for member in groups.pop(other)]
            groups[sources.union(*shared)] = [*members, (i, part)]
    return groups


def summed(parts: Sequence[Part], rank: int) -> Part:
    """The sum of parts of one source, whose correlation is not known: deviations add up."""
    if len(parts) == 1:
        return parts[0]
    std = np.asarray(sum(part.std for part in parts))
    return Part(std, (False,) * rank, lambda: sum(part.norm() for part in parts))


def merged(parts: Parts, rank: int) -> Part:
    """Uncorrelated parts as one."""
    found = list(parts.values())
    std = np.sqrt(variance(parts))
    std = std.reshape((1,) * (rank - std.ndim) + std.shape)
    free = tuple(all(part.free[axis] for part in found) for axis in range(rank))
    return Part(std, free, lambda: sqrt(sum(part.norm() ** 2 for part in found)))


def lazily(function: Callable[[], float]) -> Callable[[], float]:
    """The function, called once at the most."""
    return cache(function)


def volume(sizes: Iterable[int | None], what: str) -> int:
    """The product of sizes, all of which have to be known."""
    known = list(sizes)
    if None in known:
        raise NoBoundError(f"{what}: a size is not known")
    return prod(size or 0 for size in known)
