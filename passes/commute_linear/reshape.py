"""Elementwise ops between Reshapes, done in the shape that the first Reshape takes."""

from __future__ import annotations

from math import prod

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Type, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes.commute_linear.cut import Price
from passes.commute_linear.groups import view_sizes
from passes.commute_linear.kinds import BROADCASTING, UNARY
from passes.commute_linear.region import Frame, Layout, Placement, relay

VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")

LARGEST = 2**24
"""Elements of a value that a constant is spread over, to see how it varies in another shape."""


class Shaped(Frame):
    """Layouts that are shapes: the new value holds the same elements in the same order."""

    def place(self, graph: Graph, op: Op, value: Value, layout: Layout) -> Placement | None:
        """An elementwise op on values of one shape and constants."""
        if op.kind not in UNARY and op.kind not in BROADCASTING:
            return None
        if op.captures or graph.header.opset < 7 or value.shape is None:
            return None
        varying = [v for v in (*op.inputs, *op.results) if v is not None and v.array is None]
        if any(other.shape != value.shape for other in varying):
            return None
        constants: dict[int, Array] = {}
        for index, operand in enumerate(op.inputs):
            if operand is None or operand.array is None:
                continue
            array = spread(operand.array, value.shape, layout)
            if array is None:
                return None
            constants[index] = array
        return Placement(dict.fromkeys(varying, layout), op.attributes, constants)

    def price(self, graph: Graph, value: Value, layout: Layout) -> Price | None:
        """An op that moves nothing."""
        del graph, value, layout
        return Price(0, 1)

    def type_of(self, value: Value, layout: Layout) -> Type:
        """The other shape."""
        assert isinstance(value.type, TensorType)
        return TensorType(value.type.dtype, layout)

    def is_conversion(self, op: Op) -> bool:
        """True for a Reshape and its like between shapes that are known."""
        return op.kind in VIEWS and not op.domain and _shapes(op) is not None

    def entered(self, op: Op, layout: Layout) -> bool:
        """True where ``op`` takes this shape."""
        shapes = _shapes(op)
        return shapes is not None and shapes[0] == layout

    def left(self, op: Op, layout: Layout) -> bool:
        """True where ``op`` gives this shape."""
        shapes = _shapes(op)
        return shapes is not None and shapes[1] == layout

    def through(self, op: Op, layout: Layout) -> bool:
        """True where the shape before can be reshaped at once."""
        shapes = _shapes(op)
        return shapes is not None and view_sizes(shapes[0], layout) is not None

    def enter(self, build: Replacement, value: Value, layout: Layout) -> Value:
        """A Reshape of the value, or of what the Reshape that makes it takes."""
        source = value.op.operand(0)
        if source is None or not self.is_conversion(value.op) or not self.through(value.op, layout):
            source = value
        return _emit(build, build.take(source), layout)

    def leave(self, build: Replacement, new: Value, value: Value, layout: Layout) -> Value:
        """A Reshape."""
        del layout
        assert value.shape is not None
        return _emit(build, new, value.shape)

    def can_skip(self, op: Op, layout: Layout) -> bool:
        """True where the shape behind can be said from this one."""
        shapes = _shapes(op)
        return shapes is not None and view_sizes(layout, shapes[1]) is not None

    def skip(self, build: Replacement, new: Value, op: Op, layout: Layout) -> Value:
        """A Reshape."""
        del layout
        assert op.result.shape is not None
        return _emit(build, new, op.result.shape)


def cancel_reshapes(graph: Graph, op: Op) -> Rewrite:
    """Does elementwise ops around ``op`` in its other shape, where that takes fewer Reshapes."""
    shapes, data = _shapes(op), op.operand(0)
    if shapes is None or data is None or data.array is not None or op.domain:
        raise NoMatch("")
    before, after = shapes
    if view_sizes(before, after) is None or view_sizes(after, before) is None or before == after:
        raise NoMatch("")
    try:
        return relay(graph, Shaped(), op.result, before, "Reshape")
    except NoMatch:
        try:
            return relay(graph, Shaped(), data, after, "Reshape")
        except NoMatch as decline:
            raise NoMatch("") from decline


def spread(array: Array, shape: Layout, layout: Layout) -> Array | None:
    """A constant that broadcasts to ``shape``, so that it does to ``layout``.

    None where it would grow, or where it varies and a size is not known.
    """
    if array.size == 1:
        return array.reshape(()) if array.ndim > len(layout) else array
    sizes = [dim for dim in shape if isinstance(dim, int)]
    if len(sizes) != len(shape) or prod(sizes) > LARGEST or array.ndim > len(shape):
        return None
    if any(not isinstance(dim, int) for dim in layout):
        return None
    whole = np.broadcast_to(array, sizes).reshape(layout)
    for axis in range(whole.ndim):
        first = whole.take([0], axis)
        if np.array_equal(np.broadcast_to(first, whole.shape), whole):
            whole = first
    return np.ascontiguousarray(whole) if whole.size <= array.size else None


def _shapes(op: Op) -> tuple[Layout, Layout] | None:
    """What a Reshape takes and gives, where the sizes are numbers or names and not zero."""
    data = op.operand(0)
    if op.kind not in VIEWS or data is None or data.shape is None or op.result.shape is None:
        return None
    known = (*data.shape, *op.result.shape)
    return None if None in known or 0 in known else (data.shape, op.result.shape)


def _emit(build: Replacement, data: Value, dims: Layout) -> Value:
    assert isinstance(data.type, TensorType)
    assert data.shape is not None
    sizes = view_sizes(data.shape, dims)
    assert sizes is not None
    result = build.reshape(data, sizes)
    result.type = TensorType(data.type.dtype, dims)
    return result
