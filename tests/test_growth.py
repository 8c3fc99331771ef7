"""What must not grow with the square of the graph, and what must not be held longer than needed.

``python -m tests.bench.big`` times graphs of 100,000 ops and measures the memory of gigabytes.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from convc.api import optimize
from convc.costs import summarise
from convc.graph import Graph
from convc.ir import CONSTANT, Op, TensorType
from convc.mlir import parse_graph, print_graph
from convc.onnx_io import from_bytes, load, save, to_bytes
from convc.places import MANY
from passes import FoldAffine
from passes import _elementwise as elementwise
from passes.fold_affine import USERS
from tests.bench.many_ops import KINDS
from tests.bench.networks import graph_of
from tests.onnx_helpers import run


def test_a_chain_is_read_no_further_than_it_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rewrite takes 64 links of it: to read it to its end each time would take its square."""
    reads = Counter[int]()
    real = elementwise.read

    def counted(graph: Graph, op: Op) -> elementwise.Elementwise:
        reads[ops] += 1
        return real(graph, op)

    monkeypatch.setattr(elementwise, "read", counted)
    for ops in (300, 1200):
        graph = from_bytes(KINDS["affine_chain"](ops).SerializeToString())
        FoldAffine().run(graph)
        assert summarise(graph).ops == 1
    assert reads[1200] < 5 * reads[300]


def test_a_scale_with_many_users_goes_into_each_or_stays() -> None:
    """Not all users are looked at for each of them; one that needs the scale may be overlooked."""
    model = KINDS["fan_affine"](6 * USERS)
    graph = from_bytes(model.SerializeToString())
    FoldAffine().run(graph)
    assert not any(op.kind in ("Mul", "Add") for op in graph.ops())
    scaled = model.graph.node[2].output[0]
    for place in (3, len(model.graph.node)):
        other = onnx.ModelProto.FromString(model.SerializeToString())
        other.graph.node.insert(place, onnx.helper.make_node("Relu", [scaled], ["z"], "z"))
        other.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, None))
        graph = from_bytes(other.SerializeToString())
        FoldAffine(border="decline").run(graph)
        assert {op.kind for op in graph.ops()} >= {"Mul", "Add"}, "the Relu needs them"
        x = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
        before = run(other.SerializeToString(), {"x": x})
        after = run(to_bytes(graph), {"x": x})
        for one, two in zip(before, after, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


def test_the_sizes_of_a_graph_are_not_copied_for_each_proposal() -> None:
    """Every conv of an open size has dims of its own, so there may be as many as there are ops."""
    graph = Graph(sizes={"H": 8})
    part = Graph.beside(graph)
    graph.sizes["W"] = 9
    assert (part.sizes["H"], part.sizes["W"]) == (8, 9)
    dim = part.new_dim(5)
    assert dim not in graph.sizes
    x = part.add_input("x", TensorType(np.dtype(np.float32), (dim,)))
    part.set_outputs([part.add("Relu", [x], types=[x.type]).result], ["y"])
    y = graph.add_input("y", x.type)
    (result,) = graph.inline(part, [y])
    assert graph.concrete_shape(result) == (5,)
    assert graph.sizes == {"H": 8, "W": 9, dim: 5}


def test_a_part_of_a_part_sees_the_sizes_of_both() -> None:
    graph = Graph(sizes={"H": 8})
    outer = Graph.beside(graph)
    first = outer.new_dim(5)
    inner = Graph.beside(outer)
    second = inner.new_dim(6)
    assert first != second
    assert dict(inner.sizes) == {"H": 8, first: 5, second: 6}


def test_deep_graphs_do_not_overflow_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "deep.onnx"
    path.write_bytes(KINDS["identities"](2 * sys.getrecursionlimit()).SerializeToString())
    graph = load(path)
    again = parse_graph(print_graph(graph))
    assert len(again) == len(graph)
    assert len(graph.clone()) == len(graph)
    assert summarise(graph).ops == summarise(again).ops
    assert summarise(optimize(graph, verify="off").graph).ops == 1


# -- memory --------------------------------------------------------------------------------------


def test_weights_that_were_replaced_are_let_go() -> None:
    """Without waiting for the garbage collector, which counts objects and not bytes."""
    graph = from_bytes(graph_of(20).SerializeToString())
    copy = graph.clone()
    weights = [op for op in copy.ops() if op.array is not None]
    FoldAffine().run(copy)
    erased = [op for op in weights if op not in copy]
    assert erased
    assert all(op.array is None for op in erased)
    assert all(op.array is not None for op in graph.ops() if op.kind == CONSTANT), "those of others"


# -- the places of operands ----------------------------------------------------------------------


def test_places_are_those_of_the_operands() -> None:
    """Through random changes, of ops with few operands and with many."""
    rng = np.random.default_rng(0)
    graph = Graph()
    values = [graph.add_input(f"x{i}", None) for i in range(7)]
    for count in (3, MANY - 1, MANY, 3 * MANY):
        op = graph.add("Concat", [values[i] for i in rng.integers(0, 5, count)])
        for _ in range(100):
            index, pick = int(rng.integers(count)), int(rng.integers(8))
            graph.set_operand(op, index, values[pick] if pick < 7 else None)
            for value in values:
                found = [i for i, operand in enumerate(op.operands) if operand is value]
                assert graph.uses(value) == [(op, i) for i in found]
                assert graph.is_used(value) == bool(found)
                assert graph.is_shared(value) == (len(found) > 1)
                assert graph.only_use(value) == ((op, found[0]) if len(found) == 1 else None)
        graph.verify()
        graph.erase(op)


def test_what_is_erased_is_forgotten() -> None:
    graph = Graph()
    value = graph.add_input("x", None)
    op = graph.add("Concat", [value] * MANY)
    assert len(graph.uses(value)) == MANY
    graph.erase(op)
    assert graph.uses(value) == []
    assert not vars(vars(graph)["_places"])["_known"]


def test_many_results_keep_their_descriptions(tmp_path: Path) -> None:
    model = KINDS["many_outputs"](3 * MANY)
    for entry in model.graph.output:
        entry.doc_string = f"about {entry.name}"
    save(from_bytes(model.SerializeToString()), tmp_path / "m.onnx")
    saved = onnx.load(tmp_path / "m.onnx")
    docs = [(entry.name, entry.doc_string) for entry in saved.graph.output]
    assert docs == [(entry.name, entry.doc_string) for entry in model.graph.output]
