"""Bounds of the rounding errors of a rewrite: at worst, and probably.

What is bounded is the difference between the outputs of a replacement, as a runtime computes them
in the stored dtype with unit roundoff u (2⁻²⁴ in float32), and the real numbers that the original
region stands for. It has three sources: the rounding of the replacement's arithmetic, the cast of
its float64 weights to the stored dtype, and for a rewrite of class *rounding* what it changes: its
stated `bound`, or less where both sides are chains of convs and can be compared weight by weight
(`moved`).

Every value of the region gets bounds of its magnitude and of its error, op by op (`walk`), for each
channel. A sum of n products ``y = Σ w_i·x_i + b`` is what counts:

**At worst**, for inputs of magnitude at most X (1 by default). Every product goes through at most
``t = n + 1`` roundings, for itself and for the additions, bias included, whatever their order and
their grouping; through one more where the weight was rounded when stored. A fused multiply-add
rounds less. So, with ``γ_t = t·u/(1 − t·u)`` (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed. 2002, lemma 3.1),

    |ŷ − y| ≤ Σ|w_i|·e_i + γ_t·(Σ|w_i|·(m_i + e_i) + |b|),     |x_i| ≤ m_i, |x̂_i − x_i| ≤ e_i.

n counts the weights that are not zero. An addition that a runtime may fuse into the product before
it (a residual) counts as many roundings as that sum has terms. `Bounds.worst` is the largest such
error, relative to `Bounds.largest`: the largest magnitude that an output can reach for such inputs,
``max_k Σ|w_k| + |b_k|`` for a single layer. It is what no data, kernel, blocking or order of sums
exceeds. It does assume that nothing overflows or becomes subnormal, and of transcendental functions
(Sigmoid, Tanh, ...) that the runtime's are right to `FUNCTION_ROUNDINGS` units.

**Probably**, for inputs that are Gaussian, uncorrelated, of mean 0 and deviation X. The rounding of
a number s is a random number of mean 0 and mean square ``v·u²·s²`` (`convc.algebra.winograd_error`,
which also has the argument for Azuma's inequality and its sources: Higham & Mary 2019 and 2020). No
partial sum of y has a larger variance than y, in whatever order they are made, so an output errs
with the variance

    V_y = Σ w_i²·V_i + v·u²·E[y²]·(n + 1, and one for the cast),

where the inherited errors V_i add up so only where they are uncorrelated. That is kept account of:
by source (the rounding in one op is independent of that in another), by axis (what a depthwise conv
makes of different channels, or a product of different rows, has nothing in common), and else by the
largest singular value of the layers between, or at last by ``(Σ|w_i|·√V_i)²``. For all outputs at
once and with confidence p, by `tail.factor`,

    max|ŷ − y| ≤ x·max √V = probable·rms.

`Bounds.rms` is the root mean square of the output under that model (the mean over its channels and
places, borders included), which the largest output is not below in layers of more than a few
outputs: so ``probable`` is relative to the largest output as well. Where no side of the rewrite is
a single linear layer of the inputs, it is an estimate: as if values between layers were
uncorrelated.

``probable`` is of the first order in u. It knows nothing of data with a mean, or of smooth ones;
``worst`` holds for them. Through regions of many layers with nonlinearities between them both grow
with the layers' norms, and say little.

**With runs.** Any order of a long sum is more than a runtime takes: onnxruntime's kernels cut sums
in runs (`runs`), so that a product goes through as many roundings as a run has terms and as there
are runs. With ``runs=True`` both bounds rely on that, and `Bounds.runs` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isnan

import numpy as np

from convc.algebra.winograd_error import CONFIDENCE
from convc.errors import InvalidGraphError
from convc.graph import Graph
from convc.ir import Value
from convc.rewrite import Exactness, Rewrite
from convc.rounding.moved import difference
from convc.rounding.state import NoBoundError, State, variance, volume
from convc.rounding.step import shape_of
from convc.rounding.tail import factor
from convc.rounding.walk import elements, inputs_of, walked

__all__ = ["Bounds", "NoBoundError", "Sides", "bounds", "compared", "region_bounds"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of the rounding errors of a region's outputs; see the module.

    Attributes:
        worst: what |error| never exceeds, relative to ``largest``, for inputs of at most the
            stated magnitude.
        probable: what no |error| exceeds with the given confidence, relative to ``rms``, for random
            inputs of that deviation.
        confidence: the probability.
        largest: for each output, the largest magnitude that it can reach at the most.
        rms: for each output, its root mean square.
        runs: they rely on how onnxruntime's CPU kernels cut long sums (`runs`).
    """

    worst: float
    probable: float
    confidence: float
    largest: tuple[float, ...]
    rms: tuple[float, ...]
    runs: bool = False


@dataclass(frozen=True, slots=True)
class Sides:
    """Bounds of a rewrite's two sides, relative to the same numbers.

    Attributes:
        before: of the region as it was; None where no bound is known.
        after: of its replacement; None where no bound is known.
        reason: why one is not known.
    """

    before: Bounds | None
    after: Bounds | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Model:
    """What the inputs are, and how sums are made."""

    magnitude: float
    confidence: float
    runs: bool


def bounds(
    graph: Graph,
    rewrite: Rewrite,
    magnitude: float = 1.0,
    confidence: float = CONFIDENCE,
    *,
    runs: bool = False,
) -> Bounds | None:
    """Bounds of what rounding makes of the rewrite's replacement.

    Args:
        graph: the graph that the rewrite was proposed on.
        rewrite: of which class *approximate* has no bound: the difference is not rounding.
        magnitude: of the inputs: their largest for ``worst``, their deviation for ``probable``.
        confidence: of ``probable``, below 1.
        runs: rely on how onnxruntime's CPU kernels cut long sums (`runs`), in place of any order.

    Returns:
        None where the replacement holds an op of which no bound is known; `compared` has the
        reason.
    """
    return compared(graph, rewrite, magnitude, confidence, runs=runs).after


