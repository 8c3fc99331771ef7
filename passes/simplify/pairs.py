"""Two ops in a row that one op can do, whatever uses the first one besides.

- ``Transpose(Transpose(x, p), q) = Transpose(x, p[q])``;
- ``Reshape(r(x), s) = Reshape(x, s)`` for r a Reshape, Flatten, Squeeze or Unsqueeze, where s
  copies no dim (entry 0) of ``r(x)``, or only dims that are known;
- ``Cast(Cast(x, B), C) = Cast(x, C)`` where every number of x's dtype is one of B, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import NoMatch, Rewrite
from passes.simplify.common import constant_of, data_of, forward, made_by, remake, shape_of

SIGNIFICAND = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
"""Bits of the significand, the hidden one included."""
EXPONENT = {"float16": 5, "bfloat16": 8, "float32": 8, "float64": 11}
"""Bits of the exponent."""


def merge_transposes(graph: Graph, op: Op) -> Rewrite:
    """Transpose of a Transpose."""
    inner = made_by(data_of(op), "Transpose")
    source = data_of(inner)
    first, second = _order(inner), _order(op)
    if len(first) != len(second):
        raise NoMatch("the two Transposes are of different ranks")
    order = tuple(first[axis] for axis in second)
    if order == tuple(range(len(order))):
        return forward(graph, op, source, note="Transpose of Transpose: dropped both")
    note = "Transpose of Transpose: merged"
    return remake(graph, op, {0: source}, {"perm": order}, note)


def _order(op: Op) -> Sequence[int]:
    order = op.attributes.get("perm")
    if isinstance(order, tuple):
        return order
    return tuple(reversed(range(len(shape_of(data_of(op))))))


def merge_reshapes(graph: Graph, op: Op) -> Rewrite:
    """Reshape of what only has another shape than its source."""
    data = data_of(op)
    inner = made_by(data, "Reshape", "Flatten", "Squeeze", "Unsqueeze")
    sizes = constant_of(op, 1, "shape")
    note = f"Reshape of {inner.kind}: merged"
    if 0 not in sizes or op.attributes.get("allowzero"):
        return remake(graph, op, {0: data_of(inner)}, op.attributes, note)
    dims = shape_of(data)[: len(sizes)]
    target = [dim if size == 0 else size for size, dim in zip(sizes, dims, strict=False)]
    target.extend(sizes[len(dims) :])
    open_axes = [axis for axis, size in enumerate(target) if not isinstance(size, int)]
    if len(open_axes) > 1 or (open_axes and -1 in target):
        raise NoMatch("Reshape of Reshape: the second copies a dim that varies")
    numbers = [size if isinstance(size, int) else -1 for size in target]
    if 0 in numbers:
        raise NoMatch
    return remake(graph, op, {0: data_of(inner)}, op.attributes, note, ints={1: numbers})


def merge_casts(graph: Graph, op: Op) -> Rewrite:
    """Cast of a Cast that loses nothing."""
    inner = made_by(data_of(op), "Cast")
    source = data_of(inner)
    start, middle, end = source.dtype, inner.result.dtype, op.result.dtype
    if start is None or middle is None or end is None or not is_lossless(start, middle):
        raise NoMatch
    if start == end:
        return forward(graph, op, source, note="Cast of Cast: dropped both")
    if start.kind != middle.kind and end.kind in "iu" and not is_lossless(start, end):
        # From integers through floats into a narrower integer nothing says what overflow gives.
        raise NoMatch
    return remake(graph, op, {0: source}, op.attributes, "Cast of Cast: merged")


def is_lossless(start: np.dtype[Any], end: np.dtype[Any]) -> bool:
    """True where every number of dtype ``start`` is one of dtype ``end``."""
    if start == end:
        return True
    if start.kind == "b":
        return end.kind in "iu" or end.name in SIGNIFICAND
    if start.kind in "iu" and end.kind in "iu":
        low, high = np.iinfo(start), np.iinfo(end)
        return int(high.min) <= int(low.min) and int(low.max) <= int(high.max)
    if end.name not in SIGNIFICAND:
        return False
    if start.kind in "iu":
        bits = 8 * start.itemsize - (start.kind == "i")
        return bits <= SIGNIFICAND[end.name]
    return (
        start.name in SIGNIFICAND
        and SIGNIFICAND[start.name] <= SIGNIFICAND[end.name]
        and EXPONENT[start.name] <= EXPONENT[end.name]
    )
