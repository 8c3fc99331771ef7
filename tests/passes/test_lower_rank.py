"""lower-to-conv2d on regions of 1-D and 3-D convs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.algebra import geometry_of
from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from passes.lower_to_conv2d import LowerToConv2d
from tests.helpers import check_pass
from tests.lower_strategies import NOT_WIDE, lines, volumes
from tests.strategies import finished, layer, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(4)
F32 = np.dtype(np.float32)
LINE = ("conv1d",)
VOLUME_FORMS = ("conv3d-aligned", "conv3d", "conv3d-sum")


def noise(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def ranks(graph: Graph, *kinds: str) -> set[int]:
    return {len(op.result.shape) for op in graph.ops() if op.kind in kinds}


def larger(graph: Graph) -> tuple[dict[str, int], ...]:
    """The open dims at their own sizes and at larger ones."""
    return ({}, {name: size + 3 for name, size in graph.sizes.items()}) if graph.sizes else ({},)


# -- one axis -----------------------------------------------------------------------------------


def test_regions_over_one_axis() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=200, **QUIET)
    @given(lines(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(LowerToConv2d(LINE), graph, rng, larger(graph))
        found["fired"] += stats.applied
        found["open"] += bool(graph.sizes)
        found["several"] += count(graph)["Conv"] + count(graph)["ConvTranspose"] > 1
        assert stats.applied == 1, stats.declined
        assert ranks(after, "Conv", "ConvTranspose", "MaxPool", "AveragePool") == {4}
        # The whole region is entered once; its results are two at the most.
        assert count(after)["Unsqueeze"] == 1
        assert count(after)["Squeeze"] == len(set(graph.outputs))

    check()
    assert found["fired"] >= 150, found
    assert found["open"] >= 50, found
    assert found["several"] >= 80, found


@pytest.mark.parametrize("opset", [9, 13])
def test_a_chain_over_one_axis(opset: int) -> None:
    build, x = new_graph(("n", 4, "length"), opset, sizes={"n": 2, "length": 40})
    y = random_conv(build, x, 4, (31,), group=4, pads=15)
    y = build.op("Relu", (y,))
    y = random_conv(build, y, 8, (1,))
    y = build.op("GlobalAveragePool", (y,))
    graph = finished(build, y)
    stats, after = check_pass(LowerToConv2d(NOT_WIDE), graph, RNG, larger(graph))
    assert stats.notes == {"1-D → 2-D: 2 in a region of 4 ops": 1}
    kernels = [op.operands[1].shape for op in after.ops() if op.kind == "Conv"]
    assert kernels == [(4, 1, 1, 31), (8, 4, 1, 1)]
    assert after.outputs[0].type == graph.outputs[0].type
    (entered,) = [op for op in after.ops() if op.kind == "Unsqueeze"]
    assert ("axes" in entered.attributes) == (opset < 13)


def test_a_residual_branch_is_one_region() -> None:
    build, x = new_graph((1, 4, 20))
    first = random_conv(build, x, 4, (3,), pads=1)
    second = random_conv(build, x, 4, (5,), pads=2)
    graph = finished(build, build.add(first, second))
    stats, after = check_pass(LowerToConv2d(NOT_WIDE), graph, RNG)
    assert stats.applied == 1
    assert count(after) == {"Unsqueeze": 1, "Conv": 2, "Add": 1, "Squeeze": 1}


def test_what_comes_before_the_first_conv_stays() -> None:
    build, x = new_graph((1, 4, 20))
    y = random_conv(build, build.op("Relu", (x,)), 4, (3,))
    _, after = check_pass(LowerToConv2d(NOT_WIDE), finished(build, y), RNG)
    assert ranks(after, "Relu") == {3}


def test_what_leaves_a_region_in_the_middle() -> None:
    build, x = new_graph((1, 4, 20))
    y = random_conv(build, x, 4, (3,), pads=1)
    outside = build.op("Softmax", (y,), {"axis": 2}, type_=y.type)
    z = random_conv(build, build.add(outside, y), 2, (3,))
    stats, after = check_pass(LowerToConv2d(NOT_WIDE), finished(build, z, y), RNG)
    assert stats.applied == 1
    assert count(after) == {
        "Unsqueeze": 2,
        "Conv": 2,
        "Squeeze": 2,
        "Softmax": 1,
        "Add": 1,
    }


def test_indices_of_a_pool_are_not_touched() -> None:
    build, x = new_graph((1, 4, 20))
    y = random_conv(build, x, 4, (3,))
    types = (TensorType(F32, (1, 4, 17)), TensorType(np.dtype(np.int64), (1, 4, 17)))
    pool = build.graph.add("MaxPool", (y,), {"kernel_shape": (2,)}, types=types)
    graph = finished(build, *pool.results)
    _, after = check_pass(LowerToConv2d(NOT_WIDE), graph, RNG)
    assert ranks(after, "MaxPool") == {3}
    assert ranks(after, "Conv") == {4}


def test_a_dead_op_holds_nothing_back() -> None:
    build, x = new_graph((1, 4, 20))
    y = random_conv(build, x, 4, (3,), pads=1)
    build.op("Sigmoid", (y,), type_=y.type)
    graph = finished(build, build.op("Relu", (y,)))
    stats = LowerToConv2d(NOT_WIDE).run(graph, Context(prove=prove))
    assert stats.applied == 1
    assert ranks(graph, "Conv", "Relu") == {4}
    assert ranks(graph, "Sigmoid") == {3}


def test_a_dead_conv_is_left_alone() -> None:
    build, x = new_graph((1, 4, 20))
    random_conv(build, x, 4, (3,))
    graph = finished(build, build.op("Relu", (x,)))
    assert LowerToConv2d(NOT_WIDE).run(graph).applied == 0


# -- three axes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", VOLUME_FORMS)
def test_regions_over_three_axes(form: str) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=250 if form == "conv3d-aligned" else 120, **QUIET)
    @given(volumes(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(LowerToConv2d((form,)), graph, rng, larger(graph))
        found["fired"] += stats.applied
        found["open"] += bool(graph.sizes and stats.applied)
        if form == "conv3d-aligned" and not stats.applied:
            return
        assert stats.applied == 1, stats.declined
        assert ranks(after, "Conv", "BatchNormalization") == {4}
        assert count(after)["Transpose"] <= 2 * count(graph)["Conv"] + 3
        found["gathered"] += count(after)["Gather"]
        found["padded"] += count(after)["Pad"]

    check()
    assert found["fired"] >= (30 if form == "conv3d-aligned" else 100), found
    assert found["open"] >= 10, found
    assert found["gathered"] >= 30, found
    assert found["padded"] >= 30, found


def meshnet(form: str) -> tuple[Graph, Graph]:
    build, x = new_graph(("n", 1, 8, 6, 7), sizes={"n": 1})
    for dilation in (1, 2, 3):
        x = random_conv(build, x, 30, (3, 3, 3), pads=dilation, dilations=dilation)
        x = build.op("Relu", (x,))
    graph = finished(build, random_conv(build, x, 3, (1, 1, 1)))
    stats, after = check_pass(LowerToConv2d((form,)), graph, RNG, larger(graph))
    assert stats.applied == 1
    return graph, after


def test_a_chain_keeps_the_depth_as_batch() -> None:
    graph, after = meshnet("conv3d")
    # One channel comes in: nothing has to be moved for that.
    assert count(after)["Transpose"] == 1
    assert count(after)["Gather"] == 3
    shapes = [op.operands[1].shape for op in after.ops() if op.kind == "Conv"]
    assert shapes == [(30, 3, 3, 3), (30, 90, 3, 3), (30, 90, 3, 3), (3, 30, 1, 1)]
    assert after.outputs[0].type == graph.outputs[0].type


def test_aligned_channels_are_multiples_of_the_block() -> None:
    _, after = meshnet("conv3d-aligned")
    shapes = [op.operands[1].shape for op in after.ops() if op.kind == "Conv"]
    assert shapes == [(32, 3, 3, 3), (32, 96, 3, 3), (32, 96, 3, 3), (3, 32, 1, 1)]


def test_a_sum_has_a_conv_for_each_tap_that_reads_something() -> None:
    _, after = meshnet("conv3d-sum")
    assert count(after)["Conv"] == 3 * 3 + 1
    build, x = new_graph((1, 2, 2, 5, 5))
    # Of three slices at a distance of four only the middle one is not padding.
    y = random_conv(build, x, 3, (3, 1, 1), dilations=4, pads=4)
    _, after = check_pass(LowerToConv2d(("conv3d-sum",)), finished(build, y), RNG)
    assert count(after)["Conv"] == 1


def test_padded_channels_do_not_leave_the_region() -> None:
    build, x = new_graph((1, 2, 4, 5, 5))
    y = build.op("Sigmoid", (random_conv(build, x, 30, (3, 3, 3), pads=1),))
    graph = finished(build, y, random_conv(build, y, 4, (1, 3, 3)))
    stats, after = check_pass(LowerToConv2d(NOT_WIDE), graph, RNG)
    assert stats.applied == 1
    assert count(after)["Slice"] == 1


# -- precision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("shape", [(1, 2, 9), (1, 2, 4, 5, 5)])
def test_other_precisions_are_kept(dtype: type, shape: tuple[int, ...]) -> None:
    build, x = new_graph(shape, dtype=dtype)
    rank = len(shape) - 2
    w = noise(3, 2, *(3 for _ in range(rank)))
    graph = finished(build, layer(build, x, geometry_of(w, pads=1), w, noise(3)))
    assert LowerToConv2d(NOT_WIDE).run(graph, Context(prove=prove)).applied == 1
    (conv,) = [op for op in graph.ops() if op.kind == "Conv"]
    assert conv.operands[1].array.dtype == np.dtype(dtype)
    assert len(conv.result.shape) == 4


# -- conditions ---------------------------------------------------------------------------------


def fed_weights(*shape: int | str) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = new_graph(shape, sizes={"w": 5})
        rank = len(shape) - 2
        w = build.graph.add_input("w", TensorType(F32, (2, 2, *(1 for _ in range(rank)))))
        return finished(build, build.op("Conv", (x, w)))

    return make


def conv_over(*shape: int | str | None) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = new_graph(shape, sizes={"d": 5, "h": 5, "w": 5, "n": 2})
        return finished(build, random_conv(build, x, 2, (3, 3, 3)))

    return make


def unknown_rank() -> Graph:
    build, x = new_graph((1, 2, 9))
    x.type = TensorType(F32, None)
    type_ = TensorType(F32, None)
    w = build.constant(noise(3, 2, 3))
    return finished(build, build.op("Conv", (x, w), type_=type_))


def fed_bias() -> Graph:
    build, x = new_graph((1, 2, 9))
    b = build.graph.add_input("b", TensorType(F32, (3,)))
    return finished(build, build.op("Conv", (x, build.constant(noise(3, 2, 3)), b)))


def unknown_pads() -> Graph:
    build, x = new_graph((1, 2, 5, 5, "w"), sizes={"w": 5})
    w = build.constant(noise(3, 2, 3, 3, 3))
    type_ = TensorType(F32, (1, 3, 3, 3, "v"))
    attributes = {"auto_pad": "SAME_UPPER", "strides": (2, 2, 2)}
    build.graph.sizes["v"] = 3
    return finished(build, build.op("Conv", (x, w), attributes, type_=type_))


def grouped_after_padded() -> Graph:
    build, x = new_graph((1, 2, 4, 5, 5))
    y = random_conv(build, x, 30, (3, 3, 3), pads=1)
    return finished(build, random_conv(build, y, 30, (1, 3, 3), group=2))


def nothing_left() -> Graph:
    build, x = new_graph((1, 2, 4, 5, 1))
    return finished(build, random_conv(build, x, 3, (1, 1, 2)))


def from_outside(build: Builder, x: Value) -> Value:
    y = random_conv(build, x, 30, (3, 3, 3), pads=1)
    return build.op("Add", (y, build.graph.add_input("z", y.type)))


def joined() -> Graph:
    build, x = new_graph((1, 2, 4, 5, 5))
    return finished(build, from_outside(build, x))


DECLINES = [
    (fed_weights(1, 2, 9), LINE, "the weights are not constant"),
    (fed_bias, LINE, "the weights are not constant"),
    (unknown_rank, LINE, "the rank of a value of the 1-D region is not known"),
    (fed_weights(1, 2, 5, 5, 5), ("conv3d",), "the weights are not constant"),
    (conv_over(1, 2, "d", 5, 5), ("conv3d",), "the size is not known"),
    (conv_over("n", 2, 5, "h", 5), ("conv3d",), "the size is not known"),
    (conv_over(1, 2, 5, "h", "w"), ("conv3d",), "the size is not known"),
    (nothing_left, ("conv3d",), "the conv has no output at its size"),
    (unknown_pads, ("conv3d",), "the geometry depends on an unknown size"),
    (
        grouped_after_padded,
        ("conv3d-aligned",),
        "the groups of a conv in the region would not fit padded channels",
    ),
    (joined, ("conv3d-aligned",), "a value from outside the region has no padded channels"),
]


@pytest.mark.parametrize(("make", "forms", "reason"), DECLINES)
def test_declines(make: Callable[[], Graph], forms: tuple[str, ...], reason: str) -> None:
    graph = make()
    version = graph.version
    stats = LowerToConv2d(forms).run(graph, Context(prove=prove))
    assert stats.declined == {reason: 1}
    assert graph.version == version


def test_a_value_from_outside_is_no_obstacle_without_padded_channels() -> None:
    stats, after = check_pass(LowerToConv2d(("conv3d",)), joined(), RNG)
    assert stats.applied == 1
    assert ranks(after, "Add") == {4}
