"""How far outputs may be from what they should be, and how far they are.

The measure is the network's own sensitivity to rounding, see `tests.fuzz.rounding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convc.ir import Array
from tests.fuzz.rounding import channel_scale, roundoff

ROUNDED_WEIGHTS = 24.0
"""Spreads by which a rewritten network may be off in float64. A spread is the largest of two random
samples; weights rounded another way are one more sample, a sum of several kernels a few."""

ROUNDED_VALUES = 64.0
"""The same in onnxruntime, where all intermediate sums are rounded: a sum of n terms by up to √n
units where the spread knows one."""

UNITS = 16.0
"""Units of roundoff of a channel's own scale below which nothing is an error."""

TILES = 1e-4 / 2.0**-24
"""What `lower-to-winograd` may add: its option ``tolerance``, 1e-4 of a layer's scale, in units of
roundoff."""

KNOWN_ONLY_ROUGHLY = 1e-3
"""Error relative to an output's scale where float64 cannot evaluate a network: rounding of float32
stays far below, a wrong weight far above."""


@dataclass
class Trial:
    """One set of inputs: what the original gives, and how far rounding may take it."""

    name: str
    feeds: Mapping[str, Array]
    before: Sequence[Any]
    exact: Sequence[Array] | None
    spread: Sequence[Array] | None


def worst(after: Sequence[Any], trial: Trial, factor: float, *, stored: bool = True) -> str:
    """What is wrong with outputs, in words; nothing where nothing is.

    Args:
        after: the outputs.
        trial: what they should be.
        factor: spreads that they may be off.
        stored: outputs have the original's dtypes; else they are float64.
    """
    for i, (old, new) in enumerate(zip(trial.before, after, strict=True)):
        said = _off(old, new, trial, i, factor, stored=stored)
        if said:
            return f"output {i} {said}"
    return ""


def _off(old: Array, new: Any, trial: Trial, i: int, factor: float, *, stored: bool) -> str:
    if not isinstance(new, np.ndarray) or new.shape != old.shape:
        return f"has shape {np.shape(new)}, not {old.shape}"
    if stored and new.dtype != old.dtype:
        return f"is {new.dtype}, not {old.dtype}"
    if old.dtype.kind != "f":
        return "" if np.array_equal(old, new) else "differs in integers"
    a = old.astype(np.float64) if trial.exact is None else trial.exact[i]
    b = new.astype(np.float64)
    # Beyond the range of the dtype only the original knows whether it is infinity.
    known = np.isfinite(old) & np.isfinite(a)
    if trial.spread is not None:
        known &= np.isfinite(trial.spread[i])
    if not np.isfinite(b[known]).all():
        return "is NaN or infinite where the original is not"
    if not known.any():
        return ""
    a, b = np.where(known, a, 0.0), np.where(known, b, 0.0)
    scale = float(np.abs(a).max())
    unit = roundoff(old.dtype)
    if trial.spread is None:
        # Foreign activations are computed to units of 1: their tails are nothing but rounding.
        allowed: Any = max(KNOWN_ONLY_ROUGHLY * scale, ROUNDED_VALUES * unit)
    else:
        allowed = factor * trial.spread[i] + UNITS * unit * channel_scale(a)
        allowed += float(np.finfo(old.dtype).tiny)
    ratio = np.abs(a - b) / np.maximum(allowed, 1e-300)
    if ratio.max() <= 1.0:
        return ""
    at = int(ratio.argmax())
    return (
        f"is off by {np.abs(a - b).max() / max(scale, 1e-300):.1e} of its scale, "
        f"{float(ratio.max()):.1e} times what rounding may, {b.flat[at]:.6g} for {a.flat[at]:.6g}"
    )
