"""Transposes moved over what is between them until they cancel."""

from __future__ import annotations

from convc.graph import Graph
from convc.ir import Dim, Op, TensorType, Type, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes.commute_linear.axes import place_op
from passes.commute_linear.cut import Price
from passes.commute_linear.groups import Perm, inverse, permuted, view_sizes
from passes.commute_linear.region import Frame, Layout, Placement, relay


class Permuted(Frame):
    """Layouts that are permutations ``p``: the value is ``Transpose(new, perm=p)``."""

    def place(self, graph: Graph, op: Op, value: Value, layout: Layout) -> Placement | None:
        """See `passes.commute_linear.axes`."""
        if self.is_same(layout):
            return None
        return place_op(op, value, layout, graph.header.opset)

    def is_same(self, layout: Layout) -> bool:
        """True for the identity."""
        return layout == tuple(range(len(layout)))

    def price(self, graph: Graph, value: Value, layout: Layout) -> Price | None:
        """A Transpose moves the bytes of the value; a Reshape that does for it moves nothing."""
        if value.shape is not None and is_view(value.shape, layout):
            return Price(0, 0)
        size = graph.nbytes(value)
        return None if size is None else Price(size, 1)

    def type_of(self, value: Value, layout: Layout) -> Type:
        """The dims permuted."""
        assert isinstance(value.type, TensorType)
        assert value.shape is not None
        return TensorType(value.type.dtype, permuted(value.shape, layout))

    def is_conversion(self, op: Op) -> bool:
        """True for a Transpose of known rank."""
        return op.kind == "Transpose" and not op.domain and order_of(op) is not None

    def entered(self, op: Op, layout: Layout) -> bool:
        """True where the Transpose is by ``layout``."""
        return order_of(op) == layout

    def left(self, op: Op, layout: Layout) -> bool:
        """True where the Transpose is by the inverse of ``layout``."""
        return order_of(op) == inverse(layout)

    def through(self, op: Op, layout: Layout) -> bool:
        """Always, but where a Reshape of the result does."""
        shape = op.result.shape
        return shape is not None and not is_view(shape, layout)

    def enter(self, build: Replacement, value: Value, layout: Layout) -> Value:
        """A Transpose of the value, or of what the Transpose that makes it takes."""
        order = inverse(layout)
        if not self.is_conversion(value.op) or not self.through(value.op, layout):
            return emit(build, build.take(value), order)
        first, source = order_of(value.op), value.op.operands[0]
        assert first is not None
        assert source is not None
        return emit(build, build.take(source), tuple(first[axis] for axis in order))

    def leave(self, build: Replacement, new: Value, value: Value, layout: Layout) -> Value:
        """The Transpose by ``layout``."""
        back = emit(build, new, layout)
        return _typed(back, value)

    def can_skip(self, op: Op, layout: Layout) -> bool:
        """Always: two Transposes are one."""
        del op, layout
        return True

    def skip(self, build: Replacement, new: Value, op: Op, layout: Layout) -> Value:
        """Both Transposes as one."""
        order = order_of(op)
        assert order is not None
        back = emit(build, new, tuple(layout[axis] for axis in order))
        return _typed(back, op.result)


def cancel_transposes(graph: Graph, op: Op) -> Rewrite:
    """Lays out anew what is between this Transpose and others, where fewer bytes are moved.

    The region behind the Transpose is tried first, then the one before it.
    """
    order, data = order_of(op), op.operand(0)
    if order is None or data is None or data.array is not None:
        raise NoMatch("")
    try:
        return relay(graph, Permuted(), op.result, order, "Transpose")
    except NoMatch as decline:
        try:
            return relay(graph, Permuted(), data, inverse(order), "Transpose")
        except NoMatch as other:
            raise (other if other.reason else decline) from other


def transpose_to_reshape(graph: Graph, op: Op) -> Rewrite:
    """A Transpose that moves nothing but axes of size one, as a Reshape, which moves nothing."""
    order, data = order_of(op), op.operand(0)
    if order is None or data is None or data.shape is None or graph.header.opset < 5:
        raise NoMatch("")
    if order == tuple(range(len(order))) or not is_view(data.shape, inverse(order)):
        raise NoMatch("")
    build = Replacement(graph)
    result = emit(build, build.take(data), order)
    return build.rewrite({op.result: _typed(result, op.result)}, note="Transpose → Reshape")


def drop_transpose(graph: Graph, op: Op) -> Rewrite:
    """A Reshape of a Transpose that moves nothing but axes of size one: a Reshape of its operand.

    No size needs to be known, but of dims that the Reshape copies.
    """
    data, target = op.operand(0), op.operand(1)
    if data is None or target is None or target.array is None or op.attributes.get("allowzero"):
        raise NoMatch("")
    order, source = order_of(data.op), data.op.operand(0)
    if order is None or source is None or source.shape is None or data.shape is None:
        raise NoMatch("")
    if not keeps_order(source.shape, inverse(order)) or graph.is_shared(data):
        raise NoMatch("")
    sizes = [int(size) for size in target.array.reshape(-1)]
    copied = [axis for axis, size in enumerate(sizes) if size == 0]
    known = [data.shape[axis] for axis in copied]
    if any(not isinstance(dim, int) or dim == 0 for dim in known):
        raise NoMatch("the Reshape behind the Transpose copies a dim whose size is not known")
    for axis, dim in zip(copied, known, strict=True):
        assert isinstance(dim, int)
        sizes[axis] = dim
    build = Replacement(graph)
    result = build.reshape(build.take(source), sizes, op.name)
    return build.rewrite({op.result: _typed(result, op.result)}, note="Transpose into Reshape")


def order_of(op: Op) -> Perm | None:
    """The permutation of a Transpose, by default the axes in reverse; None for other ops."""
    if op.kind != "Transpose" or op.domain:
        return None
    order, data = op.attributes.get("perm"), op.operand(0)
    if isinstance(order, tuple):
        return order
    if data is None or data.shape is None:
        return None
    return tuple(reversed(range(len(data.shape))))


def is_view(dims: tuple[Dim, ...], perm: Perm) -> bool:
    """True where ``perm`` moves nothing but axes of size one, and a Reshape can say so."""
    if not keeps_order(dims, perm):
        return False
    new = permuted(dims, perm)
    return view_sizes(dims, new) is not None and view_sizes(new, dims) is not None


def keeps_order(dims: tuple[Dim, ...], perm: Perm) -> bool:
    """True where ``perm`` moves nothing but axes of size one."""
    moved = [perm[axis] for axis, dim in enumerate(dims) if dim != 1]
    return len(perm) == len(dims) and moved == sorted(moved)


def emit(build: Replacement, data: Value, order: Perm) -> Value:
    """Adds a Transpose, a Reshape where that does, nothing where nothing moves."""
    if order == tuple(range(len(order))):
        return data
    if data.shape is None or not is_view(data.shape, inverse(order)):
        return build.transpose(data, order)
    dims = permuted(data.shape, inverse(order))
    sizes = view_sizes(data.shape, dims)
    assert sizes is not None
    result = build.reshape(data, sizes)
    assert isinstance(data.type, TensorType)
    result.type = TensorType(data.type.dtype, dims)
    return result


def _typed(new: Value, old: Value) -> Value:
    new.type = old.type or new.type
    return new
