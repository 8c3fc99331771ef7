"""Permutations of axes, and the runs of axes that a Reshape keeps together.

A permutation ``p`` says that axis i of a value is axis ``p[i]`` of its new form, so the value is
``Transpose(new, perm=p)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from convc.ir import Dim

Perm = tuple[int, ...]


def inverse(perm: Perm) -> Perm:
    """The permutation that undoes ``perm``."""
    return tuple(int(i) for i in np.argsort(perm))


def permuted(dims: Sequence[Dim], perm: Perm) -> tuple[Dim, ...]:
    """The dims of the new value."""
    return tuple(dims[axis] for axis in inverse(perm))


Groups = list[tuple[list[int], list[int]]]


def axis_groups(before: Sequence[Dim] | None, after: Sequence[Dim] | None) -> Groups | None:
    """The smallest runs of axes that hold the same elements before and after a Reshape.

    Axes of size one join the run before them. None where sizes are unknown, zero, or do not match.
    """
    if before is None or after is None or None in (*before, *after) or 0 in (*before, *after):
        return None
    after = _renamed_alike(before, after)
    groups: Groups = []
    i = j = 0
    while i < len(before) or j < len(after):
        left, right = [i] if i < len(before) else [], [j] if j < len(after) else []
        i, j = i + len(left), j + len(right)
        while not _same(before, left, after, right):
            a, b = _product(before, left), _product(after, right)
            if i < len(before) and (a < b or j == len(after)):
                left.append(i)
                i += 1
            elif j < len(after):
                right.append(j)
                j += 1
            else:
                return None
        groups.append((left, right))
    return groups


def _renamed_alike(before: Sequence[Dim], after: Sequence[Dim]) -> Sequence[Dim]:
    """``after`` with its only name that of ``before``, where the numbers show that they agree."""
    one, two = ([d for d in dims if isinstance(d, str)] for dims in (before, after))
    if len(one) != 1 or len(two) != 1:
        return after
    if _product(before, range(len(before))) != _product(after, range(len(after))):
        return after
    return [one[0] if isinstance(d, str) else d for d in after]


def _product(dims: Sequence[Dim], axes: Iterable[int]) -> int:
    return prod(d for d in (dims[axis] for axis in axes) if isinstance(d, int))


def _same(a: Sequence[Dim], left: list[int], b: Sequence[Dim], right: list[int]) -> bool:
    names = [
        [d for d in (x[i] for i in at) if isinstance(d, str)] for x, at in ((a, left), (b, right))
    ]
    return names[0] == names[1] and _product(a, left) == _product(b, right)


def group_order(groups: Groups, perm: Perm, *, source: bool) -> Groups | None:
    """The groups in the order that ``perm`` gives them; None where it tears one apart."""
    side = 0 if source else 1
    held = [group for group in groups if group[side]]
    for group in held:
        places = [perm[axis] for axis in group[side]]
        if places != list(range(places[0], places[0] + len(places))):
            return None
    order = sorted(held, key=lambda group: perm[group[side][0]])
    # Groups without an axis on this side are of size one: they stay where they are.
    for index, group in enumerate(groups):
        if not group[side]:
            order.insert(index, group)
    return order


def view_sizes(before: Sequence[Dim], after: Sequence[Dim]) -> list[int] | None:
    """The target of a Reshape from ``before`` to ``after``; None where it cannot be said."""
    sizes: list[int] = []
    for axis, dim in enumerate(after):
        if isinstance(dim, int):
            sizes.append(dim)
        elif dim is not None and axis < len(before) and before[axis] == dim:
            sizes.append(0)
        else:
            sizes.append(-1)
    return None if sizes.count(-1) > 1 or 0 in after else sizes
