"""prune-dead-channels by hand: what goes, what is left, and what becomes of the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import ml_dtypes
import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, Op, TensorType, Value
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from convc.reference import evaluate
from convc.rewrite import Stats
from passes.prune_dead_channels import PruneDeadChannels
from tests.helpers import check_pass
from tests.strategies import finished, new_graph

F32 = np.dtype(np.float32)
RNG = np.random.default_rng(5)


def weights(*shape: int) -> Array:
    return RNG.uniform(0.5, 1.0, shape) * RNG.choice([-1, 1], shape)


def conv(
    build: Builder,
    x: Value,
    outputs: int,
    kernel: int = 1,
    *,
    dead: Sequence[int] = (),
    bias: float = 1.0,
    pad: int = 0,
    unread: Sequence[int] = (),
    **attributes: int,
) -> Value:
    """A conv of which some filters are zero, with a bias, and some inputs are not read."""
    assert x.shape is not None
    assert isinstance(x.shape[1], int)
    w = weights(outputs, x.shape[1] // attributes.get("group", 1), kernel, kernel)
    b = weights(outputs)
    w[list(dead)], b[list(dead)] = 0, bias
    w[:, list(unread)] = 0
    operands = [x, build.constant(w.astype(x.dtype)), build.constant(b.astype(x.dtype))]
    return build.op("Conv", operands, {"pads": (pad,) * 4, **attributes})


def run(graph: Graph, block: int = 1) -> tuple[Stats, Graph]:
    return check_pass(PruneDeadChannels(block), graph, RNG)


def layers(graph: Graph) -> list[tuple[int, ...]]:
    """Shapes of the weights of all convs, in order."""
    return [op.operand(1).array.shape[:2] for op in graph.ops() if op.kind == "Conv"]


def kinds(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def only(stats: Stats) -> str:
    (note,) = stats.notes
    return note


def test_a_dead_filter_goes_into_the_bias() -> None:
    build, x = new_graph((2, 3, 6, 6))
    y = build.op("Sigmoid", (conv(build, x, 5, 3, dead=[1, 4], pad=1),))
    stats, after = run(finished(build, conv(build, y, 2, 3)))
    assert only(stats) == "2 constant dropped"
    assert layers(after) == [(3, 3), (2, 3)]


def test_one_constant_carries_the_others_to_the_border() -> None:
    build, x = new_graph((1, 3, "h", "w"), sizes={"h": 9, "w": 7})
    y = build.op("Sigmoid", (conv(build, x, 6, 3, dead=[0, 2, 5], pad=1),))
    graph = finished(build, conv(build, y, 2, 3, pad=1))
    stats, after = run(graph)
    assert only(stats) == "2 constant dropped"
    assert layers(after) == [(4, 3), (2, 4)]


def test_a_zero_carries_no_constant() -> None:
    """The channel that is zero stays, being an output; of two other constants one carries."""
    build, x = new_graph((1, 3, 6, 6))
    w, b = weights(5, 3, 1, 1).astype(F32), np.array([0, 1, 2, 0.5, 0.5], F32)
    w[:3] = 0
    y = build.op("Conv", (x, build.constant(w), build.constant(b)))
    zero = build.op("Relu", (build.slice(y, [1], [0], [1]),))
    stats, after = run(finished(build, conv(build, y, 2, 3, pad=1), zero))
    assert only(stats) == "1 constant dropped"
    assert layers(after) == [(4, 3), (2, 4)]


def test_a_constant_of_zero_needs_no_carrier() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = build.op("Relu", (conv(build, x, 6, dead=[0, 2, 5], bias=-1.0),))
    _, after = run(finished(build, conv(build, y, 2, 3, pad=1)))
    assert layers(after) == [(3, 3), (2, 3)]


@pytest.mark.parametrize(("dead", "left"), [(1, 32), (15, 32), (16, 16), (20, 16), (31, 16)])
def test_counts_are_rounded_up_to_the_block(dead: int, left: int) -> None:
    build, x = new_graph((1, 3, 4, 4))
    graph = finished(build, conv(build, conv(build, x, 32, dead=range(dead)), 2))
    stats, after = run(graph, 16)
    assert layers(after) == [(left, 3), (2, left)]
    assert stats.applied == (left < 32)


def test_channels_that_are_tied_go_together() -> None:
    """Both of an Add must be dead; a third layer and depthwise filters follow."""
    build, x = new_graph((1, 3, 6, 6))
    y = build.add(conv(build, x, 5, dead=[0, 1, 2]), conv(build, x, 5, dead=[1, 2, 3]))
    y = build.op("Relu", (conv(build, build.op("Relu", (y,)), 5, 3, group=5),))
    stats, after = run(finished(build, conv(build, y, 2)))
    assert only(stats) == "2 constant dropped"
    assert layers(after) == [(3, 3), (3, 3), (3, 1), (2, 3)]


def test_a_dead_depthwise_filter() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = build.op("Relu", (conv(build, x, 5),))
    y = conv(build, y, 5, 3, dead=[2], group=5, pad=1)
    stats, after = run(finished(build, conv(build, y, 2)))
    assert only(stats) == "1 constant dropped"
    assert layers(after) == [(4, 3), (4, 1), (2, 4)]


@pytest.mark.parametrize(("factor", "gone"), [(2.0, 1), (-2.0, 0)])
def test_a_relu_tells_signs_apart(factor: float, gone: int) -> None:
    build, x = new_graph((1, 3, 6, 6))
    w = weights(4, 3, 1, 1).astype(F32)
    w[3] = w[1]
    scale = np.array([1.0, 1.0, 1.0, factor], F32).reshape(4, 1, 1)
    y = build.op("Mul", (build.op("Conv", (x, build.constant(w))), build.constant(scale)))
    _, after = run(finished(build, conv(build, build.op("Relu", (y,)), 2)))
    assert layers(after) == [(4 - gone, 3), (2, 4 - gone)]


def test_a_gate_of_a_dead_channel_goes() -> None:
    """Zero times anything is zero: squeeze-and-excite of a dead channel."""
    build, x = new_graph((1, 3, 6, 6))
    y = build.op("Relu", (conv(build, x, 6, dead=[2], bias=-1.0),))
    squeezed = build.op("Relu", (conv(build, build.op("GlobalAveragePool", (y,)), 3),))
    gate = build.op("Sigmoid", (conv(build, squeezed, 6),))
    z = build.op("Mul", (y, gate))
    stats, after = run(finished(build, conv(build, z, 2, 3, pad=1)))
    assert only(stats) == "1 constant dropped"
    assert layers(after) == [(5, 3), (3, 5), (5, 3), (2, 5)]


def test_only_the_slice_of_one_layer_shrinks() -> None:
    build, x = new_graph((1, 3, 6, 6))
    parts = [conv(build, x, 4), conv(build, x, 4, dead=[1]), x]
    stats, after = run(finished(build, conv(build, build.concat(parts, 1), 2)))
    assert stats.applied == 1
    assert layers(after) == [(4, 3), (3, 3), (2, 10)]


def test_what_a_split_leaves_unused_is_not_computed() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = build.op("Relu", (conv(build, x, 6),))
    types = [TensorType(F32, (1, 2, 6, 6))] * 3
    names = ["a", "b", "c"]
    operands = (y, build.ints([2, 2, 2]))
    a, _, c = build.graph.add("Split", operands, {"axis": 1}, types=types, names=names).results
    graph = finished(build, build.op("Sigmoid", (a,)), build.op("Sigmoid", (c,)))
    stats, after = run(graph)
    assert only(stats) == "2 unread dropped"
    assert layers(after) == [(4, 3)]
    assert kinds(after) == {"Conv": 1, "Relu": 1, "Slice": 2, "Sigmoid": 2}


def test_no_part_of_a_split_is_left_without_channels() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = conv(build, x, 4, dead=[0, 1])
    types = [TensorType(F32, (1, 2, 6, 6))] * 2
    operands = (y, build.ints([2, 2]))
    a, b = build.graph.add("Split", operands, {"axis": 1}, types=types, names=["a", "b"]).results
    stats, after = run(finished(build, conv(build, a, 2), conv(build, b, 2)))
    assert only(stats) == "1 constant dropped"
    assert sorted(layers(after)) == [(2, 1), (2, 2), (3, 3)]


def test_a_slice_behind_an_activation_vanishes() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = build.slice(build.op("Relu", (conv(build, x, 6),)), [1], [1], [5])
    stats, after = run(finished(build, build.op("Sigmoid", (y,))))
    assert only(stats) == "2 unread dropped"
    assert kinds(after) == {"Conv": 1, "Relu": 1, "Sigmoid": 1}


def test_a_row_as_long_as_there_are_channels_stays() -> None:
    build, x = new_graph((1, 3, 4, 4))
    y = conv(build, x, 4)
    y = build.op("Mul", (y, build.constant(weights(4).astype(F32))), type_=y.type)
    stats, after = run(finished(build, conv(build, y, 2, unread=[1])))
    assert only(stats) == "1 unread dropped"
    assert layers(after) == [(3, 3), (2, 3)]


def test_a_gather_is_done_by_the_layer() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = conv(build, x, 6)
    type_ = TensorType(F32, (1, 3, 6, 6))
    z = build.op("Gather", (y, build.ints([4, 0, -1])), {"axis": 1}, type_=type_)
    stats, after = run(finished(build, build.op("Relu", (z,))))
    assert "Gather of channels pulled into a Conv: 3 of 3" in stats.notes
    assert kinds(after) == {"Conv": 1, "Relu": 1}


@pytest.mark.parametrize("between", ["Relu", "LeakyRelu", "Identity", "MaxPool"])
def test_multiples_are_merged(between: str) -> None:
    build, x = new_graph((1, 3, 6, 6))
    w, b = weights(4, 3, 1, 1).astype(F32), weights(4).astype(F32)
    w[3], b[3] = 4 * w[1], 4 * b[1]
    y = build.op("Conv", (x, build.constant(w), build.constant(b)))
    attributes = {"kernel_shape": (2, 2)} if between == "MaxPool" else {}
    y = build.op(between, (y,), attributes)
    stats, after = run(finished(build, conv(build, y, 2, 3, pad=1)))
    assert only(stats) == "1 duplicate dropped"
    assert layers(after) == [(3, 3), (2, 3)]


@pytest.mark.parametrize(
    ("between", "factor", "gone"),
    [("Sigmoid", 1.0, 1), ("Sigmoid", 2.0, 0), ("Relu", -2.0, 0), ("Neg", 2.0, 1)],
)
def test_which_multiples_are_handed_through(between: str, factor: float, gone: int) -> None:
    build, x = new_graph((1, 3, 6, 6))
    w = weights(4, 3, 1, 1).astype(F32)
    w[3] = factor * w[1]
    y = build.op("Conv", (x, build.constant(w)))
    _, after = run(finished(build, conv(build, build.op(between, (y,)), 2)))
    assert layers(after) == [(4 - gone, 3), (2, 4 - gone)]


def test_an_unread_channel_is_not_computed() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = build.op("Relu", (conv(build, x, 6),))
    graph = finished(build, conv(build, y, 2, unread=[1, 2]), conv(build, y, 2, unread=[2, 3]))
    stats, after = run(graph)
    assert only(stats) == "1 unread dropped"
    assert layers(after) == [(5, 3), (2, 5), (2, 5)]


def test_an_output_in_the_middle_is_left_whole() -> None:
    """The first region is an output and stays; the second one loses its dead channel."""
    build, x = new_graph((1, 3, 6, 6))
    y = build.op("Relu", (conv(build, x, 4, dead=[1]),))
    z = build.op("Relu", (conv(build, y, 4, dead=[2]),))
    stats, after = run(finished(build, conv(build, z, 2), y))
    assert layers(after) == [(4, 3), (3, 4), (2, 3)]
    assert dict(stats.declined) == {"a dead channel stays: it is a graph output": 1}


def test_a_chain_of_layers() -> None:
    """Each layer's dead channels go, and what only they read after them."""
    build, x = new_graph((1, 3, 6, 6))
    y = x
    for dead in ([0], [1, 2], [3]):
        y = build.op("Relu", (conv(build, y, 6, dead=dead),))
    stats, after = run(finished(build, conv(build, y, 2)))
    assert stats.applied == 3
    assert layers(after) == [(5, 3), (4, 5), (5, 4), (2, 5)]


