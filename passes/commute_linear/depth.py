"""DepthToSpace and SpaceToDepth moved over elementwise ops until they cancel.

Both only rearrange: blocks of b×b positions become channels and back. In mode DCR the channels are
(b, b, C), in mode CRD (C, b, b). SpaceToDepth is of mode DCR; newer opsets let it be of CRD.
"""

from __future__ import annotations

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Attribute, Dim, Op, TensorType, Type, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import operand
from passes.commute_linear.axes import is_by_channel
from passes.commute_linear.cut import Price
from passes.commute_linear.kinds import BROADCASTING, UNARY
from passes.commute_linear.region import Frame, Layout, Placement, relay

TO_SPACE, TO_DEPTH = "DepthToSpace", "SpaceToDepth"
KINDS = (TO_SPACE, TO_DEPTH)

FIRST_TO_DEPTH_MODE = 28
"""The first opset in which a SpaceToDepth has a mode."""
FIRST_TO_SPACE_MODE = 11
"""The first opset in which a DepthToSpace has one."""


class Blocked(Frame):
    """Layouts (kind, block, mode): the value is the op of that kind of the new one."""

    def place(self, graph: Graph, op: Op, value: Value, layout: Layout) -> Placement | None:
        """An elementwise op on values of one shape and on constants of one value a channel."""
        norm = op.kind == "BatchNormalization"
        if op.captures or graph.header.opset < 7 or value.shape is None or len(value.shape) != 4:
            return None
        if not norm and op.kind not in UNARY and op.kind not in BROADCASTING:
            return None
        if norm and not is_by_channel(op):
            return None
        varying = [v for v in (*op.inputs, *op.results) if v is not None and v.array is None]
        if any(other.shape != value.shape for other in varying):
            return None
        constants: dict[int, Array] = {}
        for index, other in enumerate(op.inputs):
            if other is None or other.array is None or (other.array.size == 1 and not norm):
                continue
            whole = other.array.reshape(-1, 1, 1) if norm and other.array.ndim == 1 else other.array
            array = by_channel(whole, layout)
            if array is None:
                return None
            constants[index] = array.reshape(-1) if norm else array
        return Placement(dict.fromkeys(varying, layout), op.attributes, constants)

    def price(self, graph: Graph, value: Value, layout: Layout) -> Price | None:
        """The bytes of the value; not known either where the opset cannot say the conversion."""
        size = graph.nbytes(value)
        kind, _, mode = layout
        older = graph.header.opset < FIRST_TO_DEPTH_MODE
        if size is None or (kind == TO_SPACE and mode == "CRD" and older):
            return None
        return Price(size, 1)

    def type_of(self, value: Value, layout: Layout) -> Type:
        """Channels and positions traded."""
        assert isinstance(value.type, TensorType)
        assert value.shape is not None
        n, c, h, w = value.shape
        kind, block, _ = layout
        if kind == TO_SPACE:
            shape = (n, _times(c, block * block), _over(h, block), _over(w, block))
        else:
            shape = (n, _over(c, block * block), _times(h, block), _times(w, block))
        return TensorType(value.type.dtype, shape)

    def is_conversion(self, op: Op) -> bool:
        """True for both kinds."""
        return read(op) is not None

    def entered(self, op: Op, layout: Layout) -> bool:
        """True where ``op`` is the op of the layout."""
        return read(op) == layout

    def left(self, op: Op, layout: Layout) -> bool:
        """True where ``op`` undoes the op of the layout."""
        return read(op) == undone(layout)

    def enter(self, build: Replacement, value: Value, layout: Layout) -> Value:
        """The op that undoes that of the layout."""
        kind, block, mode = undone(layout)
        type_ = self.type_of(value, layout)
        return build.op(kind, (build.take(value),), _said(build, kind, block, mode), type_=type_)

    def leave(self, build: Replacement, new: Value, value: Value, layout: Layout) -> Value:
        """The op of the layout."""
        kind, block, mode = layout
        return build.op(kind, (new,), _said(build, kind, block, mode), type_=value.type)


def cancel_blocks(graph: Graph, op: Op) -> Rewrite:
    """Drops ``op`` and the op that undoes it before, or moves both out from around other ops."""
    layout, data = read(op), operand(op)
    if layout is None or data.array is not None:
        raise NoMatch("")
    if read(data.op) == undone(layout):
        build = Replacement(graph)
        source = build.take(operand(data.op))
        return build.rewrite({op.result: source}, note=f"{op.kind} of {data.op.kind}: dropped both")
    try:
        return relay(graph, Blocked(), op.result, layout, op.kind)
    except NoMatch as decline:
        try:
            return relay(graph, Blocked(), data, undone(layout), op.kind)
        except NoMatch as other:
            raise (decline if decline.reason else other) from other


def read(op: Op) -> Layout | None:
    """Kind, block and mode; None for other ops and a block of one."""
    block, mode = op.attributes.get("blocksize"), op.attributes.get("mode", "DCR")
    if op.kind not in KINDS or op.domain or not isinstance(block, int) or block < 2:
        return None
    return op.kind, block, mode


def undone(layout: Layout) -> Layout:
    """The layout of which the op undoes that of ``layout``."""
    kind, block, mode = layout
    return (TO_DEPTH if kind == TO_SPACE else TO_SPACE), block, mode


def by_channel(array: Array, layout: Layout) -> Array | None:
    """A constant (..., C, 1, 1) for the channels of the new value.

    None where it varies over positions or over the channels of a block.
    """
    if array.ndim < 3 or array.size != array.shape[-3]:
        return None
    kind, block, mode = layout
    values, count = array.reshape(-1), block * block
    if kind == TO_SPACE:
        new = np.tile(values, count) if mode == "DCR" else np.repeat(values, count)
    else:
        if values.size % count:
            return None
        parts = values.reshape(count, -1) if mode == "DCR" else values.reshape(-1, count).T
        if not np.array_equal(parts, np.broadcast_to(parts[0], parts.shape)):
            return None
        new = np.array(parts[0])
    return new.reshape(*array.shape[:-3], -1, 1, 1)


def _said(build: Replacement, kind: str, block: int, mode: str) -> dict[str, Attribute]:
    first = FIRST_TO_SPACE_MODE if kind == TO_SPACE else FIRST_TO_DEPTH_MODE
    attributes: dict[str, Attribute] = {"blocksize": block}
    return {**attributes, "mode": mode} if build.opset >= first else attributes


def _times(dim: Dim, factor: int) -> Dim:
    return dim * factor if isinstance(dim, int) else None


def _over(dim: Dim, factor: int) -> Dim:
    return dim // factor if isinstance(dim, int) else None
