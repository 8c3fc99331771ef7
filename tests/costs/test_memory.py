"""Peak activation memory: by hand, and as a process measures it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from convc.costs.memory import peak_activation_bytes
from convc.graph import Graph
from tests.bench.memory import measure
from tests.costs.nets import Net, checked, of
from tests.tiny import FLOAT, IMAGE, graph_of, model, node

SIZE = 4 * 12 * 10 * 4
"""Bytes of ``x`` in `tests.tiny.model`."""


def test_inputs_are_held_by_the_caller() -> None:
    chain = [node("Neg", "x", "a"), node("Abs", "a", "b"), node("Exp", "b", "y")]
    assert peak_activation_bytes(graph_of(model(chain))) == 3 * SIZE
    branch = [node("Neg", "x", "a"), node("Abs", "x", "b"), node("Add", "a b", "y")]
    assert peak_activation_bytes(graph_of(model(branch))) == 4 * SIZE
    twice = [node("Add", "x x", "y")]
    assert peak_activation_bytes(graph_of(model(twice))) == 2 * SIZE
    unused = model([node("Neg", "x", "y")], inputs={"x": (FLOAT, IMAGE), "z": (FLOAT, IMAGE)})
    assert peak_activation_bytes(graph_of(unused)) == 3 * SIZE


def test_weights_do_not_count_nor_do_inputs_that_have_a_default() -> None:
    graph = Graph()
    x = graph.add_input("x", of(5))
    w = graph.add_input("w", of(1000), default=np.zeros(1000, np.int8))
    c = graph.add_constant(np.zeros(1000, np.int8))
    y = graph.add("Gemm", (x, w, c), types=(of(7),)).result
    graph.set_outputs([y], ["y"])
    assert checked(graph).file_peak == 12


def test_outputs_live_to_the_end() -> None:
    net = Net()
    x = net.input(1)
    a = net.one("Neg", [x], 10)
    b = net.one("Abs", [a], 20)
    c = net.one("Exp", [b], 30)
    graph = net.done(c, a)
    # x, a and b, c: a stays though nobody reads it any more.
    assert checked(graph).file_peak == 1 + 10 + 20 + 30


def test_all_outputs_are_a_lower_bound() -> None:
    net = Net()
    x = net.input(1)
    graph = net.done(*(net.one("Neg", [x], 10) for _ in range(5)))
    found = checked(graph)
    assert (found.file_peak, found.lower_bound) == (51, 51)


def test_activations_write_over_their_operand() -> None:
    net = Net()
    a = net.one("Neg", [net.input(1)], 10)
    b = net.one("Relu", [a], 10)
    c = net.one("Sigmoid", [b], 10)
    graph = net.done(net.one("ReduceMax", [c], 2))
    assert checked(graph).file_peak == 1 + 10 + 2


def test_in_place_needs_the_last_reader() -> None:
    net = Net()
    a = net.one("Conv", [net.input(1)], 10)
    s = net.one("Sigmoid", [a], 10)
    m = net.one("Mul", [a, s], 10)
    graph = net.done(net.one("ReduceMax", [m], 2))
    # Sigmoid may not, a is read again; Mul never does: three at once.
    found = checked(graph)
    assert found.file_peak == 1 + 30
    assert found.timeline == (1, 11, 21, 31, 13, 3)
    assert found.at.kind == "Mul"
    assert {value.op.kind for value, _ in found.alive} == {"Input", "Conv", "Sigmoid", "Mul"}


@pytest.mark.parametrize("size", [5, 20])
def test_in_place_needs_the_same_bytes(size: int) -> None:
    net = Net()
    a = net.one("Neg", [net.input(1)], 10)
    graph = net.done(net.one("ReduceMax", [net.one("Cast", [a], size)], 2))
    assert checked(graph).file_peak == 1 + 10 + size


def test_nobody_writes_over_inputs_and_outputs() -> None:
    net = Net()
    x = net.input(10)
    a = net.one("Relu", [x], 10)
    b = net.one("Relu", [a], 10)
    graph = net.done(b, a)
    assert checked(graph).file_peak == 30
    net = Net()
    a = net.one("Neg", [net.input(1)], 10)
    graph = net.done(net.one("Relu", [a], 10))
    assert checked(graph).file_peak == 21


@pytest.mark.parametrize("kind", ["Relu", "Reshape"])
@pytest.mark.parametrize(("domain", "peak"), [("", 11), ("mine", 21)])
def test_kinds_of_other_domains_are_not_known(kind: str, domain: str, peak: int) -> None:
    graph = Graph()
    a = graph.add("Neg", (graph.add_input("x", of(1)),), types=(of(10),)).result
    b = graph.add(kind, (a,), types=(of(10),), domain=domain).result
    graph.set_outputs([graph.add("ReduceMax", (b,), types=(of(0),)).result], ["y"])
    assert checked(graph).file_peak == peak


def test_views_are_their_operand() -> None:
    net = Net()
    a = net.one("Neg", [net.input(1)], 10)
    view = net.one("Flatten", [net.one("Reshape", [a], 10)], 10)
    b = net.one("Neg", [view], 7)
    c = net.one("Neg", [a], 5)
    graph = net.done(net.one("Concat", [b, c], 12))
    # a lives as long as its view or itself is read: with b and c, then b, c and the result.
    assert checked(graph).file_peak == max(1 + 10 + 7 + 5, 1 + 7 + 5 + 12)


def test_a_view_is_written_over_when_nobody_reads_what_it_shows() -> None:
    net = Net()
    a = net.one("Neg", [net.input(1)], 10)
    view = net.one("Reshape", [a], 10)
    graph = net.done(net.one("ReduceMax", [net.one("Relu", [view], 10)], 2))
    assert checked(graph).file_peak == 13
    net = Net()
    a = net.one("Neg", [net.input(1)], 10)
    view = net.one("Reshape", [a], 10)
    b = net.one("Relu", [view], 10)
    graph = net.done(net.one("Sum", [a, b], 10))
    assert checked(graph).file_peak == 31


def test_views_of_inputs_cost_nothing_views_that_are_outputs_are_copies() -> None:
    net = Net()
    view = net.one("Reshape", [net.input(10)], 10)
    graph = net.done(net.one("ReduceMax", [view], 2))
    assert checked(graph).file_peak == 12
    net = Net()
    a = net.one("Neg", [net.input(1)], 10)
    graph = net.done(net.one("Reshape", [a], 10))
    assert checked(graph).file_peak == 21


def test_a_dropout_is_no_view() -> None:
    net = Net()
    a = net.one("Neg", [net.input(1)], 10)
    graph = net.done(net.one("ReduceMax", [net.one("Dropout", [a], 10)], 2))
    assert checked(graph).file_peak == 21


def test_results_that_nobody_reads_live_while_their_op_runs() -> None:
    net = Net()
    x = net.input(10)
    left, _ = net.op("Split", [x], 6, 4)
    graph = net.done(net.one("Neg", [left], 6))
    found = checked(graph)
    assert found.file_peak == max(10 + 6 + 4, 10 + 6 + 6)
    assert found.timeline[1:3] == (20, 22)


@pytest.mark.parametrize(("names", "peak"), [(("a", "b"), 20), (("a", ""), 17)])
def test_omitted_results_are_not_made(names: tuple[str, ...], peak: int) -> None:
    graph = Graph()
    x = graph.add_input("x", of(10))
    lstm = graph.add("LSTM", (x,), types=(of(6), of(4)), names=names)
    graph.set_outputs([graph.add("Neg", lstm.results[:1], types=(of(1),)).result], ["y"])
    found = checked(graph)
    assert (found.file_peak, found.unknown) == (peak, 0)


def test_split_frees_each_result_on_its_own() -> None:
    net = Net()
    parts = net.op("Split", [net.one("Neg", [net.input(1)], 30)], 10, 10, 10)
    ends = [net.one("ReduceMax", [part], 1) for part in parts]
    graph = net.done(net.one("Concat", ends, 3))
    found = checked(graph)
    assert found.file_peak == 1 + 30 + 30
    # Input, Neg, Split, then one part less and one maximum more each time.
    assert found.timeline == (1, 31, 61, 32, 23, 14, 7, 4)


def test_zero_size_and_scalars() -> None:
    data = model([node("Neg", "x", "a"), node("Relu", "a", "b"), node("Exp", "b", "y")],
                 inputs={"x": (FLOAT, (0, 4, 12, 10))})  # fmt: skip
    found = checked(graph_of(data))
    assert (found.file_peak, found.lower_bound, found.unknown) == (0, 0, 0)
    scalar = model([node("Neg", "x", "y")], inputs={"x": (FLOAT, ())})
    assert checked(graph_of(scalar)).file_peak == 8


def test_nothing_to_run() -> None:
    net = Net()
    x = net.input(3)
    found = checked(net.done(x))
    assert (found.file_peak, found.lower_bound, found.at) == (3, 3, net.graph.output)
    empty = checked(Graph())
    assert (empty.file_peak, empty.best_peak, empty.alive) == (0, 0, ())


def test_unknown_sizes_count_nothing_and_are_said() -> None:
    net = Net()
    a = net.one("Mystery", [net.input(1)], None)
    b = net.one("Neg", [a], 10)
    found = checked(net.done(b))
    assert (found.file_peak, found.unknown) == (11, 1)
    data = model([node("Neg", "x", "y")], inputs={"x": (FLOAT, ("n", 4, "h", "w"))})
    graph = graph_of(data)
    assert checked(graph).unknown == 0
    graph.sizes.clear()
    assert checked(graph).unknown == 2


def test_sizes_are_beyond_any_machine_integer() -> None:
    net = Net()
    huge = 10**30
    graph = net.done(net.one("Neg", [net.input(1)], huge))
    assert checked(graph).file_peak == huge + 1


WITHIN = 0.2
"""Relative difference that a measurement may have: pages, and what ops need for themselves."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from Linux's /proc")
@pytest.mark.parametrize("name", ["sr_espcn_cvtools", "seg_deeplab_v3_1", "det_yolox_nano"])
def test_a_process_measures_what_is_counted(shared: Path, name: str) -> None:
    found = measure(shared / "models" / f"{name}.onnx")
    for measured in (found["freed"], found["kept"]):
        assert abs(found["counted"] / measured - 1) < WITHIN, found
    # The runtime's order is not the file's, but needs the same here.
    assert found["own_order"]["peak"] == found["counted"]
