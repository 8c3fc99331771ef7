"""Shares of decisions that differ: classes along an axis, elements of integers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from convc.errors import UsageError
from convc.ir import Array, is_real
from convc.metrics.outputs import Outputs, comparable, names, pairs, unequal


def disagreement(
    reference: Sequence[Outputs],
    other: Sequence[Outputs],
    axis: int | None = None,
    real_only: bool = False,
) -> float:
    """The share of decisions that differ, of the worst output.

    Args:
        reference: the original's outputs.
        other: another model's.
        axis: of the classes. By default the only one after the first that is longer than 1; of
            several, the shorter of the second and the last.
        real_only: leave out outputs of integers and booleans, each of whose elements is a decision.

    Outputs without such an axis are left out; raises UsageError where none is left.
    """
    shares = [
        _share(*pairs(name, reference, other), at)
        for name, at in _decided(reference, axis, real_only)
    ]
    if not shares and reference:
        along = "axis of classes" if axis is None else f"axis {axis}"
        raise UsageError(
            f"--metric: no output has an {along} to decide along: give another axis (top1:2) or "
            "a file.py:function"
        )
    return max(shares, default=0.0)


def decisions(
    reference: Sequence[Outputs], axis: int | None = None, real_only: bool = False
) -> int:
    """Of how many decisions `disagreement` is the share: those of the output that has fewest."""
    counts = [
        sum(
            outputs[name].size // (1 if at is None else outputs[name].shape[at])
            for outputs in reference
        )
        for name, at in _decided(reference, axis, real_only)
    ]
    return min(counts, default=0)


def upper_share(share: float, count: int, z: float = 1.645) -> float:
    """What a share may be where that is what ``count`` decisions show: Wilson's upper limit (1927).

    Args:
        share: seen, from 0 to 1; infinity stays.
        count: decisions; of none anything may be.
        z: quantile of the normal distribution; 1.645 leaves 5 % above.
    """
    if not math.isfinite(share) or not count:
        return math.inf
    spread = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return (share + z * z / (2 * count) + spread) / (1 + z * z / count)


def class_axis(shape: tuple[int, ...]) -> int | None:
    """The axis along which an output of this shape ranks its classes, None where it has none."""
    longer = [axis for axis in range(1, len(shape)) if shape[axis] > 1]
    if len(longer) < 2:
        return longer[0] if longer else None
    last = len(shape) - 1
    # Classes are fewer than positions, whether they come first or last.
    axis = 1 if len(shape) < 3 or shape[1] <= shape[last] else last
    return axis if shape[axis] > 1 else None


def _decided(
    reference: Sequence[Outputs], axis: int | None, real_only: bool
) -> Iterator[tuple[str, int | None]]:
    """The outputs with decisions in them and their class axes, None of integers and booleans."""
    for name in names(reference):
        first = reference[0][name]
        at = _classes(first, axis) if is_real(first.dtype) else None
        if at is not None or not (real_only or is_real(first.dtype)):
            yield name, at


def _share(before: Sequence[Array], after: Sequence[Array], axis: int | None) -> float:
    if not comparable(before, after):
        return math.inf
    if axis is None:
        return unequal(before, after)
    return unequal(*([np.argmax(a, axis) for a in arrays] for arrays in (before, after)))


def _classes(array: Array, axis: int | None) -> int | None:
    """The class axis of an output; None where it is none, or has no second class."""
    if axis is None:
        return class_axis(array.shape)
    return axis if axis < array.ndim and array.shape[axis] > 1 else None
