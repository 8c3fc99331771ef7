"""Sound models that the mutators start from: small ones, with a bit of everything."""

from __future__ import annotations

from functools import cache

import numpy as np
from onnx import AttributeProto, NodeProto, TensorProto, helper

from convc.mlir import print_graph
from convc.onnx_io import from_bytes
from tests.conftest import real_models, sample_models
from tests.onnx_helpers import info, model, weight
from tests.tiny import BOOL, FLOAT, INT64, kernel, node

LARGEST = 40_000
"""Bytes of a model that is mutated: large ones only cost time."""


@cache
def protobufs() -> tuple[bytes, ...]:
    """Serialised models: the project's own, real ones where they are at hand, and those below."""
    paths = [*sample_models(), *real_models()]
    files = [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST]
    return (*files, *own())


@cache
def texts() -> tuple[str, ...]:
    """The same as MLIR, those that make a short text."""
    found = (print_graph(from_bytes(data), weights=True) for data in protobufs())
    return tuple(text for text in found if len(text) <= LARGEST)


@cache
def own() -> tuple[bytes, ...]:
    """Models that between them have what the importer and the passes look into."""
    makers = (
        convolutions, shapes, branches, loop, scan, functions, quantised, sequences, moves, strings,
        attributes,
    )  # fmt: skip
    return tuple(maker() for maker in makers)


def _made(nodes: list[NodeProto], weights: dict[str, object], **more: object) -> bytes:
    inputs = more.pop("inputs", [info("x", [1, 4, 12, 10])])
    outputs = more.pop("outputs", [info("y", None)])
    listed = [weight(name, array) for name, array in weights.items()]
    made = model(nodes, inputs, outputs, listed, **more)  # type: ignore[arg-type]
    data: bytes = made.SerializeToString()
    return data


