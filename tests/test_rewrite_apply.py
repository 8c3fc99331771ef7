"""Proposals: how they are built and applied, what they save, and which of them pay."""

from __future__ import annotations

import numpy as np
import pytest

from convc.choose import by_count
from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Value
from convc.rewrite import (
    Exactness,
    Replacement,
    Rewrite,
    Size,
    apply,
    gain,
    propose,
    replaced_ops,
    rule,
    size_of,
)

F32 = np.dtype(np.float32)
FLOAT = TensorType(F32, (2, 3))


def chain(*kinds: str) -> Graph:
    graph = Graph()
    value = graph.add_input("x", FLOAT)
    for i, kind in enumerate(kinds):
        value = graph.add(kind, (value,), types=(FLOAT,), names=(f"v{i}",), name=f"n{i}").result
    graph.set_outputs([value], ["y"])
    return graph


def source(op: Op) -> Value:
    assert op.operands[0] is not None
    return op.operands[0]


def drop(graph: Graph, op: Op) -> Rewrite:
    """Identity(x) → x."""
    build = Replacement(graph)
    return build.rewrite({op.result: build.take(source(op))}, note="dropped")


def kinds_of(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops() if not op.is_boundary and op.array is None]


# -- building and applying ---------------------------------------------------------------------


def weighted(array: Array | None = None) -> tuple[Graph, Op]:
    """y = Relu(x · w)."""
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (2, 3)))
    w = graph.add_constant(np.ones((3, 4), np.float32) if array is None else array, "w")
    op = graph.add("MatMul", (x, w), types=(TensorType(F32, (2, 4)),), names=("h",), name="product")
    y = graph.add("Relu", (op.result,), types=(TensorType(F32, (2, 4)),), names=("r",))
    graph.set_outputs([y.result], ["y"])
    return graph, op


def scaled(graph: Graph, op: Op, factor: float) -> Rewrite:
    build = Replacement(graph)
    w = op.operands[1]
    assert w is not None
    assert w.array is not None
    value = build.op("MatMul", [build.take(source(op)), build.weight(w.array * factor, w)])
    return build.rewrite({op.result: value}, Exactness.ROUNDING, note="scaled", bound=0.5)


def test_a_rewrite_says_what_it_replaces_by_what() -> None:
    graph, op = weighted()
    rewrite = scaled(graph, op, 1 / 3)
    assert rewrite.outputs == (op.result,)
    assert rewrite.inputs == (source(op),)
    assert rewrite.cut == rewrite.inputs
    assert rewrite.exactness is Exactness.ROUNDING
    assert rewrite.bound == 0.5
    rewrite.after.verify()
    (weight,) = (op for op in rewrite.after.ops() if op.array is not None)
    assert weight.array is not None
    assert weight.array.dtype == np.float64
    assert weight.result.dtype == F32
    assert weight.result.name == "w"


def test_the_frontier_of_the_proof_may_lie_elsewhere() -> None:
    graph = chain("Relu", "Identity")
    relu, identity = (op for op in graph.ops() if not op.is_boundary)
    build = Replacement(graph)
    results = {identity.result: build.take(relu.result)}
    rewrite = build.rewrite(results, frontier=list(graph.inputs))
    assert rewrite.inputs == (relu.result,)
    assert rewrite.cut == graph.inputs
    # Nothing of a frontier is left out: it is cut at the graph's inputs where it is not cut before.
    assert build.rewrite(results, frontier=()).cut == graph.inputs


def test_a_value_is_taken_once_and_a_weight_comes_along() -> None:
    graph, op = weighted()
    build = Replacement(graph)
    x, w = op.operands
    assert x is not None
    assert w is not None
    assert build.take(x) is build.take(x)
    mine = build.take(w)
    assert mine is build.take(w)
    assert mine.array is not None
    assert w.array is not None
    assert np.shares_memory(mine.array, w.array)
    assert build.graph.inputs == (build.take(x),)


def test_applying_casts_weights_once_hands_names_on_and_clears_away() -> None:
    graph, op = weighted()
    x = source(op)
    near = apply(graph, scaled(graph, op, 1 / 3))
    graph.verify()
    assert op not in graph
    assert kinds_of(graph) == ["MatMul", "Relu"]
    new = next(op for op in graph.ops() if op.kind == "MatMul")
    assert new.result.name == "h"
    assert new.result.type == TensorType(F32, (2, 4))
    weights = [op for op in graph.ops() if op.array is not None]
    assert len(weights) == 1
    array = weights[0].array
    assert array is not None
    assert array.dtype == F32
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, np.full((3, 4), 1 / 3, F32))
    assert {new, x.op, weights[0]} < set(near)
    assert all(op in graph for op in near)


