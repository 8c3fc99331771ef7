"""From ONNX's protobuf to the IR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from convc.errors import InvalidModelError
from convc.graph import Graph
from convc.ir import (
    CONSTANT,
    INPUT,
    OUTPUT,
    Array,
    Attribute,
    Header,
    Op,
    Opaque,
    TensorType,
    Type,
    Value,
)
from convc.onnx_io.bodies import bodies, captured, tensors
from convc.onnx_io.foreign import guess
from convc.onnx_io.guards import check_model
from convc.onnx_io.nodes import domain_of, inside, label
from convc.onnx_io.plain import plain_attributes, plain_operands
from convc.onnx_io.shapes import SMALL_WEIGHT, decode_type, infer
from convc.onnx_io.tensors import Files, from_array, to_array, to_dense

OLDEST_OPSET = 6


def parse_model(data: bytes, where: str) -> ModelProto:
    """The ModelProto in ``data``; raises InvalidModelError where it is none convc can read."""
    if not data:
        raise InvalidModelError(f"{where}: the file is empty: export or copy it again")
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        why = guess(data) or " (protobuf cannot read it): export or copy it again"
        raise InvalidModelError(f"{where}: not an ONNX model, or a truncated one{why}") from error
    if not model.HasField("graph") or not (model.opset_import or model.ir_version):
        why = guess(data) or " (it holds no graph)"
        raise InvalidModelError(f"{where}: not an ONNX model{why}")
    if not _is_text(model):
        raise InvalidModelError(f"{where}: a broken ONNX model (it holds names that are no text)")
    return model


def _is_text(message: Message) -> bool:
    """Whether all strings of a message are text. What is no UTF-8 comes as bytes."""
    if isinstance(message, TensorProto):
        return isinstance(message.name, str)  # a tensor's fields are copied when they are listed
    if isinstance(message, AttributeProto) and message.type in _NUMBERS:
        return isinstance(message.name, str) and isinstance(message.ref_attr_name, str)
    for descriptor, value in message.ListFields():
        kind = descriptor.type
        if kind not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            continue
        sound = _is_string if kind == FieldDescriptor.TYPE_STRING else _is_text
        if not all(map(sound, value if descriptor.is_repeated else (value,))):
            return False
    return True


_NUMBERS = frozenset(
    {AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT, AttributeProto.FLOATS}
)
"""Types of attributes that hold no text but their names; most are of these."""


def _is_string(text: object) -> bool:
    return isinstance(text, str)


def import_model(
    model: ModelProto,
    files: Files | None,
    sizes: Mapping[str, int],
    *,
    keep_initializer_inputs: bool = False,
) -> Graph:
    """The graph of a model. Takes the model apart: it is of no use afterwards.

    Args:
        model: the parsed file.
        files: where external data is, None where the model has no folder.
        sizes: sizes for open dims, by name.
        keep_initializer_inputs: keep weights that are also graph inputs as inputs with a default;
            otherwise they become constants, as onnxruntime wants them for speed.
    """
    opsets = check_soundness(model)
    _embed_external(model, files)
    weights = _take_weights(model.graph, files)
    if not keep_initializer_inputs:
        _keep(model.graph.input, [v for v in model.graph.input if v.name not in weights])
    listed = list(model.graph.input)
    types = infer(_skeleton(model), sizes)
    graph = Graph(_header(model, opsets), types.sizes)
    values: dict[str, Value] = {}
    for entry in listed:
        if not entry.name or entry.name in values:
            raise InvalidModelError(f"two inputs are named {entry.name!r}, or one has no name")
        values[entry.name] = graph.add_input(
            entry.name, types.by_name[entry.name], entry.doc_string, weights.get(entry.name)
        )
    for name, array in weights.items():
        if name not in values:
            values[name] = graph.add_constant(array, name)
    for node in _ordered(model.graph, values):
        _add_node(graph, node, values, types.by_name, files)
    outputs = [entry.name for entry in model.graph.output]
    missing = [name for name in outputs if name not in values]
    if missing:
        raise InvalidModelError(f"output {missing[0]!r} is made by no node, input or weight")
    declared = [
        _possible(decode_type(entry.type), values[entry.name].type) for entry in model.graph.output
    ]
    graph.set_outputs([values[name] for name in outputs], outputs, declared)
    return graph


def _possible(declared: Type, found: Type) -> Type:
    """The type of an output as the file says it, but for sizes that it cannot have.

    Runtimes only warn of those, and believe them: they may refuse what is made of such an output.
    """
    if not isinstance(declared, TensorType) or not isinstance(found, TensorType):
        return declared
    if declared.shape is None or found.shape is None:
        return declared
    if len(declared.shape) != len(found.shape):
        return found
    dims = (
        size if isinstance(dim, int) and isinstance(size, int) else dim
        for dim, size in zip(declared.shape, found.shape, strict=True)
    )
    return TensorType(declared.dtype, tuple(dims))


def check_soundness(model: ModelProto) -> dict[str, int]:
    """Raises InvalidModelError where a model is of no version known, or no sound one.

    Returns the versions of its operators by domain.
    """
    if not 0 <= model.ir_version <= onnx.IR_VERSION:
        raise InvalidModelError(
            f"IR version {model.ir_version} is not known to this onnx, which goes to "
            f"{onnx.IR_VERSION}: upgrade onnx, or export with an older one"
        )
    opsets = {domain_of(entry.domain): int(entry.version) for entry in model.opset_import}
    _check_opset(opsets, model.graph)
    check_model(model)
    return opsets


def decode_attributes(node: NodeProto, files: Files | None = None) -> dict[str, Attribute]:
    """The attributes of a node; what the IR does not look into stays serialised."""
    return {entry.name: _decode_attribute(entry, files) for entry in node.attribute}


def _decode_attribute(entry: AttributeProto, files: Files | None) -> Attribute:
    if entry.ref_attr_name:
        return Opaque(entry.SerializeToString())
    kind = entry.type
    if kind == AttributeProto.INT:
        return int(entry.i)
    if kind == AttributeProto.FLOAT:
        return float(entry.f)
    if kind == AttributeProto.INTS:
        return tuple(int(i) for i in entry.ints)
    if kind == AttributeProto.FLOATS and entry.floats:
        return tuple(float(f) for f in entry.floats)
    if kind == AttributeProto.TENSOR:
        return to_array(entry.t, files)
    try:
        if kind == AttributeProto.STRING:
            return entry.s.decode()
        if kind == AttributeProto.STRINGS and entry.strings:
            return tuple(s.decode() for s in entry.strings)
    except UnicodeDecodeError:
        pass
    return Opaque(entry.SerializeToString())


def _check_opset(opsets: Mapping[str, int], graph: GraphProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    version = opsets.get("", None)
    if version is None:
        if all(domain_of(node.domain) for node in graph.node):
            return
        raise InvalidModelError("the model does not say which opset its nodes are of")
    if version > newest:
        raise InvalidModelError(
            f"opset {version} is newer than this onnx knows ({newest}): "
            "upgrade onnx, or export with an older opset"
        )
    if version < OLDEST_OPSET:
        raise InvalidModelError(
            f"opset {version} is older than {OLDEST_OPSET}: "
            "convert the model first (onnx.version_converter)"
        )


def _header(model: ModelProto, opsets: Mapping[str, int]) -> Header:
    """Serialises what is left of the model once its graph is taken out."""
    model_shell = ModelProto()
    model_shell.CopyFrom(_without(model, "graph"))
    graph = model.graph
    graph_shell = GraphProto(name=graph.name, doc_string=graph.doc_string)
    graph_shell.input.extend(graph.input)
    graph_shell.output.extend(graph.output)
    # Of the values between only the names: their types are those of the IR.
    graph_shell.value_info.extend(
        onnx.ValueInfoProto(name=value.name) for value in graph.value_info
    )
    graph_shell.quantization_annotation.extend(graph.quantization_annotation)
    if hasattr(graph, "metadata_props"):
        graph_shell.metadata_props.extend(graph.metadata_props)
    return Header(
        ir_version=int(model.ir_version),
        opsets=dict(opsets),
        model_shell=model_shell.SerializeToString(),
        graph_shell=graph_shell.SerializeToString(),
    )


def _without(model: ModelProto, field: str) -> ModelProto:
    shell = ModelProto()
    for descriptor, value in model.ListFields():
        if descriptor.name == field:
            continue
        if descriptor.is_repeated:
            getattr(shell, descriptor.name).extend(value)
        elif descriptor.message_type is not None:
            getattr(shell, descriptor.name).CopyFrom(value)
        else:
            setattr(shell, descriptor.name, value)
    return shell


def _embed_external(model: ModelProto, files: Files | None) -> None:
    """Reads what function and subgraph bodies keep outside: they pass through as they are."""
    nodes = [node for node in model.graph.node if any(bodies(node))]
    nodes += [node for function in model.functions for node in function.node]
    for tensor in tensors(nodes):
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.CopyFrom(from_array(to_array(tensor, files), tensor.name))


def _take_weights(graph: GraphProto, files: Files | None) -> dict[str, Array]:
    """The initialisers as arrays; the large ones are emptied in ``graph``."""
    weights: dict[str, Array] = {}
    for tensor in graph.initializer:
        if tensor.name in weights:
            raise InvalidModelError(f"two weights are named {tensor.name!r}")
        weights[tensor.name] = to_array(tensor, files)
    for sparse in graph.sparse_initializer:
        if sparse.values.name in weights:
            raise InvalidModelError(f"two weights are named {sparse.values.name!r}")
        weights[sparse.values.name] = to_dense(sparse, files)
        tensor = TensorProto(name=sparse.values.name, data_type=sparse.values.data_type)
        tensor.dims.extend(sparse.dims)
        graph.initializer.append(hollow(tensor))
    del graph.sparse_initializer[:]
    for tensor in graph.initializer:
        array = weights[tensor.name]
        if array.size > SMALL_WEIGHT:
            tensor.CopyFrom(hollow(tensor))
        elif tensor.data_location == TensorProto.EXTERNAL:
            tensor.CopyFrom(from_array(array, tensor.name))
    return weights


def hollow(tensor: TensorProto) -> TensorProto:
    """The tensor without its data, in the one way that shape inference accepts."""
    hollow = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=list(tensor.dims))
    hollow.data_location = TensorProto.EXTERNAL
    hollow.external_data.add(key="location", value="taken out for shape inference")
    return hollow


def _skeleton(model: ModelProto) -> ModelProto:
    skeleton = ModelProto()
    skeleton.CopyFrom(model)
    for graph in (
        skeleton.graph,
        *(g for node in inside(skeleton.graph.node) for g in bodies(node)),
    ):
        _forget_negative(graph)
    # Below IR 4 initialisers have to be inputs as well; inference is told the newer rule.
    skeleton.ir_version = max(int(model.ir_version), 4)
    return skeleton


def _forget_negative(graph: GraphProto) -> None:
    """A negative size is none; inference reckons with it, and onnx 1.23 dies of that."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value < 0:
                dim.ClearField("dim_value")


