"""lower-to-conv2d on convs of few filters: several neighbouring outputs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.graph import Graph
from convc.ir import TensorType
from convc.pipeline import Choose, Context
from convc.proof import prove
from passes.lower_to_conv2d import LowerToConv2d
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv, seeds
from tests.wide_strategies import narrow_convs

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(6)
F32 = np.dtype(np.float32)
SQUARE, ROWS, COLUMNS = ("wide",), ("wide-rows",), ("wide-columns",)
NOT_WORTH_IT = "the larger kernel takes more than the filled blocks save"
UNKNOWN = "the size is not known"


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def larger(graph: Graph) -> tuple[dict[str, int], ...]:
    """The open dims at their own sizes and at two larger ones."""
    if not graph.sizes:
        return ({},)
    return tuple({name: size + more for name, size in graph.sizes.items()} for more in (0, 1, 3))


def conv(
    *shape: int | str, filters: int = 1, kernel: tuple[int, int] = (3, 3), **geometry: int
) -> Graph:
    build, x = new_graph(shape, sizes={"h": 9, "w": 10, "n": 2})
    return finished(build, random_conv(build, x, filters, kernel, **geometry))


def kernel_of(graph: Graph) -> tuple[int, ...]:
    (op,) = [op for op in graph.ops() if op.kind == "Conv"]
    return tuple(op.operands[1].shape)


# -- the whole attribute space ------------------------------------------------------------------


@pytest.mark.parametrize("forms", [SQUARE, ROWS, COLUMNS], ids=lambda forms: forms[0])
def test_narrow_convs(forms: tuple[str, ...]) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=240 if forms == SQUARE else 200, **QUIET)
    @given(narrow_convs(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(LowerToConv2d(forms), graph, rng, larger(graph))
        found["fired"] += stats.applied
        if not stats.applied:
            found.update(stats.declined)
            return
        assert stats.applied == 1
        assert count(after)["Conv"] == 1
        found["open"] += bool(graph.sizes)
        found["measured"] += count(after)["Shape"]
        found["cropped"] += bool(count(after)["Slice"])
        found["strided"] += max(graph_strides(graph)) > 1
        # Whatever comes behind comes before the outputs are put side by side.
        (op,) = [op for op in after.ops() if op.kind == "Conv"]
        kinds = {user.kind for user in after.users(op)}
        behind = {"Relu", "Sigmoid", "LeakyRelu", "Tanh"}
        assert bool(kinds & behind) == bool(behind & set(count(graph)))

    check()
    assert found["fired"] >= 100, found
    assert found["open"] >= 20, found
    assert found["measured"] >= (5 if forms == SQUARE else 1), found
    assert found["cropped"] >= 40, found
    assert found["strided"] >= 5, found
    reasons = set(found) - {"fired", "open", "measured", "cropped", "strided"}
    assert reasons <= {
        NOT_WORTH_IT,
        UNKNOWN,
        f"{UNKNOWN}, and before opset 10 the ends of a Slice are fixed",
        "the size is not known",
        "the geometry depends on an unknown size",
    }


def graph_strides(graph: Graph) -> tuple[int, ...]:
    (op,) = [op for op in graph.ops() if op.kind == "Conv"]
    strides = op.attributes.get("strides", (1, 1))
    assert isinstance(strides, tuple)
    return tuple(int(s) for s in strides)


# -- by hand ------------------------------------------------------------------------------------


def test_four_by_four_outputs_of_one_filter() -> None:
    build, x = new_graph((1, 3, 8, 12))
    graph = finished(build, build.op("Relu", (random_conv(build, x, 1, (5, 5), pads=2),)))
    stats, after = check_pass(LowerToConv2d(SQUARE), graph, RNG)
    assert stats.notes == {"Conv 5×5 to 1 → 4×4 outputs at once": 1}
    assert kernel_of(after) == (16, 3, 8, 8)
    # The sizes divide: nothing is cut off, nor padded for it.
    assert [op.kind for op in after.ops() if op.array is None][1:-1] == [
        "Conv",
        "Relu",
        "DepthToSpace",
    ]
    (op,) = [op for op in after.ops() if op.kind == "Conv"]
    assert op.attributes["pads"] == (2, 2, 2, 2)
    assert op.attributes["strides"] == (4, 4)
    assert after.outputs[0].type == graph.outputs[0].type


@pytest.mark.parametrize(
    ("filters", "forms", "expected"),
    [
        (3, SQUARE, (27, 2, 7, 7)),
        (4, SQUARE, (16, 2, 6, 6)),
        (8, SQUARE, (32, 2, 6, 6)),
        (8, ROWS, (32, 2, 8, 5)),
        (8, COLUMNS, (32, 2, 5, 8)),
        (9, ROWS, (27, 2, 7, 5)),
        (24, COLUMNS, (48, 2, 5, 6)),
    ],
)
def test_filters_fill_blocks(
    filters: int, forms: tuple[str, ...], expected: tuple[int, ...]
) -> None:
    graph = conv(1, 2, 12, 12, filters=filters, kernel=(5, 5), pads=2)
    _, after = check_pass(LowerToConv2d(forms), graph, RNG)
    assert kernel_of(after) == expected


def test_what_is_wide_is_not_widened_again() -> None:
    for filters in range(1, 49):
        graph = conv(1, 1, 16, 16, filters=filters, kernel=(7, 7))
        stats = LowerToConv2d(("wide", "wide-rows", "wide-columns")).run(graph)
        assert stats.applied == int(filters <= 10 or 17 <= filters <= 24)


def test_open_sizes_are_read_off_the_input() -> None:
    graph = conv(1, 3, "h", "w", pads=1)
    stats, after = check_pass(LowerToConv2d(SQUARE), graph, RNG, larger(graph))
    assert stats.applied == 1
    assert count(after) == {"Conv": 1, "DepthToSpace": 1, "Shape": 1, "Slice": 2}
    assert after.outputs[0].type == graph.outputs[0].type


def test_a_kernel_takes_its_part_of_an_open_size() -> None:
    graph = conv("n", 3, "h", 11, pads=0)
    stats, after = check_pass(LowerToConv2d(SQUARE), graph, RNG, larger(graph))
    assert stats.applied == 1
    assert count(after)["Add"] == 1


def test_several_users_keep_what_is_behind() -> None:
    build, x = new_graph((1, 2, 8, 8))
    y = random_conv(build, x, 3, (3, 3), pads=1)
    graph = finished(build, build.op("Relu", (y,)), build.op("Neg", (y,)), y)
    stats, after = check_pass(LowerToConv2d(SQUARE), graph, RNG)
    assert stats.applied == 1
    (op,) = [op for op in after.ops() if op.kind == "Conv"]
    assert {user.kind for user in after.users(op)} == {"DepthToSpace"}


def test_a_result_in_the_chain_ends_it() -> None:
    build, x = new_graph((1, 2, 8, 8))
    y = build.op("Relu", (random_conv(build, x, 3, (3, 3), pads=1),))
    graph = finished(build, build.op("Sigmoid", (y,)), y)
    stats, after = check_pass(LowerToConv2d(SQUARE), graph, RNG)
    assert stats.applied == 1
    (shuffled,) = [op for op in after.ops() if op.kind == "DepthToSpace"]
    assert shuffled.operands[0].op.kind == "Relu"
    assert {user.kind for user in after.users(shuffled)} == {"Sigmoid", "Output"}


def test_limits_of_a_clip_come_along() -> None:
    build, x = new_graph((1, 2, 8, 8))
    limits = [build.constant(np.array(value, F32)) for value in (-0.5, 0.5)]
    y = build.op("Clip", (random_conv(build, x, 3, (3, 3), pads=1), *limits))
    _, after = check_pass(LowerToConv2d(SQUARE), finished(build, y), RNG)
    (clip,) = [op for op in after.ops() if op.kind == "Clip"]
    assert clip.operands[0].op.kind == "Conv"


def test_limits_that_are_fed_stay_behind() -> None:
    build, x = new_graph((1, 2, 8, 8))
    low = build.graph.add_input("low", TensorType(F32, ()))
    y = build.op("Clip", (random_conv(build, x, 3, (3, 3), pads=1), low))
    _, after = check_pass(LowerToConv2d(SQUARE), finished(build, y), RNG)
    (clip,) = [op for op in after.ops() if op.kind == "Clip"]
    assert clip.operands[0].op.kind == "DepthToSpace"


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_kept(dtype: type) -> None:
    build, x = new_graph((1, 2, 8, 8), dtype=dtype)
    graph = finished(build, random_conv(build, x, 3, (3, 3), pads=1))
    weights = [op.operands[1].array for op in graph.ops() if op.kind == "Conv"]
    dtypes = {array.dtype for array in weights}
    assert LowerToConv2d(SQUARE).run(graph, Context(prove=prove)).applied == 1
    assert {op.operands[1].array.dtype for op in graph.ops() if op.kind == "Conv"} == dtypes
    assert dtypes == {np.dtype(dtype)}


# -- choosing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (conv(1, 16, 64, 64, filters=1, kernel=(3, 3), pads=1), 1),
        (conv(1, 8, 64, 64, filters=8, kernel=(5, 5), pads=2), 1),
        # One input channel: the conv takes less time than putting its outputs side by side.
        (conv(1, 1, 64, 64, filters=8, kernel=(3, 3), pads=1), 0),
        (conv(1, 16, 64, 64, filters=24, kernel=(3, 3), pads=1), 0),
        (conv(1, 64, 4, 4, filters=8, kernel=(1, 1)), 0),
    ],
)
def test_chosen_where_it_pays(graph: Graph, expected: int) -> None:
    stats = Choose((LowerToConv2d(),)).run(graph, Context(prove=prove))
    assert stats.applied == expected


# -- conditions ---------------------------------------------------------------------------------


def fed_weights() -> Graph:
    build, x = new_graph((1, 2, 8, 8))
    w = build.graph.add_input("w", TensorType(F32, (2, 2, 3, 3)))
    return finished(build, build.op("Conv", (x, w)))


def fed_bias() -> Graph:
    build, x = new_graph((1, 2, 8, 8))
    w = build.constant(RNG.standard_normal((2, 2, 3, 3)).astype(np.float32))
    b = build.graph.add_input("b", TensorType(F32, (2,)))
    return finished(build, build.op("Conv", (x, w, b)))


def before_opset_10() -> Graph:
    build, x = new_graph((1, 2, "h", "w"), 9, sizes={"h": 9, "w": 10})
    return finished(build, random_conv(build, x, 1, (3, 3)))


def unknown_pads() -> Graph:
    build, x = new_graph((1, 2, 8, "w"), sizes={"w": 9, "v": 5})
    w = build.constant(RNG.standard_normal((2, 2, 3, 3)).astype(np.float32))
    attributes = {"auto_pad": "SAME_UPPER", "strides": (2, 2)}
    type_ = TensorType(F32, (1, 2, 4, "v"))
    return finished(build, build.op("Conv", (x, w), attributes, type_=type_))


def cropping() -> Graph:
    build, x = new_graph((1, 2, 8, 8))
    w = build.constant(RNG.standard_normal((2, 2, 3, 3)).astype(np.float32))
    return finished(build, build.op("Conv", (x, w), {"pads": (-1, 0, 0, 0)}))


DECLINES: list[tuple[Callable[[], Graph], tuple[str, ...], str]] = [
    (fed_weights, SQUARE, "the weights are not constant"),
    (fed_bias, SQUARE, "the biases are not constant"),
    (lambda: conv(1, 4, 8, 8, filters=2, group=2), ROWS, "the narrow conv is grouped"),
    (unknown_pads, SQUARE, "the geometry depends on an unknown size"),
    (cropping, ROWS, "the conv crops its input"),
    (lambda: conv(1, 2, 2, 8, filters=2), ROWS, "the conv has no output at its size"),
    (lambda: conv(1, 2, "h", "w", filters=8), ROWS, UNKNOWN),
    (lambda: conv(1, 2, "h", 20, kernel=(9, 9), strides=2), SQUARE, UNKNOWN),
    (before_opset_10, SQUARE, f"{UNKNOWN}, and before opset 10 the ends of a Slice are fixed"),
    (lambda: conv(1, 2, 8, 8, filters=8, kernel=(1, 3)), ROWS, NOT_WORTH_IT),
]


@pytest.mark.parametrize(("make", "forms", "reason"), DECLINES)
def test_declines(make: Callable[[], Graph], forms: tuple[str, ...], reason: str) -> None:
    graph = make()
    version = graph.version
    stats = LowerToConv2d(forms).run(graph, Context(prove=prove))
    assert stats.declined == {reason: 1}
    assert graph.version == version


@pytest.mark.parametrize(
    "graph", [conv(1, 2, 8, 8, filters=16), conv(1, 2, 8, 8, filters=8, kernel=(1, 1))]
)
def test_other_convs_are_left_without_a_word(graph: Graph) -> None:
    stats = LowerToConv2d(("wide", "wide-rows", "wide-columns")).run(graph)
    assert not stats.applied
    assert not stats.declined
