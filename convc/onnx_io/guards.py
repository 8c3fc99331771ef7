"""What no network can be, refused before any native library sees it.

onnx's inference and onnxruntime are written in C++ and made for sound models: of functions that
call themselves, of calls that double at every level or of a result without a name they run out of
stack, memory or time. The rest of convc takes for granted what is checked here: that a node has as
many operands, and attributes of such types, as its operator says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import prod

import onnx
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    defs,
)

from convc.errors import InvalidModelError
from convc.onnx_io.functions import Key, check_calls, functions_of, key_of
from convc.onnx_io.nodes import domain_of, inner, inside, label, schema_of
from convc.onnx_io.windows import CONVS, POOLS, check_bias, check_vectors, check_window

MOST_AXES = 64
"""Axes that an array of numpy may have."""
MOST_ELEMENTS = 2**48
"""Elements that a value may be declared with; products of such sizes still fit into 64 bits."""
NORMS = frozenset({"BatchNormalization", "InstanceNormalization"})

NO_TENSOR = "sequence, map or optional"


def check_model(model: ModelProto) -> None:
    """Raises InvalidModelError, saying where and what, for a model that is no sound one."""
    if not model.graph.output:
        raise InvalidModelError(
            "the model has no outputs: nothing of what it computes is asked for"
        )
    opsets = _opsets(model.opset_import)
    _check_sizes(model)
    _check_training(model)
    functions = functions_of(model)
    check_calls(functions, model)
    for function in model.functions:
        own = _opsets(function.opset_import)
        for node in inside(function.node):
            _check_node(node, own, functions, in_function=True)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    kinds = _element_types(model.graph)
    for node in model.graph.node:
        schema = _check_node(node, opsets, functions)
        if schema is not None and not kinds.keys().isdisjoint(node.input):
            _check_types(node, schema, kinds)
        if node.op_type in NORMS and not domain_of(node.domain) and not _is_spaced(node):
            _check_vectors(node, shapes)
        if node.op_type in CONVS or node.op_type in POOLS:
            _check_geometry(node, shapes)
        for within in inner(node):
            _check_node(within, opsets, functions)


def _is_spaced(node: NodeProto) -> bool:
    """Whether a BatchNormalization has its statistics for each place: opsets 7 and 8 had such."""
    return any(entry.name == "spatial" and not entry.i for entry in node.attribute)


def _opsets(entries: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        version = int(entry.version)
        if found.setdefault(domain_of(entry.domain), version) != version:
            raise InvalidModelError(
                f"two versions of the operators of domain {entry.domain!r} are asked for: "
                f"{found[domain_of(entry.domain)]} and {version}"
            )
    return found


def _check_sizes(model: ModelProto) -> None:
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if len(dims) > MOST_AXES:
            raise InvalidModelError(
                f"value {value.name!r} has {len(dims)} axes; {MOST_AXES} are known"
            )
        if prod(max(dim.dim_value, 1) for dim in dims) > MOST_ELEMENTS:
            raise InvalidModelError(f"value {value.name!r} is larger than any memory")


def _check_training(model: ModelProto) -> None:
    """Weights outside of the file are looked for in the network only."""
    for entry in model.training_info:
        for graph in (entry.initialization, entry.algorithm):
            if any(t.data_location == TensorProto.EXTERNAL for t in graph.initializer):
                raise InvalidModelError("the training info has external data, which is not read")


@lru_cache(maxsize=4096)
def _types(schema: defs.OpSchema) -> dict[str, int]:
    """The types of an operator's attributes, by AttributeProto's numbers."""
    kinds = ((name, entry.type) for name, entry in schema.attributes.items())
    return {name: int(kind.value) for name, kind in kinds}  # type: ignore[attr-defined]


@lru_cache(maxsize=4096)
def _required(schema: defs.OpSchema) -> frozenset[str]:
    return frozenset(name for name, entry in schema.attributes.items() if entry.required)


@lru_cache(maxsize=4096)
def _counts(schema: defs.OpSchema) -> tuple[tuple[int, int], tuple[int, int]]:
    """The least and the most operands, and results."""
    operands = schema.min_input, schema.max_input
    return operands, (schema.min_output, schema.max_output)


def _check_node(
    node: NodeProto,
    opsets: Mapping[str, int],
    functions: Mapping[Key, FunctionProto],
    *,
    in_function: bool = False,
) -> defs.OpSchema | None:
    """Raises where a node is none; its operator's schema, None of one that ONNX does not know."""
    if not node.output or not any(node.output):
        raise InvalidModelError(f"node {label(node)} makes nothing: it has no named result")
    domain = domain_of(node.domain)
    local = functions.get(key_of(domain, node.op_type, node)) if functions else None
    if local is not None:
        _check_call(node, local)
    schema = None if local is not None else schema_of(node.op_type, opsets.get(domain, 1), domain)
    types = {} if schema is None else _types(schema)
    names: set[str] = set()
    for entry in node.attribute:
        _check_attribute(node, entry, types, in_function=in_function)
        if entry.name in names:
            raise InvalidModelError(f"node {label(node)} has two attributes {entry.name!r}")
        names.add(entry.name)
    if schema is None:
        return None
    missing = _required(schema) - names
    if missing:
        raise InvalidModelError(f"node {label(node)} lacks its attribute {min(missing)!r}")
    operands, results = _counts(schema)
    _check_count(node, "operands", len(node.input), operands)
    _check_count(node, "results", len(node.output), results)
    if "" in node.input:
        _check_omitted(node, "operands", node.input, schema.inputs)
    if "" in node.output:
        _check_omitted(node, "results", node.output, schema.outputs)
    if node.op_type == "If" and not domain:
        _check_branches(node)
    if node.op_type == "Transpose" and not domain:
        _check_order(node)
    return schema