def _keep(field: object, entries: list[onnx.ValueInfoProto]) -> None:
    copies = [onnx.ValueInfoProto.FromString(entry.SerializeToString()) for entry in entries]
    del field[:]  # type: ignore[attr-defined]
    field.extend(copies)  # type: ignore[attr-defined]


def _ordered(graph: GraphProto, values: Mapping[str, Value]) -> Iterator[NodeProto]:
    """The nodes with makers before users; nearly always the file's own order.

    Raises InvalidModelError on a dangling name, a cycle, or a name made twice.
    """
    made: set[str] = set(values)
    makers: dict[str, NodeProto] = {}
    for node in graph.node:
        for name in node.output:
            if name and (name in makers or name in made):
                raise InvalidModelError(f"two nodes or inputs make {name!r}")
            makers[name] = node
    done: set[int] = set()
    for root in graph.node:
        stack = [root]
        open_nodes: set[int] = set()
        while stack:
            node = stack[-1]
            waiting = [name for name in (*node.input, *captured(node)) if name and name not in made]
            if not waiting or id(node) in done:
                stack.pop()
                if id(node) not in done:
                    done.add(id(node))
                    made.update(node.output)
                    yield node
                continue
            if waiting[0] not in makers:
                raise InvalidModelError(
                    f"node {label(node)} uses {waiting[0]!r}, made by no node, input or weight"
                )
            if id(node) in open_nodes:
                raise InvalidModelError(f"the graph has a cycle through node {label(node)}")
            open_nodes.add(id(node))
            stack.extend(makers[name] for name in dict.fromkeys(waiting) if name in makers)


