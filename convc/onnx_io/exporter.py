"""From the IR to ONNX's protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, helper

from convc.errors import InvalidGraphError
from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, OUTPUT, Attribute, Op, Opaque, Value
from convc.onnx_io.bodies import defined, rename_captured
from convc.onnx_io.shapes import encode_type
from convc.onnx_io.tensors import from_array

CONSTANTS_NEED_IR = 4
"""Since this IR version a weight need not be a graph input, and is a constant if it is not."""


def export_model(graph: Graph) -> ModelProto:
    """The model that the graph says, with all weights inside."""
    header = graph.header
    model: ModelProto = ModelProto.FromString(header.model_shell)
    model.ir_version = max(header.ir_version, CONSTANTS_NEED_IR)
    del model.opset_import[:]
    for domain, version in header.opsets.items():
        model.opset_import.add(domain=domain, version=version)
    for key, value in header.metadata.items():
        _set_metadata(model, key, value)
    model.graph.CopyFrom(GraphProto.FromString(header.graph_shell))
    model.graph.name = model.graph.name or "graph"
    _Exporter(graph, model.graph).run()
    return model


def encode_node(op: Op, inputs: Iterable[str], outputs: Iterable[str]) -> NodeProto:
    """The node of one op, its operands and results under the given names."""
    node = NodeProto(
        op_type=op.kind, domain=op.domain, name=op.name, doc_string=op.doc,
        input=list(inputs), output=list(outputs),
    )  # fmt: skip
    if op.overload:
        node.overload = op.overload
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


class _Exporter:
    """Gives every value a name that is unique in the file, then writes node by node."""

    def __init__(self, graph: Graph, target: GraphProto) -> None:
        self.graph = graph
        self.target = target
        self.bound: dict[Value, str] = {}
        self.taken: set[str] = {""}

    def run(self) -> None:
        order = self.graph.ops()
        self._bind_interface()
        nodes = [op for op in order if op.kind not in (INPUT, CONSTANT, OUTPUT) or op.domain]
        encoded = {op: encode_node(op, (), ()) for op in nodes if op.captures}
        for node in encoded.values():
            self.taken |= defined(node)
        for op in order:
            for result in op.results:
                self._bind(result)
        self._write_constants(order)
        for op in nodes:
            self._write_node(op, encoded.get(op))
        self._write_outputs()
        self._write_foreign_types(nodes)

    def _bind_interface(self) -> None:
        for value in self.graph.inputs:
            if value.name in self.taken:
                raise InvalidGraphError(f"two inputs are named {value.name!r}")
            self.bound[value] = value.name
            self.taken.add(value.name)
            entry = self.target.input.add(name=value.name, doc_string=value.op.doc)
            entry.type.CopyFrom(encode_type(value.type))
        for value, name in zip(self.graph.outputs, self.graph.output_names, strict=True):
            if value not in self.bound and name not in self.taken:
                self.bound[value] = name
            self.taken.add(name)

    def _bind(self, value: Value) -> None:
        if value in self.bound or (not value.name and not self.graph.uses(value)):
            return
        stem = value.name or f"{value.op.kind}_{value.index}"
        name = stem
        numbers = count(1)
        while name in self.taken:
            name = f"{stem}_{next(numbers)}"
        self.bound[value] = name
        self.taken.add(name)

    def _write_constants(self, order: Iterable[Op]) -> None:
        for op in order:
            if op.array is not None:
                self.target.initializer.append(from_array(op.array, self.bound[op.result]))

    def _write_node(self, op: Op, body: NodeProto | None) -> None:
        names = ["" if value is None else self.bound[value] for value in op.operands]
        inputs = names[: len(names) - len(op.captures)]
        outputs = [self.bound.get(result, "") for result in op.results]
        node = body or encode_node(op, (), ())
        node.input.extend(inputs)
        node.output.extend(outputs)
        if op.captures:
            new = names[len(names) - len(op.captures) :]
            rename_captured(node, dict(zip(op.captures, new, strict=True)))
        self.target.node.append(node)

    def _write_outputs(self) -> None:
        copied: set[str] = set()
        for value, name, type_ in zip(
            self.graph.outputs, self.graph.output_names, self.graph.output_types, strict=True
        ):
            entry = self.target.output.add(name=name)
            entry.type.CopyFrom(encode_type(type_))
            if self.bound[value] != name and name not in copied:
                copied.add(name)
                self.target.node.append(
                    helper.make_node("Identity", [self.bound[value]], [name], name=f"{name}_copy")
                )

    def _write_foreign_types(self, nodes: Iterable[Op]) -> None:
        """Types of values that no shape inference can find: results of custom ops."""
        for op in nodes:
            if not op.domain:
                continue
            for result in op.results:
                name = self.bound.get(result, "")
                if name and result.type is not None and name not in self.graph.output_names:
                    entry = self.target.value_info.add(name=name)
                    entry.type.CopyFrom(encode_type(result.type))


def metadata_of(model: ModelProto) -> Mapping[str, str]:
    """The metadata of a model."""
    return {entry.key: entry.value for entry in model.metadata_props}
