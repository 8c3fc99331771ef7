"""commute-linear: a conv on a Concat as a sum of convs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, Attribute, Dim, TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import Stats, size_of
from tests.commute_strategies import Alone, Sum, concat_cases
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(8)


# -- the whole attribute space ------------------------------------------------------------------


def test_parts_are_split_off_exactly() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=400, **QUIET)
    @given(concat_cases(), seeds())
    def check(case: Sum, rng: np.random.Generator) -> None:
        stats, after = check_pass(Alone(), case.graph, rng)
        found["fired"] += bool(stats.applied)
        for kind in ("resampled", "broadcast", "constant", "unaligned"):
            found[kind] += any(kind in note for note in stats.notes)
        again, _ = check_pass(Alone(), after, rng)
        assert again.applied == 0

    check()
    assert found["fired"] >= 200, found
    for kind in ("resampled", "broadcast", "constant", "unaligned"):
        assert found[kind] >= 50, found


# -- one by one ---------------------------------------------------------------------------------


def kinds(graph: Graph) -> Counter[str]:
    """The ops, weights left out."""
    return Counter(op.kind for op in graph.ops() if op.array is None and not op.is_boundary)


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


def another(build: Builder, shape: Sequence[Dim], name: str = "z") -> Value:
    return build.graph.add_input(name, TensorType(np.dtype(np.float32), tuple(shape)))


def doubled(build: Builder, data: Value) -> Value:
    assert data.shape is not None
    shape = tuple(d if i < 2 or not isinstance(d, int) else 2 * d for i, d in enumerate(data.shape))
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    type_ = TensorType(np.dtype(np.float32), shape)
    return build.op("Resize", (data, None, scales), type_=type_, name=f"up{len(build.graph)}")


def noise(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def test_a_yolo_neck_convolves_the_upsampled_half_at_low_resolution() -> None:
    build, x = new_graph((1, 16, 5, 5))
    value = build.concat([doubled(build, x), another(build, (1, 8, 10, 10))], 1)
    graph = finished(build, random_conv(build, value, 8, (1, 1)))
    stats, after = check_pass(Alone(), graph, RNG)
    assert dict(stats.notes) == {"conv on a Concat of 2 split: 1 resampled": 1}
    assert kinds(after) == {"Conv": 2, "Resize": 1, "Add": 1}
    one, other = size_of(graph, graph.ops()).macs, size_of(after, after.ops()).macs
    assert (one, other) == (100 * 24 * 8, 25 * 16 * 8 + 100 * 8 * 8)


def test_two_convs_on_one_concat_are_both_split() -> None:
    build, x = new_graph((1, 16, 5, 5))
    value = build.concat([doubled(build, x), another(build, (1, 8, 10, 10))], 1)
    branches = random_conv(build, value, 4, (1, 1)), random_conv(build, value, 6, (1, 1))
    stats, after = check_pass(Alone(), finished(build, *branches), RNG)
    assert stats.applied == 2
    assert kinds(after) == {"Conv": 4, "Resize": 2, "Add": 2}


def pooled(build: Builder, data: Value, **more: Attribute) -> Value:
    window: dict[str, Attribute] = {
        "kernel_shape": (3, 3),
        "pads": (1, 1, 1, 1),
        "count_include_pad": 0,
        **more,
    }
    return build.op("AveragePool", (data,), window, name=f"pool{len(build.graph)}")


def test_a_pooled_part_is_pooled_with_fewer_channels() -> None:
    build, x = new_graph((1, 16, 6, 6))
    value = build.concat([another(build, (1, 8, 6, 6)), pooled(build, x)], 1)
    graph = finished(build, random_conv(build, value, 4, (1, 1)))
    stats, after = check_pass(Alone(), graph, RNG)
    assert dict(stats.notes) == {"conv on a Concat of 2 split: 1 resampled": 1}
    assert kinds(after) == {"Conv": 2, "AveragePool": 1, "Add": 1}


def test_a_pooled_part_that_counts_padding() -> None:
    build, x = new_graph((1, 16, 6, 6))
    pool = pooled(build, x, count_include_pad=1)
    value = build.concat([another(build, (1, 8, 6, 6)), pool], 1)
    assert declined(build, random_conv(build, value, 4, (1, 1))) == [
        "the AveragePool before the Concat counts padding, which the bias would reach"
    ]


def test_all_parts_enlarged() -> None:
    build, x = new_graph((2, 6, 4, 4))
    z = another(build, (2, 8, 4, 4))
    value = build.concat([doubled(build, x), doubled(build, z)], 1)
    graph = finished(build, random_conv(build, value, 4, (1, 1)))
    stats, after = check_pass(Alone(), graph, RNG)
    assert dict(stats.notes) == {"conv on a Concat of 2 split: 2 resampled": 1}
    assert kinds(after) == {"Conv": 2, "Resize": 2, "Add": 1}


def test_open_sizes_do_no_harm_to_an_enlarged_part() -> None:
    build, x = new_graph((1, 16, "h", "w"), sizes={"h": 5, "w": 6, "2h": 10, "2w": 12})
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    type_ = TensorType(np.dtype(np.float32), (1, 16, "2h", "2w"))
    value = build.op("Resize", (x, None, scales), type_=type_, name="up")
    value = build.concat([value, build.op("Relu", (value,), type_=type_, name="relu")], 1)
    reason = "what resamples a part of the Concat has other users"
    assert declined(build, random_conv(build, value, 4, (1, 1))) == [reason]


def test_a_constant_that_is_alike_everywhere_becomes_bias() -> None:
    build, x = new_graph((1, 4, 6, 6))
    flat = np.broadcast_to(noise(1, 3, 1, 1), (1, 3, 6, 6)).copy()
    value = build.concat([x, build.constant(flat)], 1)
    graph = finished(build, random_conv(build, value, 5, (3, 3)))
    stats, after = check_pass(Alone(), graph, RNG)
    assert (stats.applied, kinds(after)) == (1, {"Conv": 1})


@pytest.mark.parametrize("pads", [0, 1])
def test_a_constant_grid_becomes_a_map(pads: int) -> None:
    build, x = new_graph((2, 4, 6, 6))
    grid = np.broadcast_to(np.linspace(-1, 1, 6, dtype=np.float32), (2, 1, 6, 6)).copy()
    value = build.concat([x, build.constant(grid)], 1)
    graph = finished(build, random_conv(build, value, 5, (3, 3), pads=pads))
    stats, after = check_pass(Alone(), graph, RNG)
    assert (stats.applied, kinds(after)) == (1, {"Conv": 1, "Add": 1})


def test_a_flat_constant_under_padding_becomes_a_map() -> None:
    build, x = new_graph((1, 4, 6, 6))
    value = build.concat([x, build.constant(np.ones((1, 2, 6, 6), np.float32))], 1)
    graph = finished(build, random_conv(build, value, 5, (3, 3), pads=1))
    stats, after = check_pass(Alone(), graph, RNG)
    assert (stats.applied, kinds(after)) == (1, {"Conv": 1, "Add": 1})


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3)])
def test_an_image_wide_mean_is_added_once_for_each_image(kernel: tuple[int, int]) -> None:
    """The head of DeepLab: a global mean, enlarged to the whole map and concatenated."""
    build, x = new_graph((2, 8, 6, 6))
    mean = build.op("GlobalAveragePool", (x,), name="mean")
    wide = build.op("Expand", (mean, build.ints((2, 8, 6, 6))), type_=x.type, name="expand")
    graph = finished(build, random_conv(build, build.concat([x, wide], 1), 4, kernel))
    stats, after = check_pass(Alone(), graph, RNG)
    assert dict(stats.notes) == {"conv on a Concat of 2 split: 1 broadcast": 1}
    assert kinds(after) == {"GlobalAveragePool": 1, "Conv": 2, "Add": 1}


@pytest.mark.parametrize(
    ("channels", "fires"),
    [((8, 3), True), ((8, 3, 2), True), ((8, 3, 1), False), ((3, 5), False), ((8, 4), False)],
)
def test_unaligned_parts_leave_the_others_aligned(channels: tuple[int, ...], fires: bool) -> None:
    build, x = new_graph((1, 16, 6, 6))
    parts = [build.slice(x, (1,), (i,), (i + c,)) for i, c in enumerate(channels)]
    graph = finished(build, random_conv(build, build.concat(parts, 1), 4, (3, 3), pads=1))
    stats, after = check_pass(Alone(), graph, RNG)
    assert stats.applied == fires
    if fires:
        counts = [op.operands[1].shape[1] for op in after.ops() if op.kind == "Conv"]
        assert counts == [8, sum(channels) - 8]


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_are_kept(dtype: type) -> None:
    build, x = new_graph((1, 4, 6, 6), dtype=dtype)
    value = build.concat([x, build.constant(noise(1, 4, 6, 6).astype(dtype))], 1)
    stats, after = commute(finished(build, random_conv(build, value, 5, (1, 1))))
    assert (stats.applied, kinds(after)) == (1, {"Conv": 1, "Add": 1})
    assert {op.result.dtype for op in after.ops() if op.results} == {np.dtype(dtype)}


# -- declined -----------------------------------------------------------------------------------


def neck(build: Builder, x: Value) -> Value:
    return build.concat([doubled(build, x), another(build, (1, 8, 10, 10))], 1)


def test_a_grouped_conv() -> None:
    build, x = new_graph((1, 16, 5, 5))
    value = random_conv(build, neck(build, x), 4, (1, 1), group=2)
    assert declined(build, value) == ["the conv after the Concat is grouped"]


def test_other_users_of_the_concat() -> None:
    build, x = new_graph((1, 16, 5, 5))
    value = neck(build, x)
    relu = build.op("Relu", (value,), name="relu")
    assert declined(build, random_conv(build, value, 4, (1, 1)), relu) == [
        "the Concat has other users than 1×1 convs"
    ]


def test_a_concat_that_is_an_output() -> None:
    build, x = new_graph((1, 16, 5, 5))
    value = neck(build, x)
    assert declined(build, random_conv(build, value, 4, (1, 1)), value) == [
        "the Concat has other users than 1×1 convs"
    ]


def test_a_resize_that_is_cheaper_where_it_is() -> None:
    build, x = new_graph((1, 1, 5, 5))
    value = random_conv(build, neck(build, x), 400, (1, 1))
    graph = finished(build, value)
    (resize,) = [op for op in graph.ops() if op.kind == "Resize"]
    resize.attributes = {"mode": "cubic"}
    stats, _ = commute(graph)
    # The one channel is unaligned, so that the rule still has something to offer.
    assert dict(stats.notes) == {"conv on a Concat of 2 split: 1 unaligned": 1}
    build, x = new_graph((1, 4, 5, 5))
    graph = finished(build, random_conv(build, neck(build, x), 4000, (1, 1)))
    (resize,) = [op for op in graph.ops() if op.kind == "Resize"]
    resize.attributes = {"mode": "cubic"}
    stats, _ = commute(graph)
    assert dict(stats.declined) == {
        "the Resize before the Concat is no cheaper after the 1×1 conv": 1
    }


def test_padding_around_a_broadcast_part() -> None:
    build, x = new_graph((2, 8, 6, 6))
    mean = build.op("GlobalAveragePool", (x,), name="mean")
    wide = build.op("Expand", (mean, build.ints((2, 8, 6, 6))), type_=x.type, name="expand")
    for kernel in ((3, 3), (1, 1)):
        value = random_conv(build, build.concat([x, wide], 1), 4, kernel, pads=1)
        assert declined(build, value) == ["border: the padding cuts the value that is broadcast"]


def test_nothing_but_constant_and_broadcast_parts() -> None:
    build, x = new_graph((1, 4, 1, 1))
    wide = build.op(
        "Expand",
        (x, build.ints((1, 4, 6, 6))),
        type_=TensorType(np.dtype(np.float32), (1, 4, 6, 6)),
        name="expand",
    )
    value = build.concat([wide, build.constant(noise(1, 4, 6, 6))], 1)
    assert declined(build, random_conv(build, value, 5, (1, 1))) == [
        "every part of the Concat is constant or broadcast"
    ]


def test_a_map_that_is_too_large() -> None:
    build, x = new_graph((1, 4, 256, 256))
    value = build.concat([x, build.constant(noise(1, 4, 256, 256))], 1)
    assert declined(build, random_conv(build, value, 17, (1, 1))) == [
        "the map of the constant part would exceed 1048576 elements"
    ]


def test_a_map_that_takes_too_long() -> None:
    build, x = new_graph((1, 4, 64, 64))
    value = build.concat([x, build.constant(noise(1, 512, 64, 64))], 1)
    assert declined(build, random_conv(build, value, 256, (5, 5), pads=2)) == [
        "the conv of the constant part takes too long to compute"
    ]


def test_weights_and_biases_that_are_no_constants() -> None:
    build, x = new_graph((1, 16, 5, 5))
    value = neck(build, x)
    weight = another(build, (4, 24, 1, 1), "w")
    assert declined(build, build.op("Conv", (value, weight), name="conv")) == [
        "the weights are not constant"
    ]
    build, x = new_graph((1, 4, 6, 6))
    value = build.concat([x, build.constant(np.ones((1, 4, 6, 6), np.float32))], 1)
    operands = (value, build.constant(noise(5, 8, 1, 1)), another(build, (5,), "b"))
    assert declined(build, build.op("Conv", operands, name="conv")) == [
        "the biases are not constant"
    ]


def test_a_geometry_that_depends_on_an_open_size() -> None:
    build, x = new_graph((1, 4, "h", 6), sizes={"h": 6})
    value = build.concat([x, another(build, (1, 3, "h", 6))], 1)
    weight = build.constant(noise(5, 7, 3, 3))
    more: dict[str, Attribute] = {"auto_pad": "SAME_UPPER", "strides": (2, 2)}
    assert declined(build, build.op("Conv", (value, weight), more, name="conv")) == [
        "the geometry depends on a size that is not known"
    ]


def test_channels_that_are_not_known() -> None:
    build, x = new_graph((1, 16, 5, 5))
    z = another(build, (1, "c", 10, 10))
    value = build.concat([doubled(build, x), z], 1)
    value = build.op("Conv", (value, build.constant(noise(4, 24, 1, 1))), name="conv")
    stats = Alone().run(finished(build, value))
    assert dict(stats.declined) == {"the channels of a part of the Concat are not known": 1}


def test_before_opset_7_an_add_is_another() -> None:
    build, x = new_graph((1, 8, 6, 6), opset=6)
    value = build.concat([x, another(build, (1, 3, 6, 6))], 1)
    stats = Alone().run(finished(build, random_conv(build, value, 4, (1, 1))))
    assert dict(stats.declined) == {"before opset 7 an Add does not broadcast": 1}


def test_a_concat_of_something_else_is_not_worth_a_word() -> None:
    build, x = new_graph((1, 3, 6, 6))
    value = build.concat([x, build.constant(noise(1, 3, 2, 6))], 2)
    assert declined(build, random_conv(build, value, 4, (1, 1))) == []
