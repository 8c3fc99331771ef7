"""Constant folding: ops all of whose operands are weights, and sizes that are known.

Before: ``y = op(constants)``; after: ``y`` is a constant. Integers, booleans and everything that
only moves data are exact; floating arithmetic is done in float64 and rounded once, to the stored
dtype of each single result, which is what a runtime does for one correctly rounded operation.

Conditions:

1. The op is deterministic and one that convc can evaluate (never QuantizeLinear or
   DequantizeLinear: a runtime recognises quantised layers by them).
2. The result is no larger than ``max_fold`` elements, or no larger than the operands.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod
from typing import Any

import numpy as np

from convc import kernels
from convc.concrete.facts import UNKNOWN, derive, source_fact
from convc.graph import Graph
from convc.ir import Array, Op, Opaque, Value
from convc.kernels import KERNELS, KernelError
from convc.reference import EvaluationError, evaluate, widen
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes.simplify.common import data_of, made_by

MOVES = frozenset(
    {
        "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice",
        "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Kinds that only move data: their kernels take every dtype as it is stored."""

BY_ONNX = frozenset(
    {
        "CumSum", "GatherElements", "GatherND", "IsInf", "IsNaN", "Mod", "NonZero",
        "ScatterElements", "ScatterND", "Trilu",
    }
)  # fmt: skip
"""Kinds without a kernel of convc's that are evaluated by onnx's own reference."""

