"""select-channels with data: what goes, what the readers make of the rest, and what it costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from convc.algebra.fit import default_ridge
from convc.algebra.moments import Gathering, Moments
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Op, TensorType, Value
from convc.reference import evaluate
from convc.rewrite import apply
from tests.helpers import run_onnx
from tests.passes.select_cases import (
    F32,
    check,
    conv,
    error,
    filters,
    forms,
    images,
    named,
    observing,
    observing_weights,
    propose,
    relu,
    select,
)
from tests.strategies import finished, new_graph

Between = Callable[[Builder, Value], Value]


def start(size: int = 12, count: int = 1) -> tuple[np.random.Generator, Builder, Value]:
    build, x = new_graph((count, 3, size, size))
    return np.random.default_rng(3), build, x


def doubled(graph: Graph, name: str, rng: np.random.Generator) -> None:
    """Makes the second half of a layer's filters positive multiples of the first half."""
    op = named(graph, name)
    factor = rng.uniform(0.5, 2.0, len(filters(graph, name)) // 2)
    for index in (1, 2):
        array = op.inputs[index].array
        half = array[: len(array) // 2]
        twins = half * factor.reshape(-1, *(1,) * (half.ndim - 1))
        op_value = graph.add_constant(np.concatenate([half, twins]).astype(array.dtype))
        graph.set_operand(op, index, op_value)


def twins(rng: np.random.Generator, build: Builder, x: Value) -> Graph:
    y = relu(build, conv(build, rng, x, 16, "a"))
    graph = finished(build, conv(build, rng, y, 5, "b"))
    doubled(graph, "a", rng)
    return graph


def test_twins_go_and_nothing_is_lost() -> None:
    rng, build, x = start(count=30)
    graph = twins(rng, build, x)
    feeds = images(rng, 30)
    rewrite, after = select(graph, "a", 8, feeds)
    kept = np.array(rewrite.kept["a"])
    assert sorted(kept % 8) == list(range(8))
    np.testing.assert_array_equal(filters(after, "a"), filters(graph, "a")[kept])
    # What the ridge μ costs is at most μ/4 for each unit by which weights move; those of a twin
    # move by the weights of the other, at most twice; the float32 of the weights adds 2⁻²⁴.
    moments = observing(graph, graph, feeds)(named(graph, "b"))
    noise = default_ridge(moments) * np.trace(moments.xx[0]) / len(moments.xx[0])
    moved = 4 * np.square(filters(graph, "b")).sum()
    assert error(graph, after, feeds) <= noise / 4 * moved / moments.yy.sum()
    for one, other in zip(run_onnx(after, feeds), evaluate(after, feeds), strict=True):
        np.testing.assert_allclose(one, other, atol=144 * 2.0**-24 * 100)


def test_the_error_is_what_was_expected_and_holds_on_other_data() -> None:
    rng, build, x = start(count=40)
    y = relu(build, conv(build, rng, x, 16, "a"))
    graph = finished(build, conv(build, rng, y, 6, "b"))
    fit, held_back = images(rng, 40), images(rng, 40)
    _, after = select(graph, "a", 12, fit)
    moments = observing(after, graph, fit)(named(after, "b"))
    expected = moments.loss(filters(after, "b"))
    # The moments are those of all positions: the loss is the error, but for the cast to float32.
    np.testing.assert_allclose(error(graph, after, fit), expected, rtol=1e-4)
    # 108 weights a filter fitted to 5760 positions: the expected excess on other data is
    # (n + D)/(n − D) = 1.04, and two variances from 40 independent images differ by √(4/40).
    assert expected / 1.36 <= error(graph, after, held_back) <= 1.36 * expected
    assert 0 < expected < 0.1


def test_it_beats_leaving_the_readers_as_they_were() -> None:
    rng, build, x = start(count=20)
    y = relu(build, conv(build, rng, x, 16, "a"))
    graph = finished(build, conv(build, rng, y, 6, "b"))
    feeds = images(rng, 20)
    rewrite, after = select(graph, "a", 8, feeds)
    bare = after.clone()
    reader = named(bare, "b")
    old = filters(graph, "b")[:, list(rewrite.kept["a"])]
    bare.set_operand(reader, 1, bare.add_constant(old))
    bare.set_operand(reader, 2, bare.add_constant(named(graph, "b").inputs[2].array))
    assert error(graph, after, feeds) < error(graph, bare, feeds) / 3


def test_counts_on_offer() -> None:
    for channels, wanted in (
        (256, [224, 192, 160, 128, 64]),
        (64, [48, 32, 16]),
        (48, [32, 16]),
        (24, [16]),
        (16, [8]),
        (12, [8]),
        (9, [8]),
        (8, []),
    ):
        rng, build, x = start(4)
        y = relu(build, conv(build, rng, x, channels, "a"))
        graph = finished(build, conv(build, rng, y, 2, "b"))
        assert forms(graph, "a", 16) == [f"select {count}" for count in wanted]
    assert forms(graph, "b", 16) == []


# -- ties, and what stands between ------------------------------------------------------------


def test_residual_sums_go_together() -> None:
    rng, build, x = start(count=20)
    a = conv(build, rng, x, 12, "a")
    b = conv(build, rng, relu(build, a), 12, "b")
    total = relu(build, build.add(a, b))
    graph = finished(build, conv(build, rng, total, 4, "c"))
    assert forms(graph, "a") == ["select 8", "select 4"]
    assert forms(graph, "b") == []
    rewrite, after = select(graph, "a", 8, images(rng, 20))
    assert rewrite.kept["a"] == rewrite.kept["b"]
    kept = np.array(rewrite.kept["a"])
    np.testing.assert_array_equal(filters(after, "a"), filters(graph, "a")[kept])
    assert filters(after, "b").shape == (8, 8, 3, 3)
    assert filters(after, "c").shape == (4, 8, 3, 3)
    assert error(graph, after, images(rng, 20)) < 0.5


def widths(graph: Graph) -> list[tuple[int, ...]]:
    return [filters(graph, name).shape[:2] for name in "abcd"]


def test_parts_of_a_concat_are_selected_alone() -> None:
    rng, build, x = start(count=20)
    a = relu(build, conv(build, rng, x, 12, "a"))
    b = relu(build, conv(build, rng, a, 8, "b"))
    c = relu(build, conv(build, rng, build.concat((a, b), 1), 8, "c"))
    graph = finished(build, conv(build, rng, build.concat((a, b, c), 1), 4, "d"))
    assert forms(graph, "b") == ["select 4"]
    feeds = images(rng, 20)
    rewrite, after = select(graph, "b", 4, feeds)
    assert set(rewrite.kept) == {"b"}
    assert [filters(after, name).shape[:2] for name in "abcd"] == [
        (12, 3),
        (4, 12),
        (8, 16),
        (4, 24),
    ]
    rewrite, after = select(graph, "a", 8, feeds)
    assert set(rewrite.kept) == {"a"}
    assert widths(after) == [(8, 3), (8, 8), (8, 16), (4, 24)]


def norm(rng: np.random.Generator, build: Builder, x: Value) -> Value:
    assert x.shape is not None
    count = x.shape[1]
    parameters = [rng.uniform(0.5, 2.0, count).astype(F32) for _ in range(4)]
    return build.op("BatchNormalization", (x, *map(build.constant, parameters)))


def test_depthwise_norm_slopes_and_pools_between() -> None:
    rng, build, x = start(count=20)
    y = norm(rng, build, conv(build, rng, x, 16, "a"))
    slopes = rng.uniform(0.1, 0.9, (16, 1, 1)).astype(F32)
    y = build.op("PRelu", (y, build.constant(slopes)))
    y = conv(build, rng, y, 16, "between", group=16)
    y = build.op("MaxPool", (y,), {"kernel_shape": (2, 2), "strides": (2, 2)})
    graph = finished(build, conv(build, rng, y, 5, "b"))
    feeds = images(rng, 20)
    rewrite, after = select(graph, "a", 8, feeds)
    assert set(rewrite.kept) == {"a", "between"}
    kept = list(rewrite.kept["a"])
    assert rewrite.kept["between"] == rewrite.kept["a"]
    np.testing.assert_array_equal(filters(after, "between"), filters(graph, "between")[kept])
    by_kind = {op.kind: op for op in after.ops()}
    old = {op.kind: op for op in graph.ops()}
    np.testing.assert_array_equal(by_kind["PRelu"].inputs[1].array, slopes[kept])
    for new, was in zip(
        by_kind["BatchNormalization"].inputs[1:], old["BatchNormalization"].inputs[1:], strict=True
    ):
        np.testing.assert_array_equal(new.array, was.array[kept])
    assert named(after, "between").attributes["group"] == 8
    assert error(graph, after, feeds) < 0.5


def test_a_gate_is_tied_to_what_it_gates() -> None:
    """Squeeze and excite: one of its convs reads the channels, the other one makes them."""
    rng, build, x = start(count=30)
    y = relu(build, conv(build, rng, x, 12, "a"))
    pooled = build.op("GlobalAveragePool", (y,))
    squeezed = relu(build, conv(build, rng, pooled, 4, "squeeze", kernel=1))
    gate = build.op("Sigmoid", (conv(build, rng, squeezed, 12, "excite", kernel=1),))
    gated = build.op("Mul", (y, gate), type_=y.type)
    graph = finished(build, conv(build, rng, gated, 5, "b"))
    rewrite, after = select(graph, "a", 8, images(rng, 30))
    assert rewrite.kept["a"] == rewrite.kept["excite"]
    assert filters(after, "squeeze").shape[:2] == (4, 8)


def test_halves_of_a_split() -> None:
    rng, build, x = start(count=20)
    y = relu(build, conv(build, rng, x, 12, "a"))
    types = [TensorType(F32, (20, 6, 12, 12))] * 2
    operands = (y, build.ints([6, 6]))
    parts = build.graph.add("Split", operands, {"axis": 1}, types=types, names=["p", "q"]).results
    total = build.add(conv(build, rng, parts[0], 4, "b"), conv(build, rng, parts[1], 4, "c"))
    graph = finished(build, total)
    rewrite, after = select(graph, "a", 8, images(rng, 20))
    kept = np.array(rewrite.kept["a"])
    assert filters(after, "b").shape[1] == (kept < 6).sum()
    assert filters(after, "c").shape[1] == (kept >= 6).sum()


# -- readers ----------------------------------------------------------------------------------


def flat(build: Builder, x: Value, count: int) -> Value:
    return build.op("Flatten", (x,), type_=TensorType(F32, (count, 12 * 36)))


@pytest.mark.parametrize("kind", ["Gemm", "transposed Gemm", "MatMul"])
def test_a_product_behind_a_flatten(kind: str) -> None:
    rng, build, x = start(6, count=600)
    y = flat(build, relu(build, conv(build, rng, x, 12, "a")), 600)
    w = (rng.standard_normal((12 * 36, 5)) / 20).astype(F32)
    if kind == "MatMul":
        result = build.op("MatMul", (y, build.constant(w)), name="b")
    else:
        turned = kind == "transposed Gemm"
        operands = (y, build.constant(w.T if turned else w), build.constant(rng.random(5, F32)))
        attributes = {"alpha": 0.5, "beta": 2.0, "transB": int(turned)}
        result = build.op("Gemm", operands, attributes, name="b")
    graph = finished(build, result)
    feeds = images(rng, 600, size=6)
    rewrite, after = select(graph, "a", 8, feeds)
    reader = named(after, "b")
    assert reader.kind == "Gemm"
    assert set(filters(after, "b").shape) == {8 * 36, 5}
    assert error(graph, after, feeds) < 0.05
    assert list(rewrite.kept) == ["a"]


def test_weights_of_a_product_stay_in_its_scale() -> None:
    """On white data the best weights are those there are, whatever they are multiplied by."""
    rng, build, x = start(6)
    y = flat(build, relu(build, conv(build, rng, x, 12, "a")), 1)
    w = (rng.standard_normal((12 * 36, 5)) / 20).astype(F32)
    graph = finished(build, build.op("Gemm", (y, build.constant(w)), {"alpha": 0.5}, name="b"))
    rewrite = propose(graph, "a", 8, observing_weights(graph))
    apply(graph, rewrite)
    kept = np.array(rewrite.kept["a"])
    columns = (kept[:, np.newaxis] * 36 + np.arange(36)).reshape(-1)
    np.testing.assert_allclose(filters(graph, "b"), w[columns], rtol=1e-6)


def test_groups_keep_equally_many() -> None:
    rng, build, x = start(count=20)
    y = relu(build, conv(build, rng, x, 16, "a"))
    graph = finished(build, conv(build, rng, y, 8, "b", group=4))
    feeds = images(rng, 20)
    rewrite, after = select(graph, "a", 8, feeds)
    assert (np.bincount(np.array(rewrite.kept["a"]) // 4) == 2).all()
    assert filters(after, "b").shape == (8, 2, 3, 3)
    assert named(after, "b").attributes["group"] == 4
    assert forms(graph, "a", 1) == ["select 12", "select 8", "select 4"]


def test_groups_that_make_the_channels() -> None:
    rng, build, x = start(count=20)
    y = relu(build, conv(build, rng, x, 8, "a"))
    y = relu(build, conv(build, rng, y, 16, "b", group=2))
    graph = finished(build, conv(build, rng, y, 4, "c"))
    rewrite, after = select(graph, "b", 12, images(rng, 20))
    assert (np.bincount(np.array(rewrite.kept["b"]) // 8) == 6).all()
    assert filters(after, "b").shape == (12, 4, 3, 3)


def test_a_layer_that_reads_what_it_adds_to() -> None:
    rng, build, x = start(count=20)
    y = conv(build, rng, x, 12, "a")
    y = build.add(y, relu(build, conv(build, rng, y, 12, "b")))
    graph = finished(build, conv(build, rng, y, 4, "c"))
    _, after = select(graph, "a", 8, images(rng, 20))
    assert filters(after, "b").shape == (8, 8, 3, 3)


def test_one_selection_after_the_other() -> None:
    rng, build, x = start(count=20)
    y = relu(build, conv(build, rng, x, 16, "a"))
    y = relu(build, conv(build, rng, y, 16, "b"))
    graph = finished(build, conv(build, rng, y, 5, "c"))
    feeds = images(rng, 20)
    once, after = select(graph, "a", 12, feeds)
    kept = dict(once.kept)
    for name in "ab":
        rewrite = propose(after, name, 8, observing(after, graph, feeds, kept))
        apply(after, rewrite)
        for layer, left in rewrite.kept.items():
            kept[layer] = [kept.get(layer, range(16))[i] for i in left]
    after.verify()
    np.testing.assert_array_equal(filters(after, "a"), filters(graph, "a")[list(kept["a"])])
    assert [len(kept[name]) for name in "ab"] == [8, 8]
    assert error(graph, after, feeds) < 0.3


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_the_stored_dtype_stays(dtype: type) -> None:
    rng = np.random.default_rng(1)
    build, x = new_graph((4, 3, 8, 8), dtype=dtype)
    y = relu(build, conv(build, rng, x, 8, "a"))
    graph = finished(build, conv(build, rng, y, 3, "b"))
    feeds = {"x": images(rng, 4, size=8)["x"].astype(dtype)}
    after = graph.clone()
    rewrite = propose(after, "a", 4, observing(after, graph, feeds))
    apply(after, rewrite)
    after.verify()
    for name in "ab":
        assert filters(after, name).dtype == dtype
    if dtype is np.float16:
        check(graph, after, rewrite, feeds)


def test_a_transposed_conv_makes_channels() -> None:
    rng, build, x = start(count=20)
    w = build.constant(rng.standard_normal((3, 12, 2, 2)).astype(F32))
    y = build.op("ConvTranspose", (x, w), {"strides": (2, 2)}, name="a")
    graph = finished(build, conv(build, rng, relu(build, y), 4, "b"))
    rewrite, after = select(graph, "a", 8, images(rng, 20))
    kept = list(rewrite.kept["a"])
    np.testing.assert_array_equal(filters(after, "a"), filters(graph, "a")[:, kept])


def test_a_transposed_conv_reads_channels() -> None:
    """Observed as the conv that it is, over data with zeros between its samples."""
    rng, build, x = start(count=20)
    y = relu(build, conv(build, rng, x, 12, "a"))
    w = rng.standard_normal((12, 4, 4, 4)).astype(F32)
    attributes = {"strides": (2, 2), "pads": (1, 1, 1, 1)}
    graph = finished(build, build.op("ConvTranspose", (y, build.constant(w)), attributes, name="b"))
    feeds = images(rng, 20)

    def observe(op: Op) -> Moments:
        data, wanted = evaluate(graph, feeds, [op.inputs[0], op.result])
        # Output o reads, at tap t, place o + 1 − t: begins are padded by 4 − 1 − 1.
        between = np.zeros((20, 12, 27, 27))
        between[:, :, 2:25:2, 2:25:2] = data
        windows = sliding_window_view(between, (4, 4), axis=(2, 3))[..., ::-1, ::-1]
        gathering = Gathering(1, 12 * 16, 4)
        gathering.add(
            windows.transpose(0, 2, 3, 1, 4, 5).reshape(1, -1, 12 * 16),
            wanted.transpose(0, 2, 3, 1).reshape(-1, 4),
        )
        return gathering.moments()

    assert observe(named(graph, "b")).loss(w.swapaxes(0, 1)) < 1e-12
    after = graph.clone()
    rewrite = propose(after, "a", 8, lambda op: observe(named(graph, op.result.name)))
    apply(after, rewrite)
    check(graph, after, rewrite, feeds)
    kept = np.array(rewrite.kept["a"])
    new = np.zeros((4, 12, 4, 4))
    new[:, kept] = filters(after, "b").swapaxes(0, 1)
    expected = observe(named(graph, "b")).loss(new)
    np.testing.assert_allclose(error(graph, after, feeds), expected, rtol=1e-4)
    new[:, kept] = w.swapaxes(0, 1)[:, kept]
    assert expected < observe(named(graph, "b")).loss(new) / 2


def test_the_same_is_made_twice() -> None:
    rng, build, x = start(count=10)
    graph = twins(rng, build, x)
    observe = observing(graph, graph, images(rng, 10))
    one, other = (propose(graph, "a", 8, observe) for _ in range(2))

    def arrays(ops: tuple[Op, ...]) -> list[bytes]:
        return [op.array.tobytes() for op in ops if op.array is not None]

    assert arrays(one.after.ops()) == arrays(other.after.ops())
    assert one.kept == other.kept
