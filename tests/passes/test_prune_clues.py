"""prune-dead-channels looks at a region only where one op of it tells that a channel may go."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

import passes.prune_dead_channels as pruning
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, TensorType, Value
from convc.rewrite import Stats
from passes._regions import links
from passes._regions import region as regions
from passes.prune_dead_channels import PruneDeadChannels, clues
from tests.helpers import check_pass
from tests.strategies import finished, new_graph

F32 = np.dtype(np.float32)
RNG = np.random.default_rng(12)
Between = Callable[[Builder, Value], Value]


def weights(*shape: int) -> Array:
    return (RNG.uniform(0.5, 1.0, shape) * RNG.choice([-1, 1], shape)).astype(F32)


def conv(build: Builder, x: Value, name: str = "", *, dead: tuple[int, ...] = ()) -> Value:
    """A pointwise conv of four filters, some of them zero, with a bias."""
    assert x.shape is not None
    w, b = weights(4, x.shape[1], 1, 1), weights(4)
    w[list(dead)] = 0
    return build.op("Conv", (x, build.constant(w), build.constant(b)), name=name)


def chain(blocks: int, *, dead: bool, named: bool = True) -> Graph:
    """Residual blocks, tied to each other and to the graph's input."""
    build, x = new_graph((1, 4, 4, 4))
    value = x
    for i in range(blocks):
        name = f"block{i}" if named else ""
        y = build.op("Relu", (conv(build, value, dead=(1,) if dead else ()),))
        y = conv(build, y, name, dead=(2,) if dead else ())
        value = build.op("Relu", (build.add(y, value),))
    return finished(build, value)


class Work:
    """What a run of the pass did: regions collected whole, and ops met on the way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, graph: Graph) -> None:
        self.met = self.collected = 0
        collect, read = regions.collect, links.read

        def counted_collect(*args: object) -> object:
            region = collect(*args)
            self.collected += 1
            return region

        def counted_read(*args: object) -> object:
            self.met += 1
            return read(*args)

        with monkeypatch.context() as patch:
            patch.setattr(pruning, "collect", counted_collect)
            patch.setattr(regions, "read", counted_read)
            self.stats: Stats = PruneDeadChannels(1).run(graph)


def test_without_a_clue_nothing_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch, chain(50, dead=False))
    assert (work.met, work.collected, work.stats.applied) == (0, 0, 0)
    assert not work.stats.declined


def test_work_grows_with_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block has a region of its own that shrinks, and a clue to that of them all."""
    small, large = (Work(monkeypatch, chain(n, dead=True)) for n in (20, 40))
    for work, blocks in ((small, 20), (large, 40)):
        assert work.stats.applied == blocks
        assert dict(work.stats.declined) == {"a dead channel stays: it is tied to a graph input": 1}
    # Two sweeps: each block's region in the first one, that of all in both.
    assert (small.collected, large.collected) == (22, 42)
    assert large.met <= 2.2 * small.met


def test_clues_without_names_answer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch, chain(6, dead=True, named=False))
    assert work.stats.applied == 6
    assert dict(work.stats.declined) == {"a dead channel stays: it is tied to a graph input": 1}


def test_looking_copies_no_weights() -> None:
    build, x = new_graph((1, 512, 4, 4))
    w = RNG.standard_normal((2048, 512, 3, 3)).astype(F32)
    w[7] = 0
    y = build.op("Conv", (x, build.constant(w)), {"pads": (1,) * 4})
    flat = build.op("Flatten", (build.op("GlobalMaxPool", (y,)),))
    matrix = RNG.standard_normal((4096, 2048)).astype(F32)
    graph = finished(build, build.op("Gemm", (flat, build.constant(matrix)), {"transB": 1}), y)
    tracemalloc.start()
    stats = PruneDeadChannels(1).run(graph)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert dict(stats.declined) == {"a dead channel stays: it is a graph output": 1}
    # A tenth of the smaller of the two, which has 34 MB.
    assert peak < matrix.nbytes / 10


# -- what is a clue ---------------------------------------------------------------------------


def split(build: Builder, x: Value, used: tuple[int, ...]) -> Value:
    types = [TensorType(F32, (1, 2, 4, 4))] * 2
    names = [f"a{len(build.graph)}", f"b{len(build.graph)}"]
    operands = (x, build.ints([2, 2]))
    parts = build.graph.add("Split", operands, {"axis": 1}, types=types, names=names).results
    return build.concat([build.op("Relu", (parts[i],)) for i in used], 1)