def region_bounds(
    graph: Graph,
    outputs: Sequence[Value],
    inputs: Sequence[Value],
    magnitude: float = 1.0,
    confidence: float = CONFIDENCE,
    *,
    runs: bool = False,
) -> Bounds | None:
    """Bounds of what rounding makes of the part of the graph between two sets of values.

    Relative to the region's own outputs; for a rewrite's two sides, relative to the same numbers,
    see `compared`. Arguments and result as for `bounds`.
    """
    model = _Model(magnitude, confidence, runs)
    try:
        region = graph.extract(inputs, outputs)
        states = _real(walked(region, inputs_of(region, magnitude), cut=runs))
        return _bounds(states, _scales([states]), model)
    except NoBoundError:
        return None


def compared(
    graph: Graph,
    rewrite: Rewrite,
    magnitude: float = 1.0,
    confidence: float = CONFIDENCE,
    *,
    runs: bool = False,
) -> Sides:
    """Bounds of a rewrite's two sides. Arguments as for `bounds`."""
    if rewrite.exactness is Exactness.APPROXIMATE:
        return Sides(None, None, "approximate: the difference is not rounding")
    model = _Model(magnitude, confidence, runs)
    try:
        before, inputs, reason = _before(graph, rewrite, model)
        after = _real(walked(rewrite.after, inputs, cut=runs))
        scales = _scales([after] if before is None else [before, after])
        found = _moved(graph, rewrite, _bounds(after, scales, model), magnitude)
        old = None if before is None else _bounds(before, scales, model)
    except NoBoundError as error:
        return Sides(None, None, str(error))
    return Sides(old, found, reason)


def _before(
    graph: Graph, rewrite: Rewrite, model: _Model
) -> tuple[list[State] | None, Mapping[Value, State | None], str]:
    """What is known of the region's outputs and, by the replacement's inputs, of its inputs."""
    after = rewrite.after
    fresh = inputs_of(after, model.magnitude)
    try:
        region = graph.extract(rewrite.cut, (*rewrite.inputs, *rewrite.outputs))
        found = walked(region, inputs_of(region, model.magnitude), cut=model.runs)
        states = _real(found[len(rewrite.inputs) :])
    except (NoBoundError, InvalidGraphError) as error:
        return None, fresh, f"before: {error}"
    if rewrite.frontier is None:
        # The same inputs under the names of either side.
        return states, fresh, ""
    given = [None if state is None else state.exact() for state in found[: len(after.inputs)]]
    return states, dict(zip(after.inputs, given, strict=True)), ""


def _real(states: Sequence[State | None]) -> list[State]:
    return [state for state in states if state is not None]


def _scales(sides: Sequence[Sequence[State]]) -> list[tuple[float, float]]:
    """For each output, the largest magnitude it can reach and its root mean square."""
    return [_scale(states) for states in zip(*sides, strict=True)]


def _scale(states: Sequence[State]) -> tuple[float, float]:
    largest = min(float(np.max(state.high, initial=0.0)) for state in states)
    # An exact power is the same on both sides; of two estimates the smaller gives the safer bound.
    exact = [state for state in states if state.known]
    return largest, min(_rms(state) for state in exact or states)


def _rms(state: State) -> float:
    return float(np.sqrt(np.mean(state.power)))


def _bounds(
    states: Sequence[State], scales: Sequence[tuple[float, float]], model: _Model
) -> Bounds:
    rounded = [s for s in states if s.error.any()]
    count = sum(elements(s) for s in rounded)
    tail = factor(count, model.confidence) if rounded else 0.0
    worst = probable = 0.0
    for state, (largest, rms) in zip(states, scales, strict=True):
        deviation = float(np.sqrt(np.max(variance(state.noise), initial=0.0)))
        error = float(np.max(state.error, initial=0.0))
        if isnan(deviation) or isnan(error):
            raise NoBoundError("the weights hold infinity, or what is no number")
        worst = max(worst, _relative(error, largest))
        probable = max(probable, _relative(tail * deviation, rms))
    largest_of, rms_of = zip(*scales, strict=True) if scales else ((), ())
    return Bounds(worst, probable, model.confidence, largest_of, rms_of, model.runs)


def _moved(graph: Graph, rewrite: Rewrite, found: Bounds, magnitude: float) -> Bounds:
    """With what the replacement itself differs by: where both sides are convs, weight by weight."""
    if rewrite.bound == 0.0:
        return found
    worst = probable = rewrite.bound
    apart = None
    if len(rewrite.outputs) == 1 and rewrite.frontier is None:
        region = graph.extract(rewrite.inputs, rewrite.outputs)
        apart = difference(region, rewrite.after, magnitude)
    if apart is not None:
        count = volume(shape_of(rewrite.after, rewrite.after.outputs[0]), "the result")
        moved = factor(count, found.confidence) * apart.deviation
        worst = min(worst, _relative(apart.largest, found.largest[0]))
        probable = min(probable, _relative(moved, found.rms[0]))
    return replace(found, worst=found.worst + worst, probable=found.probable + probable)


def _relative(error: float, scale: float) -> float:
    """Nothing is nothing, of whatever scale."""
    if error == 0.0:
        return 0.0
    return error / scale if scale > 0.0 else inf
