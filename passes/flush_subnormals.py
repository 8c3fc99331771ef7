"""The pass ``flush-subnormals``: weights too small to count become zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Op
from convc.pipeline import Pass
from convc.rewrite import Exactness, NoMatch, Replacement, Rewrite, Rule, rule
from passes import _linear as linears
from passes._linear import Linear, from_filters, per_channel, to_filters

FLOAT32_TINY = float(np.finfo(np.float32).tiny)
NEIGHBOUR = 1e-6
"""A filter is measured by at least this part of the op's largest value; see the class."""
SPREAD = 2.0**10
"""How much larger the input of a flushed weight may be than that of the largest one."""
CHUNK = 2**20


@dataclass(frozen=True)
class FlushSubnormals(Pass):
    """Sets to zero the weights and biases that are too small to count, filter by filter.

    A processor takes many times longer over subnormal numbers: below 2⁻¹²⁶ ≈ 1.2e-38 in float32,
    be it the weight itself, its product with an activation, or the activation it leads to.

    Before: filter k of a Conv, ConvTranspose, Gemm or MatMul with constant weights ``w`` and
    bias ``b``. After: the same with ``F`` set to 0: the smallest of the values of magnitude below
    ``below``, as many as the condition admits (nearly always all of them).

    Let ``m`` be the largest magnitude among the filter's weights and bias, and ``M`` among those
    of the whole op. For inputs of magnitude at most X (1 for the bias) the filter's output moves
    by at most ``X·Σ_F |w|``. The condition is

        2¹⁰ · Σ_F |w| ≤ u · max(m, M·1e-6)          u: the unit roundoff, 2⁻²⁴ in float32

    and the rewrite's bound is the largest ratio of the left side to the maximum. The factor 2¹⁰ is
    for inputs that are a thousand times larger where a weight is flushed than where the largest
    weight is.

    - In a live filter ``m`` counts: all that is flushed is together less than half a unit in the
      last place of the filter's largest term. With ``below`` at 1e-20 and the weights of real
      networks it is ten orders less, which no bit of the sum shows.
    - A dead filter, every value below ``below``, leaves nothing of itself: it is measured by its
      neighbours. Behind the op, something would have to magnify this channel over the others a
      million times before the change is as large as their rounding. A normalization without
      epsilon could do so in theory; so the class is *rounding*, and the whole model is compared.
    - Where the whole op is that small (M too), the scale may be meant: it is kept, but for what is
      nothing even beside it.

    float16 has no value but 0 below 6e-8, and its subnormals are ordinary numbers in the float32
    that runtimes compute in: they are left alone. bfloat16 has float32's exponents. For double
    ``below`` is scaled by the ratio of the smallest normal numbers.

    Cost: none. Other passes can make such weights (a dead channel's scale folded into a conv, two
    decayed kernels composed), so it belongs behind them.

    Options:
        below: magnitude under which a value is looked at. 1e-20 is 2⁶⁰ above the subnormals: a
            smaller weight makes subnormal products of activations of 1e-18.
    """

    name: ClassVar[str] = "flush-subnormals"
    below: float = 1e-20

    def rules(self) -> Sequence[Rule]:
        """One rule."""
        return [rule(flush, *linears.KINDS, below=self.below)]


def flush(graph: Graph, op: Op, below: float) -> Rewrite:
    """The op with its negligible weights and biases set to zero."""
    if all(value is None or value.array is None for value in op.inputs[:2]):
        raise NoMatch("")
    linear = linears.read(op)
    info = linears.precision(linear)
    threshold = below * (float(info.tiny) / FLOAT32_TINY) if info.bits == 64 else below
    bias = _bias(linear)
    if not (_has_small(linear.array, threshold) or _has_small(bias, threshold)):
        raise NoMatch("")
    weights = to_filters(linear, linear.array).astype(np.float64)
    # One row for each filter; its bias is the weight of an input that is 1.
    values = np.column_stack([weights, np.resize(bias, len(weights))])
    flushed, bound = _flushed(values, threshold, float(info.eps) / 2)
    if np.count_nonzero(values) == np.count_nonzero(flushed):
        raise NoMatch("small weights are not negligible beside the others of their op")
    build = Replacement(graph)
    kept = None if not bias.any() else flushed[:, -1]
    value = linears.rebuild(
        build,
        linear,
        build.take(linear.data),
        weights=from_filters(linear, flushed[:, :-1]),
        bias=kept,
    )
    return build.rewrite(
        {op.result: value},
        Exactness.ROUNDING,
        note=f"negligible weights of a {op.kind} zeroed",
        bound=bound,
    )


def _flushed(values: Array, threshold: float, roundoff: float) -> tuple[Array, float]:
    """The values (filters, weights) less the negligible ones, and the largest relative change."""
    magnitude = np.abs(values)
    largest = np.maximum(magnitude.max(axis=1), magnitude.max() * NEIGHBOUR)[:, np.newaxis]
    small = np.where(magnitude < threshold, magnitude, 0)
    order = np.argsort(small, axis=1)
    moved = np.cumsum(np.take_along_axis(small, order, axis=1), axis=1)
    negligible = np.empty_like(small, bool)
    np.put_along_axis(negligible, order, moved * SPREAD <= roundoff * largest, axis=1)
    flushed = np.where(negligible & (small > 0), 0.0, values)
    change = SPREAD * np.where(negligible, small, 0).sum(axis=1, keepdims=True)
    ratio = np.divide(change, largest, out=np.zeros_like(change), where=change > 0)
    return flushed, float(ratio.max())


def _bias(linear: Linear) -> Array:
    """One bias per output channel, or a single zero where it has another form."""
    try:
        bias = per_channel(linears.bias_of(linear), linear.out_axis, linear.outputs)
    except NoMatch:
        return np.zeros(1)
    return np.zeros(1) if bias is None else bias


def _has_small(array: Array, threshold: float) -> bool:
    """Whether any value but 0 is below; by chunks, so that no copy of a large weight is made."""
    flat = array.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        chunk = np.abs(flat[start : start + CHUNK])
        if ((chunk > 0) & (chunk < threshold)).any():
            return True
    return False
