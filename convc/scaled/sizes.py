"""Sizes that depend on each other: a dim is a sum of multiples of unknowns.

Every axis whose size may change gets an unknown (`Unknown`) of its present size. Ops say which
dims must stay equal (`unify`), which cannot change (`fix`), and where one is cut (`cut`); unknowns
are bound to sums of others as in the unification of types. What is left unbound is free to be
scaled, and every dim then follows (`scaled`).

A dim is a tuple of terms ``(k, u)``, worth the sum of ``k · size(u)``; ``(k, None)`` is the number
``k``. A concatenation of 16 and 32 channels is ``((1, a), (1, b))``, 8 groups of ``c`` channels are
``((8, c),)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import count
from math import floor, lcm
from typing import TypeAlias

ONE = Fraction(1)
_SERIAL = count()


class Unknown:
    """A size that may change.

    Attributes:
        size: at present.
        factor: by which it changes if nothing holds it; 1 for one that only follows others.
        given: True where the factor is the caller's word: such an unknown cannot be fixed.
        bound: what it was found to be equal to.
    """

    __slots__ = ("bound", "factor", "given", "serial", "size")

    def __init__(self, size: int, factor: Fraction = ONE, *, given: bool = False) -> None:
        self.size = size
        self.factor = factor
        self.given = given
        self.bound: Sum | None = None
        self.serial = next(_SERIAL)


Term: TypeAlias = tuple[int, Unknown | None]
Sum: TypeAlias = tuple[Term, ...]


def number(size: int) -> Sum:
    """A dim that does not change."""
    return ((size, None),)


def numbers(shape: Iterable[int]) -> tuple[Sum, ...]:
    """`number` for each axis."""
    return tuple(number(size) for size in shape)


def unknown(size: int, factor: Fraction = ONE, *, given: bool = False) -> Sum:
    """A dim that is a new unknown."""
    return ((1, Unknown(size, factor, given=given)),)


def size_of(dim: Sum) -> int:
    """The present size."""
    return sum(_size(term) for term in dim)


def times(dim: Sum, factor: int) -> Sum:
    """A multiple of a dim."""
    return tuple((k * factor, u) for k, u in dim)


def resolved(dim: Sum) -> Sum:
    """The dim in terms of unbound unknowns, without terms that are worth nothing."""
    terms: list[Term] = []
    for k, u in dim:
        if not _size((k, u)):
            continue
        if u is None or u.bound is None:
            terms.append((k, u))
            continue
        u.bound = resolved(u.bound)
        terms.extend(times(u.bound, k))
    return tuple(terms)


def varies(dim: Sum) -> bool:
    """Whether any part of the dim may change."""
    return any(u is not None for _, u in resolved(dim))


def scaled(dim: Sum) -> int:
    """The size with every unbound unknown times its factor, rounded, and 1 at least."""
    return sum(k * (1 if u is None else _scaled(u)) for k, u in resolved(dim))


def fix(*dims: Sum) -> None:
    """Keeps the dims as they are, except for what the caller gave."""
    for dim in dims:
        for _, u in resolved(dim):
            if u is not None:
                _fix(u)


def unify(a: Sum, b: Sum) -> bool:
    """Makes two dims equal; where that cannot be expressed both are fixed, and it is False.

    Raises ValueError where the present sizes differ.
    """
    if size_of(a) != size_of(b):
        raise ValueError(f"sizes {size_of(a)} and {size_of(b)} are not equal")
    if _unify(a, b):
        return True
    fix(a, b)
    return False


def cut(dim: Sum, sizes: Sequence[int]) -> list[Sum]:
    """The dim in consecutive parts of the given present sizes.

    An unknown is cut into several. Where that cannot be the dim is fixed. Raises ValueError where
    the sizes are not those of the dim.
    """
    if min(sizes, default=0) < 0 or sum(sizes) != size_of(dim):
        raise ValueError(f"a dim of {size_of(dim)} in parts of {tuple(sizes)}")
    rest = list(resolved(dim))
    parts: list[Sum] = []
    for wanted in sizes:
        part = _take(rest, wanted)
        if part is None:
            fix(dim)
            return [number(size) for size in sizes]
        parts.append(part)
    return parts


def _take(rest: list[Term], wanted: int) -> Sum | None:
    """Removes the first terms worth ``wanted`` from ``rest``; None where it cannot be cut there."""
    part: list[Term] = []
    while wanted:
        rest[:] = resolved(tuple(rest))
        halves = _halves(rest[0], min(wanted, _size(rest[0])))
        if halves is None:
            return None
        rest[:1] = halves
        part.append(rest.pop(0))
        wanted -= _size(part[-1])
    return tuple(part)


def _size(term: Term) -> int:
    return term[0] * (1 if term[1] is None else term[1].size)


def _scaled(u: Unknown) -> int:
    if not u.size or not u.factor:
        return 0
    return max(1, floor(u.size * u.factor + Fraction(1, 2)))


def _fix(u: Unknown) -> bool:
    if not u.given:
        u.bound = number(u.size)
    return not u.given


def _unify(a: Sum, b: Sum) -> bool:
    left, right = a, b
    while left and right:
        left, right = resolved(left), resolved(right)
        size = min(_size(left[0]), _size(right[0]))
        heads = _halves(left[0], size), _halves(right[0], size)
        if heads[0] is None or heads[1] is None:
            return False
        if len(heads[0]) + len(heads[1]) > 2:
            # What was cut may stand in other terms, too: they are looked at anew.
            left, right = heads[0] + left[1:], heads[1] + right[1:]
            continue
        if not _match(left[0], right[0]):
            return False
        left, right = left[1:], right[1:]
    return True


def _halves(term: Term, first: int) -> Sum | None:
    """The term itself if it is worth ``first``, else in two so that the first is; None: cannot."""
    k, u = term
    if _size(term) == first:
        return (term,)
    if u is None:
        return (first, None), (k - first, None)
    if first % k:
        return None
    head = Unknown(first // k, u.factor, given=u.given)
    tail = Unknown(u.size - first // k, u.factor, given=u.given)
    u.bound = ((1, head), (1, tail))
    return (k, head), (k, tail)


def _match(s: Term, t: Term) -> bool:
    """Makes two terms of one size equal."""
    (k, u), (m, v) = s, t
    if u is v:
        return True
    if u is None or v is None:
        held = u or v
        return held is None or _fix(held)
    if u.given and v.given and u.factor != v.factor:
        return False
    # What the caller said holds, then what scales; and older ones, so that chains stay short.
    leader = min((u, v), key=lambda w: (not w.given, w.factor == ONE, w.serial))
    if k == m:
        follower = v if leader is u else u
        follower.bound = ((1, leader),)
        return True
    common = lcm(k, m)
    shared = Unknown(_size(s) // common, leader.factor, given=leader.given)
    u.bound, v.bound = ((common // k, shared),), ((common // m, shared),)
    return True
