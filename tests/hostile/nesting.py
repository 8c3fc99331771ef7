"""Models that nest, or go in circles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, helper

from tests.hostile.parts import OWN, PLAIN, net
from tests.onnx_helpers import info, weight
from tests.tiny import BOOL, node


def nested_ifs(depth: int) -> bytes:
    """An If in an If in an If, written as bytes: protobuf itself would refuse to build it."""
    graph = _nested(depth)
    whole = net([node("Relu", "x", "y")])
    whole.graph.input.append(info("b", [], BOOL))
    marker = whole.SerializeToString()
    head = ModelProto.FromString(marker)
    head.ClearField("graph")
    body = whole.graph.SerializeToString() + _field(1, graph)
    return head.SerializeToString() + _field(7, body)


def _nested(depth: int) -> bytes:
    leaf = helper.make_graph([node("Relu", "x", "t")], "g", [], [info("t", None)])
    inner: bytes = leaf.SerializeToString()
    for _ in range(depth):
        empty = NodeProto(op_type="If", input=["b"], output=["t"])
        entries = b""
        for name in ("then_branch", "else_branch"):
            shell = AttributeProto(name=name, type=AttributeProto.GRAPH)
            part = inner if name == "then_branch" else leaf.SerializeToString()
            entries += _field(5, shell.SerializeToString() + _field(6, part))
        one = empty.SerializeToString() + entries
        shell_graph = helper.make_graph([], "g", [], [info("t", None)])
        inner = shell_graph.SerializeToString() + _field(1, one)
    only = NodeProto(op_type="If", input=["b"], output=["deep"])
    shell = AttributeProto(name="then_branch", type=AttributeProto.GRAPH)
    other = AttributeProto(name="else_branch", type=AttributeProto.GRAPH, g=leaf)
    entries = _field(5, shell.SerializeToString() + _field(6, inner))
    return only.SerializeToString() + entries + _field(5, other.SerializeToString())


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def function(name: str, nodes: Sequence[NodeProto], **more: Any) -> FunctionProto:
    return helper.make_function("own", name, ["a"], ["b"], nodes, [PLAIN, OWN], **more)


def own(kind: str, inputs: str, outputs: str) -> NodeProto:
    return node(kind, inputs, outputs, domain="own")


def calling(functions: Sequence[FunctionProto], kind: str = "F0") -> ModelProto:
    return net([own(kind, "x", "y")], domains={"own": 1}, functions=functions)


def recursive_function() -> ModelProto:
    return calling([function("F0", [own("F0", "a", "b")])])


def functions_in_a_circle() -> ModelProto:
    return calling([function("F0", [own("F1", "a", "b")]), function("F1", [own("F0", "a", "b")])])


def recursive_function_in_a_body() -> ModelProto:
    """The call is hidden in a branch."""
    branch = helper.make_graph([own("F0", "a", "t")], "g", [], [info("t", None)])
    made = node("If", "c", "b", then_branch=branch, else_branch=branch)
    truth = node("Constant", "", "c", value=weight("", np.array(True)))
    return calling([function("F0", [truth, made])])


def chain_of_functions(length: int = 5000) -> ModelProto:
    """Each function calls the next."""
    calls = [function(f"F{i}", [own(f"F{i + 1}", "a", "b")]) for i in range(length)]
    return calling([*calls, function(f"F{length}", [node("Relu", "a", "b")])])


def exploding_functions(depth: int = 40) -> ModelProto:
    """Each function calls the next twice: 2⁴⁰ nodes once they are inlined."""
    calls = [
        function(f"F{i}", [own(f"F{i + 1}", "a", "t"), own(f"F{i + 1}", "t", "b")])
        for i in range(depth)
    ]
    return calling([*calls, function(f"F{depth}", [node("Relu", "a", "b")])])


def shadowing_function() -> ModelProto:
    """A function called Relu, of ONNX's own domain, that negates."""
    shadow = helper.make_function("", "Relu", ["a"], ["b"], [node("Neg", "a", "b")], [PLAIN])
    return net([node("Relu", "x", "y")], functions=[shadow])


def two_functions_of_one_name() -> ModelProto:
    return calling(
        [function("F0", [node("Relu", "a", "b")]), function("F0", [node("Neg", "a", "b")])]
    )


def function_of_its_callers_names() -> ModelProto:
    """Written out where it is called, its body finds a name that it was never given."""
    return calling([function("F0", [node("Add", "a x", "b")])])


def function_without_a_body() -> ModelProto:
    return calling([function("F0", [])])


def function_with_too_few_inputs() -> ModelProto:
    made = calling([function("F0", [node("Relu", "a", "b")])])
    del made.graph.node[0].input[:]
    return made


def function_with_extra_outputs() -> ModelProto:
    made = calling([function("F0", [node("Relu", "a", "b")])])
    made.graph.node[0].output.append("z")
    return made


def long_chain(length: int = 5_000) -> ModelProto:
    nodes = [node("Relu", f"v{i}", f"v{i + 1}") for i in range(length)]
    nodes[0].input[0] = "x"
    nodes[-1].output[0] = "y"
    return net(nodes)
