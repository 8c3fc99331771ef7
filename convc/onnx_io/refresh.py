"""Types inferred anew, once rewrites have made more of the sizes known."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, helper

from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, OUTPUT, Dim, Op, TensorType, Type, Value
from convc.onnx_io.bodies import rename_captured
from convc.onnx_io.exporter import encode_node
from convc.onnx_io.importer import hollow
from convc.onnx_io.shapes import SMALL_WEIGHT, encode_type, infer
from convc.onnx_io.tensors import from_array, to_elem_type


def refresh_types(graph: Graph) -> int:
    """Infers the types of all values anew, where any of them has an unknown size.

    What is known stays; what was unknown, or a named dim that turns out to be a number, is filled
    in. Large weights are left out of what inference sees.

    Returns the number of values whose type became more precise.
    """
    values = [value for op in graph.ops() for value in op.results]
    if all(graph.concrete_shape(value) is not None for value in values):
        return 0
    names = {value: f"{graph.version}.{i}" for i, value in enumerate(values)}
    skeleton = _skeleton(graph, names)
    wanted = {dim: graph.sizes[dim] for dim in _input_dims(graph) if dim in graph.sizes}
    types = infer(skeleton, wanted)
    renamed: dict[str, Dim] = {dim: dim for dim in wanted}
    refined = 0
    for value in values:
        type_ = _refine(graph, value.type, types.by_name.get(names[value]), renamed, types.sizes)
        if type_ != value.type:
            value.type = type_
            refined += 1
    return refined


def _input_dims(graph: Graph) -> set[str]:
    return {dim for value in graph.inputs for dim in value.shape or () if isinstance(dim, str)}


def _skeleton(graph: Graph, names: dict[Value, str]) -> ModelProto:
    model: ModelProto = ModelProto.FromString(graph.header.model_shell)
    model.ir_version = max(graph.header.ir_version, 4)
    del model.opset_import[:]
    for domain, version in graph.header.opsets.items():
        model.opset_import.add(domain=domain, version=version)
    target = model.graph
    target.name = "graph"
    for value in graph.inputs:
        entry = target.input.add(name=names[value])
        entry.type.CopyFrom(encode_type(value.type))
        # Also the dims that have no name in the file keep the one that convc gave them.
        for proto, dim in zip(entry.type.tensor_type.shape.dim, value.shape or (), strict=True):
            if isinstance(dim, str):
                proto.dim_param = dim
    for op in graph.ops():
        if op.kind == CONSTANT and op.array is not None:
            target.initializer.append(_weight(op, names[op.result]))
        elif op.kind not in (INPUT, OUTPUT) or op.domain:
            _add_node(model, op, names)
    for value in dict.fromkeys(graph.outputs):
        target.output.add(name=names[value])
    return model


def _weight(op: Op, name: str) -> TensorProto:
    assert op.array is not None
    if op.array.size <= SMALL_WEIGHT:
        return from_array(op.array, name)
    elem_type = to_elem_type(op.array.dtype)
    return hollow(TensorProto(name=name, data_type=elem_type, dims=op.array.shape))


def _add_node(model: ModelProto, op: Op, names: dict[Value, str]) -> None:
    operands = ["" if value is None else names[value] for value in op.operands]
    inputs = operands[: len(operands) - len(op.captures)]
    node = encode_node(op, inputs, [names[result] for result in op.results])
    if op.captures:
        captured = dict(zip(op.captures, operands[len(inputs) :], strict=True))
        rename_captured(node, captured)
    model.graph.node.append(node)
    if op.domain:
        for result in op.results:
            if result.type is not None:
                info = helper.make_value_info(names[result], encode_type(result.type))
                model.graph.value_info.append(info)


def _refine(
    graph: Graph, old: Type, new: Type, renamed: dict[str, Dim], sizes: dict[str, int]
) -> Type:
    if not isinstance(new, TensorType) or not isinstance(old, TensorType | None):
        return old
    dtype = new.dtype if old is None else old.dtype
    if new.shape is None or dtype != new.dtype:
        return old or new
    known = (None,) * len(new.shape) if old is None or old.shape is None else old.shape
    if len(known) != len(new.shape):
        return old
    shape = [
        _refine_dim(graph, before, after, renamed, sizes)
        for before, after in zip(known, new.shape, strict=True)
    ]
    return TensorType(dtype, tuple(shape))


def _refine_dim(
    graph: Graph, old: Dim, new: Dim, renamed: dict[str, Dim], sizes: dict[str, int]
) -> Dim:
    if isinstance(old, int) or new is None:
        return old
    if isinstance(new, int):
        return new
    if isinstance(old, str) and old in graph.sizes:
        return old
    if new not in renamed:
        # Inference counts its names from zero every time: they mean nothing outside of one run.
        renamed[new] = graph.new_dim(sizes.get(new))
    return renamed[new] or old
