"""flush-subnormals: what does not count becomes zero, and nothing else."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convc.graph import Graph
from convc.ir import Array, Op
from convc.onnx_io import load, to_bytes
from convc.pipeline import Context
from convc.proof import difference, prove
from convc.reference import evaluate
from convc.rewrite import Exactness, Stats
from passes._linear import KINDS, read, to_filters
from passes.flush_subnormals import FlushSubnormals
from tests.affine_strategies import Sandwich, conv_sandwiches, product_sandwiches
from tests.conftest import ROOT, real_models
from tests.helpers import magnitude, random_feeds, run_onnx, summands
from tests.real_models import cut_down, sizes_of
from tests.strategies import finished, new_graph, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(11)
BELOW = FlushSubnormals().below


def flush(graph: Graph, below: float = BELOW) -> tuple[Stats, Graph]:
    after = graph.clone()
    stats = FlushSubnormals(below).run(after, Context(prove=prove))
    after.verify()
    return stats, after


def linear_op(graph: Graph) -> Op:
    return next(op for op in graph.ops() if op.kind in KINDS)


def conv_graph(weight: Array, bias: Array | None = None, dtype: type = np.float32) -> Graph:
    """A 1-D conv of kernel 1 over five positions: one row of ``weight`` per filter."""
    build, x = new_graph((1, weight.shape[1], 5), dtype=dtype)
    operands = [x, build.constant(weight[:, :, np.newaxis].astype(dtype))]
    if bias is not None:
        operands.append(build.constant(bias.astype(dtype)))
    return finished(build, build.op("Conv", operands, name="conv"))


def weights_of(graph: Graph) -> tuple[Array, Array | None]:
    op = linear_op(graph)
    weight, bias = op.operand(1), op.operand(2)
    assert weight is not None
    assert weight.array is not None
    return weight.array[:, :, 0], None if bias is None else bias.array


def small(values: Array) -> int:
    return int(((np.abs(values) < BELOW) & (values != 0)).sum())


def salted(case: Sandwich, rng: np.random.Generator) -> Graph:
    """The case with a third of its weights, and all of its first filter, made tiny."""
    graph = case.graph
    linear = read(linear_op(graph))
    weight = linear.weight
    filters = to_filters(linear, np.arange(linear.array.size).reshape(linear.array.shape))
    values = linear.array.astype(np.float64).reshape(-1)
    tiny = rng.random(values.size) < 1 / 3
    if len(filters) > 1:
        tiny[filters[0].astype(int)] = True
    values[tiny] = rng.choice([-1, 1], tiny.sum()) * 10.0 ** rng.uniform(-44, -21, tiny.sum())
    new = graph.add_constant(values.reshape(linear.array.shape).astype(weight.dtype), "salted")
    graph.replace_uses(weight, new)
    graph.erase_dead([weight.op])
    return graph


@settings(max_examples=200, **QUIET)
@given(st.one_of(conv_sandwiches(), product_sandwiches()), seeds())
def test_all_that_is_negligible_goes(case: Sandwich, rng: np.random.Generator) -> None:
    graph = salted(case, rng)
    linear = read(linear_op(graph))
    values = linear.array.astype(np.float64)
    wanted = small(values) if linear.weight.dtype == np.float32 else 0
    live = float(np.abs(values).max()) > 1e-6
    stats, after = flush(graph)
    # In half precision such weights are 0 already; in double they are ordinary numbers.
    assert stats.applied == bool(wanted) or not live
    if live and wanted:
        assert small(read(linear_op(after)).array) == 0
    if case.runs and stats.applied:
        feeds = random_feeds(graph, rng)
        (old,), (new,) = run_onnx(to_bytes(graph), feeds), run_onnx(to_bytes(after), feeds)
        # Each term flushed is at most 1e-20 times an input; the rest is rounding.
        (scale,) = magnitude(graph, feeds)
        bound = values.size * BELOW * 10 + (2 * summands(graph) + 16) * 2.0**-24 * scale
        assert (np.abs(new.astype(float) - old) <= bound).all()


def test_a_live_filter_keeps_every_bit() -> None:
    weight = RNG.standard_normal((3, 8))
    weight[:, ::2] *= 10.0 ** RNG.uniform(-44, -21, (3, 4))
    graph = conv_graph(weight, RNG.standard_normal(3))
    (rewrite,) = FlushSubnormals().propose(graph)
    assert rewrite.exactness is Exactness.ROUNDING
    assert 0 < rewrite.bound < 1e-16
    assert rewrite.note == "negligible weights of a Conv zeroed"
    stats, after = flush(graph)
    assert stats.applied == 1
    np.testing.assert_array_equal(weights_of(after)[0][:, 1::2], weights_of(graph)[0][:, 1::2])
    feeds = random_feeds(graph, RNG)
    np.testing.assert_array_equal(run_onnx(graph, feeds)[0], run_onnx(after, feeds)[0])


@pytest.mark.parametrize("bias", [None, 3e-41, 0.5])
def test_a_dead_filter_beside_a_live_one(bias: float | None) -> None:
    weight = np.array([[1.0, -2.0], [1e-25, 1e-40]])
    graph = conv_graph(weight, None if bias is None else np.array([1.0, bias]))
    stats, after = flush(graph)
    assert stats.applied == 1
    kept, kept_bias = weights_of(after)
    assert kept[1].tolist() == [0, 0]
    if bias is not None:
        assert kept_bias is not None
        assert kept_bias[1] == (0.5 if bias == 0.5 else 0)


def test_a_subnormal_bias_of_an_empty_filter() -> None:
    graph = conv_graph(np.array([[1.0, -2.0], [0.0, 0.0]]), np.array([0.0, 2e-41]))
    stats, after = flush(graph)
    assert (stats.applied, list(stats.notes)) == (1, ["negligible weights of a Conv zeroed"])
    assert weights_of(after)[1] is None


def test_a_small_scale_may_be_meant() -> None:
    stats, _ = flush(conv_graph(np.array([[1e-25, 2e-25], [3e-25, 1e-25]])))
    reason = "small weights are not negligible beside the others of their op"
    assert (stats.applied, dict(stats.declined)) == (0, {reason: 1})


def test_only_as_many_as_the_condition_admits() -> None:
    """2⁻³⁴ of the largest weight, 1e-10, is 5.8e-21: 5e-21 and 1e-30 may go, 9e-21 may not."""
    stats, after = flush(conv_graph(np.array([[1e-10, 5e-21, 9e-21, 1e-30]])))
    assert stats.applied == 1
    np.testing.assert_array_equal(
        weights_of(after)[0], np.array([[1e-10, 0, 9e-21, 0]], np.float32)
    )


def test_the_neighbours_measure_a_dead_filter() -> None:
    """By a millionth of the op's largest value, and inputs that differ by 2¹⁰."""
    graph = conv_graph(np.array([[1e-9, 0.0], [1e-26, 0.0]]))
    (rewrite,) = FlushSubnormals().propose(graph)
    assert rewrite.bound == pytest.approx(2**10 * 1e-26 / 1e-15)
    feeds = {"x": np.ones((1, 2, 5))}
    (old,), (new,) = evaluate(graph, feeds), evaluate(rewrite.after, feeds)
    assert 0 < difference(old, new) <= rewrite.bound / 2**10
    assert flush(graph)[0].applied == 1