def convolutions() -> bytes:
    """Every window, with a batch norm behind."""
    ones = np.ones(8, np.float32)
    return _made(
        [
            node("Conv", "x k b", "c", pads=[1, 1, 1, 1], strides=[1, 1], kernel_shape=[3, 3]),
            node("BatchNormalization", "c s b m v", "n", epsilon=1e-5),
            node("Relu", "n", "r"),
            node("Conv", "r g", "h", group=4, dilations=[2, 2], auto_pad="SAME_UPPER"),
            node("ConvTranspose", "h t", "d", strides=[2, 2], output_padding=[1, 1]),
            node("MaxPool", "d", "p", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
            node("AveragePool", "p", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("LpPool", "a", "l", kernel_shape=[2, 2]),
            node("InstanceNormalization", "l i j", "o"),
            node("LRN", "o", "q", size=3),
            node("GlobalAveragePool", "q", "u"),
            node("Flatten", "u", "f"),
            node("Gemm", "f w e", "y", alpha=2.0, beta=0.5, transB=1),
        ],
        {
            "k": kernel(1, 8, 4, 3, 3), "b": ones, "s": ones, "m": ones, "v": ones,
            "g": kernel(2, 8, 2, 3, 3), "t": kernel(3, 8, 2, 3, 3), "i": ones[:2], "j": ones[:2],
            "w": kernel(4, 3, 2), "e": kernel(5, 3),
        },
    )  # fmt: skip


def shapes() -> bytes:
    """Sizes that the network computes, and open dims."""
    return _made(
        [
            node("Shape", "x", "s"),
            node("Gather", "s two", "h", axis=0),
            node("Mul", "h two", "hh"),
            node("Concat", "hh hh", "wanted", axis=0),
            node("Slice", "s zero two", "front"),
            node("Concat", "front wanted", "sizes", axis=0),
            node("Resize", "x - - sizes", "r", mode="linear"),
            node("Reshape", "r flat", "f"),
            node("ConstantOfShape", "s", "c", value=weight("", np.array([2], np.float32))),
            node("Range", "start stop step", "g"),
            node("Expand", "one s", "e"),
            node("Tile", "one four", "t"),
            node("Pad", "x pads", "p", mode="reflect"),
            node("Add", "c e", "u"),
            node("ReduceMean", "u", "v", axes=[1, 2, 3], keepdims=0),
            node("Unsqueeze", "v zero", "w"),
            node("Sum", "f w", "y"),
        ],
        {
            "two": np.array([2]), "zero": np.array([0]), "flat": np.array([0, -1]),
            "one": np.ones((1, 1, 1, 1), np.float32), "four": np.array([1, 2, 3, 4]),
            "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "start": np.array(0), "stop": np.array(5),
            "step": np.array(1),
        },
        inputs=[info("x", ["N", 2, "H", "H"])],
        outputs=[info("y", None), info("g", None, INT64), info("t", None), info("p", None)],
    )  # fmt: skip


def branches() -> bytes:
    """An If whose branches use outer values and weights of their own, with an If inside."""
    inner = [node("Add", "x w", "i")]
    deep = helper.make_graph(inner, "deep", [], [info("i", None)])
    other = helper.make_graph(
        [node("Neg", "x", "j")], "other", [], [info("j", None)], [weight("z", np.ones(2))]
    )
    then = helper.make_graph(
        [node("If", "b", "t", then_branch=deep, else_branch=other)], "then", [], [info("t", None)]
    )
    orelse = helper.make_graph([node("Relu", "x", "e")], "else", [], [info("e", None)])
    return _made(
        [
            node("If", "b", "i0", then_branch=then, else_branch=orelse),
            node("Conv", "i0 k", "y", pads=[1, 1, 1, 1]),
        ],
        {"w": kernel(1, 4, 1, 1), "k": kernel(2, 4, 4, 3, 3)},
        inputs=[info("x", [1, 4, 6, 6]), info("b", [], BOOL)],
    )


def loop() -> bytes:
    """A Loop of five turns that collects what it makes."""
    body = helper.make_graph(
        [
            node("Add", "carried one", "next"),
            node("Identity", "go", "again"),
            node("Relu", "next", "piece"),
        ],
        "body",
        [info("turn", [], INT64), info("go", [], BOOL), info("carried", [2, 3])],
        [info("again", [], BOOL), info("next", [2, 3]), info("piece", [2, 3])],
        [weight("one", np.ones((2, 3), np.float32))],
    )
    return _made(
        [node("Loop", "turns yes x", "last all", body=body), node("Neg", "last", "y")],
        {"turns": np.array(5), "yes": np.array(True)},
        inputs=[info("x", [2, 3])],
        outputs=[info("y", [2, 3]), info("all", None)],
    )


def scan() -> bytes:
    """A Scan that sums."""
    body = helper.make_graph(
        [node("Add", "sum piece", "more"), node("Identity", "more", "shown")],
        "body",
        [info("sum", [3]), info("piece", [3])],
        [info("more", [3]), info("shown", [3])],
    )
    return _made(
        [node("Scan", "zero x", "last y", body=body, num_scan_inputs=1)],
        {"zero": np.zeros(3, np.float32)},
        inputs=[info("x", [4, 3])],
    )


def functions() -> bytes:
    """Two functions of the model's own, one of which calls the other."""
    scale = helper.make_function(
        "own", "Scaled", ["a"], ["b"],
        [node("Constant", "", "c", value_float=2.0), node("Mul", "a c", "b")],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"],
        [node("Scaled", "a", "t", domain="own"), node("LeakyRelu", "t", "b")],
        [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)], ["alpha"],
    )  # fmt: skip
    twice.node[1].attribute.append(
        AttributeProto(name="alpha", ref_attr_name="alpha", type=AttributeProto.FLOAT)
    )
    return _made(
        [
            node("Twice", "x", "t", domain="own", alpha=0.1),
            node("Conv", "t k", "y", pads=[1, 1, 1, 1]),
        ],
        {"k": kernel(1, 4, 4, 3, 3)},
        inputs=[info("x", [1, 4, 6, 6])],
        domains={"own": 1},
        functions=[scale, twice],
    )


def quantised() -> bytes:
    """Quantised layers."""
    return _made(
        [
            node("QuantizeLinear", "x s z", "q"),
            node("DequantizeLinear", "q s z", "d"),
            node("DequantizeLinear", "w ws wz", "k", axis=0),
            node("Conv", "d k", "c"),
            node("QuantizeLinear", "c s z", "e"),
            node("DequantizeLinear", "e s z", "y"),
        ],
        {
            "s": np.array(0.1, np.float32), "z": np.array(3, np.uint8),
            "w": np.arange(36, dtype=np.int8).reshape(1, 4, 3, 3),
            "ws": np.array([0.1], np.float32), "wz": np.array([0], np.int8),
        },
    )  # fmt: skip


def sequences() -> bytes:
    """Values that are no tensors."""
    return _made(
        [
            node("SequenceConstruct", "x x", "s"),
            node("SequenceAt", "s i", "a"),
            node("SplitToSequence", "x", "p", axis=1),
            node("ConcatFromSequence", "p", "c", axis=1),
            node("Optional", "c", "o"),
            node("OptionalGetElement", "o", "g"),
            node("Add", "a g", "y"),
        ],
        {"i": np.array(0)},
        inputs=[info("x", [1, 4])],
        opset=18,
    )


def moves() -> bytes:
    """What moves data, and weights that are sparse."""
    made = model(
        [
            node("Split", "x", "a b", axis=1, num_outputs=2),
            node("Transpose", "a", "t", perm=[0, 1, 3, 2]),
            node("Transpose", "t", "u", perm=[0, 1, 3, 2]),
            node("DepthToSpace", "x", "d", blocksize=2),
            node("SpaceToDepth", "d", "s", blocksize=2),
            node("Slice", "s from to axes", "c"),
            node("Cast", "c", "h", to=TensorProto.FLOAT16),
            node("Cast", "h", "f", to=FLOAT),
            node("Concat", "u b f", "j", axis=1),
            node("Squeeze", "j zero", "q"),
            node("MatMul", "q m", "n"),
            node("Where", "mask n n", "w"),
            node("OneHot", "hot depth values", "o"),
            node("TopK", "w k", "v i"),
            node("Softmax", "v", "y", axis=-1),
        ],
        [info("x", [1, 4, 4, 4])],
        [info("y", None), info("o", None)],
        [
            weight("from", np.array([0])), weight("to", np.array([2])),
            weight("axes", np.array([1])), weight("zero", np.array([0])),
            weight("mask", np.array(True)), weight("hot", np.array([0, 1])),
            weight("depth", np.array(3)), weight("values", np.array([0, 1], np.float32)),
            weight("k", np.array([2])),
        ],
        opset=18,
    )  # fmt: skip
    values = weight("m", np.array([1, 2], np.float32))
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, weight("", np.array([1, 6])), [4, 4])
    )
    data: bytes = made.SerializeToString()
    return data


