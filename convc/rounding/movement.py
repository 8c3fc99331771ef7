"""Ops that move numbers and change none."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from math import inf, prod, sqrt

import numpy as np

from convc.ir import Array
from convc.rounding.state import Part, Parts, Sizes, Sources, State, bounded, joined

Reduce = Callable[[Array, tuple[int, ...]], Array]
"""`most` or `average`."""


def most(array: Array, axes: tuple[int, ...]) -> Array:
    """The largest numbers along ``axes``."""
    return np.asarray(array.max(axis=axes, keepdims=True))


def average(array: Array, axes: tuple[int, ...]) -> Array:
    """The means along ``axes``."""
    return np.asarray(array.mean(axis=axes, keepdims=True))


Arrange = Callable[[Array, Reduce], Array]
"""Takes a compressed array to that of the result; what falls together is reduced."""


@dataclass(frozen=True, slots=True)
class Move:
    """A movement of numbers.

    Attributes:
        shape: of the result.
        arrange: what becomes of a compressed array.
        free: what becomes of the axes along which a part is uncorrelated.
        copies: how often a number occurs in the result at the most.
        kept: by axis along which zeros are put: which part of the result is none of them.
    """

    shape: Sizes
    arrange: Arrange
    free: Callable[[Sequence[bool]], tuple[bool, ...]]
    copies: float = 1.0
    kept: Mapping[int, float] = field(default_factory=dict)

    def part(self, part: Part) -> Part:
        """What becomes of a part."""
        factor = sqrt(self.copies)
        return Part(
            self.arrange(part.std, most), self.free(part.free), lambda: bounded(factor, part.norm())
        )

    def __call__(self, state: State) -> State:
        """What becomes of a value."""
        upper = partial(_upper, self.arrange)
        # Where an axis has a number for each place, `arrange` puts the zeros there itself.
        share = prod(part for axis, part in self.kept.items() if state.power.shape[axis] == 1)
        return State(
            self.shape,
            upper(state.high),
            upper(state.error),
            upper(state.mean),
            self.arrange(state.power, average) * share,
            state.known,
            state.pending,
            {source: self.part(part) for source, part in state.signal.items()},
            {source: self.part(part) for source, part in state.noise.items()},
        )


LARGEST = 1 << 20
"""Entries of a compressed array: beyond, one number stands for all along the axes in question."""


def _upper(arrange: Arrange, array: Array) -> Array:
    return arrange(array, most)


def uniform(array: Array, axes: Sequence[int], reduce: Reduce = most) -> Array:
    """One number along each of ``axes``."""
    full = tuple(axis for axis in axes if array.shape[axis] != 1)
    return reduce(array, full) if full else array


def expanded(array: Array, axis: int, size: int | None) -> Array:
    """All numbers along an axis; the one there is, where the size is not known."""
    shape = list(array.shape)
    shape[axis] = shape[axis] if size is None else size
    return np.broadcast_to(array, shape)


def transposed(shape: Sizes, order: Sequence[int]) -> Move:
    """Transpose."""
    return Move(
        tuple(shape[axis] for axis in order),
        lambda array, _: array.transpose(order),
        lambda free: tuple(free[axis] for axis in order),
    )


def reshaped(before: Sizes, after: Sizes) -> Move:
    """Reshape, and all that is one. Without all sizes known nothing is kept apart."""
    groups = _groups(before, after)
    rank = len(after)

    def arrange(array: Array, reduce: Reduce) -> Array:
        if groups is None:
            return uniform(array, range(array.ndim), reduce).reshape((1,) * rank)
        shape: list[int] = []
        # From one number for each group of axes to all of them, where they are not all the same.
        for old, new in groups:
            full = any(array.shape[axis] != 1 for axis in old)
            beside = array.size // prod(array.shape[axis] for axis in old)
            if full and beside * prod(before[axis] or 1 for axis in old) > LARGEST:
                array, full = uniform(array, old, reduce), False
            for axis in old if full else ():
                array = expanded(array, axis, before[axis])
            shape += [(after[axis] or 1) if full else 1 for axis in new]
        return array.reshape(shape)

    def free(axes: Sequence[bool]) -> tuple[bool, ...]:
        if groups is None:
            return (False,) * rank
        found: list[bool] = []
        for old, new in groups:
            found += [all(axes[axis] or before[axis] == 1 for axis in old)] * len(new)
        return tuple(found)

    return Move(after, arrange, free)


def _groups(before: Sizes, after: Sizes) -> list[tuple[list[int], list[int]]] | None:
    """Runs of axes, old and new, that hold the same numbers; each as short as it can be."""
    if None in before or None in after or 0 in before:
        return None
    old = [size or 0 for size in before]
    new = [size or 0 for size in after]
    if prod(old) != prod(new):
        return None
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        left, right = list[int](), list[int]()
        have = want = 1
        while not left or not right or have != want:
            if i < len(old) and (have <= want or j == len(new)):
                have *= old[i]
                left.append(i)
                i += 1
            elif j < len(new):
                want *= new[j]
                right.append(j)
                j += 1
            else:
                break
        groups.append((left, right))
    return groups


def taken(shape: Sizes, axis: int, places: Array) -> Move:
    """The entries at ``places`` along one axis: Slice, Split and Gather."""
    often = int(np.bincount(places).max()) if places.size else 0

    def arrange(array: Array, _: Reduce) -> Array:
        return array if array.shape[axis] == 1 else np.take(array, places, axis)

    def free(axes: Sequence[bool]) -> tuple[bool, ...]:
        return tuple(known and (i != axis or often < 2) for i, known in enumerate(axes))

    sizes = (*shape[:axis], len(places), *shape[axis + 1 :])
    return Move(sizes, arrange, free, float(often))


def cropped(shape: Sizes, axis: int, size: int | None) -> Move:
    """Some of the entries along an axis, not known which."""
    return Move(
        (*shape[:axis], size, *shape[axis + 1 :]),
        lambda array, reduce: uniform(array, (axis,), reduce),
        tuple,
    )


def repeated(before: Sizes, after: Sizes) -> Move:
    """Copies along the axes whose size grows: Expand, Tile, Resize by nearest neighbours."""
    grown = [axis for axis in range(len(before)) if before[axis] != after[axis]]
    pairs = [(before[axis], after[axis]) for axis in grown]
    known = all(old and new for old, new in pairs)
    copies = prod(-(-(new or 1) // (old or 1)) for old, new in pairs) if known else inf
    return Move(
        after,
        lambda array, reduce: uniform(array, grown, reduce),
        lambda free: tuple(is_free and i not in grown for i, is_free in enumerate(free)),
        float(copies),
    )


def padded(
    before: Sizes, after: Sizes, begin: Sequence[int], end: Sequence[int], mode: str
) -> Move:
    """Pad by zeros, or by copies of what is there."""
    moved = [axis for axis in range(len(before)) if begin[axis] or end[axis]]
    copied = mode != "constant"

    def arrange(array: Array, reduce: Reduce) -> Array:
        for axis in moved:
            if array.shape[axis] == 1:
                continue
            if copied:
                array = uniform(array, (axis,), reduce)
                continue
            first, last = max(-begin[axis], 0), array.shape[axis] - max(-end[axis], 0)
            array = np.take(array, range(first, last), axis)
            widths = [(0, 0)] * array.ndim
            widths[axis] = (max(begin[axis], 0), max(end[axis], 0))
            array = np.pad(array, widths)
        return array

    def free(axes: Sequence[bool]) -> tuple[bool, ...]:
        return tuple(known and not (copied and i in moved) for i, known in enumerate(axes))

    if copied:
        copies = prod(1 + max(begin[axis], 0) + max(end[axis], 0) for axis in moved)
        return Move(after, arrange, free, float(copies))

    kept = {}
    for axis in moved:
        old, new = before[axis], after[axis]
        if old and new:
            kept[axis] = min((old + min(begin[axis], 0) + min(end[axis], 0)) / new, 1.0)
    return Move(after, arrange, free, kept=kept)


def depth_to_space(after: Sizes, block: int, *, depth_first: bool) -> Move:
    """DepthToSpace of (N, C·b², H, W): the phases of a place fall together."""

    def arrange(array: Array, reduce: Reduce) -> Array:
        array = uniform(array, (2, 3), reduce)
        if array.shape[1] == 1:
            return array
        split = (block * block, -1) if depth_first else (-1, block * block)
        phases = array.reshape(array.shape[0], *split)
        kept = reduce(phases, (1 if depth_first else 2,))
        return kept.reshape(len(array), -1, 1, 1)

    def free(axes: Sequence[bool]) -> tuple[bool, ...]:
        batch, channel, height, width = axes
        return batch, channel, height and channel, width and channel

    return Move(after, arrange, free)


def space_to_depth(after: Sizes, block: int) -> Move:
    """SpaceToDepth of (N, C, H, W)."""

    def arrange(array: Array, reduce: Reduce) -> Array:
        array = uniform(array, (2, 3), reduce)
        return array if array.shape[1] == 1 else np.tile(array, (1, block * block, 1, 1))

    def free(axes: Sequence[bool]) -> tuple[bool, ...]:
        batch, channel, height, width = axes
        return batch, channel and height and width, height, width

    return Move(after, arrange, free)


def concatenated(states: Sequence[State], shape: Sizes, axis: int) -> State:
    """Concat."""
    sizes = [state.shape[axis] for state in states]
    rank = len(shape)

    def together(arrays: Sequence[Array], reduce: Reduce = most) -> Array:
        alone = all(a.shape[axis] == 1 for a in arrays)
        if alone and all(np.array_equal(a, arrays[0]) for a in arrays):
            return arrays[0]
        lengths = [max(a.shape[i] for a in arrays) for i in range(rank)]
        total = prod(lengths[:axis] + lengths[axis + 1 :]) * (shape[axis] or 0)
        if None in sizes or total > LARGEST:
            arrays = [uniform(a, (axis,), reduce) for a in arrays]
            return np.asarray(reduce(np.stack(np.broadcast_arrays(*arrays)), (0,))[0])
        arrays = [expanded(a, axis, size) for a, size in zip(arrays, sizes, strict=True)]
        full: list[Array] = [
            np.broadcast_to(a, [*lengths[:axis], a.shape[axis], *lengths[axis + 1 :]])
            for a in arrays
        ]
        return np.concatenate(full, axis)

    def part(users: Sequence[tuple[int, Part]]) -> Part:
        stds = [np.zeros((1,) * rank)] * len(states)
        for i, one in users:
            stds[i] = stds[i] + one.std
        # The same numbers may be in several of the operands, at other places.
        free = users[0][1].free if len(users) == 1 else (False,) * rank
        return Part(together(stds), free, partial(_root_of_squares, [one.norm for _, one in users]))

    def parts(given: Sequence[Parts]) -> dict[Sources, Part]:
        groups = joined(given)
        found = {sources: part(users) for sources, users in groups.items() if len(users) > 1}
        alone: list[list[tuple[Sources, int, Part]]] = [[] for _ in states]
        for sources, users in groups.items():
            if len(users) == 1:
                alone[users[0][0]].append((sources, *users[0]))
        # Parts that only one operand has are side by side: one of each operand makes one part.
        for row in zip_longest(*alone):
            beside = [member for member in row if member is not None]
            whole = part([(i, one) for _, i, one in beside])
            free = tuple(all(one.free[axis] for *_, one in beside) for axis in range(rank))
            norm = partial(_largest, [one.norm for *_, one in beside])
            sources = frozenset[Hashable]().union(*(own for own, *_ in beside))
            found[sources] = Part(whole.std, free, norm)
        return found

    return State(
        shape,
        together([s.high for s in states]),
        together([s.error for s in states]),
        together([s.mean for s in states]),
        together([s.power for s in states], average),
        all(s.known for s in states),
        max(s.pending for s in states),
        parts([s.signal for s in states]),
        parts([s.noise for s in states]),
    )


def _root_of_squares(norms: Sequence[Callable[[], float]]) -> float:
    return sqrt(sum(norm() ** 2 for norm in norms))


def _largest(norms: Sequence[Callable[[], float]]) -> float:
    return max(norm() for norm in norms)
