"""Proof of one rewrite: its region before and after, evaluated in float64, must agree.

The replacement's weights are still float64, so what remains between the two is rounding in
float64. For a linear region of one fixed shape this is the whole truth: two affine maps that
agree on a random input agree everywhere, with probability 1. A region of a large fixed size is
proved at a smaller one that shows every border case (`convc.proof.shrink`). Where dims are open,
several sizes are tried, so that every residue modulo the strides and every border case occurs.
Where a region holds a nonlinearity, several inputs of either sign are tried. docs/proof.md has the
arguments.
"""

from __future__ import annotations

import numpy as np

from convc.errors import CannotProveError, ProofError
from convc.graph import Graph
from convc.ir import Array
from convc.proof.shrink import shrunk
from convc.proof.sizes import LARGEST_TRIED, LARGEST_VARIED, trials
from convc.reference import EvaluationError, evaluate
from convc.rewrite import Exactness, Rewrite

TOLERANCE = 1e-9
"""Largest difference allowed, relative to the channel's own scale. Float64 rounding over a sum of
a million terms stays below 1e6 · 2⁻⁵³ ≈ 1e-10; a wrong weight, pad or bias shows at 1e-3."""


def prove(graph: Graph, rewrite: Rewrite, seed: int = 0) -> float:
    """The largest difference between the region and its replacement, relative to its scale.

    An approximate replacement computes something else: of it only shapes, dtypes and positions of
    NaN are held to the region's, and its difference is not counted.

    Raises ProofError where it exceeds `TOLERANCE` (plus the rewrite's own stated bound), or where
    shapes, dtypes or positions of NaN differ; CannotProveError where the region cannot be fed or
    evaluated.
    """
    for value, other in zip(rewrite.outputs, rewrite.after.outputs, strict=True):
        if None not in (value.dtype, other.dtype) and value.dtype != other.dtype:
            raise ProofError(f"{value!r} is {value.dtype}, its replacement {other.dtype}")
    region = _with_names(graph.extract(rewrite.cut, (*rewrite.inputs, *rewrite.outputs)))
    replacement = _with_names(rewrite.after.clone())
    smaller = ""
    small = shrunk(region, replacement)
    if small is not None:
        try:
            worst, _ = _prove_at(rewrite, *small, LARGEST_VARIED, seed)
        except ProofError as error:
            # It is wrong, or right for its own size alone: that size tells.
            worst, smaller = -1.0, f"; at smaller sizes {error}"
        if worst >= 0.0:
            return worst
    # Some regions run at no small size: these take larger ones, and their time.
    for largest in (LARGEST_VARIED, LARGEST_TRIED):
        worst, failure = _prove_at(rewrite, region, replacement, largest, seed)
        if worst >= 0.0:
            return worst
    raise CannotProveError(f"the region cannot be evaluated: {failure}{smaller}")


def _prove_at(
    rewrite: Rewrite, region: Graph, replacement: Graph, largest: int, seed: int
) -> tuple[float, str]:
    """The largest difference, −1 where no trial runs, and then why."""
    worst, failure = -1.0, "no size is known at which to evaluate it"
    for feeds in trials(region, replacement, largest, np.random.default_rng(seed)):
        try:
            values = evaluate(region, feeds)
        except EvaluationError as error:
            failure = str(error)
            continue  # a size for which the original does not run is no evidence
        if any(isinstance(value, list) for value in values):
            raise CannotProveError("the region gives sequences")
        given, before = values[: len(rewrite.inputs)], values[len(rewrite.inputs) :]
        names = [value.name for value in replacement.inputs]
        sizes = ", ".join("x".join(map(str, array.shape)) for array in feeds.values())
        try:
            after = evaluate(replacement, dict(zip(names, given, strict=True)))
        except EvaluationError as error:
            raise ProofError(f"the replacement cannot be evaluated at {sizes}: {error}") from error
        for value, old, new in zip(rewrite.outputs, before, after, strict=True):
            residual = difference(old, new)
            if rewrite.exactness is Exactness.APPROXIMATE and np.isfinite(residual):
                residual = 0.0
            if not residual <= TOLERANCE + rewrite.bound:
                raise ProofError(f"{value!r} differs by {residual:.1e} of its scale at {sizes}")
            if old.size:
                worst = max(worst, residual)
            else:
                failure = "its result is empty"  # no evidence either
    return worst, failure


def _with_names(part: Graph) -> Graph:
    """Gives the inputs of a private copy names of their own: inside a graph names may repeat."""
    for i, value in enumerate(part.inputs):
        value.name = f"input_{i}"
    return part


def difference(before: Array, after: Array) -> float:
    """Largest |before − after|, each channel (axis 1) relative to its own largest magnitude.

    Infinite where shapes, dtypes, or the positions of NaN and infinity differ.
    """
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape or before.dtype != after.dtype:
        return np.inf
    if before.dtype.kind not in "fc":
        return 0.0 if np.array_equal(before, after) else np.inf
    if before.size == 0:
        return 0.0
    finite = np.isfinite(before)
    if not np.array_equal(before[~finite], after[~finite], equal_nan=True):
        return np.inf
    if not np.isfinite(after[finite]).all():
        return np.inf
    old, new = np.where(finite, before, 0.0), np.where(finite, after, 0.0)
    axes = tuple(axis for axis in range(old.ndim) if axis != 1)
    scale = np.maximum(
        np.abs(old).max(axis=axes, keepdims=True), np.abs(new).max(axis=axes, keepdims=True)
    )
    # A channel that cancels to nothing is judged by the rounding of the whole tensor: 1e-4 of
    # its scale times `TOLERANCE` is a thousand units of float64.
    scale = np.maximum(scale, np.abs(old).max() * 1e-4)
    error = np.abs(old - new)
    relative = np.divide(error, scale, out=np.zeros_like(error), where=error > 0)
    return float(relative.max(initial=0.0))