def _add_node(
    graph: Graph,
    node: NodeProto,
    values: dict[str, Value],
    types: Mapping[str, Type],
    files: Files | None,
) -> None:
    if node.op_type in (INPUT, OUTPUT, "") and not domain_of(node.domain):
        raise InvalidModelError(f"node {label(node)} is of no kind that ONNX knows")
    if node.op_type == CONSTANT and not domain_of(node.domain):
        array = _constant(node, files)
        if array is None:
            raise InvalidModelError(f"node {label(node)} holds no value")
        name = node.output[0]
        values[name] = graph.add_constant(array, name, doc=node.doc_string)
        return
    names = captured(node)
    missing = [name for name in (*node.input, *names) if name and name not in values]
    if missing:
        raise InvalidModelError(f"node {label(node)} uses {missing[0]!r}, which nothing makes")
    operands = tuple(values[name] if name else None for name in (*node.input, *names))
    told = Op(node.op_type, operands, decode_attributes(node, files), domain=domain_of(node.domain))
    op = graph.add(
        node.op_type,
        plain_operands(graph, told, types.get(node.output[0]) if node.output else None),
        plain_attributes(told),
        types=[types.get(name) for name in node.output],
        names=list(node.output),
        domain=domain_of(node.domain),
        name=node.name,
        doc=node.doc_string,
        overload=getattr(node, "overload", ""),
        captures=names,
        metadata={entry.key: entry.value for entry in getattr(node, "metadata_props", ())},
    )
    values.update((result.name, result) for result in op.results if result.name)


def _constant(node: NodeProto, files: Files | None) -> Array | None:
    """The array of a Constant node, in whichever of its attributes it is."""
    entry = node.attribute[0] if len(node.attribute) == 1 and len(node.output) == 1 else None
    if entry is None or entry.ref_attr_name:
        return None
    if entry.name == "value":
        return to_array(entry.t, files)
    if entry.name == "sparse_value":
        return to_dense(entry.sparse_tensor, files)
    if entry.name in ("value_float", "value_floats"):
        return np.array(entry.f if entry.name == "value_float" else entry.floats, np.float32)
    if entry.name in ("value_int", "value_ints"):
        return np.array(entry.i if entry.name == "value_int" else entry.ints, np.int64)
    if entry.name in ("value_string", "value_strings"):
        return np.array(entry.s if entry.name == "value_string" else list(entry.strings), object)
    return None
