"""commute-linear: Resize, Upsample and 1×1 convs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import Stats, size_of
from tests.commute_strategies import Alone, Case, imported, resize_cases
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(6)


def kinds(graph: Graph) -> list[str]:
    """The ops in order, weights left out."""
    return [op.kind for op in graph.ops() if op.array is None and not op.is_boundary]


# -- the whole attribute space ------------------------------------------------------------------


def test_the_cheaper_order_is_taken_and_exact() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=400, **QUIET)
    @given(resize_cases(), seeds())
    def check(case: Case, rng: np.random.Generator) -> None:
        stats, after = check_pass(Alone(), case.graph, rng)
        order = "resize first" if case.conv_first else "conv first"
        found[order] += stats.applied
        found[case.kind] += stats.applied
        assert stats.applied <= 1
        if not stats.applied:
            (reason,) = stats.declined
            assert "is no cheaper" in reason
            return
        again, _ = check_pass(Alone(), after, rng)
        assert again.applied == 0

    check()
    assert found["conv first"] + found["resize first"] >= 150, found
    assert found["conv first"] >= 60, found
    assert found["resize first"] >= 20, found
    assert found["Upsample"] >= 20, found


def test_open_sizes_need_scales() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=150, **QUIET)
    @given(resize_cases(open_=True), seeds(), st.integers(0, 3))
    def check(case: Case, rng: np.random.Generator, more: int) -> None:
        larger = {name: size + more for name, size in case.graph.sizes.items()}
        stats, _ = check_pass(Alone(), case.graph, rng, [larger])
        found["fired"] += stats.applied

    check()
    assert found["fired"] >= 30, found


# -- one by one ---------------------------------------------------------------------------------


def doubled(build: Builder, data: Value, **more: Attribute) -> Value:
    """Nearest, twice as large, from opset 11 on by sizes where they are known."""
    assert data.shape is not None
    shape = [d if isinstance(d, int) else None for d in data.shape]
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    name, type_ = f"resize{len(build.graph)}", data.type
    if None not in shape:
        n, c, *size = [d for d in shape if d is not None]
        sizes = [n, c, *(2 * d for d in size)]
        type_ = TensorType(np.dtype(np.float32), tuple(sizes))
        operands = [data, None, None, build.ints(sizes)]
        return build.op("Resize", operands, more, type_=type_, name=name)
    type_ = TensorType(np.dtype(np.float32), (*shape[:2], None, None))
    return build.op("Resize", (data, None, scales), more, type_=type_, name=name)


def commute(graph: Graph) -> tuple[Stats, Graph]:
    """The pass on a copy, each rewrite proved."""
    after = graph.clone()
    stats = Alone().run(after, Context(prove=prove))
    after.verify()
    return stats, after


def declined(build: Builder, *results: Value) -> list[str]:
    """The reasons for which nothing was done."""
    stats, _ = commute(finished(build, *results))
    assert stats.applied == 0
    return sorted(stats.declined)


def test_sizes_get_the_new_number_of_channels() -> None:
    build, x = new_graph((2, 8, 5, 6))
    graph = finished(build, random_conv(build, doubled(build, x), 3, (1, 1)))
    stats, after = check_pass(Alone(), graph, RNG)
    assert dict(stats.notes) == {"Resize after the 1×1 conv 8→3": 1}
    assert kinds(after) == ["Conv", "Resize"]
    (resize,) = [op for op in after.ops() if op.kind == "Resize"]
    assert resize.operands[3].array.tolist() == [2, 3, 10, 12]
    assert resize.result.shape == (2, 3, 10, 12)
    one, other = size_of(graph, graph.ops()).macs, size_of(after, after.ops()).macs
    assert (one, other) == (120 * 24 * 2, 30 * 24 * 2)


def test_a_resize_that_shrinks_goes_first() -> None:
    build, x = new_graph((1, 8, 8, 8))
    value = random_conv(build, x, 12, (1, 1))
    scales = build.constant(np.array([1, 1, 0.5, 0.5], np.float32))
    type_ = TensorType(np.dtype(np.float32), (1, 12, 4, 4))
    value = build.op("Resize", (value, None, scales), {"mode": "linear"}, type_=type_, name="half")
    stats, after = check_pass(Alone(), finished(build, value), RNG)
    assert dict(stats.notes) == {"Resize before the 1×1 conv 8→12": 1}
    assert kinds(after) == ["Resize", "Conv"]


def test_a_conv_that_widens_stays_behind_a_resize_that_is_dear() -> None:
    """Its 40 channels would take more products than MACs are saved."""
    build, x = new_graph((1, 1, 8, 8))
    value = random_conv(build, doubled(build, x, mode="cubic"), 40, (1, 1))
    assert declined(build, value) == ["the Resize is no cheaper after the 1×1 conv"]


def test_the_order_that_is_cheaper_stays() -> None:
    build, x = new_graph((1, 8, 5, 5))
    value = doubled(build, random_conv(build, x, 4, (1, 1)))
    assert declined(build, value) == ["the Resize is no cheaper before the 1×1 conv"]


def test_another_user_and_an_output() -> None:
    build, x = new_graph((1, 8, 5, 5))
    large = doubled(build, x)
    relu = build.op("Relu", (large,), name="relu")
    value = random_conv(build, large, 4, (1, 1))
    assert declined(build, value, relu) == ["the value between has other users"]
    build, x = new_graph((1, 8, 5, 5))
    large = doubled(build, x)
    value = random_conv(build, large, 4, (1, 1))
    assert declined(build, value, large) == ["the value between is a graph output"]


def test_a_larger_kernel_is_not_worth_a_word() -> None:
    build, x = new_graph((1, 8, 5, 5))
    assert declined(build, random_conv(build, doubled(build, x), 4, (3, 3))) == []


def test_a_crop_has_values_of_its_own() -> None:
    build, x = new_graph((1, 8, 5, 5))
    roi = build.constant(np.array([0, 0, -0.5, 0, 1, 1, 1, 1.5], np.float32))
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    more: dict[str, Attribute] = {
        "mode": "linear",
        "coordinate_transformation_mode": "tf_crop_and_resize",
        "extrapolation_value": 3.0,
    }
    type_ = TensorType(np.dtype(np.float32), (1, 8, 10, 10))
    value = build.op("Resize", (x, roi, scales), more, type_=type_, name="crop")
    assert declined(build, random_conv(build, value, 4, (1, 1))) == [
        "tf_crop_and_resize has values of its own outside of the input"
    ]


def test_scales_that_are_computed() -> None:
    build, x = new_graph((1, 8, 5, 5))
    scales = build.graph.add_input("scales", TensorType(np.dtype(np.float32), (4,)))
    type_ = TensorType(np.dtype(np.float32), (1, 8, None, None))
    value = build.op("Resize", (x, None, scales), type_=type_, name="resize")
    assert declined(build, random_conv(build, value, 4, (1, 1))) == [
        "the scales or sizes of the Resize are not constant"
    ]


@pytest.mark.parametrize("scales", [(1, 2, 2, 2), (2, 1, 1, 1)])
def test_channels_or_the_batch_resized(scales: tuple[int, ...]) -> None:
    build, x = new_graph((1, 4, 5, 5))
    shape = tuple(n * s for n, s in zip((1, 4, 5, 5), scales, strict=True))
    array = build.constant(np.array(scales, np.float32))
    type_ = TensorType(np.dtype(np.float32), shape)
    value = build.op("Resize", (x, None, array), type_=type_, name="resize")
    assert declined(build, random_conv(build, value, 4, (1, 1))) == [
        "the Resize may change the batch or the channels"
    ]


def test_sizes_for_an_open_batch() -> None:
    build, x = new_graph(("n", 8, 5, 5), sizes={"n": 2})
    type_ = TensorType(np.dtype(np.float32), (2, 8, 10, 10))
    operands = (x, None, None, build.ints((2, 8, 10, 10)))
    value = build.op("Resize", operands, type_=type_, name="resize")
    assert declined(build, random_conv(build, value, 4, (1, 1))) == [
        "the Resize may change the batch or the channels"
    ]


def test_sizes_of_an_input_whose_size_is_not_known() -> None:
    build, x = new_graph((1, 8, None, None))
    type_ = TensorType(np.dtype(np.float32), (1, 8, 10, 10))
    operands = (x, None, None, build.ints((10, 10)))
    value = build.op("Resize", operands, {"axes": (2, 3)}, type_=type_, name="resize")
    build.graph.header = build.graph.header.__class__(opsets={"": 18})
    assert declined(build, random_conv(build, value, 4, (1, 1))) == [
        "whether the Resize enlarges is not known: a size is open"
    ]


def test_the_aspect_ratio_is_kept() -> None:
    build, x = new_graph((1, 8, 5, 5), opset=18)
    more = {"keep_aspect_ratio_policy": "not_larger", "axes": (2, 3)}
    type_ = TensorType(np.dtype(np.float32), (1, 8, 10, 10))
    value = build.op("Resize", (x, None, None, build.ints((10, 12))), more, type_=type_)
    assert declined(build, random_conv(build, value, 4, (1, 1))) == [
        "the Resize keeps the aspect ratio"
    ]


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ("h", "the Resize may leave nothing of an open size"),
        (1, "the Resize has no output at its size"),
    ],
)
def test_a_resize_that_may_leave_nothing_for_the_conv(size: int | str, reason: str) -> None:
    build, x = new_graph((1, 8, size, 8), sizes={"h": 8})
    scales = build.constant(np.array([1, 1, 0.5, 0.5], np.float32))
    type_ = TensorType(np.dtype(np.float32), (1, 6, None, 4))
    operands = (random_conv(build, x, 6, (1, 1)), None, scales)
    assert declined(build, build.op("Resize", operands, type_=type_, name="half")) == [reason]


def test_an_unknown_shape() -> None:
    build = new_graph((1,))[0]
    x = build.graph.add_input("z", TensorType(np.dtype(np.float32), None))
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    weight = build.constant(np.ones((3, 4, 1, 1), np.float32))
    value = build.op("Resize", (x, None, scales), name="resize")
    stats = Alone().run(finished(build, build.op("Conv", (value, weight), name="conv")))
    assert dict(stats.declined) == {"the shape is not known": 1}


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_are_kept(dtype: type) -> None:
    build, x = new_graph((1, 8, 5, 5), dtype=dtype)
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    type_ = TensorType(np.dtype(dtype), (1, 8, 10, 10))
    value = build.op("Resize", (x, None, scales), {"mode": "cubic"}, type_=type_, name="resize")
    stats, after = commute(finished(build, random_conv(build, value, 4, (1, 1))))
    assert (stats.applied, kinds(after)) == (1, ["Conv", "Resize"])
    floats = {op.result.dtype for op in after.ops() if op.results and op.result is not None}
    assert floats - {np.dtype(np.float32)} in ({np.dtype(dtype)},)


def test_in_a_file_every_value_has_the_type_that_it_had() -> None:
    build, x = new_graph((1, 8, "h", "w"), sizes={"h": 5, "w": 4})
    graph = imported(finished(build, random_conv(build, doubled(build, x), 4, (1, 1))))
    before = graph.output_types
    stats, after = check_pass(Alone(), graph, RNG)
    assert stats.applied == 1
    assert after.output_types == before
