"""A float64 evaluator of graphs: the judge of every rewrite.

convc's own kernels do the linear ops (and the common others) in every attribute; the rest goes to
``onnx.reference``, one node at a time. All floating tensors are float64 from the inputs on,
whatever the model stores, so that what is left of an error is not rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx import numpy_helper as nh

from convc.errors import ConvcError
from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, Array, Op, Value, is_real
from convc.kernels import KERNELS, KernelError
from convc.onnx_io.exporter import encode_node

_REAL = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)

_SATURATING = frozenset(
    number
    for name, number in TensorProto.DataType.items()
    if name.startswith(("FLOAT8", "FLOAT6", "FLOAT4"))
)
"""Element types beyond whose range a Cast stops or not, by an attribute of its own."""

TYPED = frozenset({"Cast", "EyeLike", "RandomNormal", "RandomUniform", "SequenceEmpty"})
"""Kinds whose attribute names the element type of their result."""


class EvaluationError(ConvcError):
    """A graph could not be evaluated: the message names the op and the reason."""


def widen(array: Array) -> Array:
    """float64 for every floating dtype (float16, bfloat16 included), others as they are."""
    if array.dtype == np.float64 or not is_real(array.dtype):
        return array
    return array.astype(np.float64)


def evaluate(
    graph: Graph, feeds: Mapping[str, Array], wanted: Sequence[Value] | None = None
) -> list[Array]:
    """The values of ``wanted`` (by default the outputs), in float64.

    Args:
        graph: what to evaluate; memory is freed as soon as a value has no more users.
        feeds: an array for each graph input, by name (a list of them where it is a sequence);
            those with a default may be left out.
        wanted: values of the graph.

    Raises EvaluationError where an op cannot be evaluated or an input is missing.
    """
    targets = tuple(graph.outputs if wanted is None else wanted)
    part = _needed(graph.ops(), targets)
    pending = Counter(value for op in part for value in op.operands if value is not None)
    pending.update(targets)
    known: dict[Value, Array] = {}
    with np.errstate(all="ignore"):
        for op in part:
            results = _evaluate_op(graph, op, known, feeds)
            used = [value for value in op.results if pending[value]]
            if any(value.index >= len(results) for value in used):
                raise EvaluationError(f"{_label(op)}: gives only {len(results)} of its results")
            known.update((value, results[value.index]) for value in used)
            for value in {v for v in op.operands if v is not None}:
                pending[value] -= sum(v is value for v in op.operands)
                if not pending[value]:
                    known.pop(value, None)
    return [known[value] for value in targets]


def _needed(order: Sequence[Op], targets: Sequence[Value]) -> list[Op]:
    needed = {value.op for value in targets}
    for op in reversed(order):
        if op in needed:
            needed.update(value.op for value in op.operands if value is not None)
    return [op for op in order if op in needed]


def _evaluate_op(
    graph: Graph, op: Op, known: Mapping[Value, Array], feeds: Mapping[str, Array]
) -> Sequence[Array]:
    if op.kind == INPUT and not op.domain:
        given = feeds.get(op.result.name, op.default)
        if given is None:
            raise EvaluationError(f"no data for input {op.result.name!r}")
        return [_given(given)]
    if op.kind == CONSTANT and op.array is not None:
        return [widen(op.array)]
    operands = [None if value is None else known[value] for value in op.operands]
    try:
        if op.kind == "Cast" and not op.domain and op.attributes["to"] not in _SATURATING:
            return [_cast(op, operands)]
        if op.kind in KERNELS and not op.domain:
            # An equal Split says by its results alone into how many parts it splits.
            attributes = {"num_outputs": len(op.results), **op.attributes}
            return KERNELS[op.kind](operands, attributes, graph.header.opset)
        return _evaluate_by_onnx(graph, op, operands)
    except EvaluationError:
        raise
    except KernelError as error:
        raise EvaluationError(f"{_label(op)}: {error}") from error
    except Exception as error:  # onnx.reference raises whatever numpy does
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EvaluationError(f"{_label(op)}: {message}") from error


def _given(value: Any) -> Any:
    """An input as it is computed with; the tensors of a sequence, each of them."""
    return [_given(v) for v in value] if isinstance(value, list) else widen(np.asarray(value))


def _cast(op: Op, operands: Sequence[Array | None]) -> Array:
    """A cast to a floating type keeps float64: what it would round is not judged here."""
    data, target = operands[0], op.attributes["to"]
    assert data is not None
    assert isinstance(target, int)
    if target in _REAL:
        return widen(data.astype(np.float64) if data.dtype != np.dtype(object) else data)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(target))
    return data.astype(dtype)


def _evaluate_by_onnx(graph: Graph, op: Op, operands: Sequence[Array | None]) -> list[Array]:
    names = [f"operand_{i}" for i in range(len(op.inputs))]
    results = [f"result_{i}" for i in range(len(op.results))]
    inputs = [n if v is not None else "" for n, v in zip(names, op.inputs, strict=True)]
    node = encode_node(op, inputs, results)
    _widen_nodes([node])
    names += op.captures
    shell = ModelProto.FromString(graph.header.model_shell)
    for function in shell.functions:
        _widen_nodes(function.node)
    model = helper.make_model(
        helper.make_graph(
            [node],
            op.kind,
            [helper.make_empty_tensor_value_info(n) for n in dict.fromkeys(filter(None, names))],
            [helper.make_empty_tensor_value_info(n) for n in results],
        ),
        opset_imports=[helper.make_opsetid(d, v) for d, v in graph.header.opsets.items()],
        functions=list(shell.functions),
    )
    feeds = {n: v for n, v in zip(names, operands, strict=True) if v is not None}
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415  # slow, and seldom needed

    outputs = list(ReferenceEvaluator(model, new_ops=list(_own_kernels())).run(None, feeds))
    if op.kind == "Loop" and not op.domain:
        # The scan outputs are left out: onnx.reference joins them where the operator stacks them.
        outputs = outputs[: len(op.inputs) - 2]
    return [widen(value) if isinstance(value, np.ndarray) else value for value in outputs]


@cache
def _own_kernels() -> tuple[Any, ...]:
    """The project's kernels as ``onnx.reference`` takes them, for nodes of bodies and functions.

    Its own normalise by the batch's statistics in opsets below 14 and know no grouped
    ConvTranspose.
    """
    from onnx.reference.op_run import OpRun  # noqa: PLC0415  # slow, and seldom needed

    def run(self: Any, *inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
        # What the node does not say is a default of the newest opset: the kernel knows its own.
        node = self.onnx_node
        given = {entry.name: attributes[entry.name] for entry in node.attribute}
        results = KERNELS[node.op_type](
            inputs, {"num_outputs": len(node.output), **given}, self.run_params["opsets"][""]
        )
        return tuple(results[: len(node.output)])

    return tuple(type(kind, (OpRun,), {"op_domain": "", "_run": run}) for kind in KERNELS)


def _widen_nodes(nodes: Iterable[NodeProto]) -> None:
    """Makes the floating constants inside nodes' attributes double, in place."""
    for node in nodes:
        _widen_constant(node)
        for attribute in node.attribute:
            _widen_attribute(node, attribute)


