"""Which axes a Reshape joins and which it takes apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, prod
from typing import TypeAlias

Group: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Neighbouring axes of the one shape, and those of the other that hold the same elements."""


def aligned(before: Sequence[int], after: Sequence[int]) -> list[Group] | None:
    """The smallest groups of axes that hold the same elements in the same order.

    None where a size is zero or the shapes do not hold equally much.
    """
    if prod(before) != prod(after) or not prod(before):
        return None
    groups: list[Group] = []
    i = j = 0
    while i < len(before) or j < len(after):
        end_i, end_j = min(i + 1, len(before)), min(j + 1, len(after))
        while (p := prod(before[i:end_i])) != (q := prod(after[j:end_j])):
            if p < q:
                end_i += 1
            else:
                end_j += 1
        groups.append((tuple(range(i, end_i)), tuple(range(j, end_j))))
        i, j = end_i, end_j
    return groups


def widest(sizes: Sequence[int]) -> int:
    """Which of the axes that one is taken apart into grows with it: the last of the largest.

    Channels in groups are so that there are fewer groups than channels in one, mostly; for sizes
    alone any choice is right as long as all make the same one.
    """
    return max(range(len(sizes)), key=lambda i: (sizes[i], i))


def follow(
    before: Sequence[int], target: Sequence[int], now: Sequence[int]
) -> tuple[int, ...] | None:
    """The target of a Reshape whose operand changed from ``before`` to ``now``.

    None where no target of the same number of axes follows from it.
    """
    groups = aligned(before, target)
    if groups is None or len(before) != len(now):
        return None
    result = list(target)
    for sources, places in groups:
        old = prod(before[i] for i in sources)
        new = prod(now[i] for i in sources)
        if old == new:
            continue
        if not places:
            return None
        sizes = _grown([target[j] for j in places], old, new)
        if sizes is None:
            return None
        for place, size in zip(places, sizes, strict=True):
            result[place] = size
    return tuple(result)


def _grown(sizes: Sequence[int], old: int, new: int) -> list[int] | None:
    """Sizes whose product goes from ``old`` to ``new``: two in proportion, else one alone."""
    root = isqrt(old * new)
    if root * root == old * new and sum(size > 1 for size in sizes) == 2:
        grown = [size * root // old if size > 1 else size for size in sizes]
        if prod(grown) == new:
            return grown
    grown = list(sizes)
    place = widest(sizes)
    if new * sizes[place] % old:
        return None
    grown[place] = new * sizes[place] // old
    return grown
