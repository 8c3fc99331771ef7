from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.errors import InvalidGraphError
from convc.graph import Graph
from convc.ir import Op, TensorType, Value
from tests.graph_strategies import FLOAT, orders, recipes


def chain(length: int = 3) -> Graph:
    graph = Graph()
    value = graph.add_input("x", FLOAT)
    weight = graph.add_constant(np.ones((2, 4), np.float32), "w")
    for i in range(length):
        value = graph.add("Add", (value, weight), types=(FLOAT,), names=(f"v{i}",)).result
    graph.set_outputs([value], ["y"])
    return graph


def op_of(graph: Graph, kind: str) -> Op:
    return next(op for op in graph.ops() if op.kind == kind)


# -- verify finds each kind of corruption ------------------------------------------------------


def lose_output(graph: Graph) -> None:
    graph._digraph.remove_node(graph.output)


def make_cycle(graph: Graph) -> None:
    first, last = (op for op in graph.ops() if op.kind == "Add")
    graph.set_operand(first, 0, last.result)


def misplace_result(graph: Graph) -> None:
    op_of(graph, "Add").result.index = 1


def give_result_away(graph: Graph) -> None:
    op_of(graph, "Add").result.op = graph.inputs[0].op


def capture_too_much(graph: Graph) -> None:
    op_of(graph, "Add").captures = ("a", "b", "c")


def drop_result(graph: Graph) -> None:
    op_of(graph, "Add").results = ()


def lose_edge(graph: Graph) -> None:
    graph._digraph.remove_edge(graph.inputs[0].op, op_of(graph, "Add"))


def invent_edge(graph: Graph) -> None:
    graph._digraph.add_edge(graph.inputs[0].op, graph.output)


def add_output(graph: Graph) -> None:
    graph.add("Output", (graph.inputs[0],), {"names": ("z",), "types": ()}, types=())


def hide_input(graph: Graph) -> None:
    graph._inputs.clear()


def empty_constant(graph: Graph) -> None:
    op_of(graph, "Constant").attributes = {}


def open_constant(graph: Graph) -> None:
    op_of(graph, "Constant").attributes = {"value": np.ones((2, 4), np.float32)}


def reshape_constant(graph: Graph) -> None:
    op_of(graph, "Constant").result.type = TensorType(FLOAT.dtype, (4, 2))


def untype_constant(graph: Graph) -> None:
    op_of(graph, "Constant").result.type = None


def repeat_input(graph: Graph) -> None:
    graph.add_input("x", FLOAT)


def unname_input(graph: Graph) -> None:
    graph.add_input("", FLOAT)


def drop_output_operand(graph: Graph) -> None:
    graph.set_operand(graph.output, 0, None)


def drop_output_name(graph: Graph) -> None:
    graph.output.attributes = {"names": (), "types": ()}


def unname_output(graph: Graph) -> None:
    graph.output.attributes = {"names": ("",), "types": ()}


CORRUPTIONS: dict[Callable[[Graph], None], str] = {
    lose_output: "no Output op",
    make_cycle: "cycle through <Add v",
    misplace_result: "result 0 of <Add v0> does not point back",
    give_result_away: "result 0 of <Add v0> does not point back",
    capture_too_much: "<Add v0> captures more values than it has operands",
    drop_result: "uses .* which its op no longer makes",
    lose_edge: "edges into <Add v0>",
    invent_edge: "edges into <Output >",
    add_output: "neither an input nor the output",
    hide_input: "<Input x> is neither an input nor the output",
    empty_constant: "<Constant w> holds no array",
    open_constant: "array of <Constant w> can be written to",
    reshape_constant: "array of <Constant w> has not the shape of its type",
    untype_constant: "array of <Constant w> has not the shape of its type",
    repeat_input: "two inputs are named 'x'",
    unname_input: "an input has no name",
    drop_output_operand: "an operand of the Output op is missing",
    drop_output_name: "not one name for each operand",
    unname_output: "an output has no name",
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda f: f.__name__)
def test_verify_says_what_is_broken(corrupt: Callable[[Graph], None]) -> None:
    graph = chain(2)
    graph.verify()
    corrupt(graph)
    with pytest.raises(InvalidGraphError, match=CORRUPTIONS[corrupt]) as caught:
        graph.verify()
    assert "\n" not in str(caught.value)


