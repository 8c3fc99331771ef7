"""lower-to-conv2d on regions of 3-D convs: several slices of the depth at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.algebra import geometry_of
from convc.graph import Graph
from convc.ir import TensorType
from convc.pipeline import Choose, Context
from convc.proof import prove
from passes.lower_to_conv2d import LowerToConv2d, deep
from tests.helpers import check_pass
from tests.lower_strategies import volumes
from tests.strategies import finished, layer, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(8)
DEEP = ("conv3d-deep",)
MIXED = "the groups of a 3-D conv would be mixed"


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def kernels(graph: Graph) -> list[tuple[int, ...]]:
    return [tuple(op.operands[1].shape) for op in graph.ops() if op.kind == "Conv"]


def larger(graph: Graph) -> tuple[dict[str, int], ...]:
    """The open dims at their own sizes and at larger ones."""
    return ({}, {name: size + 3 for name, size in graph.sizes.items()}) if graph.sizes else ({},)


def chain(channels: int, dilations: tuple[int, ...], depth: int = 8) -> Graph:
    """Convs 3×3×3 with Relu, each as wide as the first, and a 1×1×1 behind them."""
    build, x = new_graph(("n", channels, depth, 5, 6), sizes={"n": 1})
    for dilation in dilations:
        x = random_conv(build, x, channels, (3, 3, 3), pads=dilation, dilations=dilation)
        x = build.op("Relu", (x,))
    return finished(build, random_conv(build, x, 3, (1, 1, 1)))


# -- the whole attribute space ------------------------------------------------------------------


@pytest.mark.parametrize("largest", [2**30, 1000], ids=["whole", "parts"])
def test_regions_over_three_axes(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "LARGEST_STACK", largest)
    found: Counter[str] = Counter()

    @settings(max_examples=140 if largest == 2**30 else 80, **QUIET)
    @given(volumes(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(LowerToConv2d(DEEP), graph, rng, larger(graph))
        if not stats.applied:
            assert set(stats.declined) == {MIXED}
            found["mixed"] += 1
            return
        found["fired"] += 1
        found["open"] += bool(graph.sizes)
        found["parts"] += count(after)["Concat"]
        shapes = zip(kernels(graph), kernels(after), strict=False)
        found["several"] += any(new[0] > old[0] for old, new in shapes)

    check()
    assert found["fired"] >= (100 if largest == 2**30 else 50), found
    assert found["open"] >= 20, found
    assert found["several"] >= 20, found
    assert (found["parts"] >= 20) == (largest == 1000), found


# -- by hand ------------------------------------------------------------------------------------


def test_slices_fill_the_blocks() -> None:
    graph = chain(5, (1, 2))
    stats, after = check_pass(LowerToConv2d(DEEP), graph, RNG, larger(graph))
    assert stats.notes == {"Conv3d → 2-D to several slices at once: 3 in a region of 5 ops": 1}
    first, second, last = kernels(after)
    # Four outputs and the six slices that they read, filled up to a multiple of four channels.
    assert first == (20, 32, 3, 3)
    assert second == (20, 32, 3, 3)
    assert last == (3, 5, 1, 1)
    assert after.outputs[0].type == graph.outputs[0].type


def test_the_activation_stays_behind_the_conv() -> None:
    _, after = check_pass(LowerToConv2d(DEEP), chain(11, (1, 4, 1)), RNG)
    relus = [op for op in after.ops() if op.kind == "Relu"]
    assert [op.operands[0].op.kind for op in relus] == ["Conv"] * 3


def test_the_order_is_restored_once() -> None:
    graph = chain(11, (2, 2, 2))
    _, after = check_pass(LowerToConv2d(DEEP), graph, RNG)
    # A Gather for the stack of each conv, and one behind the last.
    assert count(after)["Gather"] == 4
    in_order = chain(11, (1, 1))
    _, after = check_pass(LowerToConv2d(DEEP), in_order, RNG)
    assert count(after)["Gather"] == 2


def test_stacks_have_channels_that_the_fast_layout_takes() -> None:
    for channels in (3, 5, 7, 11, 21):
        _, after = check_pass(LowerToConv2d(DEEP), chain(channels, (1,)), RNG)
        inputs = kernels(after)[0][1]
        assert inputs < 16 or inputs % 4 == 0


def test_a_large_stack_is_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "LARGEST_STACK", 2 * 44 * 5 * 6 * 4)
    graph = chain(11, (1, 2))
    _, after = check_pass(LowerToConv2d(DEEP), graph, RNG, larger(graph))
    stacks = [op.operands[0] for op in after.ops() if op.kind == "Conv" and kernels(after)]
    sizes = [after.concrete_shape(value) for value in stacks]
    assert [size for size in sizes if size[1] == 44] == [(2, 44, 5, 6)] * 4
    assert {op.operands[0].op.kind for op in after.ops() if op.kind == "Relu"} == {"Conv"}


def test_values_that_lie_differently_are_added_in_order() -> None:
    build, x = new_graph((1, 11, 8, 4, 5))
    y = random_conv(build, x, 11, (3, 3, 3), pads=2, dilations=2)
    z = random_conv(build, x, 11, (1, 1, 1))
    stats, after = check_pass(LowerToConv2d(DEEP), finished(build, build.add(y, z)), RNG)
    assert stats.applied == 1
    assert count(after)["Gather"] == 2


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_kept(dtype: type) -> None:
    build, x = new_graph((1, 5, 6, 4, 4), dtype=dtype)
    w = RNG.standard_normal((5, 5, 3, 3, 3)).astype(np.float32)
    graph = finished(build, layer(build, x, geometry_of(w, pads=1), w, w[0, 0, 0, 0, :1].repeat(5)))
    assert LowerToConv2d(DEEP).run(graph, Context(prove=prove)).applied == 1
    (conv,) = [op for op in graph.ops() if op.kind == "Conv"]
    assert conv.operands[1].array.dtype == np.dtype(dtype)
    assert conv.operands[1].shape[0] > 5


# -- choosing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [5, 11])
def test_chosen_for_few_channels(channels: int) -> None:
    build, x = new_graph((1, channels, 16, 16, 16))
    for dilation in (1, 2, 4, 2):
        x = random_conv(build, x, channels, (3, 3, 3), pads=dilation, dilations=dilation)
    graph = finished(build, x)
    stats = Choose((LowerToConv2d(),)).run(graph, Context(prove=prove))
    assert stats.notes == {"Conv3d → 2-D to several slices at once: 4 in a region of 4 ops": 1}


# -- conditions ---------------------------------------------------------------------------------


def grouped() -> Graph:
    build, x = new_graph((1, 4, 5, 4, 4))
    return finished(build, random_conv(build, x, 4, (3, 3, 3), group=2))


def open_depth() -> Graph:
    build, x = new_graph((1, 4, "d", 4, 4), sizes={"d": 5})
    return finished(build, random_conv(build, x, 4, (3, 3, 3)))


def fed_weights() -> Graph:
    build, x = new_graph((1, 2, 5, 4, 4))
    w = build.graph.add_input("w", TensorType(np.dtype(np.float32), (2, 2, 3, 3, 3)))
    return finished(build, build.op("Conv", (x, w)))


def nearly_full() -> Graph:
    build, x = new_graph((1, 4, 8, 5, 6))
    return finished(build, random_conv(build, x, 30, (3, 3, 3)))


DECLINES: list[tuple[Callable[[], Graph], str]] = [
    (grouped, MIXED),
    (nearly_full, "the filters of a 3-D conv nearly fill their blocks"),
    (open_depth, "the size is not known"),
    (fed_weights, "the weights are not constant"),
]


@pytest.mark.parametrize(("make", "reason"), DECLINES)
def test_declines(make: Callable[[], Graph], reason: str) -> None:
    graph = make()
    version = graph.version
    stats = LowerToConv2d(DEEP).run(graph, Context(prove=prove))
    assert stats.declined == {reason: 1}
    assert graph.version == version
