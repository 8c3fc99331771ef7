"""A Transpose before a flattened matrix product, as another order of the product's rows.

Before::

    y = reshape(Transpose(x, q), (N, K)) @ W

After::

    y = reshape(x, (N, K)) @ W'        W' holds the rows of W in the order of x's own axes

1. Nobody else uses the Transpose, the Reshape (or Flatten), or the constant weights W.
2. The Reshape joins all axes that q moves, and q leaves the others in front where they are.
3. The sizes of the joined axes are known.
"""

from __future__ import annotations

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import operand
from passes.commute_linear.groups import Perm, axis_groups, view_sizes
from passes.commute_linear.transpose import order_of

JOINING = ("Reshape", "Flatten")


def absorb_transpose(graph: Graph, op: Op) -> Rewrite:
    """Drops the Transpose before a flattening before ``op``, a MatMul or Gemm."""
    data, weight = operand(op), operand(op, 1)
    flat = data.op
    if op.domain or flat.domain or flat.kind not in JOINING or len(data.shape or ()) != 2:
        raise NoMatch("")
    between = operand(flat)
    order = order_of(between.op)
    if order is None or order == tuple(range(len(order))):
        raise NoMatch("")
    array, source = weight.array, operand(between.op)
    if array is None or array.ndim != 2 or op.attributes.get("transA"):
        raise NoMatch("the weights behind the flattened Transpose are not constant")
    if any(graph.is_shared(value) for value in (between, data)):
        raise NoMatch("the flattened Transpose has other users")
    if graph.is_shared(weight):
        raise NoMatch("the weights behind the flattened Transpose are shared")
    joined = _joined(between, data, order)
    assert data.shape is not None
    assert source.shape is not None
    sizes = view_sizes(source.shape, data.shape)
    if sizes is None:
        raise NoMatch("the size is not known")

    build = Replacement(graph)
    new = build.reshape(build.take(source), sizes, flat.name)
    new.type = data.type
    rows_first = array.T if op.attributes.get("transB") else array
    rows = _reordered(rows_first, joined, order)
    stored = rows.T if op.attributes.get("transB") else rows
    product = build.constant(np.ascontiguousarray(stored), weight.dtype, weight.name)
    rest = [None if value is None else build.take(value) for value in op.operands[2:]]
    result = build.graph.add(
        op.kind,
        [new, product, *rest],
        op.attributes,
        types=[op.result.type],
        names=[op.result.name],
        name=op.name,
        doc=op.doc,
        metadata=op.metadata,
    ).result
    return build.rewrite({op.result: result}, note=f"Transpose into the weights of the {op.kind}")


def _joined(between: Value, data: Value, order: Perm) -> dict[int, int]:
    """The axes of the Transpose's result that become columns, with their sizes."""
    assert isinstance(between.type, TensorType)
    groups = axis_groups(between.shape, data.shape)
    if groups is None or between.shape is None:
        raise NoMatch("the size is not known")
    columns = [axis for left, right in groups if right == [1] for axis in left]
    if len(groups) != 2 or any(order[axis] != axis for axis in groups[0][0]):
        raise NoMatch("the Transpose moves axes that are not flattened")
    sizes = {axis: size for axis in columns if isinstance(size := between.shape[axis], int)}
    if len(sizes) != len(columns):
        raise NoMatch("the size is not known")
    return sizes


def _reordered(rows: Array, joined: dict[int, int], order: Perm) -> Array:
    """The rows (K, M), K in the order of the Transpose's result, in the order of its operand."""
    axes = list(joined)
    places = sorted(range(len(axes)), key=lambda i: order[axes[i]])
    parts = rows.reshape(*joined.values(), rows.shape[1])
    return parts.transpose(*places, len(axes)).reshape(rows.shape)