# -- the mutators ------------------------------------------------------------------------------


def test_uses_is_a_copy_that_survives_changes() -> None:
    graph = chain(1)
    weight, other = op_of(graph, "Constant").result, graph.inputs[0]
    uses = graph.uses(weight)
    assert [(op.kind, i) for op, i in uses] == [("Add", 1)]
    uses.clear()
    assert len(graph.uses(weight)) == 1
    for op, i in graph.uses(weight):
        graph.set_operand(op, i, other)
    assert graph.uses(weight) == []
    assert [(op.kind, i) for op, i in graph.uses(other)] == [("Add", 0), ("Add", 1)]


def test_one_value_used_twice_by_one_op_is_two_uses_on_one_edge() -> None:
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    y = graph.add_input("y", FLOAT)
    op = graph.add("Add", (x, x), types=(FLOAT,))
    graph.set_outputs([op.result], ["z"])
    assert graph.uses(x) == [(op, 0), (op, 1)]
    assert graph.users(x.op) == [op]
    graph.set_operand(op, 0, y)
    graph.verify()
    assert graph.uses(x) == [(op, 1)]
    graph.set_operand(op, -1, y)
    graph.verify()
    assert graph.uses(x) == []
    assert op.operands == (y, y)


def test_results_of_one_op_are_told_apart() -> None:
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    split = graph.add("Split", (x,), {"axis": 1}, types=(FLOAT, FLOAT), names=("a", "b"))
    user = graph.add("Relu", (split.results[0],), types=(FLOAT,))
    graph.set_outputs([user.result, split.results[1]], ["y", "z"])
    a, b = split.results
    assert [v.index for v in (a, b)] == [0, 1]
    assert graph.uses(a) == [(user, 0)]
    assert graph.uses(b) == [(graph.output, 1)]
    graph.set_operand(user, 0, b)
    graph.verify()
    assert graph.uses(a) == []
    assert graph.users(split) == [graph.output, user] or graph.users(split) == [user, graph.output]
    copy = graph.clone()
    twin = op_of(copy, "Split")
    assert [v.name for v in twin.results] == ["a", "b"]
    assert copy.outputs[1] is twin.results[1]


def test_erase_refuses_while_used_and_names_the_user() -> None:
    graph = chain(1)
    add = op_of(graph, "Add")
    with pytest.raises(InvalidGraphError, match=r"<Add v0> is still used by <Output >"):
        graph.erase(add)
    with pytest.raises(InvalidGraphError, match="Output op cannot be erased"):
        graph.erase(graph.output)
    graph.set_outputs(graph.inputs, ["y"])
    graph.erase(add)
    assert add not in graph
    with pytest.raises(InvalidGraphError, match="does not belong"):
        graph.erase(add)


def foreign_value() -> Value:
    return Graph().add_input("foreign", FLOAT)


@pytest.mark.parametrize(
    "change",
    [
        lambda graph, x: graph.add("Relu", (x, foreign_value())),
        lambda graph, _: graph.set_operand(op_of(graph, "Add"), 0, foreign_value()),
        lambda graph, x: graph.set_operand(foreign_value().op, 0, x),
        lambda graph, x: graph.set_outputs([x, foreign_value()], ["a", "b"]),
        lambda graph, x: graph.replace_uses(x, foreign_value()),
        lambda graph, x: graph.replace_uses(foreign_value(), x),
        lambda graph, _: graph.uses(foreign_value()),
        lambda graph, x: graph.set_outputs([x], ["a", "b"]),
        lambda graph, x: graph.set_outputs([x], ["a"], [FLOAT, FLOAT]),
    ],
)
def test_a_refused_change_leaves_the_graph_as_it_was(
    change: Callable[[Graph, Value], object],
) -> None:
    graph = chain(1)
    before, version = graph.ops(), graph.version
    with pytest.raises(InvalidGraphError):
        change(graph, graph.inputs[0])
    assert graph.version == version
    assert graph.ops() == before
    graph.verify()