# -- the factors of a Gemm --------------------------------------------------------------------


def gemm(alpha: float, w: Array, b: Array, opset: int = 17) -> Graph:
    """A Gemm of (3, K) and a MatMul that reads it."""
    build, x = new_graph((2, 3), opset)
    operands = (x, build.constant(w.astype(F32)), build.constant(b.astype(F32)))
    y = build.op("Gemm", operands, {"alpha": alpha, "beta": 2.0})
    reader = build.constant(weights(w.shape[1], 2).astype(F32))
    return finished(build, build.op("MatMul", (build.op("Relu", (y,)), reader)))


def matrices(graph: Graph) -> list[tuple[int, ...]]:
    return [op.operand(1).array.shape for op in graph.ops() if op.kind in ("Gemm", "MatMul")]


def test_an_alpha_of_zero_makes_all_constant() -> None:
    stats, after = run(gemm(0.0, weights(3, 4), weights(4)))
    assert only(stats) == "3 constant dropped"
    assert matrices(after) == [(3, 1), (1, 2)]


def test_multiples_behind_alpha_and_beta() -> None:
    w, b = weights(3, 4), weights(4)
    w[:, 3], b[3] = 4 * w[:, 1], 4 * b[1]
    stats, after = run(gemm(0.25, w, b))
    assert only(stats) == "1 duplicate dropped"
    assert matrices(after) == [(3, 3), (3, 2)]
    b[3] *= 2
    assert run(gemm(0.25, w, b))[0].applied == 0