def _element_types(graph: GraphProto) -> dict[str, str]:
    """What the schemas call the types of the graph's inputs, weights and constants."""
    found = {
        value.name: value.type.tensor_type.elem_type
        for value in graph.input
        if value.type.HasField("tensor_type")
    }
    if len(found) < sum(value.type.HasField("tensor_type") for value in graph.input):
        return {}  # two of one name: the importer says so
    found |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            found.update(dict.fromkeys(node.output, node.attribute[0].t.data_type))
    name = TensorProto.DataType.Name
    known = TensorProto.DataType.values()
    types = {
        key: f"tensor({name(kind).lower()})"
        for key, kind in found.items()
        if kind in known and kind
    }
    others = (v for v in graph.input if v.type.WhichOneof("value") not in (None, "tensor_type"))
    return types | {value.name: NO_TENSOR for value in others}


@lru_cache(maxsize=4096)
def _accepted(schema: defs.OpSchema) -> tuple[frozenset[str], ...]:
    """The types of each operand that an operator accepts."""
    return tuple(frozenset(formal.types) for formal in schema.inputs)


def _check_types(node: NodeProto, schema: defs.OpSchema, kinds: Mapping[str, str]) -> None:
    """No operand whose type the file says may be of one that the operator does not take."""
    accepted = _accepted(schema)
    if not accepted:
        return
    for i, name in enumerate(node.input):
        types = accepted[min(i, len(accepted) - 1)]
        kind = kinds.get(name)
        if kind == NO_TENSOR and not all(type_.startswith("tensor(") for type_ in types):
            continue
        if kind is not None and types and kind not in types:
            raise InvalidModelError(f"node {label(node)} does not take {name!r}: it is a {kind}")


def _check_attribute(
    node: NodeProto, entry: AttributeProto, types: Mapping[str, int], *, in_function: bool
) -> None:
    wrong = _attribute_fault(entry, types, in_function=in_function)
    if wrong:
        raise InvalidModelError(f"attribute {entry.name!r} of node {label(node)} {wrong}")


