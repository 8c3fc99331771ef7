"""block-diagonal: blocks that a permutation of the channels hides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import convc
from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from passes.block_diagonal import BlockDiagonal
from tests.block_strategies import hidden, hidden_kernel
from tests.conftest import ROOT
from tests.helpers import check_pass
from tests.lower_strategies import UNARY
from tests.strategies import finished, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(3)
ABSORBED = "inputs sorted by the conv before", "outputs sorted by the conv behind"


def larger(graph: Graph) -> tuple[dict[str, int], ...]:
    """The open dims at their own sizes and at larger ones."""
    return ({}, {name: size + 3 for name, size in graph.sizes.items()}) if graph.sizes else ({},)


def kinds(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops())


def test_hidden_blocks_become_groups() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=80, **QUIET)
    @given(hidden(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        pass_ = BlockDiagonal(("hidden",), width=1)
        stats, after = check_pass(pass_, graph, rng, larger(graph))
        assert stats.applied == 1
        (note,) = stats.notes
        said = note.split(", ")[1:]
        found.update(said)
        assert kinds(after)["Gather"] == sum(text.startswith("Gather") for text in said)
        # A neighbour that others read too stays as it is, and is not there twice.
        assert all(kinds(after)[kind] == kinds(graph)[kind] for kind in ("Conv", *UNARY))
        old, new = (next(op for op in part.ops() if op.name == "hidden") for part in (graph, after))
        assert new.inputs[1].array.size < old.inputs[1].array.size
        assert new.attributes["group"] > old.attributes["group"]
        assert not pass_.propose(after)

    check()
    for text in (*ABSORBED, "Gather before", "Gather behind"):
        assert found[text] >= 10, found


def test_the_sample_is_four_groups_of_sixteen() -> None:
    graph = convc.load(ROOT / "models" / "block_diagonal_hidden.onnx")
    stats, after = check_pass(BlockDiagonal(), graph, RNG)
    assert stats.notes == {
        "Conv → 4 blocks hidden in its channels, Gather before, Gather behind": 1
    }
    (conv,) = (op for op in after.ops() if op.kind == "Conv")
    assert conv.attributes["group"] == 4
    assert conv.inputs[1].shape == (64, 16, 1, 1)


def conv(build: Builder, x: Value, w: np.ndarray) -> Value:
    weight = build.constant(w.astype(x.dtype), name="weight")
    bias = build.constant(RNG.standard_normal(len(w)).astype(x.dtype), name="bias")
    pads = (w.shape[2] // 2,) * 4
    return build.op("Conv", (x, weight, bias), {"pads": pads})


def chain(*, width: int = 4, dtype: type = np.float32, norm: bool = False) -> Graph:
    """A dense conv, Relu, a conv of four hidden blocks, Clip, a dense conv."""
    build, x = new_graph((1, 3, 8, 9), dtype=dtype)
    x = random_conv(build, x, 4 * width, (3, 3), pads=1)
    x = build.op("Relu", (x,), type_=x.type)
    if norm:
        row = build.constant(RNG.standard_normal((4 * width, 1, 1)).astype(dtype))
        x = build.op("Mul", (x, row), type_=x.type)
    x = conv(build, x, hidden_kernel(RNG, 4, (width, width), (3, 3)))
    limits = [build.constant(np.array(n, dtype)) for n in (-2, 3)]
    x = build.op("Clip", (x, *limits), type_=x.type)
    return finished(build, random_conv(build, x, 5, (1, 1)))


def test_neighbours_take_the_order_into_their_weights() -> None:
    graph = chain()
    stats, after = check_pass(BlockDiagonal(("hidden",), 4), graph, RNG)
    assert stats.notes == {f"Conv → 4 blocks hidden in its channels, {', '.join(ABSORBED)}": 1}
    assert kinds(after) == kinds(graph)
    assert [op.attributes["group"] for op in after.ops() if op.kind == "Conv"] == [1, 4, 1]
    assert after.outputs[0].name == graph.outputs[0].name


def test_what_is_no_elementwise_op_parts_the_neighbours() -> None:
    stats, after = check_pass(BlockDiagonal(("hidden",), 4), chain(norm=True), RNG)
    assert stats.notes == {
        f"Conv → 4 blocks hidden in its channels, Gather before, {ABSORBED[1]}": 1
    }
    assert kinds(after)["Gather"] == 1


def test_two_in_a_row() -> None:
    build, x = new_graph((1, 3, 8, 9))
    x = random_conv(build, x, 16, (1, 1))
    for _ in range(2):
        x = conv(build, x, hidden_kernel(RNG, 4, (4, 4), (3, 3)))
        x = build.op("Relu", (x,), type_=x.type)
    graph = finished(build, random_conv(build, x, 5, (1, 1)))
    stats, after = check_pass(BlockDiagonal(("hidden",), 4), graph, RNG)
    assert stats.applied == 2
    assert [op.attributes["group"] for op in after.ops() if op.kind == "Conv"] == [1, 4, 4, 1]
    # A conv of four groups cannot take the other's order any more.
    assert kinds(after)["Gather"] == 1


def test_blocks_in_place_need_no_gather() -> None:
    build, x = new_graph((1, 8, 5, 5))
    w = np.kron(np.eye(2), np.ones((4, 4)))[..., np.newaxis, np.newaxis]
    graph = finished(build, conv(build, x, w))
    stats, after = check_pass(BlockDiagonal(("hidden",), 4), graph, RNG)
    assert stats.notes == {"Conv → 2 blocks hidden in its channels": 1}
    assert kinds(after) == kinds(graph)


def test_unequal_blocks_are_filled_up() -> None:
    build, x = new_graph((1, 9, 5, 5))
    w = np.zeros((9, 9, 3, 3))
    w[:5, :5], w[5:, 5:] = RNG.standard_normal((5, 5, 3, 3)), RNG.standard_normal((4, 4, 3, 3))
    order = RNG.permutation(9)
    x = conv(build, x, w[order][:, RNG.permutation(9)])
    graph = finished(build, random_conv(build, x, 2, (1, 1)))
    stats, after = check_pass(BlockDiagonal(("hidden",), 1), graph, RNG)
    note = "Conv → 2 blocks hidden in its channels, Gather before, Gather behind"
    assert stats.notes == {note: 1}
    assert next(op for op in after.ops() if op.kind == "Conv").inputs[1].shape == (10, 5, 3, 3)


def test_narrow_hidden_groups_are_filled_to_the_width() -> None:
    """Found at the width, not made narrow first and then wide again."""
    build, x = new_graph((1, 32, 5, 5))
    graph = finished(build, conv(build, x, hidden_kernel(RNG, 8, (4, 4), (3, 3))))
    stats, after = check_pass(BlockDiagonal(), graph, RNG)
    assert stats.applied == 1
    assert next(op for op in after.ops() if op.kind == "Conv").inputs[1].shape == (32, 16, 3, 3)


@pytest.mark.parametrize("group", [2, 3, 5, 8, 12, 16])
@pytest.mark.parametrize("channels", [1, 2, 5, 6, 9])
def test_what_regroup_widens_settles(group: int, channels: int) -> None:
    """One kind adds zeros and the other takes them away: they must not chase each other."""
    count = group * channels
    build, x = new_graph((1, count, 3, 3))
    weight = build.constant(RNG.standard_normal((2 * count, channels, 1, 1)).astype(np.float32))
    graph = finished(build, build.op("Conv", (x, weight), {"group": group}))
    stats, after = check_pass(BlockDiagonal(), graph, RNG)
    assert 1 <= stats.applied <= 2
    assert not BlockDiagonal().propose(after)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_kept(dtype: type) -> None:
    graph = chain(dtype=dtype)
    assert BlockDiagonal(("hidden",), 4).run(graph, Context(prove=prove)).applied == 1
    for op in graph.ops():
        if op.kind == "Conv":
            assert {value.dtype for value in op.inputs} == {np.dtype(dtype)}


def connected() -> Graph:
    build, x = new_graph((1, 64, 4, 4))
    return finished(build, conv(build, x, RNG.standard_normal((64, 64, 3, 3))))


def narrow() -> Graph:
    build, x = new_graph((1, 16, 4, 4))
    return finished(build, conv(build, x, hidden_kernel(RNG, 4, (8, 4), (3, 3))))


def wasteful() -> Graph:
    """Two blocks that would be filled up to as much as there was."""
    build, x = new_graph((1, 48, 4, 4))
    w = np.zeros((48, 48, 3, 3))
    w[:40, :40], w[40:, 40:] = 1, 1
    return finished(build, conv(build, x, w))


def other_weights(dtype: type | None) -> Graph:
    build, x = new_graph((1, 64, 4, 4))
    if dtype is None:
        weight = build.graph.add_input("weight", TensorType(np.dtype(np.float32), (64, 64, 1, 1)))
    else:
        weight = build.constant(np.zeros((64, 64, 1, 1), dtype))
    return finished(build, build.op("Conv", (x, weight), {}))


def other_bias() -> Graph:
    graph = convc.load(ROOT / "models" / "block_diagonal_hidden.onnx")
    (op,) = (op for op in graph.ops() if op.kind == "Conv")
    graph.set_operand(op, 2, graph.add_input("bias", TensorType(np.dtype(np.float32), (64,))))
    return graph


def invalid() -> Graph:
    build, x = new_graph((1, 64, 4, 4))
    weight = build.constant(np.zeros((64, 64), np.float32))
    return finished(build, build.op("Conv", (x, weight), {}))


NONE = "no blocks of 16 channels are hidden"
DECLINES: dict[str, tuple[Callable[[], Graph], str]] = {
    "connected": (connected, NONE),
    "narrow": (narrow, "two blocks of 16 channels do not fit into a group"),
    "wasteful": (wasteful, NONE),
    "weights": (lambda: other_weights(None), "the weights are not constant"),
    "integers": (lambda: other_weights(np.int8), "the weights are not floating point"),
    "zeros": (lambda: other_weights(np.float32), NONE),
    "bias": (other_bias, "the biases are not constant"),
    "invalid": (invalid, "the Conv is not valid"),
}


@pytest.mark.parametrize("case", DECLINES)
def test_declines(case: str) -> None:
    make, reason = DECLINES[case]
    graph = make()
    version = graph.version
    stats = BlockDiagonal(("hidden",)).run(graph, Context(prove=prove))
    assert (stats.applied, dict(stats.declined)) == (0, {reason: 1})
    assert graph.version == version


def test_depthwise_convs_say_nothing() -> None:
    build, x = new_graph((1, 64, 4, 4))
    weight = build.constant(np.ones((64, 1, 3, 3), np.float32))
    graph = finished(build, build.op("Conv", (x, weight), {"group": 64}))
    stats = BlockDiagonal(("hidden",)).run(graph)
    assert (stats.applied, dict(stats.declined)) == (0, {})
