"""The array types of the algebra: any real dtype in, float64 out."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
AnyArray: TypeAlias = NDArray[Any]
Sizes: TypeAlias = tuple[int, ...]
MaybeSizes: TypeAlias = tuple[int | None, ...]
"""Spatial sizes, one per axis; None where the size is dynamic."""


def as_float64(values: AnyArray) -> Array:
    """``values`` in float64, the precision of all kernel arithmetic."""
    return np.asarray(values, dtype=np.float64)


def channels(values: AnyArray | None, count: int) -> Array:
    """A bias or scale as a vector of ``count`` channels: None is zero, one value is repeated.

    Raises:
        ValueError: the number of values is neither one nor ``count``.
    """
    if values is None:
        return np.zeros(count)
    flat = as_float64(values).reshape(-1)
    if flat.size not in (1, count):
        raise ValueError(f"{flat.size} values for {count} channels")
    return np.broadcast_to(flat, (count,)).copy()