def gather(*chosen: int) -> Between:
    def make(build: Builder, x: Value) -> Value:
        type_ = TensorType(F32, (1, len(chosen), 4, 4))
        return build.op("Gather", (x, build.ints(chosen)), {"axis": 1}, type_=type_)

    return make


def slices(*bounds: tuple[int, int]) -> Between:
    def make(build: Builder, x: Value) -> Value:
        return build.concat([build.slice(x, [1], [a], [b]) for a, b in bounds], 1)

    return make


def beside_a_slice(build: Builder, x: Value) -> Value:
    return build.concat([build.slice(x, [1], [0], [2]), build.op("Sigmoid", (x,))], 1)


def scaled(*scale: float) -> Between:
    def make(build: Builder, x: Value) -> Value:
        return build.op("Mul", (x, build.constant(np.array(scale, F32).reshape(-1, 1, 1))))

    return make


def norm(*scale: float) -> Between:
    def make(build: Builder, x: Value) -> Value:
        others = [build.constant(np.abs(weights(4))) for _ in range(3)]
        return build.op("BatchNormalization", (x, build.constant(np.array(scale, F32)), *others))

    return make


def nested_twice(build: Builder, x: Value) -> Value:
    inner = build.concat((x, build.op("Sigmoid", (x,))), 1)
    return build.concat((inner, build.op("Tanh", (x,)), x), 1)


CLUES: dict[str, Between] = {
    "Gather of some": gather(2, 0),
    "Gather with repeats": gather(0, 1, 2, 3, 3),
    "Slice": slices((1, 3)),
    "Slices that leave one": slices((0, 2), (3, 4)),
    "Split of which a part is unused": lambda build, x: split(build, x, (0,)),
    "Mul by zero": scaled(1, 0, 2, 3),
    "BatchNormalization by zero": norm(1, 2, 0, 3),
    "the same value twice": lambda build, x: build.concat((x, x), 1),
    "the same value in a Concat of a Concat": nested_twice,
    "beside a constant": lambda build, x: build.op(
        "Mul",
        (
            build.concat((x, build.constant(np.zeros((1, 1, 4, 4), F32))), 1),
            build.op("Sigmoid", (build.concat((x, build.slice(x, [1], [0], [1])), 1),)),
        ),
    ),
}
NO_CLUES: dict[str, Between] = {
    "Gather that shuffles": gather(2, 0, 3, 1),
    "Slices that cover all": slices((0, 3), (1, 4)),
    "Slice beside another user": beside_a_slice,
    "Split": lambda build, x: split(build, x, (0, 1)),
    "Mul": scaled(1, 0.5, 2, 3),
    "BatchNormalization": norm(1, 2, 0.5, 3),
    "Concat of two": lambda build, x: build.concat((x, build.op("Sigmoid", (x,))), 1),
}


def between(make: Between) -> Graph:
    build, x = new_graph((1, 3, 4, 4))
    y = make(build, build.op("Relu", (conv(build, x, "first"),)))
    return finished(build, conv(build, y, "last"))


@pytest.mark.parametrize("name", list(CLUES))
def test_clues(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = between(CLUES[name])
    assert Work(monkeypatch, graph.clone()).collected > 0
    check_pass(PruneDeadChannels(1), graph, RNG)


@pytest.mark.parametrize("name", list(NO_CLUES))
def test_no_clues(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch, between(NO_CLUES[name]))
    assert (work.met, work.stats.applied) == (0, 0)


def test_every_user_that_picks_is_asked_once() -> None:
    """Of several Slices of one value the first tells of them all."""
    graph = between(slices((0, 1), (1, 2), (2, 3)))
    told = [
        clues.leaves_unread(graph, link)
        for op in graph.ops()
        if op.kind == "Slice" and (link := links.read(graph, op)) is not None
    ]
    assert Counter(told) == {True: 1, False: 2}


def test_a_clue_that_comes_late_is_not_missed() -> None:
    """A negligible filter is zeroed after its dead neighbour in the sum was asked in vain."""
    build, x = new_graph((1, 3, 4, 4))
    one, other = conv(build, x, "a", dead=(1,)), conv(build, x, "b")
    operand = other.op.operand(1)
    assert operand is not None
    array = operand.array.copy()
    array[1] *= np.float32(1e-30)
    build.graph.set_operand(other.op, 1, build.constant(array))
    graph = finished(build, conv(build, build.op("Relu", (build.add(one, other),))))
    stats, _ = check_pass(PruneDeadChannels(1), graph, RNG)
    assert stats.notes["1 constant dropped"] == 1
