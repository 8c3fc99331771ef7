"""commute-linear: average pools and 1×1 convs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, TensorType, Value
from convc.onnx_io import from_bytes, to_bytes
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import Stats, size_of
from passes.commute_linear import CommuteLinear
from tests.affine_strategies import add_link
from tests.commute_strategies import Alone, Case, pool_cases
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv, seeds
from tests.tiny import FLOAT, kernel, model, node

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(5)
MODEST = {
    "the AveragePool counts padding, and the size of its result is not known",
    "the AveragePool counts padding, which the bias would reach",
    "the AveragePool counts padding, which the shift before it reaches",
    "the window of the AveragePool is larger than what it pools",
    "the window of the AveragePool depends on a size that is not known",
}
"""Reasons that are not about the work."""


def kinds(graph: Graph) -> list[str]:
    """The ops in order, weights left out."""
    return [op.kind for op in graph.ops() if op.array is None and not op.is_boundary]


# -- the whole attribute space ------------------------------------------------------------------


def test_the_cheaper_order_is_taken_and_exact() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=400, **QUIET)
    @given(pool_cases(), seeds())
    def check(case: Case, rng: np.random.Generator) -> None:
        stats, after = check_pass(Alone(), case.graph, rng)
        order = "pool first" if case.conv_first else "conv first"
        found[f"{case.kind}, {order}"] += stats.applied
        found[order] += stats.applied
        found["declined"] += not stats.applied
        assert stats.applied <= 1
        if not stats.applied:
            (reason,) = stats.declined
            assert reason in MODEST or "is no cheaper" in reason
            return
        again, _ = check_pass(Alone(), after, rng)
        assert again.applied == 0

    check()
    assert found["pool first"] >= 100, found
    assert found["conv first"] >= 20, found
    assert found["declined"] >= 50, found
    for kind in ("AveragePool", "GlobalAveragePool", "ReduceMean"):
        assert found[f"{kind}, pool first"] >= 10, found


def test_counted_padding_makes_a_map_of_the_bias() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=250, **QUIET)
    @given(pool_cases(True, counted=True), seeds())
    def check(case: Case, rng: np.random.Generator) -> None:
        stats, after = check_pass(Alone(), case.graph, rng)
        found["map"] += "Add" in kinds(after)
        found["fired"] += stats.applied
        assert stats.applied or "cheaper" in "".join(stats.declined) or MODEST & set(stats.declined)

    check()
    assert found["fired"] >= 100, found
    assert found["map"] >= 40, found


def test_open_sizes_need_no_size_unless_padding_is_counted() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=250, **QUIET)
    @given(pool_cases(open_=True), seeds(), st.integers(0, 3))
    def check(case: Case, rng: np.random.Generator, more: int) -> None:
        larger = {name: size + more for name, size in case.graph.sizes.items()}
        stats, _ = check_pass(Alone(), case.graph, rng, [larger])
        found["fired"] += stats.applied

    check()
    assert found["fired"] >= 80, found


# -- one by one ---------------------------------------------------------------------------------


def average(build: Builder, data: Value, **more: Attribute) -> Value:
    """Windows 2×2 of stride 2, unless told otherwise."""
    attributes: dict[str, Attribute] = {"kernel_shape": (2, 2), "strides": (2, 2), **more}
    return build.op("AveragePool", (data,), attributes, name=f"pool{len(build.graph)}")


def commute(graph: Graph) -> tuple[Stats, Graph]:
    """The pass on a copy, each rewrite proved."""
    after = graph.clone()
    stats = Alone().run(after, Context(prove=prove))
    after.verify()
    return stats, after


def declined(*results: Value, build: Builder) -> list[str]:
    """The reasons for which nothing was done."""
    stats, _ = commute(finished(build, *results))
    assert stats.applied == 0
    return sorted(stats.declined)


def test_a_densenet_transition() -> None:
    build, x = new_graph((1, 32, 16, 16))
    value = add_link(build, x, "Norm", RNG.uniform(0.5, 2, 32), -3)
    value = build.op("Relu", (value,), name="relu")
    graph = finished(build, average(build, random_conv(build, value, 16, (1, 1), bias=False)))
    stats, after = check_pass(Alone(), graph, RNG)
    assert dict(stats.notes) == {"AveragePool before the 1×1 conv 32→16": 1}
    assert kinds(after) == ["BatchNormalization", "Relu", "AveragePool", "Conv"]
    one, other = size_of(graph, graph.ops()), size_of(after, after.ops())
    assert (one.macs, other.macs) == (16 * 16 * 32 * 16, 8 * 8 * 32 * 16)


def test_a_head_of_one_conv_and_a_global_pool() -> None:
    build, x = new_graph((2, 16, 7, 7))
    value = random_conv(build, x, 40, (1, 1))
    graph = finished(build, build.op("GlobalAveragePool", (value,), name="pool"))
    stats, after = check_pass(Alone(), graph, RNG)
    assert (stats.applied, kinds(after)) == (1, ["GlobalAveragePool", "Conv"])


def test_two_convs_are_both_passed() -> None:
    build, x = new_graph((1, 8, 8, 8))
    value = random_conv(build, random_conv(build, x, 6, (1, 1)), 4, (1, 1))
    graph = finished(build, average(build, value))
    stats, after = check_pass(Alone(), graph, RNG)
    assert (stats.applied, kinds(after)) == (2, ["AveragePool", "Conv", "Conv"])


def test_an_inception_branch_pools_fewer_channels() -> None:
    build, x = new_graph((1, 24, 9, 9))
    value = average(build, x, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    graph = finished(build, random_conv(build, value, 4, (1, 1)))
    stats, after = check_pass(Alone(), graph, RNG)
    assert dict(stats.notes) == {"AveragePool after the 1×1 conv 24→4": 1}
    assert kinds(after) == ["Conv", "AveragePool"]


def test_a_grouped_conv_pools_all_of_its_channels() -> None:
    build, x = new_graph((1, 8, 8, 8))
    graph = finished(build, average(build, random_conv(build, x, 6, (1, 1), group=2)))
    stats, after = check_pass(Alone(), graph, RNG)
    assert dict(stats.notes) == {"AveragePool before the 1×1 conv 8→6": 1}
    (pool,) = [op for op in after.ops() if op.kind == "AveragePool"]
    assert pool.result.shape == (1, 8, 4, 4)


def test_of_two_orders_that_cost_the_same_none_is_preferred() -> None:
    build, x = new_graph((1, 6, 8, 8))
    value = random_conv(build, x, 6, (1, 1))
    value = average(build, value, kernel_shape=(1, 1), strides=(1, 1))
    assert declined(value, build=build) == ["the AveragePool is no cheaper before the 1×1 conv"]


def test_a_map_between_is_in_the_way() -> None:
    build, x = new_graph((1, 4, 8, 8))
    value = random_conv(build, x, 6, (1, 1))
    map_ = build.constant(RNG.standard_normal((1, 6, 8, 8)).astype(np.float32))
    value = build.op("Add", (value, map_), name="map")
    assert declined(average(build, value), build=build) == []


def test_computed_weights_do_no_harm() -> None:
    build, x = new_graph((1, 4, 8, 8))
    weight = build.graph.add_input("w", TensorType(np.dtype(np.float32), (6, 4, 1, 1)))
    bias = build.graph.add_input("b", TensorType(np.dtype(np.float32), (6,)))
    value = build.op("Conv", (x, weight, bias), name="conv")
    stats, _ = check_pass(Alone(), finished(build, average(build, value)), RNG)
    assert stats.applied == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_are_kept(dtype: type) -> None:
    build, x = new_graph((1, 4, 8, 8), dtype=dtype)
    value = random_conv(build, x, 6, (1, 1))
    graph = finished(build, average(build, value, pads=(1, 1, 1, 1), count_include_pad=1))
    stats, after = commute(graph)
    assert (stats.applied, kinds(after)) == (1, ["AveragePool", "Conv", "Add"])
    assert {op.result.dtype for op in after.ops() if op.results} == {np.dtype(dtype)}


def test_the_order_that_is_cheaper_stays() -> None:
    build, x = new_graph((1, 4, 8, 8))
    value = random_conv(build, average(build, x), 6, (1, 1))
    assert declined(value, build=build) == ["the AveragePool is no cheaper after the 1×1 conv"]
    build, x = new_graph((1, 24, 9, 9))
    value = average(build, random_conv(build, x, 4, (1, 1)), strides=(1, 1), auto_pad="SAME_UPPER")
    assert declined(value, build=build) == ["the AveragePool is no cheaper before the 1×1 conv"]


def test_a_conv_with_one_output_is_cheaper_first() -> None:
    """The MACs that pooling saves are fewer than the additions of pooling 64 channels."""
    build, x = new_graph((1, 64, 8, 8))
    value = average(build, random_conv(build, x, 1, (1, 1)))
    assert declined(value, build=build) == ["the AveragePool is no cheaper before the 1×1 conv"]


def test_the_value_between_is_used_elsewhere() -> None:
    build, x = new_graph((1, 4, 8, 8))
    value = random_conv(build, x, 6, (1, 1))
    relu = build.op("Relu", (value,), name="relu")
    reasons = declined(average(build, value), relu, build=build)
    assert reasons == ["the value between has other users"]


def test_the_value_between_is_an_output() -> None:
    build, x = new_graph((1, 4, 8, 8))
    value = random_conv(build, x, 6, (1, 1))
    assert declined(average(build, value), value, build=build) == [
        "the value between is a graph output"
    ]


@pytest.mark.parametrize("more", [{"strides": 2}, {"pads": 1}])
def test_a_conv_with_strides_or_padding(more: dict[str, int]) -> None:
    build, x = new_graph((1, 4, 8, 8))
    value = average(build, random_conv(build, x, 6, (1, 1), **more))
    assert declined(value, build=build) == ["the 1×1 conv has strides or padding"]


def test_a_larger_kernel_and_other_pools_are_not_worth_a_word() -> None:
    build, x = new_graph((1, 4, 8, 8))
    value = average(build, random_conv(build, x, 6, (3, 3)))
    peak = build.op("GlobalMaxPool", (random_conv(build, x, 6, (1, 1)),), name="max")
    axes = {"axes": (1, 2, 3)}
    mean = build.op("ReduceMean", (random_conv(build, x, 6, (1, 1)),), axes, name="mean")
    flat = {"axes": (2, 3), "keepdims": 0}
    gone = build.op("ReduceMean", (random_conv(build, x, 6, (1, 1)),), flat, name="flat")
    assert declined(value, peak, mean, gone, build=build) == []


def test_counted_padding_needs_a_size_for_the_bias() -> None:
    build, x = new_graph((1, 4, "h", "w"), sizes={"h": 8, "w": 8})
    value = random_conv(build, x, 6, (1, 1))
    value = average(build, value, pads=(1, 1, 1, 1), count_include_pad=1)
    reason = "the AveragePool counts padding, and the size of its result is not known"
    assert declined(value, build=build) == [reason]


def test_counted_padding_needs_a_constant_bias() -> None:
    build, x = new_graph((1, 4, 8, 8))
    weight = build.constant(RNG.standard_normal((6, 4, 1, 1)).astype(np.float32))
    bias = build.graph.add_input("b", TensorType(np.dtype(np.float32), (6,)))
    value = build.op("Conv", (x, weight, bias), name="conv")
    value = average(build, value, pads=(1, 1, 1, 1), count_include_pad=1)
    assert declined(value, build=build) == [
        "the AveragePool counts padding, and the bias is not constant"
    ]


def test_counted_padding_and_a_map_that_is_too_large() -> None:
    build, x = new_graph((1, 2, 512, 512))
    value = random_conv(build, x, 20, (1, 1))
    value = average(build, value, pads=(1, 1, 1, 1), count_include_pad=1)
    assert declined(value, build=build) == ["the map of the bias would exceed 1048576 elements"]


def test_counted_padding_and_a_shift_between() -> None:
    build, x = new_graph((1, 4, 8, 8))
    value = add_link(build, random_conv(build, x, 6, (1, 1)), "Add", np.ones(6), -3)
    value = average(build, value, pads=(1, 1, 1, 1), count_include_pad=1)
    reason = "the AveragePool counts padding, which the shift before it reaches"
    assert declined(value, build=build) == [reason]


def test_counted_padding_and_a_bias_behind_the_pool() -> None:
    build, x = new_graph((1, 24, 9, 9))
    padded = {"strides": (1, 1), "pads": (1, 1, 1, 1), "kernel_shape": (3, 3)}
    value = average(build, x, **padded, count_include_pad=1)
    value = random_conv(build, value, 4, (1, 1))
    reason = "the AveragePool counts padding, which the bias would reach"
    assert declined(value, build=build) == [reason]


def test_counted_padding_and_a_window_larger_than_the_value() -> None:
    build, x = new_graph((1, 4, 3, 8))
    value = random_conv(build, x, 6, (1, 1))
    value = average(build, value, kernel_shape=(4, 2), pads=(1, 0, 1, 0), count_include_pad=1)
    assert declined(value, build=build) == [
        "the window of the AveragePool is larger than what it pools"
    ]


def test_a_window_that_depends_on_an_open_size() -> None:
    build, x = new_graph((1, 4, "h", "w"), sizes={"h": 8, "w": 8})
    value = average(build, random_conv(build, x, 6, (1, 1)), auto_pad="SAME_UPPER")
    assert declined(value, build=build) == [
        "the window of the AveragePool depends on a size that is not known"
    ]


def test_a_pool_that_may_leave_nothing_for_the_conv() -> None:
    build, x = new_graph((1, 4, "h", 8), sizes={"h": 8})
    value = average(build, random_conv(build, x, 6, (1, 1)), kernel_shape=(4, 2))
    assert declined(value, build=build) == ["the AveragePool may leave nothing of an open size"]


def test_a_pool_without_output() -> None:
    build, x = new_graph((1, 4, 1, 8))
    value = average(build, random_conv(build, x, 6, (1, 1)), kernel_shape=(4, 2))
    assert declined(value, build=build) == ["the AveragePool has no output at its size"]


def test_an_unknown_shape() -> None:
    build = new_graph((1,))[0]
    x = build.graph.add_input("z", TensorType(np.dtype(np.float32), None))
    weight = build.constant(RNG.standard_normal((6, 4, 1, 1)).astype(np.float32))
    value = build.op("GlobalAveragePool", (build.op("Conv", (x, weight)),), name="pool")
    stats = Alone().run(finished(build, value))
    assert dict(stats.declined) == {"the shape is not known": 1}


def test_ops_of_other_domains_are_left_alone() -> None:
    build, x = new_graph((1, 4, 8, 8))
    value = random_conv(build, x, 6, (1, 1))
    other = build.graph.add("GlobalAveragePool", (value,), domain="other", types=[value.type])
    stats = Alone().run(finished(build, other.result))
    assert (stats.applied, dict(stats.declined)) == (0, {})


def test_no_map_where_inference_counts_a_window_that_is_none() -> None:
    """Twelve columns and one of padding: the fifth window would begin in the padding."""
    pool = node(
        "AveragePool", "h", "y", kernel_shape=[2, 2], strides=[3, 3], pads=[0, 0, 1, 1],
        ceil_mode=1, count_include_pad=1,
    )  # fmt: skip
    weights = {"w": kernel(0, 8, 4, 1, 1), "b": kernel(1, 8)}
    made = model([node("Conv", "x w b", "h"), pool], weights, inputs={"x": (FLOAT, (1, 4, 10, 12))})
    graph = from_bytes(made)
    CommuteLinear().run(graph)
    ort.InferenceSession(to_bytes(graph), providers=["CPUExecutionProvider"])
