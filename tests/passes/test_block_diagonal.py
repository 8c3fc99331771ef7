"""block-diagonal on convs in groups of few channels."""

from __future__ import annotations

from collections import Counter

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.graph import Graph
from convc.ir import TensorType
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from passes.block_diagonal import BlockDiagonal
from tests.helpers import check_pass
from tests.regroup_strategies import grouped
from tests.strategies import finished, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(3)
CONVS = ("Conv", "ConvTranspose")


def groups(graph: Graph) -> list[int]:
    return [op.attributes.get("group", 1) for op in graph.ops() if op.kind in CONVS]


def larger(graph: Graph) -> tuple[dict[str, int], ...]:
    """The open dims at their own sizes and at larger ones."""
    return ({}, {name: size + 3 for name, size in graph.sizes.items()}) if graph.sizes else ({},)


@pytest.mark.parametrize(
    ("kind", "width", "examples", "least"),
    [
        ("regroup", 4, 120, 80),
        ("regroup", 16, 110, 100),
        ("regroup-depthwise", 4, 40, 30),
        ("regroup-depthwise", 16, 40, 30),
    ],
)
def test_groups_become_wider(kind: str, width: int, examples: int, least: int) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=examples, **QUIET)
    @given(grouped(depthwise=kind != "regroup"), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_pass(BlockDiagonal((kind,), width), graph, rng, larger(graph))
        found["fired"] += stats.applied
        found.update(stats.notes)
        found.update(stats.declined)
        (old,), (new,) = groups(graph), groups(after)
        assert old % new == 0
        assert (old > new) == (stats.applied == 1)
        reason = {f"the groups have {width} channels or more": 1}
        assert stats.applied or dict(stats.declined) == reason
        assert not BlockDiagonal((kind,), width).propose(after)

    check()
    assert found["fired"] >= least, found
    for name in CONVS:
        assert found[f"{name} in narrow groups → in wider groups"] >= least // 3, found


def conv(
    channels: int, group: int, outputs: int, *, dtype: type = np.float32, kind: str = "Conv"
) -> Graph:
    """A 3×3 in groups, in layout of its kind."""
    build, x = new_graph((1, channels, 6, 7), dtype=dtype)
    shape = (outputs, channels // group) if kind == "Conv" else (channels, outputs // group)
    weight = build.constant(RNG.standard_normal((*shape, 3, 3)).astype(dtype), name="weight")
    type_ = TensorType(np.dtype(dtype), (1, outputs, *((4, 5) if kind == "Conv" else (8, 9))))
    return finished(build, build.op(kind, (x, weight), {"group": group}, type_=type_))


def unknown_weights() -> Graph:
    build, x = new_graph((1, 8, 6, 7))
    weight = build.graph.add_input("weight", TensorType(np.dtype(np.float32), (8, 2, 3, 3)))
    return finished(build, build.op("Conv", (x, weight), {"group": 4}))


def integers() -> Graph:
    graph = unknown_weights()
    op = graph.outputs[0].op
    graph.set_operand(op, 1, graph.add_constant(np.ones((8, 2, 3, 3), np.int8)))
    return graph


def invalid() -> Graph:
    graph = unknown_weights()
    op = graph.outputs[0].op
    graph.set_operand(op, 1, graph.add_constant(np.ones((7, 2, 3, 3), np.float32)))
    return graph


def large() -> Graph:
    build, x = new_graph((1, 2**16, 1, 1))
    weight = build.constant(np.broadcast_to(np.float32(1), (2**16, 8, 1, 257)))
    attributes = {"group": 2**13, "pads": (0, 128, 0, 128)}
    type_ = TensorType(np.dtype(np.float32), (1, 2**16, 1, 1))
    return finished(build, build.op("Conv", (x, weight), attributes, type_=type_))


DECLINES = {
    "wide": (lambda: conv(32, 2, 32), "the groups have 16 channels or more"),
    "depthwise": (lambda: conv(8, 8, 8), "the Conv is depthwise"),
    "transposed": (
        lambda: conv(8, 8, 8, kind="ConvTranspose"),
        "the ConvTranspose is depthwise",
    ),
    "weights": (unknown_weights, "the weights are not constant"),
    "integers": (integers, "the weights are not floating point"),
    "invalid": (invalid, "the Conv is not valid"),
    "large": (large, "the composed weights would be too large"),
}


@pytest.mark.parametrize("case", DECLINES)
def test_declines(case: str) -> None:
    make, reason = DECLINES[case]
    graph = make()
    version = graph.version
    stats = BlockDiagonal(("regroup",)).run(graph, Context(prove=prove))
    assert (stats.applied, dict(stats.declined)) == (0, {reason: 1})
    assert graph.version == version


def test_what_has_no_groups_says_nothing() -> None:
    graph = conv(8, 1, 8)
    foreign = graph.add("Conv", graph.inputs, {"group": 2}, domain="com.example")
    graph.set_outputs([*graph.outputs, foreign.result], ["y0", "y1"])
    stats = BlockDiagonal(("regroup", "regroup-depthwise")).run(graph)
    assert (stats.applied, dict(stats.declined)) == (0, {})


def test_depthwise_only_where_asked() -> None:
    stats, after = check_pass(BlockDiagonal(("regroup-depthwise",)), conv(32, 32, 32), RNG)
    assert (stats.applied, groups(after)) == (1, [2])
    stats, after = check_pass(BlockDiagonal(("regroup-depthwise",)), conv(32, 8, 32), RNG)
    assert (stats.applied, groups(after)) == (0, [8])
    # Two filters for each channel are not depthwise.
    stats, after = check_pass(BlockDiagonal(), conv(32, 32, 64), RNG)
    assert (stats.applied, groups(after)) == (1, [2])


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("kind", CONVS)
def test_other_precisions_are_kept(kind: str, dtype: type) -> None:
    graph = conv(32, 8, 64, dtype=dtype, kind=kind)
    assert BlockDiagonal().run(graph, Context(prove=prove)).applied == 1
    weight = graph.outputs[0].op.operand(1)
    assert weight.dtype == weight.array.dtype == np.dtype(dtype)
    assert weight.shape == ((64, 16, 3, 3) if kind == "Conv" else (32, 32, 3, 3))
    assert weight.name == "weight"


def test_others_keep_what_they_use() -> None:
    build, x = new_graph((1, 16, 9, 9))
    weight = build.constant(RNG.standard_normal((16, 4, 3, 3)).astype(np.float32), name="weight")
    one = build.op("Conv", (x, weight), {"group": 4})
    other = build.op("Conv", (one, weight), {"group": 4})
    last = random_conv(build, other, 3, (1, 1))
    graph = finished(build, last, one, build.op("Neg", (weight,), type_=weight.type))
    stats, after = check_pass(BlockDiagonal(), graph, RNG)
    assert stats.notes == {"Conv in narrow groups → in wider groups": 2}
    assert groups(after) == [1, 1, 1]
    assert [value.name for value in after.outputs] == [value.name for value in graph.outputs]


def test_the_options_are_text() -> None:
    text = "block-diagonal{kinds=regroup,regroup-depthwise width=8}"
    pipeline = Pipeline.parse(text)
    assert str(pipeline) == text
    assert pipeline.passes == (BlockDiagonal(("regroup", "regroup-depthwise"), 8),)
