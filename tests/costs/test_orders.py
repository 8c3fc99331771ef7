"""The best order: by hand, and against every order there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.costs.memory import activation_memory, peak_activation_bytes
from convc.costs.memory.liveness import liveness
from convc.costs.memory.orders import lower_bound, parts, steps
from convc.costs.memory.search import least_peak
from convc.graph import Graph
from convc.ir import Op, Value
from tests.costs.nets import Net, checked
from tests.graph_strategies import recipes


def test_two_branches_of_different_need() -> None:
    """Run first, the branch that needs much does so while nothing else is there."""
    net = Net()
    x = net.input(1)
    a = net.one("Exp", [net.one("Exp", [x], 10)], 10)
    b = net.one("Exp", [net.one("Exp", [x], 100)], 1)
    graph = net.done(net.one("Concat", [a, b], 11))
    found = checked(graph)
    # File: a (10) waits while 100 + 1 are alive. Better: b (1) waits while 10 + 10 are.
    assert found.file_peak == 1 + 10 + 100 + 1
    assert found.best_peak == 1 + 100 + 1 == found.lower_bound


def test_a_diamond_has_one_peak() -> None:
    net = Net()
    a = net.one("Exp", [net.input(1)], 10)
    b, c = net.one("Exp", [a], 10), net.one("Exp", [a], 10)
    found = checked(net.done(net.one("Sum", [b, c], 10)))
    assert found.file_peak == found.best_peak == 1 + 30


def test_breadth_first_files_are_put_right() -> None:
    """Eight branches, each large and then small, listed level by level."""
    net = Net()
    x = net.input(1)
    large = [net.one("Exp", [x], 100) for _ in range(8)]
    small = [net.one("Exp", [value], 1) for value in large]
    found = checked(net.done(net.one("Concat", small, 8)))
    # File: all large ones with the first small one. Best: one large one, the small ones before it.
    assert found.file_peak == 1 + 800 + 1
    assert found.best_peak == 1 + 7 + 100 + 1


def test_parts_are_ordered_apart() -> None:
    """A hundred such blocks in a row: every one is put right."""
    net = Net()
    value = net.input(1)
    for _ in range(100):
        stem = net.one("Exp", [value], 2)
        large = [net.one("Exp", [stem], 100) for _ in range(4)]
        value = net.one("Concat", [net.one("Exp", [v], 1) for v in large], 2)
    found = checked(net.done(value))
    # The stem is read until the last of the large ones is made: with all of them, or with one.
    assert found.file_peak == 1 + 2 + 400
    assert found.best_peak == 1 + 2 + 3 + 100


def test_a_part_is_ordered_though_another_needs_nearly_as_much() -> None:
    net = Net()
    value = net.input(1)
    for large, small in ((200, 100), (160, 1)):
        stem = net.one("Exp", [value], 1)
        wide = [net.one("Exp", [stem], large) for _ in range(4)]
        value = net.one("Concat", [net.one("Exp", [v], small) for v in wide], 2)
    found = checked(net.done(value))
    # The first block: four large and a small one, or three small ones and a large and a small one.
    # The second in the file's order would need 1 + 1 + 4 · 160.
    assert found.file_peak == 1 + 4 * 200 + 100
    assert found.best_peak == 1 + 3 * 100 + 200 + 100


def test_where_a_graph_is_cut() -> None:
    net = Net()
    a = net.one("Exp", [net.input(1)], 3)
    b = net.one("Exp", [a], 5)
    c, d = net.one("Exp", [b], 7), net.one("Exp", [b], 7)
    e = net.one("Concat", [c, d], 14)
    live = liveness(net.done(net.one("Exp", [e], 2)))
    found = [(part.start, part.stop, part.alive) for part in parts(live)]
    assert found == [(0, 1, 1), (1, 2, 1 + 3), (2, 5, 1 + 5), (5, 6, 1 + 14)]
    assert [part.peak for part in parts(live)] == [4, 9, 1 + 7 + 7 + 14, 17]


def test_a_side_input_is_no_cut() -> None:
    """An op that waits for nothing can run at any time: what comes before it may come after."""
    net = Net()
    a = net.one("Exp", [net.input(1)], 3)
    side = net.one("ConstantOfShape", [], 50)
    b = net.one("Exp", [net.one("Exp", [a], 60)], 3)
    live = liveness(net.done(net.one("Concat", [b, side], 4)))
    assert [(part.start, part.stop) for part in parts(live)] == [(0, 5)]
    found = checked(net.graph)
    assert (found.file_peak, found.best_peak) == (1 + 50 + 60 + 3, 1 + 60 + 3)


def test_the_order_is_the_files_where_none_is_better() -> None:
    net = Net()
    a = net.one("Exp", [net.input(1)], 10)
    graph = net.done(net.one("Exp", [a], 10))
    assert checked(graph).best_order == graph.ops()


def test_a_given_order() -> None:
    net = Net()
    x = net.input(1)
    a, b = net.one("Exp", [x], 10), net.one("Exp", [x], 100)
    c, d = net.one("Exp", [a], 10), net.one("Exp", [b], 1)
    y = net.one("Concat", [c, d], 11)
    graph = net.done(y)
    order = [value.op for value in (b, d, a, c, y)]
    assert peak_activation_bytes(graph, order) == 1 + 100 + 1
    assert peak_activation_bytes(graph, [x.op, *order, graph.output]) == 1 + 100 + 1
    with pytest.raises(ValueError, match="once"):
        peak_activation_bytes(graph, order[1:])
    with pytest.raises(ValueError, match="once"):
        peak_activation_bytes(graph, [*order, y.op])
    with pytest.raises(ValueError, match="before its operands"):
        peak_activation_bytes(graph, order[::-1])


KINDS = ("Exp", "Relu", "Reshape", "Sum", "Concat", "Split")


@st.composite
def nets(draw: st.DrawFn, max_ops: int = 7) -> Graph:
    """Graphs of a few ops with operands, sizes and outputs drawn at random."""
    net = Net()
    values = [net.input(draw(st.integers(0, 9))) for _ in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(1, max_ops))):
        kind = draw(st.sampled_from(KINDS))
        few = 1 if kind in ("Exp", "Relu", "Reshape", "Split") else 3
        operands = draw(st.lists(st.sampled_from(values), min_size=1, max_size=few))
        size = draw(st.integers(0, 9))
        if kind in ("Relu", "Reshape"):
            size = int((operands[0].shape or (0,))[0] or 0)
        values += net.op(kind, operands, *([size] * (2 if kind == "Split" else 1)))
    unread = [v for v in values if not net.graph.uses(v)]
    extra = draw(st.lists(st.sampled_from(values), max_size=2))
    kept = [v for v in unread if draw(st.booleans())] + extra or values[-1:]
    return net.done(*dict.fromkeys(kept))


def all_orders(graph: Graph) -> Iterator[list[Op]]:
    """Every topological order of the ops that run."""
    ops = [op for op in graph.ops() if not op.is_boundary]

    def continued(done: list[Op]) -> Iterator[list[Op]]:
        if len(done) == len(ops):
            yield list(done)
        for op in ops:
            operands = [v.op for v in op.operands if v is not None and not v.op.is_boundary]
            if op not in done and all(other in done for other in operands):
                yield from continued([*done, op])

    return continued([])


def slow_peak(graph: Graph, order: Sequence[Op]) -> int:
    """The peak by the definition, with nothing clever: buffers as sets of the values they hold."""
    outputs = set(graph.outputs)
    owner: dict[Value, Value] = {}

    def sized(value: Value) -> int:
        return int((value.shape or (0,))[0] or 0)

    def needed(buffer: Value, later: Sequence[Op]) -> bool:
        held = [value for value, own in owner.items() if own is buffer]
        return any(v in outputs for v in held) or any(
            v in op.operands for v in held for op in later
        )

    fed = sum(map(sized, graph.inputs))
    alive: set[Value] = set()
    peak = fed
    for i, op in enumerate(order):
        later = order[i + 1 :]
        fresh = []
        first = op.operands[0]
        assert first is not None
        for value in op.results:
            if op.kind == "Reshape" and value not in outputs:
                owner[value] = owner.get(first, first)
            else:
                owner[value] = value
                fresh.append(value)
        old = owner.get(first)
        in_place = (
            op.kind == "Relu"
            and op.result not in outputs
            and old is not None
            and old in alive
            and not needed(old, later)
        )
        if in_place and old is not None:
            alive.discard(old)
        alive |= set(fresh)
        peak = max(peak, fed + sum(map(sized, alive)))
        alive = {buffer for buffer in alive if needed(buffer, later)}
    return peak


@given(nets())
def test_every_order_there_is(graph: Graph) -> None:
    """Seven ops leave the search nothing to drop: the best order found is the best there is."""
    found = checked(graph)
    peaks = [peak_activation_bytes(graph, order) for order in all_orders(graph)]
    assert found.best_peak == min(peaks)


def searched(graph: Graph, least: int) -> int:
    """The peak of the order that the search finds where ``least`` will do; nothing lies below."""
    live = liveness(graph)
    limits = {"floor": lower_bound(live), "budget": 10**6}
    everything = range(len(live.ops))
    assert least_peak(live, everything, live.held, below=least, **limits)[0] is None
    order, _ = least_peak(live, everything, live.held, below=least + 1, **limits)
    assert order is not None
    return max(steps(live, order).during)


def test_the_search_keeps_outputs() -> None:
    net = Net()
    x = net.input(1)
    a, b = net.one("Exp", [x], 110), net.one("Exp", [x], 100)
    c, d = net.one("Exp", [a], 1), net.one("Exp", [b], 20)
    graph = net.done(a, net.one("Concat", [c, d], 1))
    # Were a freed after c, it would better be made first. In the end all but b are alive.
    assert searched(graph, 133) == 1 + 110 + 1 + 20 + 1


def test_the_search_writes_in_place() -> None:
    net = Net()
    a = net.one("Exp", [net.input(1)], 10)
    b = net.one("Relu", [a], 10)
    assert searched(net.done(net.one("ReduceMax", [b], 1)), 12) == 1 + 10 + 1


@given(nets())
def test_the_search_alone_is_exact(graph: Graph) -> None:
    least = min(peak_activation_bytes(graph, order) for order in all_orders(graph))
    assert searched(graph, least) == least


@given(nets(max_ops=10))
def test_the_peak_is_the_definitions(graph: Graph) -> None:
    ops = [op for op in graph.ops() if not op.is_boundary]
    assert peak_activation_bytes(graph) == slow_peak(graph, ops)
    best = [op for op in activation_memory(graph).best_order if not op.is_boundary]
    assert peak_activation_bytes(graph, best) == slow_peak(graph, best)


@given(recipes().map(lambda recipe: recipe.build()))
def test_any_graph(graph: Graph) -> None:
    checked(graph)


def layers(ops: int) -> Graph:
    """Blocks of four branches, ten ops each."""
    net = Net()
    value = net.input(1)
    for i in range(ops // 10):
        stem = net.one("Exp", [value], 2 + i % 3)
        large = [net.one("Exp", [stem], 100 + i % 7) for _ in range(4)]
        value = net.one("Concat", [net.one("Relu", [v], 1) for v in large], 2)
    return net.done(value)


def comb(ops: int) -> Graph:
    """An encoder and a decoder with a skip connection at every step: nothing cuts it."""
    net = Net()
    value = net.input(1)
    skips = []
    for i in range(ops // 2):
        value = net.one("Exp", [value], 1 + i % 5)
        skips.append(value)
    for skip in reversed(skips):
        value = net.one("Concat", [value, skip], 3)
    return net.done(value)


@pytest.mark.parametrize("build", [layers, comb])
def test_ten_thousand_ops(build: Callable[[int], Graph]) -> None:
    graph = build(10_000)
    graph.ops()
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        activation_memory(graph)
        spent.append(time.perf_counter() - start)
    # A tenth of a second on an idle machine; the limit is what costing a graph leaves it.
    assert min(spent) < 0.7