def test_weights_are_shared_and_read_only() -> None:
    graph = Graph()
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = graph.add_constant(array, "w")
    assert value.array is not None
    assert np.shares_memory(value.array, array)
    with pytest.raises(ValueError, match="read-only"):
        value.array[0, 0] = 1
    array[0, 0] = 7  # the caller's own array is the caller's own
    assert value.type == TensorType(np.dtype(np.float32), (2, 3))


def test_a_weight_kept_in_float64_has_the_type_it_will_be_stored_in() -> None:
    graph = Graph()
    value = graph.add_constant(np.full(2, 0.1), "w", np.dtype(np.float16))
    assert value.array is not None
    assert value.array.dtype == np.float64
    assert value.dtype == np.float16


def test_networkx_sees_the_graph_but_cannot_change_it() -> None:
    graph = chain(3)
    assert nx.dag_longest_path_length(graph.networkx) == 4
    with pytest.raises(nx.NetworkXError):
        graph.networkx.add_node("z")
    assert len(graph) == 6


# -- order -------------------------------------------------------------------------------------


@given(st.data())
def test_ops_come_in_the_order_of_adding(data: st.DataObject) -> None:
    recipe = data.draw(recipes())
    order = data.draw(orders(recipe))
    graph = recipe.build(order, name=lambda i, j: f"{i}.{j}")
    names = [value.name for op in graph.ops() for value in op.results[:1]]
    assert names == [f"{i}.0" for i in order]


def test_an_op_added_late_comes_before_its_user_and_the_rest_stays_in_order() -> None:
    graph = chain(3)
    adds = [op for op in graph.ops() if op.kind == "Add"]
    late = graph.add("Relu", (adds[0].result,), types=(FLOAT,))
    graph.set_operand(adds[1], 0, late.result)
    kinds = [op for op in graph.ops() if op.kind not in ("Input", "Constant", "Output")]
    assert kinds == [adds[0], late, adds[1], adds[2]]


def test_ops_is_a_snapshot() -> None:
    graph = chain(2)
    seen = []
    for op in graph.ops():
        graph.add("Relu", (graph.inputs[0],), types=(FLOAT,))
        seen.append(op.kind)
    assert seen == ["Input", "Constant", "Add", "Add", "Output"]
    assert len(graph.ops()) == 10
    assert graph.ops() is graph.ops()


def test_order_of_a_cyclic_graph_is_refused() -> None:
    graph = chain(2)
    make_cycle(graph)
    with pytest.raises(InvalidGraphError, match="cycle through"):
        graph.ops()


# -- weights -----------------------------------------------------------------------------------


def test_a_bare_number_is_a_weight_without_axes() -> None:
    graph = Graph()
    value = graph.add_constant(np.ones((), np.float32) * np.float32(3))
    assert value.shape == ()
    assert value.array is not None
    assert value.array == 3


# -- sizes -------------------------------------------------------------------------------------


def test_new_dims_are_fresh_and_worth_a_size() -> None:
    graph = Graph(sizes={"?0": 1})
    first, second = graph.new_dim(7), graph.new_dim(8)
    assert len({"?0", first, second}) == 3
    value = graph.add_input("x", TensorType(FLOAT.dtype, (first, second, 2)))
    assert graph.concrete_shape(value) == (7, 8, 2)
    assert graph.new_dim(None) is None
    other = graph.clone().new_dim(9)
    assert graph.new_dim(10) != other


def test_a_dim_without_a_size_has_no_concrete_shape() -> None:
    graph = Graph()
    for shape in ((1, None), ("N", 1), None):
        assert (
            graph.concrete_shape(graph.add_input(str(shape), TensorType(FLOAT.dtype, shape)))
            is None
        )