def _widen_constant(node: NodeProto) -> None:
    """A Constant that holds plain floats gets a double tensor instead."""
    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return
    for attribute in list(node.attribute):
        if attribute.name in ("value_float", "value_floats") and not attribute.ref_attr_name:
            value = np.array(helper.get_attribute_value(attribute), np.float64)
            node.attribute.remove(attribute)
            node.attribute.append(helper.make_attribute("value", nh.from_array(value)))


def _widen_attribute(node: NodeProto, attribute: AttributeProto) -> None:
    if attribute.type == AttributeProto.TENSOR:
        _widen_tensor(attribute.t)
    elif attribute.type == AttributeProto.GRAPH:
        _widen_body(attribute.g)
    elif attribute.type == AttributeProto.GRAPHS:
        for body in attribute.graphs:
            _widen_body(body)
    elif node.op_type in TYPED and attribute.name in ("to", "dtype") and attribute.i in _REAL:
        attribute.i = TensorProto.DOUBLE


def _widen_body(body: GraphProto) -> None:
    for tensor in body.initializer:
        _widen_tensor(tensor)
    _widen_nodes(body.node)


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in _REAL and tensor.data_type != TensorProto.DOUBLE:
        tensor.CopyFrom(nh.from_array(widen(nh.to_array(tensor)), tensor.name))


def _label(op: Op) -> str:
    return f"{op.kind} {op.name or (op.results[0].name if op.results else '')!r}"