def test_a_value_that_stays_keeps_its_name() -> None:
    graph = chain("Relu", "Identity")
    (identity,) = (op for op in graph.ops() if op.kind == "Identity")
    apply(graph, drop(graph, identity))
    assert graph.outputs[0].name == "v0"
    assert graph.output_names == ("y",)


def test_a_replacement_without_a_type_takes_over_the_old_one() -> None:
    graph = chain("Relu")
    (relu,) = (op for op in graph.ops() if op.kind == "Relu")
    build = Replacement(graph)
    new = build.op("Unheard", [build.take(source(relu))])
    assert new.type is None
    apply(graph, build.rewrite({relu.result: new}))
    assert graph.outputs[0].type == FLOAT


def test_several_results_are_replaced_at_once() -> None:
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    split = graph.add("Split", (x,), types=(FLOAT, FLOAT), names=("a", "b"))
    graph.set_outputs(split.results[::-1], ["p", "q"])
    build = Replacement(graph)
    a, b = build.op("Neg", [build.take(x)]), build.op("Abs", [build.take(x)])
    apply(graph, build.rewrite({split.results[0]: a, split.results[1]: b}))
    graph.verify()
    assert [v.op.kind for v in graph.outputs] == ["Abs", "Neg"]
    assert [v.name for v in graph.outputs] == ["b", "a"]
    assert split not in graph


def test_an_op_with_another_used_result_stays() -> None:
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    split = graph.add("Split", (x,), types=(FLOAT, FLOAT), names=("a", "b"))
    graph.set_outputs(split.results, ["p", "q"])
    build = Replacement(graph)
    rewrite = build.rewrite({split.results[0]: build.op("Neg", [build.take(x)])})
    assert replaced_ops(graph, rewrite) == set()
    apply(graph, rewrite)
    graph.verify()
    assert split in graph
    assert [v.op.kind for v in graph.outputs] == ["Neg", "Split"]


# -- what a rewrite saves ----------------------------------------------------------------------


def two_products(shared: bool, observed: bool) -> tuple[Graph, Op, Op]:
    """x·w·v, the weight w used twice or not, the value between an output or not."""
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, ("N", 4)))
    graph.sizes["N"] = 2
    w = graph.add_constant(np.eye(4, dtype=np.float32), "w")
    v = w if shared else graph.add_constant(np.eye(4, dtype=np.float32), "v")
    type_ = TensorType(F32, ("N", 4))
    first = graph.add("MatMul", (x, w), types=(type_,), names=("h",))
    second = graph.add("MatMul", (first.result, v), types=(type_,), names=("r",))
    outputs = [second.result, first.result] if observed else [second.result]
    graph.set_outputs(outputs, ["y", "z"][: len(outputs)])
    return graph, first, second


def fused(graph: Graph, first: Op, second: Op) -> Rewrite:
    w, v = first.operands[1], second.operands[1]
    assert w is not None
    assert v is not None
    assert w.array is not None
    assert v.array is not None
    build = Replacement(graph)
    weight = build.weight(w.array.astype(float) @ v.array, w)
    return build.rewrite({second.result: build.op("MatMul", [build.take(source(first)), weight])})


@pytest.mark.parametrize(
    ("shared", "observed", "saved"),
    [
        (False, False, Size(32, 16, 1)),
        (True, False, Size(32, 0, 1)),
        (False, True, Size(0, 0, 0)),
        (True, True, Size(0, -16, 0)),
    ],
)
def test_gain_counts_what_really_goes(shared: bool, observed: bool, saved: Size) -> None:
    graph, first, second = two_products(shared, observed)
    rewrite = fused(graph, first, second)
    before = size_of(graph, graph.ops())
    assert gain(graph, rewrite) == saved
    gone = replaced_ops(graph, rewrite)
    apply(graph, rewrite)
    assert before - size_of(graph, graph.ops()) == saved
    assert all(op not in graph for op in gone)


def test_replaced_ops_are_those_that_applying_erases_whatever_their_order() -> None:
    # a feeds b and c, both feed d: a is dead only when both b and c are.
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    a = graph.add("Relu", (x,), types=(FLOAT,)).result
    b, c = (graph.add(kind, (a,), types=(FLOAT,)).result for kind in ("Neg", "Abs"))
    d = graph.add("Add", (b, c), types=(FLOAT,)).result
    other = graph.add("Exp", (x,), types=(FLOAT,)).result
    graph.set_outputs([d, other], ["y", "z"])
    build = Replacement(graph)
    rewrite = build.rewrite({d: build.op("Tanh", [build.take(x)])})
    gone = replaced_ops(graph, rewrite)
    assert gone == {a.op, b.op, c.op, d.op}
    before = set(graph.ops())
    apply(graph, rewrite)
    assert before - set(graph.ops()) == gone


