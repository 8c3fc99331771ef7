"""Gradients of the kinds that move, select, pool or resample numbers.

Where every operand element is read once the gradient is a copy. Where windows or copies overlap,
the gradients of an element are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from types import MappingProxyType

import numpy as np

from convc.graph import Graph
from convc.ir import Op
from convc.opset.gradients.parts import (
    CountedRule,
    Gradient,
    NotKnownError,
    count,
    gradient,
    sizes,
    summed,
)
from convc.opset.gradients.products import products
from convc.opset.shapes import constant_ints
from convc.opset.work.counts import Work
from convc.opset.work.windows import interpolation_taps, pool_sweeps, resized_axes

INDEX_BYTES = 8
"""Bytes of the index that a max pool keeps for each result: ONNX's own, an int64."""


def copied(_graph: Graph, _op: Op, _wanted: frozenset[int]) -> Gradient:
    """Reshape, Transpose, Slice, Concat, Split and their like: dY, moved; nothing is kept."""
    return Gradient()


def repeated(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Expand, Tile: the gradients of all copies, added up."""
    if wanted != {0}:
        raise NotKnownError
    additions = summed(count(graph, op.result), count(graph, op.operand(0)))
    return gradient(op, {0: Work(additions=additions)})


def gather(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Gather: each gathered element is added where it came from.

    With constant indices only repeats are additions; else every element may be one and counts.
    The indices are kept where they are no constants.
    """
    if wanted != {0}:
        raise NotKnownError
    shape, indices = sizes(graph, op.operand(0)), op.operand(1)
    terms, distinct = count(graph, op.result), 0
    axis = op.attributes.get("axis", 0)
    if indices is not None and indices.array is not None and isinstance(axis, int) and terms:
        used = len(np.unique(indices.array % shape[axis]))
        distinct = prod(shape) // shape[axis] * used
    return gradient(op, {0: Work(additions=summed(terms, distinct))}, keeps=[indices])


def scattered(_graph: Graph, op: Op, _wanted: frozenset[int]) -> Gradient:
    """ScatterND, ScatterElements: dY with the updated places zeroed, and dY at these places."""
    if op.attributes.get("reduction", "none") not in ("none", "add"):
        raise NotKnownError
    return gradient(op, {}, keeps=[op.operand(1)])


def pad(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Pad: dY cropped; with reflected, repeated or wrapped borders these are added back.

    Pads that are no constants are taken not to add at one end of an axis and to crop at the other.
    """
    if wanted != {0}:
        raise NotKnownError
    if op.attributes.get("mode", "constant") == "constant":
        return Gradient()
    shape, result = sizes(graph, op.operand(0)), sizes(graph, op.result)
    pads = constant_ints(op, 1, "pads")
    kept = [min(n, m) for n, m in zip(shape, result, strict=True)]
    if pads is not None:
        axes = constant_ints(op, 3, "axes") or tuple(range(len(shape)))
        for axis, begin, end in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
            kept[axis] = shape[axis] + min(begin, 0) + min(end, 0)
    return gradient(op, {0: Work(additions=summed(prod(result), prod(kept)))})


def max_pool(graph: Graph, op: Op, _wanted: frozenset[int]) -> Gradient:
    """MaxPool: dY goes where the maximum was; its index is kept for each result.

    Where windows share inputs, one may be the maximum of several: how often depends on the data,
    and an addition is counted for each result.
    """
    sweeps, results = pool_sweeps(graph, op), count(graph, op.result)
    if sweeps is None:
        raise NotKnownError
    apart = all(s.hits == s.hit_positions for s in sweeps)
    work = Work(additions=0 if apart else results)
    return gradient(op, {0: work}, keeps_bytes=INDEX_BYTES * results)


def average_pool(graph: Graph, op: Op, _wanted: frozenset[int]) -> Gradient:
    """AveragePool: dY over the divisor, added to each input of its window."""
    sweeps, shape = pool_sweeps(graph, op), sizes(graph, op.result)
    if sweeps is None:
        raise NotKnownError
    maps = prod(shape[:2])
    whole = [sweep.uncropped for sweep in sweeps]
    spread = products(
        (maps * prod(s.hits for s in whole), maps * prod(s.hit_positions for s in whole)),
        (maps * prod(s.hits for s in sweeps), maps * prod(s.hit_positions for s in sweeps)),
    )
    work = Work(
        additions=spread.additions,
        padded_additions=spread.padded_additions,
        divisions=prod(shape),
    )
    return gradient(op, {0: work})


def global_average_pool(graph: Graph, op: Op, _wanted: frozenset[int]) -> Gradient:
    """GlobalAveragePool, ReduceMean: dY over the count, copied to all that it is the mean of."""
    return gradient(op, {0: Work(divisions=count(graph, op.result))})


def global_max_pool(graph: Graph, op: Op, _wanted: frozenset[int]) -> Gradient:
    """GlobalMaxPool: dY goes where the maximum was."""
    return gradient(op, {}, keeps_bytes=INDEX_BYTES * count(graph, op.result))


def resize(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """Resize, Upsample: each dY, times its weights, is added to the samples it was made of.

    As in the forward pass: taps per resized axis are 1 (nearest, a copy), 2 (linear), 4 (cubic).
    """
    shape, result = sizes(graph, op.operand(0)), sizes(graph, op.result)
    taps = interpolation_taps(op)
    if taps is None or wanted != {0}:
        raise NotKnownError
    terms = prod(result) * taps ** len(resized_axes(shape, result))
    touched = prod(n if n == m else min(n, taps * m) for n, m in zip(shape, result, strict=True))
    multiplications = 0 if taps == 1 else terms
    if shape == result:
        return Gradient()
    return gradient(
        op, {0: Work(multiplications=multiplications, additions=summed(terms, touched))}
    )


def reduce_extremum(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """ReduceMax, ReduceMin: dY where the operand equals the result; both are kept."""
    if wanted != {0}:
        raise NotKnownError
    work = Work(comparisons=count(graph, op.operand(0)))
    return gradient(op, {0: work}, keeps=[op.operand(0), op.result])


def reduce_norm(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """ReduceL2: x·(dY/y); x and y are kept."""
    if wanted != {0}:
        raise NotKnownError
    work = Work(multiplications=count(graph, op.operand(0)), divisions=count(graph, op.result))
    return gradient(op, {0: work}, keeps=[op.operand(0), op.result])


def reduce_squares(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """ReduceSumSquare: x·2dY; x is kept."""
    if wanted != {0}:
        raise NotKnownError
    work = Work(multiplications=count(graph, op.operand(0)) + count(graph, op.result))
    return gradient(op, {0: work}, keeps=[op.operand(0)])


COPIES = (
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Slice",
    "Concat",
    "Split",
    "DepthToSpace",
    "SpaceToDepth",
    "ReduceSum",
)

MOVEMENT: Mapping[str, CountedRule] = MappingProxyType(
    {
        **dict.fromkeys(COPIES, copied),
        "Expand": repeated,
        "Tile": repeated,
        "Gather": gather,
        "ScatterND": scattered,
        "ScatterElements": scattered,
        "Pad": pad,
        "MaxPool": max_pool,
        "AveragePool": average_pool,
        "GlobalAveragePool": global_average_pool,
        "ReduceMean": global_average_pool,
        "GlobalMaxPool": global_max_pool,
        "Resize": resize,
        "Upsample": resize,
        "ReduceMax": reduce_extremum,
        "ReduceMin": reduce_extremum,
        "ReduceL2": reduce_norm,
        "ReduceSumSquare": reduce_squares,
    }
)
