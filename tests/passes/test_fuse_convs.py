"""fuse-convs on pairs and chains of convs, drawn over the whole attribute space and by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.algebra import ConvGeometry, compose, geometry_of
from convc.errors import ProofError
from convc.graph import Graph
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import Replacement, Stats, size_of
from passes.fuse_convs import FuseConvs
from tests.helpers import check_linear
from tests.strategies import copied, finished, layer, new_graph, pair_graphs, random_conv, seeds

RNG = np.random.default_rng(1)
# How many examples fuse varies from run to run: the least that is asserted is far below it.
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def kinds(stats: Stats) -> Counter[str]:
    """How often each form of the rewrite was applied."""
    found: Counter[str] = Counter()
    for note, count in stats.notes.items():
        kind = "strips" if "strips" in note else "map" if "map" in note else "plain"
        found[kind] += count
    return found


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


# -- the whole attribute space ------------------------------------------------------------------


def test_conv_pairs_are_fused_and_their_border_is_exact() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=400, **QUIET)
    @given(pair_graphs(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_linear(FuseConvs(), graph, rng)
        size = "open" if graph.sizes else "fixed"
        found.update({f"{kind}, {size} size": n for kind, n in kinds(stats).items()})
        found["fused"] += bool(stats.applied)
        if "strips" not in kinds(stats):
            assert count(after)["Conv"] == 2 - stats.applied
        if not stats.applied:
            assert sum(stats.declined.values()) == 1
            (reason,) = stats.declined
            assert "the size is not known" in reason or "no interior" in reason

    check()
    assert found["fused"] >= 150, found
    assert found["plain, fixed size"] >= 40, found
    assert found["plain, open size"] >= 10, found
    assert found["map, fixed size"] >= 15, found
    assert found["strips, fixed size"] >= 5, found


def test_conv_pairs_with_a_border_are_declined_on_request() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=200, **QUIET)
    @given(pair_graphs(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, _ = check_linear(FuseConvs(border="decline"), graph, rng)
        found["fused"] += stats.applied
        found["declined"] += sum("border" in reason for reason in stats.declined)
        assert set(kinds(stats)) <= {"plain"}
        assert stats.applied + sum(stats.declined.values()) == 1

    check()
    assert found["fused"] >= 25, found
    assert found["declined"] >= 15, found


@pytest.mark.parametrize(
    ("first", "second"),
    [("Conv", "ConvTranspose"), ("ConvTranspose", "Conv"), ("ConvTranspose", "ConvTranspose")],
)
def test_pairs_with_a_transposed_conv(first: str, second: str) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=300, **QUIET)
    @given(pair_graphs(first, second), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, _ = check_linear(FuseConvs(), graph, rng)
        found.update(kinds(stats))
        found.update("ᵀ" if "ᵀ" in note.split("→")[1] else "conv" for note in stats.notes)
        assert stats.applied or sum(stats.declined.values()) == 1

    check()
    assert found["plain"] >= (20 if first != second else 3), found
    if first != second:
        assert found["ᵀ"] >= 12, found
        assert found["conv"] >= 5, found


# -- by hand ------------------------------------------------------------------------------------


def test_a_chain_becomes_one_conv() -> None:
    build, x = new_graph((1, 3, 20, 21))
    x = random_conv(build, x, 6, (3, 3), strides=2, pads=1)
    x = copied(build, x, ["Identity", "Dropout", "Cast"])
    x = random_conv(build, x, 6, (1, 1), group=2)
    x = random_conv(build, x, 4, (2, 3), dilations=2, bias=False)
    x = random_conv(build, x, 5, (1, 1))
    graph = finished(build, random_conv(build, x, 2, (2, 2)))
    stats, after = check_linear(FuseConvs(), graph, RNG)
    assert stats.applied == 4
    assert count(after) == {"Conv": 1}
    assert not stats.declined
    assert after.outputs[0].type == graph.outputs[0].type


def test_a_chain_with_open_sizes_becomes_one_conv() -> None:
    build, x = new_graph(("n", 3, "h", "w"), sizes={"n": 2, "h": 9, "w": 10})
    x = random_conv(build, x, 8, (5, 5), pads=2)
    x = random_conv(build, x, 4, (1, 1))
    stats, after = check_linear(FuseConvs(), finished(build, random_conv(build, x, 3, (1, 1))), RNG)
    assert stats.notes == {"5×5 ∘ 1×1 → 5×5": 2}
    assert count(after) == {"Conv": 1}
    assert after.outputs[0].shape == ("n", 3, "h", "w")


def test_a_border_map_goes_through_the_next_conv() -> None:
    build, x = new_graph((1, 4, 12, 13))
    x = random_conv(build, x, 16, (1, 1))
    x = random_conv(build, x, 5, (3, 3), pads=1)
    x = random_conv(build, x, 6, (1, 1))
    stats, after = check_linear(FuseConvs(), finished(build, x), RNG)
    assert stats.applied == 2
    assert count(after) == {"Conv": 1, "Gather": 2, "Add": 1}
    # Three different rows, three different columns and where they go.
    weights = 6 * 4 * 3 * 3 + 6 * 3 * 3 + 12 + 13
    assert size_of(after, after.ops()).params == weights


def test_a_map_for_every_second_output_of_a_transposed_conv() -> None:
    build, x = new_graph((1, 2, 5, 6))
    x = random_conv(build, x, 3, (1, 1))
    w = RNG.standard_normal((3, 2, 2, 2))
    value = build.op(
        "ConvTranspose", (x, build.constant(w.astype(np.float32))), {"strides": (2, 2)}
    )
    stats, after = check_linear(FuseConvs(), finished(build, value), RNG)
    assert count(after) == {"ConvTranspose": 1, "Add": 1}
    assert stats.applied == 1


def test_a_constant_added_between_is_a_bias_or_a_map() -> None:
    for shape, expected in (((3, 1, 1), {"Conv": 1}), ((1, 3, 6, 7), {"Conv": 1, "Add": 1})):
        build, x = new_graph((2, 2, 6, 7))
        x = random_conv(build, x, 3, (3, 3), pads=1)
        added = build.constant(RNG.standard_normal(shape).astype(np.float32))
        x = build.add(added, x)
        x = random_conv(build, x, 4, (1, 1))
        stats, after = check_linear(FuseConvs(), finished(build, x), RNG)
        assert stats.applied == 1
        assert count(after) == expected


def test_before_opset_7_strips_keep_what_a_map_would() -> None:
    build, x = new_graph((1, 2, 9, 9), opset=6)
    x = random_conv(build, x, 3, (1, 1))
    stats, after = check_linear(
        FuseConvs(), finished(build, random_conv(build, x, 4, (3, 3), pads=1)), RNG
    )
    assert kinds(stats) == {"strips": 1}
    assert count(after) == {"Conv": 9, "Slice": 4, "Concat": 2}


def test_depthwise_pairs_stay_depthwise() -> None:
    build, x = new_graph((1, 6, 9, 9))
    x = random_conv(build, x, 6, (3, 3), group=6)
    graph = finished(build, random_conv(build, x, 6, (3, 3), group=6))
    _, after = check_linear(FuseConvs(), graph, RNG)
    (one,) = [op for op in after.ops() if op.kind == "Conv"]
    assert one.attributes["group"] == 6
    assert one.operands[1].shape == (6, 1, 5, 5)


def test_the_shared_weights_of_another_conv_stay() -> None:
    build, x = new_graph((1, 2, 9, 9))
    w = build.constant(RNG.standard_normal((2, 2, 3, 3)).astype(np.float32), name="w")
    geometry = geometry_of(w.array)
    y = build.conv(build.conv(x, w, None, geometry), w, None, geometry)
    stats, after = check_linear(
        FuseConvs(), finished(build, y, build.conv(x, w, None, geometry)), RNG
    )
    assert stats.applied == 1
    assert count(after) == {"Conv": 2}


def test_half_precision() -> None:
    build, x = new_graph((1, 2, 9, 9), dtype=np.float16)
    graph = finished(build, random_conv(build, random_conv(build, x, 4, (3, 3)), 2, (1, 1)))
    after = graph.clone()
    stats = FuseConvs().run(after, Context(prove=prove))
    assert stats.applied == 1
    assert {op.result.dtype for op in after.ops() if op.results} == {np.dtype(np.float16)}
    assert {op.array.dtype for op in after.ops() if op.array is not None} == {np.dtype(np.float16)}


def test_names_of_results_and_ops_are_kept_once() -> None:
    build, x = new_graph((1, 2, 9, 9))
    x = random_conv(build, x, 3, (3, 3), pads=1)
    graph = finished(build, random_conv(build, x, 4, (3, 3), pads=1))
    name = graph.outputs[0].name
    _, after = check_linear(FuseConvs(), graph, RNG)
    assert after.outputs[0].name == name
    names = [op.name for op in after.ops() if op.name and op.kind != "Input"]
    assert names == [graph.outputs[0].op.name]


def test_proposals_change_nothing() -> None:
    build, x = new_graph((1, 2, 9, 9))
    graph = finished(build, random_conv(build, random_conv(build, x, 3, (3, 3)), 4, (3, 3)))
    version = graph.version
    (proposal,) = FuseConvs().propose(graph)
    assert proposal.note == "3×3 ∘ 3×3 → 5×5"
    assert graph.version == version


# -- what would be wrong ------------------------------------------------------------------------


def naive(graph: Graph) -> float:
    """The proof of one conv with the composed pads for the two convs of ``graph``."""
    second = graph.outputs[0].op
    first = second.operands[0].op
    w1, w2 = (op.operands[1].array for op in (first, second))
    b1, b2 = (op.operands[2].array for op in (first, second))
    pads = [op.attributes["pads"] for op in (first, second)]
    kernel, bias, geometry = compose(w1, w2, b1, b2, pads=pads)
    build = Replacement(graph)
    weights = [build.weight(array, second.operands[1]) for array in (kernel, bias)]
    result = build.conv(build.take(first.operands[0]), *weights, geometry)
    return prove(graph, build.rewrite({graph.outputs[0]: result}))


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1)])
def test_the_border_that_is_declined_would_be_wrong(kernel: tuple[int, int]) -> None:
    build, x = new_graph((1, 2, 9, 9))
    x = random_conv(build, x, 3, kernel, pads=kernel[0] // 2)
    graph = finished(build, random_conv(build, x, 4, (3, 3), pads=1))
    (reason,) = FuseConvs(border="decline").run(graph.clone()).declined
    assert "border" in reason
    with pytest.raises(ProofError, match="differs by"):
        naive(graph)


def test_the_naive_conv_is_right_without_padding_between() -> None:
    build, x = new_graph((1, 2, 9, 9))
    x = random_conv(build, x, 3, (3, 3), pads=1)
    assert naive(finished(build, random_conv(build, x, 4, (3, 3)))) < 1e-12


def test_geometry_of_the_design() -> None:
    first = ConvGeometry((3,), (2,), (3,), (1,), (2,))
    build, x = new_graph((1, 1, 40))
    x = layer(build, x, first, RNG.standard_normal((2, 1, 3)))
    x = random_conv(build, x, 1, (2,), dilations=3, strides=2, bias=False)
    _, after = check_linear(FuseConvs(), finished(build, x), RNG)
    (one,) = [op for op in after.ops() if op.kind == "Conv"]
    # g = gcd(3, 2·3) = 3, kernel 1 + (3·2 + 2·3·1)/3 = 5
    assert one.attributes["dilations"] == (3,)
    assert one.attributes["kernel_shape"] == (5,)
    assert one.attributes["strides"] == (4,)
    assert one.attributes["pads"] == (1, 2)