def test_constants_go_through_the_alpha_of_the_reader() -> None:
    build, x = new_graph((2, 3), 9)
    w, b = weights(3, 4).astype(F32), weights(4).astype(F32)
    w[:, 1] = 0
    y = build.op("Gemm", (x, build.constant(w), build.constant(b)))
    operands = (y, build.constant(weights(4, 2).astype(F32)), build.constant(np.zeros(2, F32)))
    stats, after = run(finished(build, build.op("Gemm", operands, {"alpha": 0.5, "beta": 3.0})))
    assert only(stats) == "1 constant dropped"
    assert matrices(after) == [(3, 3), (3, 2)]


def test_a_gemm_of_old_keeps_its_third_operand() -> None:
    """Before opset 11 it must have one, be it zero."""
    build, x = new_graph((2, 3), 9)
    w = weights(3, 4).astype(F32)
    w[:, 1] = 0
    y = build.op("Gemm", (x, build.constant(w), build.constant(np.zeros(4, F32))))
    graph = finished(build, build.op("MatMul", (y, build.constant(weights(4, 2).astype(F32)))))
    _, after = run(graph)
    assert [len(op.operands) for op in after.ops() if op.kind == "Gemm"] == [3]


# -- element types and sizes ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_element_types(dtype: type) -> None:
    build, x = new_graph((1, 3, 6, 6), dtype=dtype)
    y = build.op("Relu", (conv(build, x, 5, dead=[1, 4]),))
    graph = finished(build, conv(build, y, 2, 3))
    after = graph.clone()
    assert PruneDeadChannels(1).run(after, Context(prove=prove)).applied == 1
    after.verify()
    assert layers(after) == [(3, 3), (2, 3)]
    assert {op.array.dtype for op in after.ops() if op.array is not None} == {np.dtype(dtype)}
    feeds = {"x": RNG.standard_normal((1, 3, 6, 6))}
    (old,), (new,) = evaluate(graph, feeds), evaluate(after, feeds)
    # The new bias is rounded once to the stored type: half a unit of the bias itself.
    eps = float(ml_dtypes.finfo(dtype).eps)
    assert np.abs(old - new).max() <= eps * 18 * 5