def test_an_input_of_the_replacement_stays_though_nobody_else_uses_it() -> None:
    graph = chain("Exp", "Relu", "Identity")
    exp, relu, identity = (op for op in graph.ops() if not op.is_boundary)
    build = Replacement(graph)
    rewrite = build.rewrite({identity.result: build.op("Tanh", [build.take(exp.result)])})
    assert replaced_ops(graph, rewrite) == {relu, identity}


def test_sizes_count_macs_weights_and_ops() -> None:
    graph, first, second = two_products(shared=False, observed=False)
    assert size_of(graph, graph.ops()) == Size(2 * 2 * 4 * 4, 32, 2)
    assert size_of(graph, [first, second]) == Size(64, 0, 2)
    assert size_of(graph, []) == Size(0, 0, 0)
    del graph.sizes["N"]
    assert size_of(graph, graph.ops()) == Size(None, 32, 2)


def test_a_difference_with_something_unknown_is_unknown() -> None:
    assert Size(5, 3, 2) - Size(1, 1, 1) == Size(4, 2, 1)
    assert Size(None, 3, 2) - Size(1, 1, 1) == Size(None, 2, 1)
    assert Size(5, 3, 2) - Size(None, 1, 1) == Size(None, 2, 1)


# -- the choice by counting --------------------------------------------------------------------


def offer(graph: Graph, columns: int, rows: int, extra: int = 0) -> Rewrite:
    """x·w (2×3 by 3×4) replaced by a product of other sizes and ``extra`` ops that take no time."""
    (op,) = (op for op in graph.ops() if op.kind == "MatMul")
    build = Replacement(graph)
    data = build.graph.add_input("x", TensorType(F32, (rows, 3)))
    weight = build.constant(np.ones((3, columns), np.float32))
    value = build.op("MatMul", [data, weight])
    for _ in range(extra):
        value = build.op("Identity", [value])
    build._taken[source(op)] = data
    return build.rewrite({op.result: value}, note=f"{columns} {rows} {extra}")


@pytest.mark.parametrize(
    ("columns", "rows", "extra", "pays"),
    [
        (4, 2, 0, False),  # the same cost
        (4, 1, 0, True),  # fewer MACs
        (3, 2, 0, True),  # fewer MACs and weights
        (4, 1, 3, True),  # fewer MACs, more ops
        (5, 1, 0, False),  # fewer MACs, more weights
        (3, 4, 0, False),  # fewer weights, more MACs
        (4, 2, 1, False),  # more ops only
    ],
)
def test_a_proposal_pays_when_something_shrinks_and_nothing_grows(
    columns: int, rows: int, extra: int, pays: bool
) -> None:
    graph, _ = weighted()
    proposal = offer(graph, columns, rows, extra)
    for objective in ("macs", "params"):
        chosen = by_count(objective)(graph, [proposal])  # type: ignore[arg-type]
        assert (chosen is proposal) is pays


def test_fewer_ops_alone_pay() -> None:
    graph = chain("Identity", "Relu")
    (proposal,) = propose(graph, [rule(drop, "Identity")])
    assert gain(graph, proposal) == Size(0, 0, 1)
    assert by_count("macs")(graph, [proposal]) is proposal


def test_a_proposal_of_unknown_cost_does_not_pay() -> None:
    graph, first, second = two_products(shared=False, observed=False)
    proposal = fused(graph, first, second)
    assert by_count("macs")(graph, [proposal]) is proposal
    graph.sizes.clear()
    assert by_count("macs")(graph, [proposal]) is None


def test_the_objective_decides_between_those_that_pay() -> None:
    graph, _ = weighted()
    fewer_macs = offer(graph, 4, 1)  # saves 12 of 24 MACs, no weights
    fewer_weights = offer(graph, 3, 2)  # saves 6 MACs and 3 weights
    worse = offer(graph, 9, 9)
    for proposals in ([fewer_macs, fewer_weights, worse], [worse, fewer_weights, fewer_macs]):
        assert by_count("macs")(graph, proposals) is fewer_macs
        assert by_count("params")(graph, proposals) is fewer_weights


def test_between_equals_fewer_ops_win() -> None:
    graph, _ = weighted()
    long, short = offer(graph, 4, 1, 2), offer(graph, 4, 1, 1)
    assert by_count("macs")(graph, [long, short]) is short
    assert by_count("macs")(graph, [short, long]) is short
