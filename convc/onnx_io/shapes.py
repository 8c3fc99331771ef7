"""Types of values from onnx's shape inference, and the sizes that named dims stand for.

A model may leave dims open. convc keeps them open, and knows besides one size for each of them:
that at which the model is costed, timed and proved. The importer infers shapes twice, once as the
file says and once at those sizes, and gives every open dim a name with a size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import count

import onnx
from onnx import (
    GraphProto,
    ModelProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    helper,
    shape_inference,
)

from convc.errors import InvalidModelError, UsageError
from convc.ir import Dim, OpaqueType, TensorType, Type
from convc.onnx_io.mistakes import corrected
from convc.onnx_io.propagation import may_follow_values
from convc.onnx_io.tensors import to_dtype, to_elem_type

BATCH, CHANNELS, SPATIAL, SAMPLES = 1, 3, 224, 16000
"""Sizes where nothing else is said: first axis, an open second of four, other axes, audio."""

SMALL_WEIGHT = 1024
"""Elements up to which shape inference sees a weight's values (it needs sizes, axes, pads)."""

ELEMENTWISE = {"com.microsoft": frozenset({"BiasGelu", "FastGelu", "Gelu", "QuickGelu"})}
"""onnxruntime's own activations, of which onnx's inference knows nothing: what they give has the
type of their first operand. Where sizes end there, so does all that depends on them."""

UNNAMED = "?"
"""First character of the names that convc gives to dims that have none in the file."""


@dataclass
class Types:
    """The type of each value by name, and the size of each named dim."""

    by_name: dict[str, Type] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


def decode_type(proto: TypeProto, owner: str = "") -> Type:
    """The type that a TypeProto says; open dims without a name get one where ``owner`` is given."""
    kind = proto.WhichOneof("value")
    if kind is None:
        return None
    if kind != "tensor_type":
        return OpaqueType(proto.SerializeToString())
    tensor = proto.tensor_type
    if tensor.elem_type == TensorProto.UNDEFINED:
        return None
    if not tensor.HasField("shape"):
        return TensorType(to_dtype(tensor.elem_type), None)
    shape: list[Dim] = []
    for axis, dim in enumerate(tensor.shape.dim):
        which = dim.WhichOneof("value")
        if which == "dim_value" and dim.dim_value >= 0:
            shape.append(int(dim.dim_value))
        elif which == "dim_param" and dim.dim_param:
            shape.append(dim.dim_param)
        else:
            shape.append(f"{UNNAMED}{owner}.{axis}" if owner else None)
    return TensorType(to_dtype(tensor.elem_type), tuple(shape))


def encode_type(type_: Type) -> TypeProto:
    """The TypeProto of a type; dims that convc named stay without a name."""
    proto = TypeProto()
    if isinstance(type_, OpaqueType):
        proto.ParseFromString(type_.payload)
    elif isinstance(type_, TensorType):
        proto.tensor_type.elem_type = to_elem_type(type_.dtype)
        if type_.shape is not None:
            proto.tensor_type.shape.SetInParent()
            for dim in type_.shape:
                entry = proto.tensor_type.shape.dim.add()
                if isinstance(dim, int):
                    entry.dim_value = dim
                elif isinstance(dim, str) and not dim.startswith(UNNAMED):
                    entry.dim_param = dim
    return proto


def _listed(name: str, names: Sequence[str]) -> str:
    """The names there are, and the one that may be meant."""
    close = get_close_matches(name, names, n=1)
    return f"it has {', '.join(names)}" + (f": did you mean {close[0]}?" if close else "")


def infer(skeleton: ModelProto, wanted: Mapping[str, int]) -> Types:
    """Types of all values of a model whose large weights were taken out.

    Args:
        skeleton: the model; changed.
        wanted: sizes for named dims. Dims without a name are called ``input.axis``.

    Raises UsageError where ``wanted`` names a dim that the model has not.
    """
    types = Types()
    for node in skeleton.graph.node:
        known = node.op_type in ELEMENTWISE.get(node.domain, ())
        if known and any(node.input[:1]) and len(node.output) == 1:
            identity = helper.make_node("Identity", node.input[:1], node.output)
            node.CopyFrom(identity)
    open_dims = _open_input_dims(skeleton.graph.input, types)
    for name, size in wanted.items():
        key = name if name in open_dims else UNNAMED + name
        if key not in open_dims:
            names = sorted(d.removeprefix(UNNAMED) for d in open_dims)
            raise UsageError(
                f"--dim {name}: the model has no such open dim; "
                + (_listed(name, names) if names else "all its sizes are fixed: leave it out")
            )
        open_dims[key] = size
    types.sizes.update(open_dims)
    said = _dim_names(skeleton)
    if open_dims:
        # A shape without a name may be that of the one run which an exporter traced; onnxruntime
        # does not mind that it is wrong at other sizes.
        _forget_later_shapes(skeleton.graph, keep_named=True)
    for value in _run(skeleton):
        types.by_name.setdefault(value.name, _as_unnamed(decode_type(value.type), said))
    if open_dims:
        _pin(skeleton, open_dims)
        _name_open_dims(types, {value.name: decode_type(value.type) for value in _run(skeleton)})
    return types


def _dim_names(model: ModelProto) -> set[str]:
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    return {dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim}