def test_open_sizes_and_batch() -> None:
    build, x = new_graph(("n", 3, "h", "w"), sizes={"n": 2, "h": 9, "w": 8})
    y = build.op("Relu", (conv(build, x, 5, 3, dead=[1, 4], pad=1, bias=-1.0),))
    y = build.op("MaxPool", (y,), {"kernel_shape": (2, 2), "strides": (2, 2)})
    graph = finished(build, conv(build, y, 2, 3, pad=1))
    stats, after = check_pass(PruneDeadChannels(1), graph, RNG, [{}, {"n": 1, "h": 12, "w": 11}])
    assert stats.applied == 1
    assert layers(after) == [(3, 3), (2, 3)]


def test_it_pays() -> None:
    build, x = new_graph((1, 3, 6, 6))
    graph = finished(build, conv(build, build.op("Relu", (conv(build, x, 32, dead=[3]),)), 2))
    (report,) = Pipeline.parse("choose(prune-dead-channels{block=1})").run(graph)
    assert report.stats.applied == 1
    assert (report.before.macs, report.after.macs) == (36 * 32 * 5, 36 * 31 * 5)


def test_names_and_types_are_kept() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = conv(build, x, 5, dead=[1])
    y.op.name = "first"
    graph = finished(build, conv(build, build.op("Relu", (y,), name="act"), 2))
    _, after = run(graph)
    ops: list[Op] = [op for op in after.ops() if op.kind in ("Conv", "Relu")]
    assert [op.name for op in ops[:2]] == ["first", "act"]
    assert [op.result.shape for op in ops] == [(1, 4, 6, 6), (1, 4, 6, 6), (1, 2, 6, 6)]
    assert after.output_names == graph.output_names


def test_dead_code_is_left_alone() -> None:
    """What nobody reads has no results to replace: to rebuild it would never end."""
    build, x = new_graph((1, 3, 6, 6))
    y = conv(build, x, 4)
    conv(build, build.op("Relu", (conv(build, x, 5, dead=[1]),)), 2, unread=[2])
    graph = finished(build, y)
    assert PruneDeadChannels(1).run(graph).applied == 0
