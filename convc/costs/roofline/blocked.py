"""onnxruntime's blocked layout: which ops live in it, and which force the data out of it and back.

Its fast convolutions keep channels in blocks as wide as a vector register (NCHWc). A reorder into
or out of that layout costs as much as a small conv. What is said here was observed in the models
that onnxruntime 1.32 saves after optimising; where a form was not observed, it is taken to stay.
"""

from __future__ import annotations

from collections.abc import Iterator

from convc.conv import group_of, ints
from convc.graph import Graph
from convc.ir import CONSTANT, Op, Value

ALIGNMENT = 4
"""Input channels of a whole-image reorder come in multiples of this."""

_KERNELS = frozenset(
    {
        *("Conv", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"),
        *("BatchNormalization", "Relu", "Sigmoid", "HardSigmoid", "Tanh", "Clip"),
        *("HardSwish", "Gelu", "Identity", "Dropout"),
    }
)
"""Kinds with a kernel in the blocked layout, or that become part of one, in all their forms."""

_LINEAR = frozenset({"half_pixel", "asymmetric", "align_corners"})
"""Coordinates of linear resizing that have a kernel."""

_STEPS = 4
"""Ops between a conv and the op in question: norm, activation, sum, pool."""


def block_of(lanes: int) -> int:
    """Channels in a block, for vector registers of ``lanes`` floats: 16 or 8."""
    return 16 if lanes >= 16 else 8


def is_folded(value: Value) -> bool:
    """True for weights and what is computed from weights alone, once and before the first run."""
    stack, seen = [value.op], {value.op}
    while stack:
        op = stack.pop()
        if op.kind == CONSTANT and not op.domain:
            continue
        if op.is_boundary or op.captures or not op.operands:
            return False
        makers = {v.op for v in op.operands if v is not None} - seen
        seen |= makers
        stack.extend(makers)
    return True


def is_blocked_conv(graph: Graph, op: Op, block: int) -> bool:
    """True for a Conv that runs in the blocked layout."""
    weight = op.operand(1)
    if op.kind != "Conv" or op.domain or weight is None or not is_folded(weight):
        return False
    shape = graph.concrete_shape(weight)
    if shape is None or len(shape) != 4:
        return False
    outputs, inputs, group = shape[0], shape[1], group_of(op)
    if group == 1:
        return inputs < block or inputs % ALIGNMENT == 0
    if inputs == 1:
        return outputs == group
    return inputs % block == 0 and (outputs // group) % block == 0


def leaves_layout(graph: Graph, op: Op, block: int) -> bool:
    """True for an op between two blocked convs that has no kernel in their layout itself."""
    if op.domain or not op.results or not _is_image(op.result) or _stays(graph, op):
        return False
    return _follows_conv(graph, op, block) and _feeds_conv(graph, op, block)


def _stays(graph: Graph, op: Op) -> bool:
    if op.domain:
        return False
    if op.kind in ("Add", "Sum", "Mul"):
        return _is_plain_sum(graph, op) or _folds_into_conv(graph, op)
    if op.kind == "LeakyRelu":
        return any(maker.kind == "Conv" for maker in _makers(op))
    if op.kind == "Concat":
        return op.attributes.get("axis") == 1
    if op.kind == "Pad":
        # The conv behind takes zeros over.
        return op.attributes.get("mode", "constant") == "constant"
    if op.kind in ("Resize", "Upsample"):
        return _is_blocked_resize(graph, op)
    return op.kind in _KERNELS


def _is_plain_sum(graph: Graph, op: Op) -> bool:
    """True for a sum or product without broadcasting, of images that are computed."""
    shapes = {graph.concrete_shape(value) for value in op.inputs if value is not None}
    constant = any(maker.kind == CONSTANT for maker in _makers(op))
    return not constant and len(shapes) == 1 and None not in shapes


def _folds_into_conv(graph: Graph, op: Op) -> bool:
    """True where one operand is a constant for each channel, which becomes a conv or part of it."""
    constants = [v for v in op.inputs if v is not None and v.array is not None]
    if len(constants) != 1 or op.kind == "Sum":
        return False
    shape = graph.concrete_shape(constants[0]) or ()
    per_channel = len(shape) >= 3 and set(shape[-2:]) == {1} and shape[-3] > 1
    direct = any(maker.kind == "Conv" for maker in _makers(op))
    if op.kind == "Mul":
        return per_channel or (direct and set(shape) <= {1})
    return per_channel and direct


def _is_blocked_resize(graph: Graph, op: Op) -> bool:
    data = op.operand(0)
    before = None if data is None else graph.concrete_shape(data)
    after = graph.concrete_shape(op.result)
    if before is None or after is None or len(before) != 4 or 0 in before:
        return False
    if before[:2] != after[:2] or any(b % a for a, b in zip(before[2:], after[2:], strict=True)):
        return False
    if op.kind == "Upsample":
        return graph.header.opset >= 9
    place = op.attributes.get("coordinate_transformation_mode", "half_pixel")
    mode = op.attributes.get("mode", "nearest")
    if mode == "nearest":
        return place == "asymmetric" and op.attributes.get("nearest_mode") == "floor"
    return mode == "linear" and place in _LINEAR and not ints(op, "axes", ())


def _follows_conv(graph: Graph, op: Op, block: int) -> bool:
    """True where the image comes from a blocked conv, with ops between that stay blocked."""
    front = [op]
    for _ in range(_STEPS):
        front = [maker for item in front for maker in _makers(item)]
        if any(is_blocked_conv(graph, item, block) for item in front):
            return True
        front = [item for item in front if _stays(graph, item)]
    return False


def _feeds_conv(graph: Graph, op: Op, block: int) -> bool:
    front = [op]
    for _ in range(_STEPS):
        front = [user for item in front for user in graph.users(item)]
        if any(is_blocked_conv(graph, item, block) for item in front):
            return True
        front = [item for item in front if _stays(graph, item) and item.results]
    return False


def _makers(op: Op) -> Iterator[Op]:
    """The ops that make the images among the operands, and constants."""
    for value in op.inputs:
        if value is not None and (_is_image(value) or value.op.kind == CONSTANT):
            yield value.op


def _is_image(value: Value) -> bool:
    return value.shape is not None and len(value.shape) == 4
