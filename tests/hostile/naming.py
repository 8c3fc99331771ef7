"""Names that harm, and results without any."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper

from tests.hostile.parts import ESCAPE, conv, net
from tests.onnx_helpers import info
from tests.tiny import node


def long_names() -> ModelProto:
    name = "n" * 2**20
    made = net([node("Relu", "x", "h"), node("Neg", "h", "y")])
    made.graph.node[0].output[0] = made.graph.node[1].input[0] = name
    made.graph.node[0].name = name
    return made


def long_name_of_nobody() -> ModelProto:
    made = net([node("Relu", "x", "y")])
    made.graph.node[0].input[0] = "n" * 2**20
    return made


def hostile_names() -> ModelProto:
    """Names that would recolour a terminal, in a model that is sound."""
    made = conv()
    made.graph.node[0].name = ESCAPE
    made.graph.node[0].output[0] = made.graph.node[1].input[0] = f"h{ESCAPE}"
    made.graph.input[0].name = made.graph.node[0].input[0] = f"x{ESCAPE}\r\n"
    made.metadata_props.add(key=ESCAPE, value=ESCAPE)
    made.graph.doc_string = ESCAPE
    return made


def hostile_name_of_nobody() -> ModelProto:
    made = net([node("Relu", "x", "y")])
    made.graph.node[0].input[0] = f"\u202e{ESCAPE}\x00\x9b31m"
    return made


def hostile_kind() -> ModelProto:
    made = conv()
    made.graph.node[0].op_type = ESCAPE
    return made


def nul_in_names() -> ModelProto:
    made = net([node("Relu", "x", "h"), node("Neg", "h", "y")])
    made.graph.node[0].output[0] = made.graph.node[1].input[0] = "a\x00b"
    return made


def name_that_is_no_text() -> bytes:
    data = net([node("Relu", "x", "hhhh"), node("Neg", "hhhh", "y")]).SerializeToString()
    return bytes(data.replace(b"hhhh", b"h\xff\xfeh"))


IN_A_ROW = ("Max", "Min", "Sum", "Mean", "Concat", "Einsum")
"""Kinds that take as many operands as there are."""


def operand_left_out(kind: str) -> ModelProto:
    """Loaded by onnxruntime 1.32 without complaint; of most kinds it dies when it runs."""
    attributes = {"Concat": {"axis": 0}, "Einsum": {"equation": "nchw,nchw->n"}}.get(kind, {})
    return net([node(kind, "x -", "y", **attributes)])


def split_without_a_name() -> ModelProto:
    """Loaded by onnxruntime 1.32 without complaint; it dies of it when it runs."""
    made = net([node("Split", "x", "y h", axis=1)])
    made.graph.node[0].output[1] = ""
    return made


def unnamed_result(data: bytes, index: int) -> ModelProto:
    """One of a row of results has no name, and nobody reads it."""
    made = ModelProto.FromString(data)
    (name,) = {made.graph.node[0].output[index]}
    made.graph.node[0].output[index] = ""
    rest = [node for node in made.graph.node if name not in node.input]
    outputs = [made.graph.output[i] for i, o in enumerate(made.graph.output) if i]
    copy = ModelProto.FromString(made.SerializeToString())
    del copy.graph.node[:], copy.graph.output[:]
    copy.graph.node.extend(rest)
    copy.graph.output.extend(outputs)
    return copy


def if_without_a_name() -> ModelProto:
    """onnxruntime 1.32 dies of it when it loads it with optimisations."""
    parts = [node("Relu", "x", "t"), node("Neg", "x", "u")]
    both = helper.make_graph(parts, "g", [], [info("t", None), info("u", None)])
    made = net([node("If", "c", "y z", then_branch=both, else_branch=both)], {"c": np.array(True)})
    made.graph.node[0].output[1] = ""
    return made


def node_without_results() -> ModelProto:
    made = conv()
    made.graph.node.append(NodeProto(op_type="Relu", input=["x"]))
    return made


def node_whose_result_has_no_name(kind: str = "Relu") -> ModelProto:
    made = conv()
    made.graph.node.append(NodeProto(op_type=kind, input=["x"], output=[""]))
    return made


def norm_without_a_name(*results: str) -> ModelProto:
    weights = {name: np.ones(4, np.float32) for name in "sbmu"}
    norm = node("BatchNormalization", "x s b m u", "y")
    norm.output.extend(results)
    made = net([norm], weights)
    made.opset_import[0].version = 8
    return made
