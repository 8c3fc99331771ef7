"""Shape inference for one node, its operands' shapes and some of their values given."""

from __future__ import annotations

import re
from collections.abc import Sequence

import onnx
from onnx import ModelProto, helper

from convc.ir import Array, Header, Op, TensorType, Type
from convc.onnx_io.exporter import encode_node
from convc.onnx_io.mistakes import right_type
from convc.onnx_io.propagation import may_follow_values
from convc.onnx_io.shapes import SMALL_WEIGHT, decode_type, encode_type
from convc.onnx_io.tensors import from_array


def infer_results(
    header: Header, op: Op, types: Sequence[Type], arrays: Sequence[Array | None]
) -> list[Type]:
    """Types of the results of ``op`` by onnx's own inference; None where it finds none.

    Args:
        header: the operator sets that the op is of.
        op: the op; of its operands only the number counts. It must have no subgraphs.
        types: of its operands, static; None for an omitted or an unknown one.
        arrays: the operands' values where these are known.

    Raises ValueError, with onnx's reason, where the operands do not fit the op.
    """
    names = ["" if value is None else f"operand_{i}" for i, value in enumerate(op.inputs)]
    results = [f"result_{i}" for i in range(len(op.results))]
    model = ModelProto(ir_version=max(header.ir_version, 4))
    for domain, version in header.opsets.items():
        model.opset_import.add(domain=domain, version=version)
    graph = model.graph
    graph.name = "single"
    graph.node.append(encode_node(op, names, results))
    for name, type_, array in zip(names, types, arrays, strict=True):
        if name and array is not None:
            graph.initializer.append(from_array(array, name))
        elif name:
            graph.input.add(name=name).type.CopyFrom(encode_type(type_))
    graph.output.extend(helper.make_empty_tensor_value_info(name) for name in results)
    try:
        follow = may_follow_values(model, SMALL_WEIGHT)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=follow)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        raise ValueError(_reason(str(error))) from error
    found = {entry.name: decode_type(entry.type) for entry in inferred.graph.output}
    given = {entry.name: entry.type for entry in (*graph.input, *inferred.graph.output)}
    given |= {t.name: helper.make_tensor_type_proto(t.data_type, t.dims) for t in graph.initializer}
    right = right_type(graph.node[0], given, {t.name: t for t in graph.initializer})
    if right is not None:
        found |= dict.fromkeys(filter(None, results), decode_type(right))
    return [_without_names(found[name]) for name in results]


def _without_names(type_: Type) -> Type:
    """Dims that inference could only name are not known."""
    if not isinstance(type_, TensorType) or type_.shape is None:
        return type_
    dims = (dim if isinstance(dim, int) else None for dim in type_.shape)
    return TensorType(type_.dtype, tuple(dims))


def _reason(message: str) -> str:
    """What onnx says after its own names for the place."""
    line = " ".join(message.split())
    return re.split(r"\[(?:Shape|Type)InferenceError\] ", line)[-1] or "onnx refuses it"
