from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from convc.errors import InvalidGraphError
from convc.graph import Graph
from convc.ir import Op, TensorType, Value
from tests.graph_strategies import FLOAT, Recipe, recipes


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


# -- copies ------------------------------------------------------------------------------------


def test_a_chain_of_fifty_thousand_ops_is_cloned_without_recursion_sharing_its_weights() -> None:
    graph = chain(50_000)
    graph.verify()
    copy = graph.clone()
    assert len(copy) == len(graph) == 50_003
    mine, twin = op_of(graph, "Constant").array, op_of(copy, "Constant").array
    assert mine is not None
    assert twin is not None
    assert twin.__array_interface__["data"] == mine.__array_interface__["data"]
    assert not set(copy.ops()) & set(graph.ops())


@given(recipes())
def test_a_clone_says_the_same_and_leads_a_life_of_its_own(recipe: Recipe) -> None:
    graph = recipe.build()
    dead = graph.add("Relu", (graph.inputs[0],), types=(FLOAT,), names=("dead",), doc="d")
    dead.metadata = {"k": "v"}
    copy = graph.clone()
    copy.verify()
    # A copy gets its Output last, wherever the dead ops of the original were added.
    mine, twins = ([op for op in g.ops() if op is not g.output] for g in (graph, copy))
    assert [describe(op) for op in twins] == [describe(op) for op in mine]
    assert describe(copy.output) == describe(graph.output)
    assert copy.output_names == graph.output_names
    assert [v.name for v in copy.inputs] == [v.name for v in graph.inputs]
    before = [describe(op) for op in graph.ops()]
    copy.replace_uses(copy.inputs[0], copy.add_constant(np.zeros((2, 4), np.float32)))
    assert [describe(op) for op in graph.ops()] == before


def describe(op: Op) -> tuple[object, ...]:
    operands = [None if v is None else (v.op.name, v.name, v.index) for v in op.operands]
    results = [(v.name, v.type) for v in op.results]
    return (op.kind, operands, results, dict(op.attributes), op.name, op.doc, dict(op.metadata))


def test_a_clone_keeps_default_doc_sizes_and_declared_types() -> None:
    graph = Graph(sizes={"N": 5})
    array = np.ones((2, 4), np.float32)
    x = graph.add_input("x", FLOAT, "about x", array)
    graph.set_outputs([x], ["y"], [TensorType(FLOAT.dtype, (None, 4))])
    copy = graph.clone()
    assert copy.inputs[0].op.doc == "about x"
    assert copy.inputs[0].op.default is not None
    assert np.shares_memory(copy.inputs[0].op.default, array)
    assert copy.output_types == graph.output_types == (TensorType(FLOAT.dtype, (None, 4)),)
    assert copy.sizes == {"N": 5}
    copy.sizes["N"] = 6
    assert graph.sizes == {"N": 5}


def diamond() -> tuple[Graph, dict[str, Value]]:
    """x → a → (b, c) → d; and e from a second input z."""
    graph = Graph()
    x, z = graph.add_input("x", FLOAT), graph.add_input("z", FLOAT)
    w = graph.add_constant(np.ones((2, 4), np.float32), "w")
    known = {"x": x, "z": z, "w": w}
    for name, kind, uses in (
        ("a", "Relu", "x"), ("b", "Neg", "a"), ("c", "Mul", "aw"), ("d", "Add", "bc"),
        ("e", "Sub", "dz"),
    ):  # fmt: skip
        operands = [known[n] for n in uses]
        known[name] = graph.add(kind, operands, types=(FLOAT,), names=(name,)).result
    graph.set_outputs([known["e"]], ["y"])
    return graph, known


def test_extract_takes_what_lies_between() -> None:
    graph, known = diamond()
    part = graph.extract([known["a"]], [known["d"]])
    part.verify()
    assert [op.kind for op in part.ops()] == ["Input", "Neg", "Constant", "Mul", "Add", "Output"]
    assert [v.name for v in part.inputs] == ["a"]
    assert part.output_names == ("d",)
    assert len(graph) == 9


def test_extract_refuses_what_it_is_not_given() -> None:
    graph, known = diamond()
    with pytest.raises(InvalidGraphError, match="z: result 0 of Input> is needed but not an input"):
        graph.extract([known["a"]], [known["e"]])


def test_extract_with_an_output_that_is_an_input_or_a_weight() -> None:
    graph, known = diamond()
    part = graph.extract([known["a"]], [known["a"], known["w"], known["b"]], ["p", "q", "r"])
    part.verify()
    assert part.outputs[0] is part.inputs[0]
    assert part.outputs[1].array is not None
    assert part.output_names == ("p", "q", "r")


def test_extract_cuts_at_one_result_of_an_op_whose_other_result_is_computed() -> None:
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    split = graph.add("Split", (x,), types=(FLOAT, FLOAT), names=("a", "b"))
    both = graph.add("Add", split.results, types=(FLOAT,), names=("s",)).result
    graph.set_outputs([both], ["y"])
    part = graph.extract([x, split.results[0]], [both])
    part.verify()
    add = op_of(part, "Add")
    assert add.operands[0] is part.inputs[1]
    assert add.operands[1] is op_of(part, "Split").results[1]


def test_inline_binds_inputs_casts_pending_weights_and_takes_sizes_over() -> None:
    graph, known = diamond()
    graph.sizes["N"] = 3
    part = Graph(sizes={"N": 9, "M": 4})
    p, q = part.add_input("p", FLOAT), part.add_input("q", FLOAT)
    weight = part.add_constant(np.full((2, 4), 1 / 3), "third", np.dtype(np.float32))
    mul = part.add("Mul", (p, weight), types=(FLOAT,)).result
    part.set_outputs([part.add("Add", (mul, q), types=(FLOAT,)).result, q], ["r", "s"])
    results = graph.inline(part, [known["a"], known["z"]])
    graph.verify()
    assert results[1] is known["z"]
    add = results[0].op
    assert add.operands[1] is known["z"]
    assert add.operands[0] is not None
    stored = add.operands[0].op.operands[1]
    assert stored is not None
    assert stored.array is not None
    assert stored.array.dtype == np.float32
    np.testing.assert_array_equal(stored.array, np.float32(1 / 3))
    assert graph.sizes == {"N": 3, "M": 4}


def test_extract_then_inline_in_place_computes_the_same_structure() -> None:
    graph, known = diamond()
    part = graph.extract([known["a"], known["z"]], [known["e"]])
    (new,) = graph.inline(part, [known["a"], known["z"]])
    graph.replace_uses(known["e"], new)
    erased = graph.erase_dead([known["e"].op])
    graph.verify()
    assert {op.kind for op in erased} == {"Sub", "Add", "Neg", "Mul", "Constant"}
    assert sorted(op.kind for op in graph.ops()) == [
        "Add", "Constant", "Input", "Input", "Mul", "Neg", "Output", "Relu", "Sub",
    ]  # fmt: skip


@given(recipes())
def test_dead_code_is_what_no_output_needs(recipe: Recipe) -> None:
    graph = recipe.build()
    needed, stack = set(), [v.op for v in graph.outputs]
    while stack:
        op = stack.pop()
        needed.add(op)
        stack.extend(v.op for v in op.operands if v is not None)
    graph.erase_dead(graph.ops())
    graph.verify()
    rest = {op for op in graph.ops() if not op.is_boundary}
    assert rest == {op for op in needed if not op.is_boundary}
