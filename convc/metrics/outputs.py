"""Outputs of two models over many inputs, in pairs; sums over them in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from convc.ir import Array, is_real

Outputs: TypeAlias = Mapping[str, Array]
"""A model's outputs for one input, by name."""

Measure: TypeAlias = Callable[[Sequence[Outputs], Sequence[Outputs]], float]
"""What a model's outputs are worth beside the original's, which come first, over all inputs."""


def names(reference: Sequence[Outputs]) -> list[str]:
    """The outputs' names; none where there is no input."""
    return list(reference[0]) if reference else []


def pairs(
    name: str, reference: Sequence[Outputs], other: Sequence[Outputs]
) -> tuple[list[Array], list[Array]]:
    """One output of both models for each input."""
    missing = any(name not in outputs for outputs in other)
    return [outputs[name] for outputs in reference], (
        [] if missing else [outputs[name] for outputs in other]
    )


def comparable(before: Sequence[Array], after: Sequence[Array]) -> bool:
    """True where shapes are the same and NaN and infinity stand at the same places."""
    return len(before) == len(after) and all(map(_alike, before, after))


def _alike(a: Any, b: Any) -> bool:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)) or a.shape != b.shape:
        return False
    if not is_real(a.dtype):
        return True
    if not is_real(b.dtype):
        return False
    x, y = a.astype(np.float64), b.astype(np.float64)
    odd = ~np.isfinite(x)
    return bool(np.isfinite(y[~odd]).all() and np.array_equal(x[odd], y[odd], equal_nan=True))


def unequal(before: Sequence[Array], after: Sequence[Array]) -> float:
    """Share of the elements that differ."""
    count = sum(array.size for array in before)
    differ = sum(int(np.count_nonzero(a != b)) for a, b in zip(before, after, strict=True))
    return differ / count if count else 0.0


def finite(before: Sequence[Array], after: Sequence[Array]) -> Iterator[tuple[Array, Array]]:
    """The finite elements of both in float64, input by input: never all at once."""
    for a, b in zip(before, after, strict=True):
        x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
        finite = np.isfinite(x)
        yield (x, y) if finite.all() else (x[finite], y[finite])


def norm(parts: Iterable[Array]) -> float:
    """The L2 norm of all parts together."""
    return math.sqrt(math.fsum(float(np.dot(part, part)) for part in parts))