def strings() -> bytes:
    """Weights that are text, and text about the model."""
    made = model(
        [
            node("Constant", "", "text", value_strings=[b"a", b"b\xff"]),
            node("Identity", "text", "s"),
            node("Relu", "x", "y", doc_string="does\nlittle"),
        ],
        [info("x", [2])],
        [info("y", [2]), info("s", None, TensorProto.STRING)],
        [helper.make_tensor("words", TensorProto.STRING, [2], [b"one", b"two"])],
    )
    made.metadata_props.add(key="author", value="nobody")
    made.graph.doc_string = "a graph"
    annotation = made.graph.quantization_annotation.add(tensor_name="y")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="words")
    data: bytes = made.SerializeToString()
    return data


def attributes() -> bytes:
    """An operator nobody knows, with an attribute of every kind, beside one that convc rewrites."""
    graph = helper.make_graph([node("Neg", "x", "i")], "g", [], [info("i", None)])
    odd = node("Odd", "h", "z", domain="nobody", i=1, f=1.5, s="s", ints=[1], floats=[0.5])
    odd.attribute.append(helper.make_attribute("t", weight("t", np.ones((2, 2), np.float32))))
    odd.attribute.append(helper.make_attribute("g", graph))
    odd.attribute.append(helper.make_attribute("strings", ["a", "b"]))
    return _made(
        [node("Conv", "x k", "c"), node("Conv", "c j", "h"), odd, node("Relu", "z", "y")],
        {"k": kernel(1, 6, 4, 1, 1), "j": kernel(2, 2, 6, 3, 3)},
        domains={"nobody": 1},
    )
