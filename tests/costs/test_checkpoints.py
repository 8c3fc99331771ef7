"""Checkpoints: where they may be, what is kept and what is computed again."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from convc.costs.training.checkpoints import Plan, cut_points, plans
from convc.costs.training.flow import backward
from convc.costs.training.tape import play, record
from convc.graph import Graph
from tests.tiny import FLOAT, graph_of, kernel, model, node

X = 4 * 12 * 10 * 4  # bytes of the image


def sigmoids(count: int) -> Graph:
    """A conv and pairs of Exp and Neg: every second value is kept."""
    nodes = [node("Conv", "x w", "h0")]
    for i in range(count):
        nodes += [node("Exp", f"h{i}", f"e{i}"), node("Neg", f"e{i}", f"h{i + 1}")]
    return graph_of(model(nodes, {"w": kernel(0, 4, 4, 1, 1)}, outputs={f"h{count}": FLOAT}))


def test_cut_points_of_a_chain_are_everywhere() -> None:
    graph = sigmoids(3)
    tape = record(graph, backward(graph))
    names = [tape.ops[op].results[0].name for op, _ in cut_points(tape)]
    # Not behind the last op: its result is an output and is there in any case.
    assert names == ["h0", "e0", "h1", "e1", "h2", "e2"]


def test_there_is_no_cut_inside_a_branch() -> None:
    nodes = [
        node("Conv", "x w", "h"),
        node("Exp", "h", "a"),
        node("Neg", "h", "b"),
        node("Add", "a b", "s"),
        node("Exp", "s", "y"),
    ]
    graph = graph_of(model(nodes, {"w": kernel(0, 4, 4, 1, 1)}))
    tape = record(graph, backward(graph))
    assert [tape.ops[op].results[0].name for op, _ in cut_points(tape)] == ["h", "s"]


def test_checkpoints_of_a_chain_by_hand() -> None:
    """16 values are kept, besides x; with blocks of four pairs 4 and two borders are."""
    graph = sigmoids(16)
    found = backward(graph)
    tape = record(graph, found)
    none = play(tape)
    assert none.kept == 17 * X
    # Backward through the last pair: x, all e, the gradients of h16 and e15.
    assert none.peak == 19 * X
    wanted = {"h4", "h8", "h12"}
    cuts = [c for c in cut_points(tape) if tape.ops[c[0]].results[0].name in wanted]
    played = play(tape, cuts)
    # x, h4, h8 and e12 to e15 of the last block, which does not need h12 any more.
    assert played.kept == 7 * X
    # Backward through its last pair, as above: these and two gradients.
    assert played.peak == 9 * X
    # In each block but the last all from its border to its last e: 4 Exp, 3 Neg; in the first
    # the Conv, too.
    assert len(played.again) == 3 * 7 + 1
    assert [tape.ops[op].kind for op in played.again].count("Conv") == 1


def test_plans() -> None:
    graph = sigmoids(16)
    tape = record(graph, backward(graph))
    conv = next(op for op in graph.ops() if op.kind == "Conv")
    none, every, best = plans(tape, {conv: 1920})
    assert none == Plan("none", 1, 17 * X, 19 * X, 0, 0)
    # With a border at every value there is nothing left to compute again, and nothing is saved.
    assert every == Plan("every block", 33, 17 * X, 19 * X, 0, 0)
    assert best.peak_bytes <= 10 * X
    assert best.name == "best found"
    assert best.recomputed_macs == 1920


def test_statistics_and_indices_are_made_again() -> None:
    nodes = [
        node("Conv", "x w", "a"),
        node("MaxPool", "a", "b", kernel_shape=[2, 2], strides=[2, 2]),
        node("Exp", "b", "c"),
        node("Neg", "c", "d"),
        node("Exp", "d", "y"),
    ]
    graph = graph_of(model(nodes, {"w": kernel(0, 4, 4, 1, 1)}))
    tape = record(graph, backward(graph))
    pooled = 4 * 6 * 5
    assert play(tape).kept == X + 8 * pooled + 4 * 2 * pooled
    cut = next(c for c in cut_points(tape) if tape.ops[c[0]].kind == "Neg")
    played = play(tape, [cut])
    # Of the second block only y is kept; x is what the first one starts from.
    assert played.kept == X + 4 * pooled
    assert [tape.ops[op].kind for op in played.again] == ["Conv", "MaxPool", "Exp"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_checkpoints_keep_what_is_needed(data: st.DataObject) -> None:
    """Whatever is cut, what goes backward reads values that are alive: stored or made again."""
    kinds = data.draw(st.lists(st.sampled_from(["Exp", "Neg", "Conv", "Fork"]), max_size=12))
    nodes, value = [node("Conv", "x w", "s")], "s"
    for i, kind in enumerate(kinds):
        operands = f"{value} w" if kind == "Conv" else value
        if kind == "Fork":
            nodes += [node("Exp", value, f"l{i}"), node("Sigmoid", value, f"r{i}")]
            nodes += [node("Mul", f"l{i} r{i}", f"v{i}")]
        else:
            nodes += [node(kind, operands, f"v{i}")]
        value = f"v{i}"
    graph = graph_of(model(nodes, {"w": kernel(0, 4, 4, 1, 1)}, outputs={value: FLOAT}))
    found = backward(graph)
    tape = record(graph, found)
    every = cut_points(tape)
    cuts = [cut for cut in every if data.draw(st.booleans())]
    played = play(tape, cuts)
    none = play(tape)
    starts = [0, *(op + 1 for op, _ in cuts)]
    last = starts[-1]
    # Nothing of the last block runs again, and each op at most once.
    assert all(op < last for op in played.again)
    assert len(set(played.again)) == len(played.again)
    stored = set(tape.held) | {value for _, value in cuts}
    again = {value for op in played.again for value in tape.makes[op]}
    for op in range(len(tape.ops)):
        for value in tape.keeps[op]:
            made = next(i for i, makes in enumerate(tape.makes) if value in makes)
            assert made >= last or value in stored or value in again
    # What runs again finds its operands stored or made again.
    for op in played.again:
        assert all(value in stored or value in again for value in tape.reads[op])
    if not cuts:
        assert played == none
    assert played.peak >= max(tape.sizes)


def test_no_choice_of_cuts_in_a_short_chain_is_better() -> None:
    nodes = []
    value = "x"
    for i in range(6):
        nodes += [node("Conv", f"{value} w{i}", f"c{i}"), node("Relu", f"c{i}", f"r{i}")]
        value = f"r{i}"
    weights = {f"w{i}": kernel(i, 4, 4, 1, 1) for i in range(6)}
    graph = graph_of(model(nodes, weights, outputs={value: FLOAT}))
    tape = record(graph, backward(graph))
    every = cut_points(tape)
    least = min(play(tape, cuts).peak for n in range(5) for cuts in combinations(every, n))
    assert plans(tape, {})[-1].peak_bytes == least