KEEPS_SIZE = frozenset(
    {"DepthToSpace", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)

GROWING = frozenset(
    {
        "ConstantOfShape", "Conv", "ConvTranspose", "Expand", "Pad", "Range", "Resize", "Tile",
        "Upsample",
    }
)  # fmt: skip
"""Kinds that may make much of small operands."""

BOUNDED = KEEPS_SIZE | {"Concat", "ConstantOfShape", "Expand", "Range", "Slice", "Tile"}
"""Kinds whose operands' values say how large the result is."""

FEW = 2**20
"""Combinations of operands' elements that are computed without a look at the size."""

NEVER = 2**63
"""Elements of what does not end."""

FOLDABLE = (frozenset(KERNELS) | BY_ONNX | {"Cast"}) - {
    "DequantizeLinear", "Dropout", "QuantizeLinear", "Shape", "Size",
}  # fmt: skip

_DTYPES = frozenset(
    {
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "bfloat16", "float32", "float64",
    }
)  # fmt: skip
_EXACT_IN_FLOAT64 = 2**53


def fold_constants(graph: Graph, op: Op, *, max_fold: int) -> Rewrite:
    """An op of constants becomes a constant."""
    if op.captures or not op.operands:
        raise NoMatch
    arrays = [None if value is None else value.array for value in op.operands]
    given = [array for array in arrays if array is not None]
    if len(given) != sum(value is not None for value in op.operands):
        raise NoMatch
    if any(isinstance(value, Opaque) for value in op.attributes.values()):
        raise NoMatch
    used = [result for result in op.results if graph.is_used(result)]
    if not used or any(_name(result.dtype) not in _DTYPES for result in used):
        raise NoMatch
    if any(array.dtype.name not in _DTYPES for array in given):
        raise NoMatch
    _check_size(graph, op, given, used, max_fold)
    values = _compute(graph, op, arrays)
    built = Replacement(graph)
    results = {result: _constant(built, values[result.index], result) for result in used}
    return built.rewrite(results, note=f"{op.kind}: folded")


def fold_shape(graph: Graph, op: Op) -> Rewrite:
    """Shape and Size of a value whose dims (those asked for) are numbers."""
    data = data_of(op)
    dims = _dims(op) if op.kind == "Shape" else _all_known(data.shape)
    if any(not isinstance(dim, int) for dim in dims):
        raise NoMatch
    array = np.array(dims if op.kind == "Shape" else prod(int(d or 0) for d in dims), np.int64)
    return _known(graph, op, data, array)


def fold_dim(graph: Graph, op: Op) -> Rewrite:
    """Gather or Slice of a Shape, where the dims it takes are numbers though others may vary."""
    shape = made_by(op.operand(0), "Shape")
    dims = _dims(shape)
    others = [None if value is None else value.array for value in op.operands[1:]]
    missing = [v for v, a in zip(op.operands[1:], others, strict=True) if v and a is None]
    if not dims or missing:
        raise NoMatch
    try:
        places = KERNELS[op.kind](
            [np.arange(len(dims)), *others], op.attributes, graph.header.opset
        )[0]
    except KernelError as error:
        raise NoMatch(f"{op.kind} of a Shape: {error}") from error
    taken = [dims[int(place)] for place in places.reshape(-1)]
    if any(not isinstance(dim, int) for dim in taken):
        raise NoMatch
    return _known(graph, op, data_of(shape), np.array(taken, np.int64).reshape(places.shape))


def _known(graph: Graph, op: Op, data: Value, array: Array) -> Rewrite:
    built = Replacement(graph)
    constant = built.constant(array, name=op.result.name)
    frontier = () if data.array is not None else (data,)
    return built.rewrite({op.result: constant}, frontier=frontier, note=f"{op.kind}: folded")


def _dims(op: Op) -> Sequence[int | str | None]:
    """The dims that a Shape op takes (since opset 15 some of them by start and end)."""
    shape = _all_known(data_of(op).shape)
    start, end = op.attributes.get("start", 0), op.attributes.get("end")
    assert isinstance(start, int)
    assert end is None or isinstance(end, int)
    return shape[start:end]


def _all_known(shape: tuple[int | str | None, ...] | None) -> tuple[int | str | None, ...]:
    if shape is None:
        raise NoMatch
    return shape


def _name(dtype: np.dtype[Any] | None) -> str:
    return "" if dtype is None else dtype.name


def _check_size(
    graph: Graph, op: Op, given: Sequence[Array], used: Sequence[Value], max_fold: int
) -> None:
    """Bounds the result before it is computed: it may be what does not fit into memory."""
    elements, size = 0, 0
    for result in used:
        number = _elements(graph, op, result, given)
        assert result.dtype is not None
        elements, size = elements + number, size + number * result.dtype.itemsize
    if elements > max_fold and size > _released(graph, op, given):
        raise NoMatch(f"{op.kind}: folding it would grow the weights beyond max-fold")


def _released(graph: Graph, op: Op, given: Sequence[Array]) -> int:
    """Bytes that a result may take the place of.

    Of a Concat only those of weights that it alone reads, once: others stay, and a row of Concats,
    each of the one before with itself or with what that one read, would grow without end.
    """
    if op.kind != "Concat":
        return sum(array.nbytes for array in given)
    values = [value for value in dict.fromkeys(op.operands) if value is not None]
    own = [value for value in values if all(user is op for user, _ in graph.uses(value))]
    return sum(value.array.nbytes for value in own if value.array is not None)


def _elements(graph: Graph, op: Op, result: Value, given: Sequence[Array]) -> int:
    """Elements of a result, or more.

    What a file says of its shape is believed only where operands so few or small could not make
    much more of it.
    """
    if op.kind in GROWING or prod(max(array.size, 1) for array in given) > FEW:
        return _found_elements(graph, op, result)
    shape = result.shape
    if shape is None or not all(isinstance(d, int) for d in shape):
        return _bound(op, given)
    return prod(int(d or 0) for d in shape)


def _found_elements(graph: Graph, op: Op, result: Value) -> int:
    """Elements of a result by its operands alone."""
    if op.kind in BOUNDED:
        return _bound(op, [v.array for v in op.operands if v is not None and v.array is not None])
    facts = [None if value is None else source_fact(graph, value) for value in op.operands]
    found = derive(graph.header, op, facts, [UNKNOWN] * len(op.results))[result.index].shape
    if found is None:
        raise NoMatch(f"{op.kind}: the size of its result is not known")
    return prod(found)


def _bound(op: Op, given: Sequence[Array]) -> int:
    """Elements of a result whose shape is not known: never fewer than it has.

    Where the result is made of its operands' elements, or of all their combinations, the product
    of the sizes bounds it; a kind that could make more is left alone.
    """
    if op.kind == "ConstantOfShape":
        return prod(int(d) for d in given[0].reshape(-1))
    if op.kind == "Expand":
        return given[0].size * prod(max(int(d), 1) for d in given[1].reshape(-1))
    if op.kind == "Tile":
        return given[0].size * prod(int(d) for d in given[1].reshape(-1))
    if op.kind == "Range" and all(array.size == 1 for array in given):
        start, limit, delta = (float(array.reshape(-1)[0]) for array in given)
        steps = (limit - start) / delta if delta else 0.0
        return max(int(steps) + 1, 0) if isfinite(steps) else NEVER
    if op.kind in KEEPS_SIZE or op.kind == "Slice":
        return given[0].size
    if op.kind == "Concat":
        return sum(array.size for array in given)
    if op.kind in ("Pad", "Range", "Resize", "Upsample", "Conv", "ConvTranspose", "NonZero"):
        raise NoMatch
    return prod(max(array.size, 1) for array in given)


def _compute(graph: Graph, op: Op, arrays: Sequence[Array | None]) -> Sequence[Array]:
    opset = graph.header.opset
    try:
        if op.kind == "Cast":
            return [_cast(arrays[0], op.result)]
        if op.kind in BY_ONNX:
            part = graph.extract((), [op.result])
            return evaluate(part, {})
        moved = arrays if op.kind in MOVES else [None if a is None else widen(a) for a in arrays]
        values = kernels.evaluate(op.kind, moved, op.attributes, opset, len(op.results))
    except (KernelError, EvaluationError) as error:
        raise NoMatch(f"{op.kind} of constants cannot be evaluated: {error}") from error
    if values is None or len(values) < len(op.results):
        raise NoMatch
    return values


def _cast(data: Array | None, result: Value) -> Array:
    """The cast array; a cast to a floating dtype stays float64 until it is stored.

    A number beyond the range of the target has no defined result, so such a cast is left alone.
    """
    assert data is not None
    dtype = result.dtype
    assert dtype is not None
    real = widen(np.empty(0, dtype)).dtype.kind == "f"
    wide = widen(data)
    if real:
        if wide.dtype.kind in "iu" and wide.size and _largest(wide) > _EXACT_IN_FLOAT64:
            raise NoMatch("Cast: rounding twice could differ")
        return wide.astype(np.float64)
    if wide.dtype.kind == "f" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        whole = np.trunc(wide)
        if not ((whole >= limits.min) & (whole < float(limits.max) + 1)).all():
            raise NoMatch("Cast: a constant is beyond the range of its target")
    return wide.astype(dtype)


def _largest(array: Array) -> int:
    return max(abs(int(array.max())), abs(int(array.min())))


def _constant(built: Replacement, array: Array, result: Value) -> Value:
    dtype = result.dtype
    assert dtype is not None
    floating = widen(np.empty(0, dtype)).dtype.kind == "f"
    if array.dtype != dtype and not (floating and array.dtype.kind == "f"):
        raise NoMatch(f"{result.op.kind}: its declared type is not the one it has")
    if 0 in array.strides and array.size > 1:
        array = np.ascontiguousarray(array)
    return built.constant(np.asarray(array), dtype, result.name)
