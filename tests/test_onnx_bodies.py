"""If, Loop and Scan: opaque bodies, whose captured values are operands; and local functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper

from convc.graph import Graph
from convc.ir import Op, Value
from convc.onnx_io import from_bytes, load, save, to_bytes
from tests.onnx_helpers import assert_same, checked, info, model, round_trip, run, weight

NODE = helper.make_node
BOOL, INT64 = TensorProto.BOOL, TensorProto.INT64
X = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
W = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
BOTH = (np.array(True), np.array(False))


def body(nodes: list[onnx.NodeProto], output: str, weights: list[TensorProto] | None = None,
         inputs: list[onnx.ValueInfoProto] | None = None) -> GraphProto:  # fmt: skip
    return helper.make_graph(nodes, "body", inputs or [], [info(output, None)], weights or [])


def branches(then: GraphProto, other: GraphProto) -> ModelProto:
    """h = Relu(x) and a weight w outside; y by one branch or the other."""
    return model(
        [NODE("Relu", ["x"], ["h"]),
         NODE("If", ["c"], ["y"], then_branch=then, else_branch=other)],
        [info("c", [], BOOL), info("x", [2, 2])], [info("y", [2, 2])], [weight("w", W)],
    )  # fmt: skip


def op_of(graph: Graph, kind: str) -> Op:
    return next(op for op in graph.ops() if op.kind == kind)


def value_of(graph: Graph, name: str) -> Value:
    return next(v for op in graph.ops() for v in op.results if v.name == name)


THEN = body([NODE("Add", ["h", "w"], ["t"])], "t")
ELSE = body([NODE("Neg", ["h"], ["e"])], "e")


def test_captured_weights_and_values_are_operands() -> None:
    made = checked(branches(THEN, ELSE))
    graph = from_bytes(made.SerializeToString())
    op = op_of(graph, "If")
    assert op.captures == ("h", "w")
    assert [v.name for v in op.inputs if v is not None] == ["c"]
    assert [v.name for v in op.operands if v is not None] == ["c", "h", "w"]
    assert graph.uses(value_of(graph, "w")) == [(op, 2)]
    for condition in BOTH:
        after = round_trip(made, {"c": condition, "x": X})
    assert after.graph.node[1] == made.graph.node[1]


def test_a_captured_value_keeps_its_maker_alive() -> None:
    graph = from_bytes(branches(THEN, ELSE).SerializeToString())
    assert graph.erase_dead(graph.ops()) == []


def test_a_replaced_value_is_what_the_body_then_uses() -> None:
    graph = from_bytes(branches(THEN, ELSE).SerializeToString())
    h, w = value_of(graph, "h"), value_of(graph, "w")
    new = graph.add("Abs", (value_of(graph, "x"),), types=(h.type,), names=("h",)).result
    graph.replace_uses(h, new)
    graph.replace_uses(w, graph.add_constant(10 * W))
    graph.erase_dead([h.op, w.op])
    graph.verify()
    written = to_bytes(graph)
    assert_same(run(written, {"c": BOTH[0], "x": X}), [np.abs(X) + 10 * W])
    assert_same(run(written, {"c": BOTH[1], "x": X}), [-np.abs(X)])
    again = from_bytes(written)
    assert to_bytes(again) == written


def test_two_captured_values_can_change_places() -> None:
    then = body([NODE("Sub", ["h", "w"], ["t"])], "t")
    graph = from_bytes(branches(then, ELSE).SerializeToString())
    op = op_of(graph, "If")
    h, w = op.operands[1:]
    graph.set_operand(op, 1, w)
    graph.set_operand(op, 2, h)
    written = to_bytes(graph)
    assert_same(run(written, {"c": BOTH[0], "x": X}), [W - np.maximum(X, 0)])
    assert_same(run(written, {"c": BOTH[1], "x": X}), [-W])


def nested() -> ModelProto:
    """The inner If is two levels down and captures h and w from the outermost graph."""
    inner = NODE(
        "If", ["d"], ["deep"],
        then_branch=body([NODE("Mul", ["h", "w"], ["p"])], "p"),
        else_branch=body([NODE("Identity", ["local"], ["q"])], "q"),
    )  # fmt: skip
    then = body(
        [NODE("Neg", ["h"], ["local"]), NODE("Not", ["c"], ["nc"]), NODE("Not", ["nc"], ["d"]),
         inner], "deep",
    )  # fmt: skip
    return checked(branches(then, ELSE))


def test_bodies_within_bodies() -> None:
    made = nested()
    graph = from_bytes(made.SerializeToString())
    assert op_of(graph, "If").captures == ("h", "c", "w")
    for condition in BOTH:
        round_trip(made, {"c": condition, "x": X})
    graph.replace_uses(value_of(graph, "w"), graph.add_constant(5 * W, "five"))
    graph.erase_dead([value_of(graph, "w").op])
    assert_same(run(to_bytes(graph), {"c": BOTH[0], "x": X}), [np.maximum(X, 0) * 5 * W])


def test_a_name_made_inside_hides_the_outer_one() -> None:
    # "h" is made in the else branch, captured in the then branch.
    other = body([NODE("Exp", ["x"], ["h"]), NODE("Neg", ["h"], ["e"])], "e")
    graph = from_bytes(branches(THEN, other).SerializeToString())
    op = op_of(graph, "If")
    assert op.captures == ("x", "h", "w")  # the file has the else branch first
    new = graph.add_constant(7 * W, "seven")
    graph.replace_uses(value_of(graph, "h"), new)
    written = to_bytes(graph)
    assert_same(run(written, {"c": BOTH[0], "x": X}), [7 * W + W])
    np.testing.assert_allclose(run(written, {"c": BOTH[1], "x": X})[0], -np.exp(X), rtol=1e-6)


def test_a_new_value_named_like_one_inside_gets_another_name() -> None:
    graph = from_bytes(branches(THEN, ELSE).SerializeToString())
    clash = graph.add("Abs", (value_of(graph, "x"),), names=("t",)).result
    clash.type = value_of(graph, "h").type
    graph.replace_uses(value_of(graph, "w"), clash)
    written = to_bytes(graph)
    assert_same(run(written, {"c": BOTH[0], "x": X}), [np.maximum(X, 0) + np.abs(X)])


def test_an_input_named_like_a_value_inside_is_handed_in_under_another_name() -> None:
    # The body makes its own "x" from a captured weight; then the weight is replaced by the input x.
    then = body([NODE("Neg", ["w"], ["x"]), NODE("Add", ["x", "w"], ["t"])], "t")
    made = branches(then, ELSE)
    graph = from_bytes(made.SerializeToString())
    graph.replace_uses(value_of(graph, "w"), graph.inputs[1])
    after = ModelProto.FromString(to_bytes(graph))
    assert [i.name for i in after.graph.input] == ["c", "x"]
    node = next(node for node in after.graph.node if node.op_type == "If")
    (inner,) = (a.g.node for a in node.attribute if a.name == "then_branch")
    assert inner[0].input[0] == inner[1].input[1] == "x_captured"
    assert inner[1].input[0] == inner[0].output[0] == "x"
    alias = next(node for node in after.graph.node if node.op_type == "Identity")
    assert (list(alias.input), list(alias.output)) == (["x"], ["x_captured"])


def test_names_of_new_values_do_not_fall_into_bodies_that_capture_nothing() -> None:
    then = body([NODE("Constant", [], ["Abs_0"], value=weight("", W))], "Abs_0")
    other = body([NODE("Constant", [], ["e"], value=weight("", X))], "e")
    graph = from_bytes(branches(then, other).SerializeToString())
    assert op_of(graph, "If").captures == ()
    y = graph.outputs[0]
    new = graph.add("Abs", (y,), types=(y.type,)).result
    graph.set_outputs([graph.add("Neg", (new,), types=(y.type,)).result], ["y"])
    names = [name for node in ModelProto.FromString(to_bytes(graph)).graph.node
             for name in node.output]  # fmt: skip
    assert "Abs_0" not in names
    assert_same(run(to_bytes(graph), {"c": BOTH[0], "x": X}), [-np.abs(W)])


def looped() -> ModelProto:
    """y = x + n·w, w captured; the history is a scan output."""
    inner = helper.make_graph(
        [NODE("Add", ["state", "w"], ["next"]), NODE("Identity", ["keep"], ["go"]),
         NODE("Identity", ["next"], ["seen"])],
        "loop", [info("i", [], INT64), info("keep", [], BOOL), info("state", [2, 2])],
        [info("go", [], BOOL), info("next", [2, 2]), info("seen", [2, 2])],
    )  # fmt: skip
    return checked(
        model(
            [NODE("Loop", ["n", "", "x"], ["y", "history"], body=inner)],
            [info("n", [], INT64), info("x", [2, 2])],
            [info("y", [2, 2]), info("history", [None, 2, 2])], [weight("w", W)],
        )
    )  # fmt: skip


def test_a_loop_with_a_captured_weight_and_an_omitted_condition() -> None:
    made = looped()
    feeds = {"n": np.array(3), "x": X}
    round_trip(made, feeds)
    graph = from_bytes(made.SerializeToString())
    op = op_of(graph, "Loop")
    assert op.inputs[1] is None
    assert op.captures == ("w",)
    graph.replace_uses(value_of(graph, "w"), graph.add_constant(2 * W))
    y, history = run(to_bytes(graph), feeds)
    np.testing.assert_array_equal(y, X + 6 * W)
    assert history.shape == (3, 2, 2)


def test_a_scan_with_a_captured_weight() -> None:
    inner = helper.make_graph(
        [NODE("Add", ["s", "row"], ["s2"]), NODE("Mul", ["s2", "v"], ["out"])],
        "scan", [info("s", [2]), info("row", [2])], [info("s2", [2]), info("out", [2])],
    )  # fmt: skip
    made = checked(
        model(
            [NODE("Scan", ["z", "x"], ["last", "ys"], body=inner, num_scan_inputs=1)],
            [info("z", [2]), info("x", [2, 2])], [info("last", [2]), info("ys", [2, 2])],
            [weight("v", np.array([2, 3], np.float32))],
        )
    )  # fmt: skip
    feeds = {"z": np.zeros(2, np.float32), "x": X}
    round_trip(made, feeds)
    graph = from_bytes(made.SerializeToString())
    assert op_of(graph, "Scan").captures == ("v",)


def test_a_body_whose_output_is_captured() -> None:
    other = body([], "h")
    made = branches(THEN, other)
    graph = from_bytes(made.SerializeToString())
    assert op_of(graph, "If").captures == ("h", "w")
    h = value_of(graph, "h")
    graph.replace_uses(h, graph.add("Abs", h.op.operands, types=(h.type,), names=("g",)).result)
    node = ModelProto.FromString(to_bytes(graph)).graph.node[-1]
    (otherwise,) = (a.g for a in node.attribute if a.name == "else_branch")
    assert otherwise.output[0].name == "g"


def test_bodies_with_weights_outside_the_file_are_read_in(tmp_path: Path) -> None:
    (tmp_path / "inner.data").write_bytes(W.tobytes())
    then = body([NODE("Add", ["h", "inner"], ["t"])], "t", [weight("inner", W)])
    tensor = then.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="inner.data")
    path = tmp_path / "m.onnx"
    path.write_bytes(branches(then, ELSE).SerializeToString())
    target = tmp_path / "elsewhere" / "n.onnx"
    target.parent.mkdir()
    save(load(path), target)
    assert_same(run(target, {"c": BOTH[0], "x": X}), [np.maximum(X, 0) + W])


# -- local functions ---------------------------------------------------------------------------


def with_function() -> ModelProto:
    """y = scaled(x) = a·x + a·x, called twice with another attribute."""
    opsets = [helper.make_opsetid("", 17)]
    constant = NODE("Constant", [], ["a"])
    attribute = constant.attribute.add(name="value_float", type=onnx.AttributeProto.FLOAT)
    attribute.ref_attr_name = "scale"
    function = helper.make_function(
        "mine", "Scaled", ["v"], ["r"],
        [constant, NODE("Mul", ["v", "a"], ["m"]), NODE("Add", ["m", "m"], ["r"])],
        opsets, ["scale"],
    )  # fmt: skip
    return model(
        [NODE("Scaled", ["x"], ["h"], domain="mine", scale=2.0),
         NODE("Scaled", ["h"], ["y"], domain="mine", scale=-1.0)],
        [info("x", [2, 2])], [info("y", [2, 2])], domains={"mine": 1}, functions=[function],
    )  # fmt: skip


def test_local_functions_are_kept_and_run() -> None:
    made = checked(with_function())
    after = round_trip(made, {"x": X})
    assert after.functions == made.functions
    assert after.graph.node == made.graph.node
    assert_same(run(after.SerializeToString(), {"x": X}), [-8 * X])


def test_results_of_local_functions_have_types() -> None:
    graph = from_bytes(with_function().SerializeToString())
    kinds = [(op.kind, op.result.shape) for op in graph.ops() if op.domain == "mine"]
    assert kinds == [("Scaled", (2, 2)), ("Scaled", (2, 2))]


@pytest.mark.parametrize("made", [branches(THEN, ELSE), nested(), looped(), with_function()])
def test_clones_export_the_same(made: ModelProto) -> None:
    graph = from_bytes(made.SerializeToString())
    assert to_bytes(graph.clone()) == to_bytes(graph)
