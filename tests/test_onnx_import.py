"""What a file says besides its weights: docs, attributes, omitted operands, opsets, open dims."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from convc.errors import InvalidModelError, UsageError
from convc.ir import Opaque, OpaqueType, TensorType
from convc.onnx_io import from_bytes, to_bytes
from convc.runtime import newest_opset
from tests.onnx_helpers import (
    FLOAT,
    assert_same,
    checked,
    info,
    model,
    round_trip,
    run,
    session,
    weight,
)

X = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
NODE = helper.make_node

SPARSE = helper.make_sparse_tensor(
    weight("values", np.array([5, 7], np.float32)),
    weight("indices", np.array([1, 3], np.int64)),
    [2, 2],
)

# -- what else a file says ---------------------------------------------------------------------


def test_metadata_docs_and_annotations_are_kept() -> None:
    node = NODE("Relu", ["x"], ["y"], name="relu", doc_string="node doc")
    node.metadata_props.add(key="namespace", value="a/b")
    source = info("x", [2, "N"])
    source.doc_string = "input doc"
    source.type.denotation = "IMAGE"
    source.type.tensor_type.shape.dim[1].denotation = "DATA_CHANNEL"
    result = info("y", [2, "N"])
    result.doc_string = "output doc"
    made = model(
        [node], [source], [result], producer_name="maker", producer_version="1.2",
        model_version=7, doc_string="model doc", domain="org.example",
    )  # fmt: skip
    made.graph.doc_string = "graph doc"
    made.graph.metadata_props.add(key="graph", value="meta")
    made.metadata_props.add(key="author", value="me")
    note = made.graph.quantization_annotation.add(tensor_name="y")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")
    after = round_trip(made, {"x": X})
    for field in ("producer_name", "producer_version", "model_version", "doc_string", "domain"):
        assert getattr(after, field) == getattr(made, field)
    assert after.metadata_props == made.metadata_props
    assert after.graph.doc_string == "graph doc"
    assert after.graph.name == "net"
    assert after.graph.metadata_props == made.graph.metadata_props
    assert after.graph.quantization_annotation == made.graph.quantization_annotation
    assert after.graph.node == made.graph.node


def test_new_metadata_is_added_to_the_old() -> None:
    made = model([NODE("Relu", ["x"], ["y"])], [info("x", [1])], [info("y", [1])])
    made.metadata_props.add(key="author", value="me")
    made.metadata_props.add(key="convc.version", value="old")
    graph = from_bytes(made.SerializeToString())
    graph.header = graph.header.with_metadata({"convc.version": "new", "k": "v"})
    after = ModelProto.FromString(to_bytes(graph))
    found = [(entry.key, entry.value) for entry in after.metadata_props]
    assert found == [("author", "me"), ("convc.version", "new"), ("k", "v")]


def test_attributes_of_every_type_are_kept() -> None:
    node = NODE(
        "Foo", ["x"], ["y"], domain="custom", i=3, f=0.1, s="text", ints=[1, 2], floats=[0.1, 2.0],
        strings=["a", "b"], t=weight("t", X), ten=weight("u", np.float16(3)),
        sparse=SPARSE, type=helper.make_tensor_type_proto(FLOAT, [1]), bytes=b"\xff\xfe",
        none=[1],
    )  # fmt: skip
    for name, kind in (("no_floats", 6), ("no_ints", 7), ("no_strings", 8)):
        node.attribute.add(name=name, type=kind)
    del node.attribute[[a.name for a in node.attribute].index("none")]
    made = model([node], [info("x", [2, 2])], [info("y", None)], domains={"custom": 2})
    graph = from_bytes(made.SerializeToString())
    op = next(op for op in graph.ops() if op.kind == "Foo")
    assert op.attributes["ints"] == (1, 2)
    assert op.attributes["floats"] == (float(np.float32(0.1)), 2.0)
    assert isinstance(op.attributes["bytes"], Opaque)
    assert isinstance(op.attributes["type"], Opaque)
    after = round_trip(made)
    by_name = {a.name: a for a in after.graph.node[0].attribute}
    for attribute in node.attribute:
        mine = by_name.pop(attribute.name)
        if attribute.type == onnx.AttributeProto.TENSOR:
            np.testing.assert_array_equal(
                numpy_helper.to_array(mine.t), numpy_helper.to_array(attribute.t)
            )
        else:
            assert mine == attribute
    assert not by_name


@pytest.mark.parametrize(
    "node",
    [
        NODE("Clip", ["x", "", "hi"], ["y"]),
        NODE("Clip", ["x", "lo"], ["y"]),
        NODE("Clip", ["x", "", ""], ["y"]),
        NODE("Resize", ["x", "", "s"], ["y"], mode="nearest"),
        NODE("Resize", ["x", "", "", "z"], ["y"], mode="linear"),
    ],
    ids=lambda n: ",".join(n.input),
)
def test_omitted_operands_stay_omitted(node: onnx.NodeProto) -> None:
    made = model(
        [node], [info("x", [2, 2])], [info("y", [None, None])],
        [
            weight("hi", np.float32(1)), weight("lo", np.float32(0)),
            weight("s", np.array([2, 2], np.float32)), weight("z", np.array([3, 5])),
        ],
    )  # fmt: skip
    after = round_trip(made, {"x": X})
    assert list(after.graph.node[0].input) == list(node.input)


def test_omitted_results_stay_omitted() -> None:
    lstm = NODE("LSTM", ["x", "w", "r"], ["", "h", "c"], hidden_size=2)
    made = model(
        [lstm], [info("x", [3, 1, 4])], [info("h", [1, 1, 2]), info("c", [1, 1, 2])],
        [weight("w", np.ones((1, 8, 4), np.float32)), weight("r", np.ones((1, 8, 2), np.float32))],
    )  # fmt: skip
    after = round_trip(checked(made), {"x": np.ones((3, 1, 4), np.float32)})
    assert list(after.graph.node[0].output) == ["", "h", "c"]


def test_outputs_that_are_inputs_weights_or_repeated() -> None:
    made = model(
        [NODE("Relu", ["x"], ["r"])],
        [info("x", [2, 2])],
        [info("x", [2, 2]), info("w", [2, 2]), info("r", [2, 2])],
        [weight("w", X)],
    )
    round_trip(made, {"x": X})


def test_one_value_under_several_names() -> None:
    made = model([NODE("Relu", ["x"], ["y"])], [info("x", [2, 2])], [info("y", [2, 2])])
    graph = from_bytes(made.SerializeToString())
    (y,), (x,) = graph.outputs, graph.inputs
    w = graph.add_constant(X, "w")
    graph.set_outputs([y, y, x, w, x], ["y", "again", "fed", "weight", "x"])
    written = to_bytes(graph)
    relu = np.maximum(X, 0)
    assert_same(run(written, {"x": X}), [relu, relu, X, X, X])
    once_more = from_bytes(written)
    assert once_more.output_names == ("y", "again", "fed", "weight", "x")
    assert_same(run(to_bytes(once_more), {"x": X}), [relu, relu, X, X, X])


def test_an_output_keeps_its_name_when_its_value_is_replaced() -> None:
    made = model(
        [NODE("Relu", ["x"], ["y"]), NODE("Neg", ["y"], ["z"])],
        [info("x", [2, 2])], [info("y", [2, 2]), info("z", [2, 2])],
    )  # fmt: skip
    graph = from_bytes(made.SerializeToString())
    y, z = graph.outputs
    new = graph.add("Abs", graph.inputs, types=(y.type,), names=("y",)).result
    graph.set_operand(graph.output, 0, new)
    written = to_bytes(graph)
    assert [o.name for o in session(written).get_outputs()] == ["y", "z"]
    assert_same(run(written, {"x": X}), [np.abs(X), -np.maximum(X, 0)])
    assert z.op.operands == (y,)


def test_an_output_without_a_type_gets_through() -> None:
    made = model([NODE("Relu", ["x"], ["y"])], [info("x", [2, 2])], [onnx.ValueInfoProto(name="y")])
    graph = from_bytes(made.SerializeToString())
    assert graph.outputs[0].type == TensorType(np.dtype(np.float32), (2, 2))


def test_nodes_out_of_order_unnamed_and_dead() -> None:
    made = model(
        [NODE("Neg", ["b"], ["y"]), NODE("Abs", ["a"], ["b"]), NODE("Relu", ["x"], ["a"]),
         NODE("Exp", ["x"], ["dead"])],
        [info("x", [2, 2])], [info("y", [2, 2])],
    )  # fmt: skip
    graph = from_bytes(made.SerializeToString())
    assert [op.kind for op in graph.ops()] == ["Input", "Relu", "Abs", "Neg", "Exp", "Output"]
    written = to_bytes(graph)
    assert_same(run(written, {"x": X}), [-np.maximum(X, 0)])
    assert all(not node.name for node in ModelProto.FromString(written).graph.node)


def test_a_model_in_order_keeps_its_order() -> None:
    kinds = ["Relu", "Exp", "Neg", "Abs", "Sqrt"]
    made = model(
        [NODE(kind, ["x"], [kind.lower()]) for kind in kinds],
        [info("x", [2, 2])], [info(kind.lower(), [2, 2]) for kind in reversed(kinds)],
    )  # fmt: skip
    after = round_trip(made)
    assert [node.op_type for node in after.graph.node] == kinds


def test_scalars_and_empty_tensors() -> None:
    made = model(
        [NODE("Add", ["x", "w"], ["y"]), NODE("Concat", ["e", "f"], ["z"], axis=0)],
        [info("x", []), info("e", [0, 3])],
        [info("y", []), info("z", [1, 3])],
        [weight("w", np.float32(2)), weight("f", np.ones((1, 3), np.float32))],
    )
    round_trip(checked(made), {"x": np.array(1, np.float32), "e": np.zeros((0, 3), np.float32)})


def test_sequences_are_opaque_and_run() -> None:
    made = model(
        [
            NODE("SplitToSequence", ["x"], ["s"], axis=0),
            NODE("SequenceAt", ["s", "i"], ["y"]),
            NODE("SequenceInsert", ["given", "y"], ["out"]),
        ],
        [
            info("x", [2, 2]),
            helper.make_tensor_sequence_value_info("given", FLOAT, None),
        ],
        [info("y", None), helper.make_tensor_sequence_value_info("out", FLOAT, None)],
        [weight("i", np.int64(1))],
    )
    graph = from_bytes(made.SerializeToString())
    assert isinstance(graph.inputs[1].type, OpaqueType)
    round_trip(made, {"x": X, "given": [X[:1]]})


def test_quantised_models_pass_untouched() -> None:
    scale, zero = weight("scale", np.float32(0.1)), weight("zero", np.uint8(128))
    made = model(
        [
            NODE("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
            NODE("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            NODE("DequantizeLinear", ["wq", "scale"], ["w"]),
            NODE("MatMul", ["d", "w"], ["y"]),
        ],
        [info("x", [2, 2])], [info("y", [2, 2])],
        [scale, zero, weight("wq", np.array([[1, 2], [3, 4]], np.uint8))],
    )  # fmt: skip
    after = round_trip(checked(made), {"x": X})
    assert after.graph.node == made.graph.node
    # The weights too, in the order of their first use in the file.
    assert {t.name: t.raw_data for t in after.graph.initializer} == {
        t.name: t.raw_data for t in made.graph.initializer
    }


def test_ops_of_the_runtimes_own_domain_run() -> None:
    made = model(
        [
            NODE("FusedConv", ["x", "w"], ["h"], domain="com.microsoft", activation="Relu"),
            NODE("Gelu", ["h"], ["g"], domain="com.microsoft"),
            NODE("Neg", ["g"], ["y"]),
        ],
        [info("x", [1, 1, 4, 4])], [info("y", None)],
        [weight("w", np.ones((1, 1, 3, 3), np.float32))],
        domains={"com.microsoft": 1},
    )  # fmt: skip
    made.graph.value_info.append(info("g", [1, 1, 2, 2]))
    feeds = {"x": np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)}
    after = round_trip(made, feeds)
    assert [v.name for v in after.graph.value_info] == ["g"]
    assert [(o.domain, o.version) for o in after.opset_import] == [("", 17), ("com.microsoft", 1)]


def test_ai_onnx_is_the_default_domain() -> None:
    made = model(
        [NODE("Relu", ["x"], ["y"], domain="ai.onnx")], [info("x", [2, 2])], [info("y", [2, 2])]
    )
    made.opset_import[0].domain = "ai.onnx"
    graph = from_bytes(made.SerializeToString())
    assert graph.header.opset == 17
    assert next(op for op in graph.ops() if op.kind == "Relu").domain == ""
    assert_same(run(to_bytes(graph), {"x": X}), [np.maximum(X, 0)])


# -- operator sets -----------------------------------------------------------------------------


@pytest.mark.parametrize("opset", range(6, newest_opset() + 1))
def test_every_opset_goes_through(opset: int) -> None:
    made = model(
        [NODE("Relu", ["x"], ["r"]), NODE("Concat", ["r", "w"], ["y"], axis=1)],
        [info("x", [2, 2])], [info("y", [2, 4])], [weight("w", X)],
        opset=opset, ir=helper.find_min_ir_version_for([helper.make_opsetid("", opset)], True),
    )  # fmt: skip
    after = round_trip(made, {"x": X})
    assert after.opset_import == made.opset_import
    assert after.ir_version == max(made.ir_version, 4)


@pytest.mark.parametrize(
    ("opset", "words"), [(99, "newer than this onnx knows"), (5, "older than 6"), (-1, "older")]
)
def test_opsets_out_of_range_are_refused_in_one_line(opset: int, words: str) -> None:
    made = model([NODE("Relu", ["x"], ["y"])], [info("x", [1])], [info("y", [1])], opset=opset)
    with pytest.raises(InvalidModelError, match=words) as caught:
        from_bytes(made.SerializeToString())
    assert "\n" not in str(caught.value)


def test_a_model_that_names_no_opset_is_refused_unless_it_needs_none() -> None:
    made = model([NODE("Relu", ["x"], ["y"])], [info("x", [1])], [info("y", [1])])
    del made.opset_import[:]
    with pytest.raises(InvalidModelError, match="does not say which opset"):
        from_bytes(made.SerializeToString())
    made.graph.node[0].domain = "custom"
    made.opset_import.add(domain="custom", version=3)
    assert from_bytes(made.SerializeToString()).header.opsets == {"custom": 3}


# -- open dims ---------------------------------------------------------------------------------


def open_model() -> ModelProto:
    weights = [weight("w", np.ones((4, 3, 3, 3), np.float32))]
    return model(
        [NODE("Conv", ["x", "w"], ["c"], strides=[2, 2]), NODE("Relu", ["c"], ["y"])],
        [info("x", ["N", 3, None, "W"])], [info("y", ["N", 4, None, "V"])], weights,
    )  # fmt: skip


def test_open_dims_stay_open_and_have_sizes() -> None:
    graph = from_bytes(open_model().SerializeToString())
    (x,) = graph.inputs
    assert x.shape is not None
    assert x.shape[0] == "N"
    assert x.shape[1] == 3
    assert x.shape[3] == "W"
    assert graph.concrete_shape(x) == (1, 3, 224, 224)
    (y,) = graph.outputs
    assert y.shape is not None
    assert y.shape[:2] == ("N", 4)
    assert graph.concrete_shape(y) == (1, 4, 111, 111)
    round_trip(open_model(), {"x": np.ones((2, 3, 9, 8), np.float32)})


def test_dims_that_only_convc_named_have_no_name_in_a_file() -> None:
    graph = from_bytes(open_model().SerializeToString())
    (x,), (y,) = graph.inputs, graph.outputs
    assert x.shape is not None
    assert y.shape is not None
    assert all(isinstance(dim, str) for dim in (x.shape[2], *y.shape[2:]))
    graph.set_outputs([y, x], ["again", "fed"])
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in ModelProto.FromString(to_bytes(graph)).graph.output
    }
    assert shapes["fed"] == ["N", 3, 0, "W"]
    assert shapes["again"][:3] == ["N", 4, 0]


def test_shapes_left_over_from_one_traced_size_are_not_believed() -> None:
    made = model(
        [NODE("Relu", ["x"], ["h"]), NODE("Foo", ["h"], ["f"], domain="custom"),
         NODE("Conv", ["f", "w"], ["y"])],
        [info("x", ["N", 1, "H", 8])], [info("y", [1, 1, 6, 6])],
        [weight("w", np.ones((1, 1, 3, 3), np.float32))], domains={"custom": 1},
    )  # fmt: skip
    made.graph.value_info.extend([info("h", [1, 1, 8, 8]), info("f", [1, 1, 8, 8])])
    graph = from_bytes(made.SerializeToString(), {"H": 9})
    values = {value.name: value for op in graph.ops() for value in op.results}
    assert values["h"].shape == ("N", 1, "H", 8)
    assert values["f"].type == TensorType(np.dtype(np.float32), None)
    assert values["y"].type == TensorType(np.dtype(np.float32), None)
    assert round_trip(made).graph.output == made.graph.output
    # Who names a dim knows that it varies.
    made.graph.value_info[1].CopyFrom(info("f", ["N", 1, "H", 8]))
    named = from_bytes(made.SerializeToString(), {"H": 9}).outputs[0]
    assert named.shape is not None
    assert (named.shape[:2], named.shape[3]) == (("N", 1), 6)
    made.graph.value_info[1].CopyFrom(info("f", [1, 1, 8, 8]))
    # Where nothing is open there is but one size.
    for dim, size in zip(made.graph.input[0].type.tensor_type.shape.dim, (1, 1, 8, 8), strict=True):
        dim.dim_value = size
    fixed = from_bytes(made.SerializeToString())
    assert fixed.outputs[0].shape == (1, 1, 6, 6)


def test_types_between_are_written_where_the_file_had_them() -> None:
    made = model(
        [NODE("Relu", ["x"], ["h"]), NODE("Neg", ["h"], ["n"]), NODE("Abs", ["n"], ["y"])],
        [info("x", ["N", 4])], [info("y", ["N", 4])],
    )  # fmt: skip
    assert not round_trip(made).graph.value_info
    made.graph.value_info.append(info("n", ["N", 4]))
    assert list(round_trip(made).graph.value_info) == [info("n", ["N", 4])]


def test_sizes_are_taken_by_name_and_by_place() -> None:
    data = open_model().SerializeToString()
    graph = from_bytes(data, {"N": 2, "W": 33, "x.2": 17})
    assert graph.concrete_shape(graph.inputs[0]) == (2, 3, 17, 33)
    assert graph.concrete_shape(graph.outputs[0]) == (2, 4, 8, 16)
    assert to_bytes(graph) == to_bytes(from_bytes(data))


def test_a_size_for_no_dim_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=r"--dim H: .* it has N, W, x\.2$"):
        from_bytes(open_model().SerializeToString(), {"H": 3})
    fixed = model([NODE("Relu", ["x"], ["y"])], [info("x", [1])], [info("y", [1])])
    with pytest.raises(UsageError, match="all its sizes are fixed"):
        from_bytes(fixed.SerializeToString(), {"N": 3})


def test_an_input_of_unknown_rank_goes_through() -> None:
    made = model([NODE("Relu", ["x"], ["y"])], [info("x", None)], [info("y", None)])
    graph = from_bytes(made.SerializeToString())
    assert graph.inputs[0].type == TensorType(np.dtype(np.float32), None)
    round_trip(made, {"x": X})


def test_types_of_large_models_are_inferred_without_their_weights() -> None:
    made = model(
        [NODE("Reshape", ["w", "s"], ["r"]), NODE("MatMul", ["x", "r"], ["y"])],
        [info("x", ["N", 64])], [info("y", ["N", 100])],
        [weight("w", np.ones(6400, np.float32)), weight("s", np.array([64, -1]))],
    )  # fmt: skip
    graph = from_bytes(made.SerializeToString())
    shapes = {op.kind: op.result.shape for op in graph.ops() if op.results}
    assert shapes["Reshape"] == (64, 100)
    assert shapes["MatMul"] == ("N", 100)
