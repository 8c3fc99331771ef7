"""lower-to-conv2d at the edges of its conditions: each case is one that only its guard keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from passes.lower_to_conv2d import LowerToConv2d
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv

RNG = np.random.default_rng(6)
F32 = np.dtype(np.float32)


def noise(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def norm(
    build: Builder, x: Value, count: int, attributes: dict[str, Attribute] | None = None
) -> Value:
    values = [noise(count), noise(count), noise(count), np.abs(noise(count)) + 1]
    return build.op("BatchNormalization", (x, *map(build.constant, values)), attributes or {})


# -- average pools ------------------------------------------------------------------------------


def cropping_pool() -> Graph:
    build, x = new_graph((1, 2, 8, 8))
    attributes: dict[str, Attribute] = {
        "kernel_shape": (3, 3),
        "pads": (-1, 0, 0, 0),
        "count_include_pad": 1,
    }
    type_ = TensorType(F32, (1, 2, 5, 6))
    return finished(build, build.op("AveragePool", (x,), attributes, type_=type_))


def cropping_volume() -> Graph:
    build, x = new_graph((1, 2, 5, 6, 6))
    w = build.constant(noise(3, 2, 1, 3, 3))
    attributes: dict[str, Attribute] = {"pads": (0, -1, 0, 0, 0, 0)}
    type_ = TensorType(F32, (1, 3, 5, 3, 4))
    return finished(build, build.op("Conv", (x, w), attributes, type_=type_))


def flat_volume() -> Graph:
    build, x = new_graph((1, 2, 2, 6, 6))
    w = build.constant(noise(3, 2, 3, 3, 3))
    type_ = TensorType(F32, (1, 3, 0, 4, 4))
    return finished(build, build.op("Conv", (x, w), type_=type_))


@pytest.mark.parametrize(
    ("make", "form", "reason"),
    [
        (cropping_pool, "pool", "the pool crops its input"),
        (cropping_volume, "conv3d", "the conv crops its input"),
        (flat_volume, "conv3d", "the conv has no output at its size"),
    ],
)
def test_declines(make: Callable[[], Graph], form: str, reason: str) -> None:
    stats = LowerToConv2d((form,)).run(make())
    assert (stats.applied, stats.declined) == (0, {reason: 1})


def test_a_pool_of_an_open_size_that_its_padding_alone_fills_is_a_conv() -> None:
    """One sample and two of padding are a window of three, whatever the size."""
    build, x = new_graph((1, 2, "h", 8), sizes={"h": 4})
    attributes: dict[str, Attribute] = {
        "kernel_shape": (3, 3),
        "pads": (1, 1, 1, 1),
        "count_include_pad": 1,
    }
    graph = finished(build, build.op("AveragePool", (x,), attributes))
    stats, after = check_pass(LowerToConv2d(("pool",)), graph, RNG, ({}, {"h": 1}))
    assert stats.applied == 1
    assert count(after) == {"Conv": 1}


# -- depthwise convs of several filters ---------------------------------------------------------


def trained(build: Builder, y: Value) -> Value:
    return norm(build, y, 8, {"training_mode": 1})


def with_statistics(build: Builder, y: Value) -> Value:
    """An inference form whose further results exist: they would have the old order."""
    values = [noise(8), noise(8), noise(8), np.abs(noise(8)) + 1]
    operands = (y, *map(build.constant, values))
    types = (y.type, TensorType(F32, (8,)), TensorType(F32, (8,)))
    return build.graph.add("BatchNormalization", operands, types=types).results[0]


def by_slopes(build: Builder, y: Value) -> Value:
    """The slopes of a PRelu are one for each channel, too, but it is not among the kinds."""
    return build.op("PRelu", (y, build.constant(noise(8, 1, 1))))


@pytest.mark.parametrize("between", [trained, with_statistics, by_slopes])
def test_what_does_not_take_another_order_is_given_the_old_one(
    between: Callable[[Builder, Value], Value],
) -> None:
    build, x = new_graph((1, 4, 6, 7))
    y = random_conv(build, x, 8, (3, 3), group=4, pads=1)
    graph = finished(build, random_conv(build, between(build, y), 3, (1, 1)))
    LowerToConv2d(("split",)).run(graph)
    assert count(graph)["Gather"] == 1
    (gather,) = (op for op in graph.ops() if op.kind == "Gather")
    # Concatenated are the first filters of all channels, then the second ones.
    order = gather.operand(1)
    assert order is not None
    assert order.array is not None
    assert order.array.tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


# -- one axis -----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, 2, -1, -2])
def test_a_concat_in_a_region_over_one_axis(axis: int) -> None:
    build, x = new_graph((1, 4, 9))
    parts = [random_conv(build, x, 4, (3,), pads=1) for _ in range(2)]
    shape = (1, 8, 9) if axis in (1, -2) else (1, 4, 18)
    y = build.op("Concat", parts, {"axis": axis}, type_=TensorType(F32, shape))
    stats, after = check_pass(LowerToConv2d(("conv1d",)), finished(build, y), RNG)
    assert stats.applied == 1
    assert count(after) == {"Unsqueeze": 1, "Conv": 2, "Concat": 1, "Squeeze": 1}


def test_constants_of_every_rank_in_a_region_over_one_axis() -> None:
    """(L,), (C, 1) and (N, C, 1) line up with (N, C, 1, L) as they did with (N, C, L)."""
    build, x = new_graph((1, 4, 9))
    y = random_conv(build, x, 4, (3,), pads=1)
    for shape in ((), (9,), (4, 1), (4, 9), (1, 4, 1)):
        y = build.op("Add", (y, build.constant(noise(*shape))), type_=y.type)
    stats, after = check_pass(LowerToConv2d(("conv1d",)), finished(build, y), RNG)
    assert stats.applied == 1
    assert count(after) == {"Unsqueeze": 1, "Conv": 1, "Add": 5, "Squeeze": 1}


@pytest.mark.parametrize(
    "attributes",
    [
        {"output_shape": (20,), "strides": (2,)},
        {"output_padding": (1,), "strides": (2,)},
        {"pads": (0, 2), "strides": (2,)},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_transposed_conv_over_one_axis(attributes: dict[str, Attribute]) -> None:
    build, x = new_graph((1, 4, 9))
    w = build.constant(noise(4, 3, 3))
    size = {"output_shape": 20, "output_padding": 20, "pads": 17}[next(iter(attributes))]
    type_ = TensorType(F32, (1, 3, size))
    graph = finished(build, build.op("ConvTranspose", (x, w), attributes, type_=type_))
    stats, after = check_pass(LowerToConv2d(("conv1d",)), graph, RNG)
    assert stats.applied == 1
    assert after.outputs[0].type == type_


# -- three axes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["conv3d", "conv3d-sum"])
def test_a_conv_that_reads_nothing_but_padding(form: str) -> None:
    """Depth 1, taps at a distance of 5, three slices of padding: −3 and 2, −2 and 3 are read."""
    build, x = new_graph((1, 2, 1, 5, 5))
    w, b = noise(3, 2, 2, 1, 1), noise(3)
    attributes: dict[str, Attribute] = {"dilations": (5, 1, 1), "pads": (3, 0, 0, 3, 0, 0)}
    type_ = TensorType(F32, (1, 3, 2, 5, 5))
    operands = (x, build.constant(w), build.constant(b))
    graph = finished(build, build.op("Conv", operands, attributes, type_=type_))
    stats, _ = check_pass(LowerToConv2d((form,)), graph, RNG)
    assert stats.applied == 1


def test_a_batch_norm_without_epsilon_leaves_padded_channels_zero() -> None:
    build, x = new_graph((1, 2, 4, 5, 5))
    y = norm(build, random_conv(build, x, 30, (3, 3, 3), pads=1), 30, {"epsilon": 0.0})
    graph = finished(build, random_conv(build, y, 3, (1, 1, 1)))
    stats, after = check_pass(LowerToConv2d(("conv3d-aligned",)), graph, RNG)
    assert stats.applied == 1
    (scaled,) = (op for op in after.ops() if op.kind == "BatchNormalization")
    assert scaled.operand(0).shape[1] == 32


def test_a_sum_that_repeats_one_operand_along_an_axis_is_no_part_of_a_region() -> None:
    """(1, C, D, 1, 1) is added to all positions: as (N·D, C, H, W) it would be, too, by chance."""
    build, x = new_graph((1, 2, 4, 5, 5))
    y = random_conv(build, x, 4, (3, 3, 3), pads=1)
    one = build.op("ReduceMean", (y,), {"axes": (0, 3, 4)}, type_=TensorType(F32, (1, 4, 4, 1, 1)))
    graph = finished(build, build.op("Add", (y, one), type_=y.type))
    after = graph.clone()
    stats = LowerToConv2d(("conv3d",)).run(after, Context(prove=prove))
    assert stats.applied == 1
    (add,) = (op for op in after.ops() if op.kind == "Add")
    assert len(add.result.shape) == 5


@pytest.mark.parametrize(("channels", "given"), [(27, 27), (28, 28), (29, 32), (32, 32)])
def test_channels_are_aligned_where_that_adds_an_eighth_at_the_most(
    channels: int, given: int
) -> None:
    """8 · 32 > 9 · 28, so 28 stay; 8 · 32 ≤ 9 · 29."""
    build, x = new_graph((1, 2, 4, 5, 5))
    y = random_conv(build, x, channels, (3, 1, 1), pads=0)
    graph = finished(build, random_conv(build, build.op("Relu", (y,)), 29, (1, 1, 1)))
    stats, after = check_pass(LowerToConv2d(("conv3d-aligned",)), graph, RNG)
    assert stats.applied == 1
    first = next(op for op in after.ops() if op.kind == "Conv")
    assert first.result.shape[1] == given


# -- a resize and a conv ------------------------------------------------------------------------


def test_samples_that_a_stride_leaves_over_cost_no_taps() -> None:
    """Every fourth of 2·5 samples and the two behind it: 0, 0, 1 and 2, 2, 3; not 4."""
    build, x = new_graph((1, 2, 5, 5))
    attributes: dict[str, Attribute] = {
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    scales = build.constant(np.array([1, 1, 2, 2], np.float32))
    y = build.op("Resize", (x, None, scales), attributes, type_=TensorType(F32, (1, 2, 10, 10)))
    graph = finished(build, random_conv(build, y, 3, (3, 3), strides=4))
    stats, after = check_pass(LowerToConv2d(("resize-conv-phases",)), graph, RNG)
    assert stats.applied == 1
    (conv,) = (op for op in after.ops() if op.kind == "Conv")
    assert conv.attributes["kernel_shape"] == (2, 2)
