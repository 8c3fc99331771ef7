"""Hostile models made by hand, one for each idea of harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto, helper

from tests.hostile import seeds
from tests.onnx_helpers import info, model, weight
from tests.tiny import BOOL, FLOAT, INT64, kernel, node

TERA = 2**40
ESCAPE = "\x1b[31mred\x1b[0m"
OWN = helper.make_opsetid("own", 1)
PLAIN = helper.make_opsetid("", 17)


def net(
    nodes: Sequence[NodeProto],
    weights: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int | str | None] | None = (1, 4, 6, 6),
    output: int = FLOAT,
    **more: Any,
) -> ModelProto:
    """A model from ``x`` to ``y``."""
    listed = [weight(name, array) for name, array in (weights or {}).items()]
    return model(nodes, [info("x", shape)], [info("y", None, output)], listed, **more)


def conv(**attributes: Any) -> ModelProto:
    """A 3×3 convolution of 4 channels and another one behind, with attributes of their own."""
    weights = {"k": kernel(1, 4, 4, 3, 3), "j": kernel(2, 4, 4, 1, 1)}
    return net([node("Conv", "x k", "h", **attributes), node("Conv", "h j", "y")], weights)


def padded_by(
    pads: Sequence[int], shape: Sequence[int | str] = (1, 3, 96, 96), **attributes: Any
) -> ModelProto:
    """Rows and columns of a separable filter, the second convolution padded beyond all bounds."""
    weights = {"k": kernel(1, 3, 1, 1, 11), "j": kernel(2, 3, 1, 11, 1)}
    rows = node("Conv", "x k", "h", group=3, pads=[0, 5, 0, 5])
    columns = node("Conv", "h j", "y", group=3, pads=pads, **attributes)
    return net([rows, columns], weights, shape=shape)


def computed(maker: NodeProto, user: NodeProto, weights: Mapping[str, Any]) -> ModelProto:
    """A vector that constant folding makes, and so nobody sees before, between convolutions."""
    more = {name: kernel(i, 4, 4, 3, 3) for i, name in enumerate("kjl")}
    return net(
        [node("Conv", "x k", "h"), maker, user, node("Conv", "g l", "y")],
        {**weights, **more, "n": np.ones(4, np.float32)},
        shape=(1, 4, 12, 12),
    )


def window(kind: str, **attributes: Any) -> ModelProto:
    return net([node(kind, "x", "y", **{"kernel_shape": [2, 2], **attributes})])


# -- what grows --------------------------------------------------------------------------------


def grown(kind: str, inputs: str, weights: Mapping[str, Any], **attributes: Any) -> ModelProto:
    """A node that makes terabytes of a few numbers, added to the input of the model."""
    made = [node(kind, inputs, "big", **attributes), node("ReduceMax", "big", "m", keepdims=0)]
    return net([*made, node("Add", "x m", "y")], weights)


def constant_of_shape(size: int = TERA) -> ModelProto:
    return grown("ConstantOfShape", "s", {"s": np.array([size])})


def constant_of_shape_from_data() -> ModelProto:
    """The size is found when the model runs: of every dim 1,000,000 times as much."""
    return net(
        [
            node("Shape", "x", "s"), node("Mul", "s k", "t"), node("ConstantOfShape", "t", "big"),
            node("ReduceMax", "big", "m", keepdims=0), node("Add", "x m", "y"),
        ],
        {"k": np.array(1_000_000)},
    )  # fmt: skip


def doubling(times: int = 45) -> ModelProto:
    """Each Concat doubles: terabytes from forty-five nodes."""
    nodes = [node("Concat", f"v{i} v{i}", f"v{i + 1}", axis=0) for i in range(times)]
    first = node("Relu", "x", "v0")
    return net([first, *nodes, node("ReduceMax", f"v{times}", "y", keepdims=0)])


def doubling_constants(times: int = 45) -> ModelProto:
    nodes = [node("Concat", f"v{i} v{i}", f"v{i + 1}", axis=0) for i in range(times)]
    last = node("ReduceMax", f"v{times}", "m", keepdims=0)
    return net([*nodes, last, node("Add", "x m", "y")], {"v0": np.ones(64, np.float32)})


def growing_loop() -> ModelProto:
    """A Loop of 2⁶² turns that keeps what every turn makes."""
    return looping([node("Identity", "go", "again"), node("Relu", "carried", "next")])


def looping(nodes: Sequence[NodeProto], turns: int = 2**62) -> ModelProto:
    body = helper.make_graph(
        [*nodes, node("Identity", "next", "piece")],
        "body",
        [info("turn", [], INT64), info("go", [], BOOL), info("carried", None)],
        [info("again", [], BOOL), info("next", None), info("piece", None)],
    )
    return net(
        [node("Loop", "turns yes x", "last all", body=body), node("Neg", "last", "y")],
        {"turns": np.array(turns), "yes": np.array(True)},
    )


def doubling_loop() -> ModelProto:
    """A Loop whose carried value doubles in every turn."""
    double = node("Concat", "carried carried", "next", axis=0)
    return looping([node("Identity", "go", "again"), double])


def endless_loop() -> ModelProto:
    """A Loop that never ends and keeps nothing."""
    body = helper.make_graph(
        [node("Identity", "go", "again"), node("Relu", "carried", "next")],
        "body",
        [info("turn", [], INT64), info("go", [], BOOL), info("carried", [1, 4, 6, 6])],
        [info("again", [], BOOL), info("next", [1, 4, 6, 6])],
    )
    return net([node("Loop", "- yes x", "y", body=body)], {"yes": np.array(True)})


def loops_in_loops(depth: int = 8, turns: int = 100_000) -> ModelProto:
    """Each Loop ends, all of them together never do."""
    carried = "carried"
    nodes = [node("Relu", f"{carried}{depth}", f"next{depth}")]
    for level in range(depth, 0, -1):
        body = helper.make_graph(
            [node("Identity", f"go{level}", f"again{level}"), *nodes],
            f"body{level}",
            [info(f"turn{level}", [], INT64), info(f"go{level}", [], BOOL),
             info(f"{carried}{level}", [1, 4, 6, 6])],
            [info(f"again{level}", [], BOOL), info(f"next{level}", [1, 4, 6, 6])],
        )  # fmt: skip
        source, target = (f"{carried}{level - 1}", f"next{level - 1}") if level > 1 else ("x", "y")
        nodes = [node("Loop", f"turns yes {source}", target, body=body)]
    return net(nodes, {"turns": np.array(turns), "yes": np.array(True)})


def declared_small(kind: str, numbers: Sequence[int]) -> ModelProto:
    """A node of weights that makes terabytes, though the file says that its result is of one."""
    inputs = {"Tile": "w n", "Expand": "w n", "Pad": "w n", "Resize": "w - - n"}[kind]
    weights = {"w": np.ones((1, 1), np.float32), "n": np.array(numbers)}
    made = grown(kind, inputs, weights)
    made.graph.value_info.append(info("big", [1, 1]))
    return made


# -- what nests --------------------------------------------------------------------------------


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


def long_chain(length: int = 20_000) -> ModelProto:
    nodes = [node("Relu", f"v{i}", f"v{i + 1}") for i in range(length)]
    nodes[0].input[0] = "x"
    nodes[-1].output[0] = "y"
    return net(nodes)


# -- names -------------------------------------------------------------------------------------


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


# -- results without a name --------------------------------------------------------------------


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


# -- types and weights ---------------------------------------------------------------------------


def with_weight(tensor: TensorProto, use: str = "Add") -> ModelProto:
    made = net([node(use, "x w", "y")])
    tensor.name = "w"
    made.graph.initializer.append(tensor)
    return made


def raw(dims: Sequence[int], data: bytes, kind: int = FLOAT) -> TensorProto:
    return TensorProto(dims=dims, raw_data=data, data_type=kind)


def external(location: str, **entries: object) -> ModelProto:
    tensor = TensorProto(dims=[4, 1, 1], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return with_weight(tensor)


def external_in_an_attribute() -> ModelProto:
    """Outside data in places where nobody looks."""
    made = net([node("Odd", "x", "y", domain="nobody")], domains={"nobody": 1})
    tensor = external("../secret.bin").graph.initializer[0]
    entry = AttributeProto(name="t", type=AttributeProto.TENSORS, tensors=[tensor])
    made.graph.node[0].attribute.append(entry)
    return made


def external_in_training_info() -> ModelProto:
    made = conv()
    entry = made.training_info.add()
    entry.initialization.initializer.append(external("../secret.bin").graph.initializer[0])
    return made


def sparse(indices: Any, dims: Sequence[int], count: int = 2) -> ModelProto:
    made = net([node("Add", "x w", "y")])
    values = weight("w", np.ones(count, np.float32))
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, weight("", np.array(indices)), dims)
    )
    return made


def typed_input(change: Callable[[Any], object]) -> ModelProto:
    made = net([node("Identity", "x", "y")])
    change(made.graph.input[0].type)
    return made


def deep_type(depth: int = 90) -> ModelProto:
    made = net([node("Identity", "x", "y")])
    type_ = made.graph.input[0].type
    for _ in range(depth // 2):
        type_ = type_.sequence_type.elem_type
    type_.tensor_type.elem_type = 1
    return made


def many_dims(count: int = 100_000) -> ModelProto:
    return net([node("Relu", "x", "y")], shape=[1] * count)


def wrong_arity(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> ModelProto:
    return net([node(kind, inputs, outputs, **attributes)], {"k": kernel(1, 4, 4, 3, 3)})


def wrong_type(kind: str, name: str, value: object) -> ModelProto:
    base = {"Conv": "x k", "Transpose": "x", "Concat": "x x", "Softmax": "x"}
    made = net([node(kind, base.get(kind, "x"), "y")], {"k": kernel(1, 4, 4, 3, 3)})
    made.graph.node[0].attribute.append(helper.make_attribute(name, value))
    return made


def if_with(change: Callable[[Any], object]) -> ModelProto:
    made = ModelProto.FromString(seeds.branches())
    change(made.graph.node[0].attribute[0].g)
    return made


def header(change: Callable[[ModelProto], object]) -> ModelProto:
    made = conv()
    change(made)
    return made


REFUSED: Mapping[str, Callable[[], ModelProto | bytes]] = {
    # name: what has to be refused, whatever the command
    "Ifs in Ifs, 10000 deep": lambda: nested_ifs(10_000),
    "Ifs in Ifs, 40 deep": lambda: nested_ifs(40),
    "a function calls itself": recursive_function,
    "functions in a circle": functions_in_a_circle,
    "a function calls itself in a branch": recursive_function_in_a_body,
    "functions that double": exploding_functions,
    "a chain of functions": chain_of_functions,
    "two functions of one name": two_functions_of_one_name,
    "a dangling name of a megabyte": long_name_of_nobody,
    "a dangling name of escapes": hostile_name_of_nobody,
    "a name that is no text": name_that_is_no_text,
    "a part of a Split without a name": split_without_a_name,
    "a result of a Loop without a name": lambda: unnamed_result(seeds.loop(), 0),
    "a result of an If without a name": if_without_a_name,
    "a node without results": node_without_results,
    "a result without a name": node_whose_result_has_no_name,
    "raw data too short": lambda: with_weight(raw([4, 1, 1], bytes(15))),
    "raw data too long": lambda: with_weight(raw([4, 1, 1], bytes(17))),
    "dims whose product overflows": lambda: with_weight(raw([2**32, 2**32], b"")),
    "dims whose product overflows to few": lambda: with_weight(raw([2**62, 4, 1], bytes(4))),
    "a huge dim without data": lambda: with_weight(raw([2**63 - 1], b"")),
    "a negative dim": lambda: with_weight(raw([-1], bytes(4))),
    "an unknown element type": lambda: with_weight(raw([1], bytes(4), 77)),
    "no element type": lambda: with_weight(raw([1], bytes(4), 0)),
    "data in the wrong field": lambda: with_weight(
        TensorProto(dims=[4, 1, 1], data_type=FLOAT, int64_data=[1, 2, 3, 4])
    ),
    "a segment": lambda: with_weight(
        TensorProto(dims=[1], data_type=FLOAT, float_data=[1.0], segment={"begin": 0, "end": 2})
    ),
    "external: above": lambda: external("../secret.bin"),
    "external: above, by a detour": lambda: external("in/../../secret.bin"),
    "external: absolute": lambda: external("/etc/passwd"),
    "external: a link out of the folder": lambda: external("link.bin"),
    "external: a device": lambda: external("/dev/zero"),
    "external: missing": lambda: external("missing.bin"),
    "external: the folder": lambda: external("."),
    "external: no place": lambda: external(""),
    "external: NUL": lambda: external("a\x00b"),
    "external: a long name": lambda: external("n" * 2**20),
    "external: behind the end": lambda: external("weights.bin", offset=2**40),
    "external: beyond all numbers": lambda: external("weights.bin", offset=2**63 - 8),
    "external: negative offset": lambda: external("weights.bin", offset=-16),
    "external: negative length": lambda: external("weights.bin", length=-16),
    "external: too long": lambda: external("weights.bin", length=2**40),
    "external: no number": lambda: external("weights.bin", offset="x"),
    "external: a number of 5000 digits": lambda: external("weights.bin", offset="9" * 5000),
    "external: in an attribute": external_in_an_attribute,
    "external: in training info": external_in_training_info,
    "sparse: index out of range": lambda: sparse([0, 99], [2, 2]),
    "sparse: negative index": lambda: sparse([0, -1], [2, 2]),
    "sparse: coordinates out of range": lambda: sparse([[0, 0], [9, 9]], [2, 2]),
    "sparse: too many indices": lambda: sparse([0, 1, 2], [2, 2]),
    "sparse: negative dims": lambda: sparse([0, 1], [-2, 2]),
    "sparse: indices of text": lambda: sparse(np.array(["a", "b"], object), [2, 2]),
    "sparse: terabytes": lambda: sparse([0, 1], [2**20, 2**20]),
    "sparse: more than there are": lambda: sparse([0, 1], [2**62, 2**62]),
    "kernel of zeros": lambda: window("MaxPool", kernel_shape=[0, 0]),
    "kernel below zero": lambda: window("AveragePool", kernel_shape=[-1, 2]),
    "no kernel": lambda: net([node("MaxPool", "x", "y")]),
    "strides of zero": lambda: conv(strides=[0, 0]),
    "strides below zero": lambda: conv(strides=[-1, 1]),
    "too many strides": lambda: conv(strides=[1, 1, 1]),
    "dilations of zero": lambda: conv(dilations=[0, 1]),
    "huge dilations": lambda: conv(dilations=[2**62, 2**62]),
    "group of zero": lambda: conv(group=0),
    "group below zero": lambda: conv(group=-1),
    "group that does not divide": lambda: conv(group=3),
    "huge group": lambda: conv(group=2**40),
    "a kernel that is not the weight's": lambda: conv(kernel_shape=[5, 5]),
    "too few pads": lambda: conv(pads=[1, 1]),
    "too many pads": lambda: conv(pads=[1] * 9),
    "huge pads": lambda: conv(pads=[2**62] * 4),
    "very negative pads": lambda: conv(pads=[-(2**62)] * 4),
    "a Conv without a kernel": lambda: wrong_arity("Conv", "x"),
    "a Conv of nothing": lambda: wrong_arity("Conv", ""),
    "a Conv whose kernel is omitted": lambda: wrong_arity("Conv", "x -"),
    "a Conv of six": lambda: wrong_arity("Conv", "x k - - - -"),
    "a Conv with two results": lambda: wrong_arity("Conv", "x k", "y z"),
    "an Add of three": lambda: wrong_arity("Add", "x x x"),
    "a Relu of nothing": lambda: wrong_arity("Relu", ""),
    "a Reshape of one": lambda: wrong_arity("Reshape", "x"),
    "strides as a number": lambda: wrong_type("Conv", "strides", 1),
    "strides as text": lambda: wrong_type("Conv", "strides", "ones"),
    "strides as fractions": lambda: wrong_type("Conv", "strides", [1.0, 1.0]),
    "group as a list": lambda: wrong_type("Conv", "group", [1]),
    "axis as text": lambda: wrong_type("Concat", "axis", "1"),
    "perm as a number": lambda: wrong_type("Transpose", "perm", 3),
    "perm that repeats": lambda: wrong_type("Transpose", "perm", [0, 0, 1, 2]),
    "perm out of range": lambda: wrong_type("Transpose", "perm", [0, 1, 2, 9]),
    "an attribute twice": lambda: header(
        lambda m: m.graph.node[0].attribute.extend([helper.make_attribute("group", 1)] * 2)
    ),
    "an attribute without a name": lambda: wrong_type("Conv", "", 1),
    "an attribute without a type": lambda: header(
        lambda m: m.graph.node[0].attribute.extend([AttributeProto(name="group", i=1)])
    ),
    "Concat without an axis": lambda: net([node("Concat", "x x", "y")]),
    "a branch without outputs": lambda: if_with(lambda g: g.ClearField("output")),
    "a branch with too many outputs": lambda: if_with(lambda g: g.output.extend([info("x", None)])),
    "a branch with inputs": lambda: if_with(lambda g: g.input.extend([info("z", None)])),
    "an If without branches": lambda: header(
        lambda m: m.graph.node.extend([node("If", "x", "i")])
    ),
    "opset 0": lambda: header(lambda m: setattr(m.opset_import[0], "version", 0)),
    "opset -1": lambda: header(lambda m: setattr(m.opset_import[0], "version", -1)),
    "opset 10^9": lambda: header(lambda m: setattr(m.opset_import[0], "version", 10**9)),
    "opset 2^62": lambda: header(lambda m: setattr(m.opset_import[0], "version", 2**62)),
    "no outputs": lambda: header(lambda m: m.graph.ClearField("output")),
    "no opset": lambda: header(lambda m: m.ClearField("opset_import")),
    "two opsets of one domain": lambda: header(
        lambda m: m.opset_import.add(domain="", version=11)
    ),
    "IR version 2^62": lambda: header(lambda m: setattr(m, "ir_version", 2**62)),
    "IR version -1": lambda: header(lambda m: setattr(m, "ir_version", -1)),
    "an input of unknown type": lambda: typed_input(
        lambda t: setattr(t.tensor_type, "elem_type", 77)
    ),
    "more axes than an array has": many_dims,
    "a weight of strings into a Conv": lambda: header(
        lambda m: m.graph.initializer[0].CopyFrom(
            helper.make_tensor("k", TensorProto.STRING, [1], [b"one"])
        )
    ),
}  # fmt: skip

SURVIVED: Mapping[str, Callable[[], ModelProto | bytes]] = {
    "kernel of another rank": lambda: window("MaxPool", kernel_shape=[2, 2, 2]),
    "IR version 0": lambda: header(lambda m: setattr(m, "ir_version", 0)),
    "data in two fields": lambda: with_weight(
        TensorProto(dims=[4, 1, 1], data_type=FLOAT, raw_data=bytes(16), float_data=[1, 2, 3, 4])
    ),
    "Sequences in sequences, 45 deep": deep_type,
    "strides of 2^62": lambda: conv(strides=[2**62, 2**62]),
    # name: what is or may be a sound model, and must not be fatal
    "ConstantOfShape of 4 TB": constant_of_shape,
    "ConstantOfShape of 2^63-1": lambda: constant_of_shape(2**63 - 1),
    "ConstantOfShape of 12 GB": lambda: constant_of_shape(3 * 2**30),
    "ConstantOfShape below zero": lambda: constant_of_shape(-5),
    "ConstantOfShape from data": constant_of_shape_from_data,
    "Range of 4 TB": lambda: grown(
        "Range", "a b c",
        {"a": np.array(0.0, np.float32), "b": np.array(1e12, np.float32),
         "c": np.array(1.0, np.float32)},
    ),
    "ConstantOfShape of 2^31": lambda: constant_of_shape(2**31),
    "Range of 2^31 integers": lambda: grown(
        "Range", "a b c", {"a": np.array(0), "b": np.array(2**31), "c": np.array(1)}
    ),
    "Range of sizes": lambda: net(
        [
            node("Shape", "x", "s"), node("Mul", "s k", "t"), node("Gather", "t i", "n"),
            node("Range", "a n c", "r"), node("ReduceMax", "r", "m", keepdims=0),
            node("Cast", "m", "f", to=FLOAT), node("Add", "x f", "y"),
        ],
        {"k": np.array(10**9), "i": np.array(3), "a": np.array(0), "c": np.array(1)},
    ),
    "Range of steps of nothing": lambda: grown(
        "Range", "a b c",
        {"a": np.array(0.0, np.float32), "b": np.array(1.0, np.float32),
         "c": np.array(0.0, np.float32)},
    ),
    "Tile to 4 TB": lambda: grown("Tile", "x r", {"r": np.array([2**10, 2**10, 2**10, 2**10])}),
    "Tile of a weight to 4 TB": lambda: grown(
        "Tile", "w r", {"w": np.ones(1, np.float32), "r": np.array([TERA])}
    ),
    "Expand to 4 TB": lambda: grown("Expand", "x s", {"s": np.array([TERA, 4, 6, 6])}),
    "Expand of a weight to 4 TB": lambda: grown(
        "Expand", "w s", {"w": np.ones(1, np.float32), "s": np.array([2**20, 2**20])}
    ),
    "Pad to 4 TB": lambda: grown("Pad", "x p", {"p": np.array([0, 0, 0, 0, 0, 0, 2**20, 2**20])}),
    "Pad beyond all numbers": lambda: grown(
        "Pad", "x p", {"p": np.array([2**62] * 8)}
    ),
    "Pad below nothing": lambda: grown("Pad", "x p", {"p": np.array([0, 0, -9, -9, 0, 0, 0, 0])}),
    "Resize to 4 TB": lambda: grown(
        "Resize", "x - s", {"s": np.array([1, 1, 2**20, 2**20], np.float32)}
    ),
    "Resize by infinity": lambda: grown(
        "Resize", "x - s", {"s": np.array([1, 1, np.inf, np.nan], np.float32)}
    ),
    "Resize to sizes of 4 TB": lambda: grown(
        "Resize", "x - - s", {"s": np.array([1, 4, 2**20, 2**20])}
    ),
    "OneHot of 4 TB": lambda: grown(
        "OneHot", "i d v",
        {"i": np.zeros(1000, np.int64), "d": np.array(TERA), "v": np.array([0, 1], np.float32)},
    ),
    "EyeLike of much": lambda: grown("EyeLike", "w", {"w": np.ones((1, 1), np.float32)}),
    "huge input": lambda: net([node("Relu", "x", "y")], shape=[2**31, 2**31]),
    "huge input beyond all numbers": lambda: net([node("Relu", "x", "y")], shape=[2**62, 2**62]),
    "input of 64 GB": lambda: net([node("Relu", "x", "y")], shape=[2**34]),
    "input of 6 GB": lambda: net([node("Relu", "x", "y")], shape=[3 * 2**29]),
    "input below zero": lambda: net([node("Relu", "x", "y")], shape=[-5, 4]),
    "input of nothing": lambda: net([node("Relu", "x", "y")], shape=[0, 4]),
    "Tile whose result is declared small": lambda: declared_small("Tile", [2**20, 2**20]),
    "Expand whose result is declared small": lambda: declared_small("Expand", [2**20, 2**20]),
    "Pad whose result is declared small": lambda: declared_small("Pad", [0, 0, 2**20, 2**20]),
    "Resize whose result is declared small": lambda: declared_small("Resize", [2**20, 2**20]),
    "doubling 45 times": doubling,
    "doubling a weight 45 times": doubling_constants,
    "a Loop that grows": growing_loop,
    "a Loop that doubles": doubling_loop,
    "a Loop that never ends": endless_loop,
    "Loops in Loops": loops_in_loops,
    "a chain of 20000": long_chain,
    "names of a megabyte": long_names,
    "names of escapes": hostile_names,
    "a kind of escapes": hostile_kind,
    "NUL in names": nul_in_names,
    "a function that shadows Relu": shadowing_function,
    "a function without a body": function_without_a_body,
    "a function with too few inputs": function_with_too_few_inputs,
    "a function with extra outputs": function_with_extra_outputs,
    "a sequence as input": lambda: typed_input(
        lambda t: setattr(t.sequence_type.elem_type.tensor_type, "elem_type", 1)
    ),
    "an optional as input": lambda: typed_input(
        lambda t: setattr(t.optional_type.elem_type.tensor_type, "elem_type", 1)
    ),
    "a map as input": lambda: typed_input(lambda t: setattr(t.map_type, "key_type", 7)),
    "huge blocksize": lambda: net([node("DepthToSpace", "x", "y", blocksize=2**40)]),
    "blocksize of zero": lambda: net([node("SpaceToDepth", "x", "y", blocksize=0)]),
    "axis out of range": lambda: net([node("Softmax", "x", "y", axis=99)]),
    "axis beyond all numbers": lambda: net([node("Flatten", "x", "y", axis=2**62)]),
    "Slice by steps of nothing": lambda: net(
        [node("Slice", "x s e a t", "y")],
        {"s": np.array([0]), "e": np.array([9]), "a": np.array([0]), "t": np.array([0])},
    ),
    "Gather out of range": lambda: net([node("Gather", "x i", "y")], {"i": np.array([99])}),
    "Reshape to what does not fit": lambda: net(
        [node("Reshape", "x s", "y")], {"s": np.array([7, -1])}
    ),
    "Reshape with two holes": lambda: net(
        [node("Reshape", "x s", "y")], {"s": np.array([-1, -1])}
    ),
    "ConvTranspose to 4 TB": lambda: net(
        [node("ConvTranspose", "x k", "y", strides=[2**19, 2**19])], {"k": kernel(1, 4, 4, 3, 3)}
    ),
    "ConvTranspose to an output of 4 TB": lambda: net(
        [node("ConvTranspose", "x k", "y", output_shape=[2**20, 2**20])],
        {"k": kernel(1, 4, 4, 3, 3)},
    ),
    "pads of 2^20": lambda: conv(pads=[2**20] * 4),
    "a pad of 2^31 behind a Conv": lambda: padded_by([5, 0, 2**31 - 1, 0]),
    "a pad of 2^31 before the data": lambda: padded_by([2**31 - 1, 0, 5, 0]),
    "a pad of 2^31 of open sizes": lambda: padded_by([5, 0, 2**31 - 1, 0], (1, 3, "H", "W")),
    "strides of 2^31 of open sizes": lambda: padded_by(
        [5, 0, 5, 0], (1, 3, "H", "W"), strides=[2**31 - 1] * 2
    ),
    "a batch of none, of 2^31 columns": lambda: net(
        [node("Conv", "x k", "h", pads=[1] * 4), node("Conv", "h j", "y")],
        {"k": kernel(1, 4, 4, 3, 3), "j": kernel(2, 4, 4, 3, 3)},
        shape=[0, 4, 1000, 2**31 - 1],
    ),
    "a filter over an axis of 2^40 that is computed": lambda: net(
        [node("ConstantOfShape", "s", "g"), node("Conv", "g k", "y", group=3, pads=[5] * 4)],
        {"s": np.array([1, 2**15, 2**40, 2**20]), "k": np.ones((3, 1, 11, 11), np.float32)},
    ),
    "a volume of an empty batch": lambda: net(
        [node("Conv", "x k", "h", pads=[1] * 6), node("Conv", "h j", "y", pads=[1] * 6)],
        {"k": kernel(1, 4, 4, 3, 3, 3), "j": kernel(2, 4, 4, 3, 3, 3)},
        shape=[0, 4, 8, 8, 8],
    ),
    "a Slice along an axis there is not": lambda: net(
        [node("Slice", "x s e a", "h"), node("Relu", "h", "y")],
        {"s": np.array([0]), "e": np.array([2]), "a": np.array([2**63 - 1])},
    ),
    "a Gemm whose weights are a row": lambda: net(
        [node("Gemm", "x k", "h", transB=1), node("MatMul", "h j", "y")],
        {"k": np.ones(6, np.float32), "j": np.ones((6, 2), np.float32)},
        shape=[5, 6],
    ),
    "three open axes that no candidate size suits": lambda: net(
        [node("Conv", "x k", "h"), node("Conv", "h j", "y")],
        {"k": kernel(1, 4, 8, 3, 3), "j": kernel(2, 4, 4, 3, 3)},
        shape=[None, None, None, None],
    ),
    "a batch norm whose scale is computed, of a wrong length": lambda: computed(
        node("Expand", "one shape", "made"),
        node("BatchNormalization", "h made n n n", "g"),
        {"one": np.ones((1, 1), np.float32), "shape": np.array([1, 2])},
    ),
    "biases that are computed, of a wrong length": lambda: computed(
        node("Pad", "one pads", "made"),
        node("Conv", "h j made", "g"),
        {"one": np.ones((1, 1), np.float32), "pads": np.array([1, 2, 1, 2])},
    ),
    "MaxPool of pads": lambda: window("MaxPool", pads=[2**20] * 4),
    "a Conv of two axes": lambda: net(
        [node("Conv", "x k", "y")], {"k": kernel(1, 4, 4, 3, 3)}, shape=[1, 4]
    ),
    "a Conv of another rank": lambda: net(
        [node("Conv", "x k", "y")], {"k": kernel(1, 4, 4, 3, 3)}, shape=[1, 4, 6, 6, 6]
    ),
    "a batch norm of NaN": lambda: net(
        [node("BatchNormalization", "x n n n n", "y", epsilon=float("nan"))],
        {"n": np.full(4, np.nan, np.float32)},
    ),
    "Einsum of much": lambda: net(
        [node("Einsum", "x x x", "y", equation="abcd,efgh,ijkl->abcdefghijkl")], shape=[6, 6, 6, 6]
    ),
    "MatMul of much": lambda: net(
        [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "t x", "y")], shape=[1, 2**20]
    ),
    "a TopK of more than there are": lambda: net(
        [node("TopK", "x k", "y i")], {"k": np.array([99])}
    ),
    "NonMaxSuppression of nothing": lambda: net(
        [node("NonMaxSuppression", "x x", "y")], shape=[1, 4, 4], output=INT64
    ),
}  # fmt: skip
