"""How far rounding may take a network: measured on the network itself, in float64.

Every weight and every value on the way is moved at random by one unit of its own dtype's roundoff,
and what this does to the outputs is seen. That is what any way of computing the network in that
dtype does to it, whatever the order of its sums, and it grows where the network cancels or
divides: an error of a few such spreads is rounding, one of thousands is a wrong number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convc.graph import Graph
from convc.ir import INPUT, Array, Op, Opaque, Value, is_real
from convc.reference import evaluate

BOUNDED = frozenset(
    {"Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Softplus", "HardSigmoid", "Erf"}
    | {"Elu", "Selu", "Celu", "Gelu", "QuickGelu", "Mish"}
)
"""Kinds that are computed to a unit of 1, not of their result: of exp(x) − 1, or tails cut off."""

INTERPOLATED = 16.0
"""Units by which a Resize is off: runtimes compute places between values in single precision."""

SAMPLES = 2
"""Times a network is moved."""

FEW = 16
"""Values of a channel below which it is no statistic of its own."""

NEGLIGIBLE = 1e-6 * 2.0**-10
"""Units of roundoff, of the largest weight of an op, below which a filter of it counts as nothing:
what `flush-subnormals` and `prune-dead-channels` say that they may drop."""

FIXED = frozenset({"Pow", "Resize", "Upsample"})
"""Kinds whose operands behind the first are not moved: an exponent just off an integer knows no
negative numbers, a scale just off gives other sizes."""


def roundoff(dtype: np.dtype[Any] | None) -> float:
    """Unit roundoff of a dtype; of float32 where none is known."""
    return float(np.finfo(dtype).eps) / 2 if dtype is not None and is_real(dtype) else 2.0**-24


def spreads(
    graph: Graph, feeds: Mapping[str, Array], exact: Sequence[Array], seed: int
) -> list[Array]:
    """For each output how far rounding takes each of its channels, in the shape of the output.

    Channels are the indices of axis 1. Raises EvaluationError where the graph cannot be evaluated.
    """
    rng = np.random.default_rng(seed)
    arrays = evaluate(graph, feeds, _between(graph))
    if _overflows(graph, arrays):
        return [np.full(np.shape(output), np.inf) for output in exact]
    moved = [evaluate(_moved(graph, arrays, rng), feeds) for _ in range(SAMPLES)]
    return [_spread(exact[i], [m[i] for m in moved]) for i in range(len(exact))]


def _between(graph: Graph) -> list[Value]:
    """The real values on the way from the inputs to the outputs, in the order of the graph."""
    return [
        value
        for op in graph.ops()
        if op.kind == INPUT or not (op.is_boundary or op.array is not None)
        for value in op.results
        if is_real(value.dtype) and graph.uses(value) and not _is_fixed(graph, value)
    ]


def _overflows(graph: Graph, arrays: Sequence[Any]) -> bool:
    """Whether a value on the way is beyond the range of its dtype.

    It is infinite in a runtime that stores it, and a number in one that goes on in a wider dtype:
    onnxruntime does either in float16, depending on the op that reads it.
    """
    for value, array in zip(_between(graph), arrays, strict=True):
        if value.dtype is None or not isinstance(array, np.ndarray) or array.dtype != np.float64:
            continue
        finite = array[np.isfinite(array)]
        if np.abs(finite).max(initial=0.0) > float(np.finfo(value.dtype).max):
            return True
    return False


def _moved(graph: Graph, arrays: Sequence[Any], rng: np.random.Generator) -> Graph:
    """A copy with all real weights and values moved by a unit of roundoff.

    Args:
        graph: the network.
        arrays: what its `_between` are.
        rng: where the signs come from.
    """
    copy = graph.clone()
    for value, array in zip(_between(copy), arrays, strict=True):
        if isinstance(array, np.ndarray) and array.dtype == np.float64:
            size = np.abs(array) + (value.op.kind in BOUNDED)
            if _has_bodies(value.op) and size.size:
                size = size + size.max()
            size *= INTERPOLATED if value.op.kind in ("Resize", "Upsample") else 1.0
            _shift(copy, value, roundoff(value.dtype) * size * _signs(rng, array.shape))
    for op in copy.ops():
        if op.array is not None and is_real(op.array.dtype) and not _is_fixed(copy, op.result):
            moved = _moved_weight(op.array, roundoff(op.result.dtype), rng)
            copy.replace_uses(op.result, copy.add_constant(moved, op.result.name, op.result.dtype))
    return copy


def _has_bodies(op: Op) -> bool:
    """Whether the op computes in subgraphs, whose own values are not moved: they may cancel."""
    return any(isinstance(attribute, Opaque) for attribute in op.attributes.values())


def _is_fixed(graph: Graph, value: Value) -> bool:
    return any(user.kind in FIXED and index > 0 for user, index in graph.uses(value))


def _shift(graph: Graph, value: Value, by: Array) -> None:
    uses = graph.uses(value)
    operands = [value, graph.add_constant(np.asarray(np.nan_to_num(by)), dtype=value.dtype)]
    moved = graph.add("Add", operands, types=[value.type], names=[""]).result
    for user, index in uses:
        graph.set_operand(user, index, moved)


def _moved_weight(array: Array, unit: float, rng: np.random.Generator) -> Array:
    """Each weight moved relative to itself, and to the largest of its filter.

    A product of weights is rounded once, by its own size or by that of its filter: the latter is
    what a factorisation to the precision of the weights leaves.
    """
    wide = array.astype(np.float64)
    size = np.abs(wide)
    if wide.ndim >= 2 and wide.size:
        rows, columns = (
            size.max(axis=tuple(a for a in range(wide.ndim) if a != axis), keepdims=True)
            for axis in (0, 1)
        )
        size = np.maximum(size, np.minimum(rows, columns) * 0.5)
    if wide.size:  # of a row, too: the network may reshape it before it is used
        size = np.maximum(size, NEGLIGIBLE * size.max())
    with np.errstate(all="ignore"):  # bounds of a Clip may be the largest number, or infinite
        moved = wide + unit * size * _signs(rng, wide.shape)
    return np.where(np.isfinite(moved), moved, wide)


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-1.7, 1.7, shape)  # a variance of about one


def _spread(exact: Array, moved: Sequence[Array]) -> Array:
    if not isinstance(exact, np.ndarray) or exact.dtype != np.float64 or exact.size == 0:
        return np.zeros(np.shape(exact))
    with np.errstate(all="ignore"):
        apart = np.max([np.abs(m - exact) for m in moved], axis=0)
    if not np.isfinite(apart[np.isfinite(exact)]).all():
        return np.full(exact.shape, np.inf)  # a unit of rounding decides between a number and NaN
    finite = np.isfinite(exact)
    apart, size = np.where(finite, apart, 0.0), np.where(finite, np.abs(exact), 0.0)
    axes = tuple(axis for axis in range(exact.ndim) if axis != 1) if exact.ndim > 1 else None
    own = apart.max(axis=axes, keepdims=True)
    # Few samples of few values may be small by chance: channels are about equally sensitive.
    # And one value may be small because it cancels: then it is as sensitive as the large ones.
    largest = float(size.max())
    part = size.max(axis=axes, keepdims=True) / largest if largest else 0.0
    usual = 0.25 * apart.max() * (part if exact.size >= FEW * own.size else 1.0)
    return np.broadcast_to(np.maximum(own, usual), exact.shape)


def channel_scale(array: Array) -> Array:
    """The largest magnitude of each channel, in the shape of the array."""
    axes = tuple(axis for axis in range(array.ndim) if axis != 1) if array.ndim > 1 else None
    return np.broadcast_to(np.abs(array).max(axis=axes, keepdims=True), array.shape)
