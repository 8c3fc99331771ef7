"""From the IR to ONNX's protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    defs,
    helper,
)

from convc.errors import InvalidGraphError
from convc.graph import Graph
from convc.ir import CONSTANT, Array, Attribute, Op, Opaque, Type, Value
from convc.onnx_io.bodies import defined, rename_captured
from convc.onnx_io.shapes import decode_type, encode_type
from convc.onnx_io.tensors import Payload, from_array, payload_of

CONSTANTS_NEED_IR = 4
"""Since this IR version a weight need not be a graph input, and is a constant if it is not."""

LARGE = 1024
"""Bytes from which a weight is kept apart, to be streamed or put into a file of its own."""


def export_model(graph: Graph) -> tuple[ModelProto, dict[int, Payload]]:
    """The model that the graph says, with the data of its large weights apart.

    Returns the model, and by their place among its initialisers the bytes of those that have none
    in it.
    """
    header = graph.header
    model: ModelProto = ModelProto.FromString(header.model_shell)
    model.ir_version = max(header.ir_version, CONSTANTS_NEED_IR)
    del model.opset_import[:]
    for domain, version in header.opsets.items():
        model.opset_import.add(domain=domain, version=version)
    for key, value in header.metadata.items():
        _set_metadata(model, key, value)
    shell = GraphProto.FromString(header.graph_shell)
    model.graph.CopyFrom(shell)
    del model.graph.value_info[:]
    model.graph.name = shell.name or "graph"
    del model.graph.input[:], model.graph.output[:]
    exporter = _Exporter(graph, model.graph, shell)
    exporter.run()
    return model, exporter.large


def encode_node(op: Op, inputs: Iterable[str], outputs: Iterable[str]) -> NodeProto:
    """The node of one op, its operands and results under the given names."""
    node = NodeProto(op_type=op.kind, input=list(inputs), output=list(outputs))
    for field, text in (
        ("domain", op.domain), ("name", op.name), ("doc_string", op.doc), ("overload", op.overload),
    ):  # fmt: skip
        if text:
            setattr(node, field, text)
    for key, value in op.metadata.items():
        node.metadata_props.add(key=key, value=value)
    for name, attribute in op.attributes.items():
        node.attribute.append(_encode_attribute(name, attribute))
    return node


def _encode_attribute(name: str, value: Attribute) -> AttributeProto:
    if isinstance(value, Opaque):
        opaque: AttributeProto = AttributeProto.FromString(value.payload)
        return opaque
    if isinstance(value, np.ndarray):
        return helper.make_attribute(name, from_array(value, ""))
    if isinstance(value, tuple) and not value:
        return AttributeProto(name=name, type=AttributeProto.INTS)
    return helper.make_attribute(name, value)


def _set_metadata(model: ModelProto, key: str, value: str) -> None:
    for entry in model.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    model.metadata_props.add(key=key, value=value)


def _may_be_omitted(result: Value, opsets: Mapping[str, int]) -> bool:
    """Whether the file may leave a ``result`` that nobody uses without a name.

    A node may for what its operator calls optional; a runtime refuses other results without a
    name, or crashes (onnxruntime does on a Split). Of an operator that onnx does not know nothing
    is known: what its file omits stays omitted.
    """
    op = result.op
    if op.array is not None:
        return True  # as an initialiser it goes with its name
    try:
        schema = defs.get_schema(op.kind, opsets.get(op.domain, 1), op.domain)
    except defs.SchemaError:
        return True
    # The last output of an operator may be variadic: it speaks for all results from there on.
    output = schema.outputs[min(result.index, len(schema.outputs) - 1)]
    return bool(output.option == defs.OpSchema.FormalParameterOption.Optional)


def _has_bodies(op: Op) -> bool:
    return any(isinstance(value, Opaque) for value in op.attributes.values())


def _describe(
    known: Mapping[str, ValueInfoProto], name: str, type_: Type, owner: str = ""
) -> ValueInfoProto:
    """An entry of the interface, with what the file says of it where that still holds."""
    entry = ValueInfoProto(name=name)
    if name in known:
        entry.CopyFrom(known[name])
    if decode_type(entry.type, owner) != type_:
        entry.type.CopyFrom(encode_type(type_))
    return entry


class _Exporter:
    """Gives every value a name that is unique in the file, then writes node by node."""

    def __init__(self, graph: Graph, target: GraphProto, shell: GraphProto) -> None:
        self.graph = graph
        self.target = target
        self.shell = shell
        self.bound: dict[Value, str] = {}
        self.taken: set[str] = {""}
        self.nodes: set[str] = set()
        self.large: dict[int, Payload] = {}

    def run(self) -> None:
        order = self.graph.ops()
        self._bind_interface()
        nodes = [op for op in order if not op.is_boundary and (op.kind != CONSTANT or op.domain)]
        # A name of a body must not be given to an outer value: the body would mean its own.
        inner = {op: defined(encode_node(op, (), ())) for op in nodes if _has_bodies(op)}
        self.taken.update(*inner.values())
        for op in order:
            for result in op.results:
                self._bind(result)
        self._write_initializers(order)
        for op in nodes:
            self._write_node(op, inner.get(op, set()))
        self._write_outputs()
        self._write_types(nodes)

    def _bind_interface(self) -> None:
        known = {entry.name: entry for entry in self.shell.input}
        for value in self.graph.inputs:
            if value.name in self.taken:
                raise InvalidGraphError(f"two inputs are named {value.name!r}")
            self.bound[value] = value.name
            self.taken.add(value.name)
            entry = _describe(known, value.name, value.type, value.name)
            if entry.doc_string != value.op.doc:
                entry.doc_string = value.op.doc
            self.target.input.append(entry)
        for value, name in zip(self.graph.outputs, self.graph.output_names, strict=True):
            if value not in self.bound and name not in self.taken:
                self.bound[value] = name
            self.taken.add(name)

    def _bind(self, value: Value) -> None:
        if value in self.bound:
            return
        unnamed = not value.name and not self.graph.is_used(value)
        if unnamed and _may_be_omitted(value, self.graph.header.opsets):
            return
        self.bound[value] = self._fresh(value.name or f"{value.op.kind}_{value.index}")

    def _fresh(self, stem: str) -> str:
        name = stem
        numbers = count(1)
        while name in self.taken:
            name = f"{stem}_{next(numbers)}"
        self.taken.add(name)
        return name

    def _write_initializers(self, order: Iterable[Op]) -> None:
        for op in order:
            array = op.default if op.array is None else op.array
            # A weight that nobody uses and that has no name needs no place in the file.
            if array is not None and op.result in self.bound:
                self.target.initializer.append(self._encode_weight(array, self.bound[op.result]))

    def _encode_weight(self, array: Array, name: str) -> TensorProto:
        if array.nbytes < LARGE or array.dtype == np.dtype(object):
            return from_array(array, name)
        tensor, self.large[len(self.target.initializer)] = payload_of(array)
        tensor.name = name
        return tensor

    def _write_node(self, op: Op, inner: set[str]) -> None:
        names = ["" if value is None else self.bound[value] for value in op.operands]
        given = len(names) - len(op.captures)
        outputs = [self.bound.get(result, "") for result in op.results]
        node = encode_node(op, names[:given], outputs)
        if op.captures:
            captured = zip(op.captures, names[given:], strict=True)
            rename_captured(node, {old: self._outside(old, new, inner) for old, new in captured})
        self._append(node)

    def _append(self, node: NodeProto) -> None:
        """Writes a node, under a name that no other has: onnxruntime refuses two of one name."""
        stem, numbers = node.name, count(1)
        while node.name in self.nodes:
            node.name = f"{stem}_{next(numbers)}"
        if node.name:
            self.nodes.add(node.name)
        self.target.node.append(node)

    def _outside(self, old: str, new: str, inner: set[str]) -> str:
        """A name for a captured value under which its op's bodies do not know another value."""
        if new == old or new not in inner:
            return new
        alias = self._fresh(f"{new}_captured")
        self._append(helper.make_node("Identity", [new], [alias], name=alias))
        return alias

    def _write_outputs(self) -> None:
        known = {entry.name: entry for entry in self.shell.output}
        copied: set[str] = set()
        for value, name, type_ in zip(
            self.graph.outputs, self.graph.output_names, self.graph.output_types, strict=True
        ):
            self.target.output.append(_describe(known, name, type_))
            if self.bound[value] != name and name not in copied:
                copied.add(name)
                source = self.bound[value]
                self._append(helper.make_node("Identity", [source], [name], name=f"{name}_copy"))

    def _write_types(self, nodes: Iterable[Op]) -> None:
        """Types of values between, where the file had them or no inference finds them.

        A runtime plans with what it is told: without these types one detector with open sizes runs
        4 % slower in onnxruntime, and with types that their file never had some small filters run
        3 % slower.
        """
        told = {value.name for value in self.shell.value_info}
        results = set(self.graph.output_names)
        for op in nodes:
            for result in op.results:
                name = self.bound.get(result, "")
                known = result.type is not None and (op.domain or name in told)
                if name and known and name not in results:
                    entry = self.target.value_info.add(name=name)
                    entry.type.CopyFrom(encode_type(result.type))