def _attribute_fault(entry: AttributeProto, types: Mapping[str, int], *, in_function: bool) -> str:
    kind = entry.type
    if not entry.name or kind == AttributeProto.UNDEFINED:
        return f"has no {'type' if entry.name else 'name'}"
    if entry.ref_attr_name and not in_function:
        return "refers to a function's, and is in none"
    wanted = types.get(entry.name, kind)
    if wanted != kind:
        name = AttributeProto.AttributeType.Name
        return f"is of type {name(kind)}, not {name(wanted)}"
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in entry.tensors):
        return "has external data, which is not read from there"
    return ""


def _check_count(node: NodeProto, what: str, given: int, wanted: tuple[int, int]) -> None:
    """As onnx's checker has it, and so onnxruntime: no fewer, no more."""
    least, most = wanted
    if least <= given <= most:
        return
    text = str(least) if least == most else f"{least} to {most}"
    raise InvalidModelError(
        f"node {label(node)} has {given} {what}; a {node.op_type} has "
        + (text if most < 2**31 - 1 else f"{least} or more")
    )


def _check_omitted(
    node: NodeProto,
    what: str,
    names: Iterable[str],
    formal: Sequence[defs.OpSchema.FormalParameter],
) -> None:
    """What is not optional has a name.

    One of a row (operands of a Max, results of a Split, If or Loop) needs one as well, and so do
    the statistics of a BatchNormalization where they are listed: without it onnxruntime 1.32
    refuses some models and dies of others, an If or a Loop when it loads, the others when they run.
    """
    options = defs.OpSchema.FormalParameterOption
    listed = what == "results" and node.op_type == "BatchNormalization"
    for i, name in enumerate(names):
        option = formal[min(i, len(formal) - 1)].option
        if not name and (option != options.Optional or listed):
            raise InvalidModelError(f"node {label(node)} has no name for number {i} of its {what}")


def _check_call(node: NodeProto, function: FunctionProto) -> None:
    if len(node.input) > len(function.input) or len(node.output) > len(function.output):
        raise InvalidModelError(
            f"node {label(node)} has {len(node.input)} operands and {len(node.output)} results; "
            f"its function {len(function.input)} and {len(function.output)}"
        )


def _check_order(node: NodeProto) -> None:
    for entry in node.attribute:
        if entry.name == "perm" and sorted(entry.ints) != list(range(len(entry.ints))):
            raise InvalidModelError(f"node {label(node)}: its perm is no order of axes")


def _check_branches(node: NodeProto) -> None:
    for entry in node.attribute:
        body = entry.g
        if len(body.input) or len(body.output) != len(node.output):
            raise InvalidModelError(
                f"node {label(node)}: its {entry.name} has {len(body.input)} inputs and "
                f"{len(body.output)} results, not 0 and {len(node.output)}"
            )


def _check_vectors(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    try:
        check_vectors([shapes[name] for name in node.input[1:] if name in shapes])
    except ValueError as error:
        raise InvalidModelError(f"node {label(node)}: {error}") from error


@lru_cache(maxsize=4096)
def _check_window(
    kind: str,
    lists: tuple[tuple[str, tuple[int, ...]], ...],
    group: int,
    weight: tuple[int, ...] | None,
) -> None:
    """`check_window`; thousands of layers share a few geometries."""
    check_window(kind, dict(lists), group, weight)


def _check_geometry(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    if domain_of(node.domain):
        return
    weight = shapes.get(node.input[1]) if len(node.input) > 1 else None
    lists = {e.name: tuple(e.ints) for e in node.attribute if e.type == AttributeProto.INTS}
    group = next((int(e.i) for e in node.attribute if e.name == "group"), 1)
    try:
        _check_window(node.op_type, tuple(lists.items()), group, weight)
        if weight is not None and len(node.input) > 2 and node.op_type in CONVS:
            check_bias(node.op_type, group, weight, shapes.get(node.input[2]))
    except ValueError as error:
        raise InvalidModelError(f"node {label(node)}: {error}") from error
