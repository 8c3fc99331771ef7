"""Does what onnx's inference carries along stay small?

Inference follows the values of small weights through Shape, Gather, Add and the like, to know the
sizes that a network computes. A Concat of a value with itself makes it twice as long, forty of them
make terabytes of it; a Range or ConstantOfShape of weights is written down; and of a value on one
axis that it does not know it carries as many unknown numbers. Onnx (1.23) knows no bound for any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper, shape_inference

from convc.onnx_io.bodies import bodies

MOST = 2**22
"""Elements of all values together that inference may carry along; each takes 150 bytes there."""
WRITTEN = frozenset({"ConstantOfShape", "Range"})
"""Kinds whose result inference writes down, however long it is."""
CARRYING = frozenset(
    {"Add", "Cast", "Concat", "Gather", "Identity", "MeanVarianceNormalization", "Mul", "Size"}
    | {"Slice", "Squeeze", "Sub", "Unsqueeze"}
)
"""Kinds that carry the numbers of a value on one axis along even if none is known."""
SIZED = {"ConstantOfShape": 0, "Expand": 1, "OneHot": 1, "Pad": 1, "Range": 0, "Reshape": 1,
         "Resize": 1, "Tile": 1}  # fmt: skip
"""Kinds of which operands, from this one on, say how large the result is."""
LONG = 2**20
"""Elements below which a value takes inference nothing worth asking for."""
UNKNOWN = 64
"""Elements that are assumed of what a function is given."""


def may_follow_values(model: ModelProto, small: int) -> bool:
    """Whether inference may follow the values of weights of up to ``small`` elements."""
    if not all(_ends(node, model) for node in model.graph.node if node.op_type in WRITTEN):
        return False
    start = {t.name: prod(t.dims) for t in model.graph.initializer}
    sizes = {name: size for name, size in start.items() if size <= small}
    room = _room(model.graph.node, sizes, MOST - _carried(model))
    for function in model.functions:
        room = _room(function.node, dict.fromkeys(function.input, UNKNOWN), room)
    return room > 0


def _ends(node: NodeProto, model: ModelProto) -> bool:
    """Whether a Range or ConstantOfShape of weights is short; inference writes all of it down."""
    weights = {t.name: t for t in model.graph.initializer if t.name in node.input}
    weights |= {
        maker.output[0]: maker.attribute[0].t
        for maker in model.graph.node
        if maker.op_type == "Constant" and maker.attribute and maker.output[0] in node.input
    }
    try:
        numbers = [numpy_helper.to_array(weights[name]).reshape(-1) for name in node.input]
        if node.op_type == "ConstantOfShape":
            return prod(int(size) for size in numbers[0]) <= MOST
        start, limit, delta = (float(array[0]) for array in numbers)
        return abs(limit - start) <= MOST * abs(delta)
    except KeyError:
        return True  # it follows from sizes, not from what the file says
    except Exception:  # numpy_helper raises whatever broken weights make it
        return False


def _carried(model: ModelProto) -> int:
    """Unknown numbers of values on one axis that inference would carry along."""
    if not _is_large(model):
        return 0
    try:
        graph = shape_inference.infer_shapes(model).graph
    except Exception:  # whatever broken models make onnx raise
        return MOST
    types = {entry.name: entry.type for entry in (*graph.value_info, *graph.output, *graph.input)}
    lengths = {t.name: t.dims[0] for t in graph.initializer if len(t.dims) == 1}
    for name, type_ in types.items():
        dims = type_.tensor_type.shape.dim
        if len(dims) == 1:
            lengths[name] = max(dims[0].dim_value, 0)
    carrying = (node for node in graph.node if node.op_type in CARRYING)
    return sum(lengths.get(name, 0) for node in carrying for name in (*node.input, *node.output))


def _is_large(model: ModelProto) -> bool:
    """Whether a value could be long, before inference is asked for it."""
    graph = model.graph
    sizes: list[int] = [1, *(prod(tensor.dims) for tensor in graph.initializer)]
    for entry in (*graph.input, *graph.value_info, *graph.output):
        sizes.append(prod(max(dim.dim_value, 1) for dim in entry.type.tensor_type.shape.dim))
    said = {name for node in graph.node if (at := SIZED.get(node.op_type)) is not None
            for name in node.input[at:]}  # fmt: skip
    weights = [tensor for tensor in graph.initializer if tensor.name in said]
    made = (node for node in graph.node if node.op_type == "Constant" and node.output[0] in said)
    weights += [entry.t for node in made for entry in node.attribute if entry.HasField("t")]
    # One may make what the next makes longer: a Tile of a Tile.
    times: float = prod(map(_largest, weights))
    return min(max(sizes), LONG + 1) * times > LONG


def _largest(tensor: TensorProto) -> float:
    """The product of the sizes that a weight says."""
    try:
        # NaN is no size: it is smaller than nothing.
        return prod(max(1.0, abs(float(n))) for n in numpy_helper.to_array(tensor).flat)
    except Exception:  # numpy_helper raises whatever broken weights make it
        return 1.0


def _room(nodes: Iterable[NodeProto], sizes: Mapping[str, int], room: int) -> int:
    """What of ``room`` is left once the nodes' values are carried along; none below zero.

    Only a Concat makes a value longer than the longest of its operands.
    """
    known = dict(sizes)
    for node in nodes:
        if room < 0:
            return room
        if node.op_type == "Constant":
            size = max((_elements(entry) for entry in node.attribute), default=0)
        elif node.op_type in ("Shape", "Size"):
            size = UNKNOWN
        else:
            given = [known[name] for name in node.input if name in known]
            size = sum(given) if node.op_type == "Concat" else max(given, default=0)
        if size:
            known.update(dict.fromkeys(node.output, size))
            room -= size
        for body in bodies(node):
            inner = {t.name: prod(t.dims) for t in body.initializer}
            room = _room(body.node, {**known, **inner}, room)
    return room


def _elements(entry: object) -> int:
    return max(prod(entry.t.dims), len(entry.ints), len(entry.floats), 1)  # type: ignore[attr-defined]