def test_half_precision_subnormals_count() -> None:
    """6e-8 is subnormal in float16 and an ordinary number where it is computed."""
    graph = conv_graph(np.array([[1.0, 6e-8], [6e-8, 2e-7]]), dtype=np.float16)
    assert flush(graph)[0].applied == 0


def test_bfloat16_has_the_exponents_of_float32() -> None:
    graph = conv_graph(np.array([[1.0, 1e-39], [2.0, 1e-25]]), dtype=ml_dtypes.bfloat16)
    stats, after = flush(graph)
    assert stats.applied == 1
    assert weights_of(after)[0].astype(float).tolist() == [[1, 0], [2, 0]]


def test_doubles_have_room() -> None:
    graph = conv_graph(np.array([[1.0, 1e-39], [2.0, 1e-300]]), dtype=np.float64)
    stats, after = flush(graph)
    assert stats.applied == 1
    assert weights_of(after)[0].tolist() == [[1, 1e-39], [2, 0]]


def test_the_threshold_is_an_option() -> None:
    graph = conv_graph(np.array([[1.0, 1e-25, 1e-30]]))
    assert weights_of(flush(graph, 1e-28)[1])[0].tolist()[0][2] == 0
    assert weights_of(flush(graph, 1e-28)[1])[0].tolist()[0][1] > 0


def test_shared_weights_are_copied() -> None:
    build, x = new_graph((1, 2, 5))
    weight = build.constant(np.array([[[1.0], [1e-40]]], np.float32), name="w")
    first, second = (build.op("Conv", (x, weight), name=name) for name in ("a", "b"))
    stats, after = flush(finished(build, first, second))
    assert stats.applied == 2
    assert all(small(op.array) == 0 for op in after.ops() if op.array is not None)


def test_weights_that_are_no_constants() -> None:
    build, x = new_graph((2, 2))
    graph = finished(build, build.op("MatMul", (x, x), name="square"))
    stats, _ = flush(graph)
    assert (stats.applied, dict(stats.declined)) == (0, {})


def test_the_sample_model() -> None:
    graph = load(ROOT / "models" / "subnormal_weights.onnx")
    stats, after = flush(graph)
    assert stats.applied == 1
    feeds = random_feeds(graph, RNG)
    for old, new in zip(run_onnx(graph, feeds), run_onnx(after, feeds), strict=True):
        np.testing.assert_array_equal(old, new)


FLUSHED = {"seg_road_adas_0001": 76, "ocr_en_number_rec": 17, "audio_oww_melspectrogram": 2}
"""Ops with negligible weights in the real models; the others have none."""


@pytest.mark.skipif(not real_models(), reason="no folder of real models (set CONVC_SHARED)")
@pytest.mark.parametrize("path", real_models(), ids=lambda path: path.stem)
def test_real_models_keep_every_bit(path: Path, tmp_path: Path) -> None:
    model = cut_down(path, tmp_path)
    graph = load(model, sizes_of(model))
    after = graph.clone()
    stats = FlushSubnormals().run(after)
    assert stats.applied == FLUSHED.get(path.stem, 0)
    if stats.applied:
        feeds = random_feeds(graph, RNG)
        for old, new in zip(run_onnx(graph, feeds), run_onnx(after, feeds), strict=True):
            np.testing.assert_array_equal(old, new)