def _as_unnamed(type_: Type, said: set[str]) -> Type:
    """Marks the names that inference made up, and the file does not say, as convc's own."""
    if not isinstance(type_, TensorType) or type_.shape is None:
        return type_
    dims = (UNNAMED + d if isinstance(d, str) and d not in said else d for d in type_.shape)
    return TensorType(type_.dtype, tuple(dims))


def _run(skeleton: ModelProto) -> list[ValueInfoProto]:
    """What inference says, its known mistakes mended."""
    model: ModelProto | None = skeleton
    rounds = count()
    while model is not None:
        found = _inferred(model)
        types = {entry.name: entry.type for entry in (*model.graph.input, *found)}
        types |= {tensor.name: _type_of(tensor) for tensor in model.graph.initializer}
        model = corrected(model, types, next(rounds))
    return found


def _type_of(tensor: TensorProto) -> TypeProto:
    return helper.make_tensor_type_proto(tensor.data_type, tensor.dims)


def _inferred(skeleton: ModelProto) -> list[ValueInfoProto]:
    follow = may_follow_values(skeleton, SMALL_WEIGHT)
    try:
        graph = shape_inference.infer_shapes(skeleton, strict_mode=True, data_prop=follow).graph
        return [*graph.value_info, *graph.output]
    except onnx.checker.ValidationError as error:
        reason = (str(error).splitlines() or ["onnx gives no reason"])[0]
        raise InvalidModelError(f"the model is not valid: {reason}") from error
    except _STUMBLES:
        return _inferred_leniently(skeleton, follow)


_STUMBLES = (shape_inference.InferenceError, RuntimeError, ValueError)


def _inferred_leniently(skeleton: ModelProto, follow: bool) -> list[ValueInfoProto]:
    """What inference says of a model that it cannot follow, or that contradicts itself.

    Inference is a help: such a model still goes through. What the file says of a result may be
    wrong, which runtimes do not mind: whole shapes found without it go first.
    """
    bare = ModelProto()
    bare.CopyFrom(skeleton)
    _forget_later_shapes(bare.graph, keep_named=True)
    found: dict[str, ValueInfoProto] = {}
    for model in (skeleton, bare):
        try:
            graph = shape_inference.infer_shapes(model, data_prop=follow).graph
        except _STUMBLES:
            graph = model.graph
        for entry in (*graph.value_info, *graph.output):
            if entry.name not in found or _is_whole(entry.type):
                found[entry.name] = entry
    return list(found.values())


def _is_whole(type_: TypeProto) -> bool:
    tensor = type_.tensor_type
    return tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim)


def _open_input_dims(inputs: Iterable[ValueInfoProto], types: Types) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in inputs:
        type_ = decode_type(value.type, value.name)
        types.by_name[value.name] = type_
        if not isinstance(type_, TensorType) or type_.shape is None:
            continue
        for axis, dim in enumerate(type_.shape):
            if isinstance(dim, str):
                found.setdefault(dim, _default_size(axis, type_.shape))
    return found


def _default_size(axis: int, shape: tuple[Dim, ...]) -> int:
    if axis == 0:
        return BATCH
    if len(shape) <= 3:
        return SAMPLES
    channels_last = isinstance(shape[-1], int) and shape[-1] <= 4
    return CHANNELS if axis == 1 and len(shape) == 4 and not channels_last else SPATIAL


def _pin(skeleton: ModelProto, sizes: Mapping[str, int]) -> None:
    """Fixes the open dims of the inputs and forgets what the file says of later shapes."""
    for value in skeleton.graph.input:
        type_ = decode_type(value.type, value.name)
        if not isinstance(type_, TensorType) or type_.shape is None:
            continue
        for entry, dim in zip(value.type.tensor_type.shape.dim, type_.shape, strict=True):
            if isinstance(dim, str):
                entry.dim_value = sizes[dim]
    _forget_later_shapes(skeleton.graph, keep_named=False)


def _forget_later_shapes(graph: GraphProto, *, keep_named: bool) -> None:
    """Leaves only the element types of results; with ``keep_named`` the shapes with a name, too."""
    for value in (*graph.value_info, *graph.output):
        named = any(dim.dim_param for dim in value.type.tensor_type.shape.dim)
        if value.type.HasField("tensor_type") and not (named and keep_named):
            value.type.tensor_type.ClearField("shape")


def _name_open_dims(types: Types, pinned: Mapping[str, Type]) -> None:
    """Gives every open dim a name whose size is that of the pinned inference.

    One name that turns out to stand for two sizes was no promise of equality: the later dim gets
    a name of its own.
    """
    fresh = 0
    for name, type_ in types.by_name.items():
        known = pinned.get(name)
        if not isinstance(type_, TensorType) or not isinstance(known, TensorType):
            continue
        if known.shape is None:
            continue
        shape = type_.shape if type_.shape is not None else (None,) * len(known.shape)
        if len(shape) != len(known.shape):
            continue
        dims: list[Dim] = []
        for dim, size in zip(shape, known.shape, strict=True):
            if isinstance(dim, int) or not isinstance(size, int):
                dims.append(dim if isinstance(dim, int) or dim in types.sizes else None)
            elif isinstance(dim, str) and types.sizes.setdefault(dim, size) == size:
                dims.append(dim)
            else:
                dims.append(f"{UNNAMED}{name}.{len(dims)}.{fresh}")
                types.sizes[f"{UNNAMED}{name}.{len(dims) - 1}.{fresh}"] = size
                fresh += 1
        types.by_name[name] = TensorType(type_.dtype, tuple(dims))
