"""lower-to-conv2d on depthwise convs of several filters, and on average pools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.graph import Graph
from convc.ir import TensorType
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from passes.lower_to_conv2d import LowerToConv2d
from tests.helpers import check_pass
from tests.lower_strategies import NOT_WIDE, average_pools, multiplied
from tests.strategies import finished, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(5)
F32 = np.dtype(np.float32)
SPLIT, REPEAT, POOL = ("split",), ("repeat",), ("pool",)


def noise(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def filters_a_group(graph: Graph) -> set[int]:
    """Of the convs with groups."""
    groups = [
        (op.operands[1].shape[0], op.attributes["group"])
        for op in graph.ops()
        if op.kind == "Conv" and op.attributes.get("group", 1) > 1
    ]
    return {outputs // group for outputs, group in groups}


def larger(graph: Graph) -> tuple[dict[str, int], ...]:
    """The open dims at their own sizes and at larger ones."""
    return ({}, {name: size + 3 for name, size in graph.sizes.items()}) if graph.sizes else ({},)


@pytest.mark.parametrize("forms", [SPLIT, REPEAT], ids=["split", "repeat"])
def test_several_filters_become_one(forms: tuple[str, ...]) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=150, **QUIET)
    @given(multiplied(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(LowerToConv2d(forms), graph, rng, larger(graph))
        assert stats.applied == 1, stats.declined
        assert filters_a_group(after) == {1}
        found["fired"] += 1
        found["in order"] += count(after)["Gather"]
        found["taken"] += not count(after)["Gather"]

    check()
    assert found["fired"] >= 100, found
    assert found["in order"] >= 30, found
    assert (found["taken"] >= 30) == (forms == SPLIT), found


def test_average_pools_are_convs() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=300, **QUIET)
    @given(average_pools(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(LowerToConv2d(POOL), graph, rng, larger(graph))
        found["fired"] += stats.applied
        found.update(stats.declined)
        assert stats.applied == count(after)["Conv"]

    check()
    assert found["fired"] >= 100, found
    assert found["the pool averages over fewer samples at the border"] >= 10, found
    assert found["the pool's last window may reach beyond the padding: ceil_mode"] >= 10, found


def test_the_next_conv_takes_the_order() -> None:
    build, x = new_graph(("n", 4, "h", "w"), sizes={"n": 2, "h": 6, "w": 7})
    y = random_conv(build, x, 8, (3, 3), group=4, pads=1)
    values = [noise(8), noise(8), noise(8), np.abs(noise(8)) + 1]
    y = build.op("BatchNormalization", (y, *map(build.constant, values)))
    y = build.op("Clip", (y, build.constant(np.array(0, F32))))
    graph = finished(build, random_conv(build, y, 3, (3, 3)))
    stats, after = check_pass(LowerToConv2d(SPLIT), graph, RNG, larger(graph))
    note = "depthwise Conv of 2 filters a channel → 2 depthwise Convs, order taken by the next Conv"
    assert stats.notes == {note: 1}
    assert count(after) == {"Conv": 3, "Concat": 1, "BatchNormalization": 1, "Clip": 1}


@pytest.mark.parametrize("between", ["output", "two users", "grouped", "Softmax"])
def test_otherwise_a_gather_restores_the_order(between: str) -> None:
    build, x = new_graph((1, 4, 6, 7))
    y = random_conv(build, x, 8, (3, 3), group=4, pads=1)
    other = build.op("Relu", (y,)) if between == "two users" else None
    group = 2 if between == "grouped" else 1
    middle = build.op("Softmax", (y,), {"axis": 1}, type_=y.type) if between == "Softmax" else y
    z = random_conv(build, middle, 2, (3, 3), group=group)
    results = [z, *([y] if between == "output" else []), *([other] if other else [])]
    stats, after = check_pass(LowerToConv2d(SPLIT), finished(build, *results), RNG)
    assert stats.applied == 1
    assert count(after)["Gather"] == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_kept(dtype: type) -> None:
    build, x = new_graph((1, 2, 8, 8), dtype=dtype)
    w = build.constant(noise(4, 1, 3, 3).astype(dtype))
    y = build.op("Conv", (x, w), {"group": 2})
    graph = finished(build, build.op("AveragePool", (y,), {"kernel_shape": (2, 2)}))
    assert LowerToConv2d(NOT_WIDE).run(graph, Context(prove=prove)).applied == 2
    weights = [op.operands[1].array.dtype for op in graph.ops() if op.kind == "Conv"]
    assert set(weights) == {np.dtype(dtype)}


def pool(**attributes: object) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = new_graph((1, 2, 8, 8))
        given = {"kernel_shape": (3, 3), **attributes}
        type_ = TensorType(F32, (1, 2, 4, 4)) if "ceil_mode" in attributes else None
        return finished(build, build.op("AveragePool", (x,), given, type_=type_))

    return make


def open_channels() -> Graph:
    build, x = new_graph((1, "c", 8, 8), sizes={"c": 2})
    return finished(build, build.op("AveragePool", (x,), {"kernel_shape": (3, 3)}))


def open_size() -> Graph:
    build, x = new_graph((1, 2, "h", 8), sizes={"h": 8})
    return finished(build, build.op("AveragePool", (x,), {"kernel_shape": (3, 3)}))


def unknown_pads() -> Graph:
    build, x = new_graph((1, 2, "h", 8), sizes={"h": 8})
    attributes = {"kernel_shape": (3, 3), "strides": (2, 2), "auto_pad": "SAME_UPPER"}
    type_ = TensorType(F32, (1, 2, None, 4))
    return finished(build, build.op("AveragePool", (x,), attributes, type_=type_))


def fed(bias: bool) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = new_graph((1, 2, 8, 8))
        w = build.graph.add_input("w", TensorType(F32, (4,) if bias else (4, 1, 3, 3)))
        operands = (x, build.constant(noise(4, 1, 3, 3)), w) if bias else (x, w)
        return finished(build, build.op("Conv", operands, {"group": 2}))

    return make


DECLINES = [
    (pool(pads=(1, 1, 1, 1)), POOL, "the pool averages over fewer samples at the border"),
    (
        pool(ceil_mode=1, strides=(2, 2)),
        POOL,
        "the pool's last window may reach beyond the padding: ceil_mode",
    ),
    (open_channels, POOL, "the number of channels is not known"),
    (open_size, POOL, "the input may be smaller than the pool's window"),
    (unknown_pads, POOL, "the geometry depends on an unknown size"),
    (fed(bias=False), SPLIT, "the weights are not constant"),
    (fed(bias=True), SPLIT, "the biases are not constant"),
    (fed(bias=True), REPEAT, "the biases are not constant"),
]


@pytest.mark.parametrize(("make", "forms", "reason"), DECLINES)
def test_declines(make: Callable[[], Graph], forms: tuple[str, ...], reason: str) -> None:
    graph = make()
    version = graph.version
    stats = LowerToConv2d(forms).run(graph, Context(prove=prove))
    assert stats.declined == {reason: 1}
    assert graph.version == version


def test_one_filter_a_channel_is_left_without_a_word() -> None:
    build, x = new_graph((1, 4, 6, 7))
    y = random_conv(build, x, 4, (3, 3), group=4)
    graph = finished(build, random_conv(build, y, 8, (3, 3), group=2))
    stats = LowerToConv2d(NOT_WIDE).run(graph)
    assert (stats.applied, stats.declined) == (0, {})


def test_forms_are_named_in_the_text() -> None:
    text = "lower-to-conv2d{forms=phases,pool}"
    pipeline = Pipeline.parse(text)
    assert str(pipeline) == text
    assert [rule.name for rule in pipeline.passes[0].rules()] == [
        "lower_phases",
        "lower_average_pool",
    ]
