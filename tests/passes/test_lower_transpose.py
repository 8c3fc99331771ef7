"""lower-to-conv2d on transposed convs: it fires, it is right, and it says why it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.algebra import TransposeGeometry
from convc.graph import Graph
from convc.ir import TensorType
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import size_of
from passes.lower_to_conv2d import LowerToConv2d
from tests.helpers import check_linear
from tests.lower_strategies import NOT_WIDE, transposed_convs
from tests.strategies import finished, layer, new_graph, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(3)
ONE = ("transpose",)
PHASES, STACKED = ("phases",), ("stacked-phases",)


def noise(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def geometry(
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...] = (),
    extra: tuple[int, ...] = (),
    group: int = 1,
) -> TransposeGeometry:
    rank = len(kernel)
    none = (0,) * rank
    pads = pads or none + none
    return TransposeGeometry(
        kernel, strides, (1,) * rank, pads[:rank], pads[rank:], extra or none, group
    )


def transposed(
    shape: tuple[int | str, ...],
    form: TransposeGeometry,
    outputs: int = 2,
    opset: int = 17,
    dtype: type = np.float32,
) -> Graph:
    sizes = {"h": 5, "w": 6, "n": 2}
    build, x = new_graph(shape, opset, dtype, sizes=sizes)
    w = noise(int(shape[1]), outputs // form.group, *form.kernel)
    return finished(build, layer(build, x, form, w, noise(outputs)))


# -- the whole attribute space ------------------------------------------------------------------


def test_stride_one_is_a_conv() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=150, **QUIET)
    @given(transposed_convs(max_stride=1), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_linear(LowerToConv2d(ONE), graph, rng)
        assert stats.applied == 1, stats.declined
        assert set(count(after)) <= {"Conv", "Relu"}
        found["fired"] += 1
        found["open"] += bool(graph.sizes)

    check()
    assert found["fired"] >= 100, found
    assert found["open"] >= 30, found


@pytest.mark.parametrize("forms", [PHASES, STACKED], ids=["phases", "stacked"])
def test_strides_are_phases(forms: tuple[str, ...]) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=400 if forms == PHASES else 200, **QUIET)
    @given(transposed_convs(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_linear(LowerToConv2d(forms), graph, rng)
        found["fired"] += stats.applied
        found["open"] += bool(graph.sizes and stats.applied)
        found["shuffled"] += count(after)["DepthToSpace"]
        found["cropped"] += count(after)["Slice"]
        if stats.applied:
            assert not count(after)["ConvTranspose"]
            return
        (reason,) = stats.declined
        assert reason in (
            "the size is not known",
            "one conv for all phases has no more MACs than one for each",
        )
        found[reason] += 1

    check()
    assert found["fired"] >= 100, found
    assert found["open"] >= 20, found
    assert found["shuffled"] >= 10, found
    assert found["cropped"] >= 20, found


def test_all_forms_together_end_in_two_dimensions() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=60, **QUIET)
    @given(transposed_convs(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = check_linear(LowerToConv2d(), graph, rng)
        if graph.sizes and "size is not known" in " ".join(stats.declined):
            found["open"] += 1
            return
        assert not count(after)["ConvTranspose"]
        ranks = {len(op.result.shape) for op in after.ops() if op.kind == "Conv"}
        assert ranks == {4}
        found[f"{len(graph.inputs[0].shape) - 2}-D"] += 1

    check()
    assert found["1-D"] >= 10, found
    assert found["2-D"] >= 10, found
    assert found["3-D"] >= 3, found


# -- by hand ------------------------------------------------------------------------------------


def test_two_by_two_is_one_pointwise_conv() -> None:
    graph = transposed(("n", 3, "h", "w"), geometry((2, 2), (2, 2)))
    stats, after = check_linear(LowerToConv2d(NOT_WIDE), graph, RNG)
    assert count(after) == {"Conv": 1, "DepthToSpace": 1}
    (conv,) = [op for op in after.ops() if op.kind == "Conv"]
    assert conv.operands[1].shape == (8, 3, 1, 1)
    assert stats.notes == {"ConvTranspose 2×2/2×2 → one conv for 4 phases": 1}
    assert after.outputs[0].type == graph.outputs[0].type


def test_phases_have_the_macs_of_the_transposed_conv_without_its_padding() -> None:
    graph = transposed((1, 3, 5, 6), geometry((3, 3), (2, 2), (0, 0, 1, 1)))
    stats, after = check_linear(LowerToConv2d(NOT_WIDE), graph, RNG)
    assert stats.notes == {"ConvTranspose 3×3/2×2 → 4 phase convs": 1}
    assert size_of(after, after.ops()).macs == size_of(graph, graph.ops()).macs
    kernels = [op.attributes["kernel_shape"] for op in after.ops() if op.kind == "Conv"]
    assert sorted(kernels) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_all_phases_of_four_taps_read_two() -> None:
    graph = transposed((1, 3, 5, 6), geometry((4, 4), (2, 2), (1, 1, 1, 1)))
    _, after = check_linear(LowerToConv2d(STACKED), graph, RNG)
    (conv,) = [op for op in after.ops() if op.kind == "Conv"]
    assert conv.attributes["kernel_shape"] == (2, 2)
    assert count(after) == {"Conv": 1, "DepthToSpace": 1, "Slice": 1}
    _, four = check_linear(LowerToConv2d(PHASES), graph, RNG)
    assert count(four) == {"Conv": 4, "Concat": 1, "DepthToSpace": 1}


@pytest.mark.parametrize("opset", [9, 11, 21])
def test_grouped_phases_are_shuffled_as_the_opset_can(opset: int) -> None:
    graph = transposed((2, 4, 5, 6), geometry((3, 3), (2, 2), group=2), 6, opset)
    _, after = check_linear(LowerToConv2d(STACKED), graph, RNG)
    assert count(after)["DepthToSpace"] == (opset >= 11)
    assert count(after)["Reshape"] == 2 * (opset < 11)


def test_strides_that_differ_are_interleaved_by_a_transpose() -> None:
    graph = transposed(("n", 2, 5, "w"), geometry((3, 4), (2, 3), extra=(1, 2)))
    _, after = check_linear(LowerToConv2d(PHASES), graph, RNG)
    assert count(after)["Transpose"] == 1
    assert count(after)["Reshape"] == 2


def test_a_crop_beyond_the_kernel_is_made_of_zeros() -> None:
    graph = transposed((1, 2, 6, "w"), geometry((2, 1), (1, 1), (2, 1, 1, 2)))
    stats, after = check_linear(LowerToConv2d(NOT_WIDE), graph, RNG)
    assert stats.applied == 1
    (conv,) = [op for op in after.ops() if op.kind == "Conv"]
    assert min(conv.attributes["pads"]) >= 0


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("stride", [1, 2])
def test_other_precisions_are_kept(dtype: type, stride: int) -> None:
    graph = transposed((1, 2, 5, 6), geometry((3, 3), (stride, stride)), dtype=dtype)
    stats = LowerToConv2d(NOT_WIDE).run(graph, Context(prove=prove))
    assert stats.applied == 1
    weights = [op.operands[1] for op in graph.ops() if op.kind == "Conv"]
    assert weights
    assert {w.array.dtype for w in weights} == {np.dtype(dtype)}


def test_several_users_and_a_result_from_the_middle() -> None:
    build, x = new_graph((1, 2, 5, 6))
    y = layer(build, x, geometry((3, 3), (2, 2)), noise(2, 3, 3, 3))
    graph = finished(build, build.op("Relu", (y,)), build.op("Identity", (y,)), y)
    stats, after = check_linear(LowerToConv2d(NOT_WIDE), graph, RNG)
    assert stats.applied == 1
    assert count(after)["Conv"] == 4
    assert after.output_names == graph.output_names


def test_a_fed_bias_is_no_obstacle_to_phases() -> None:
    build, x = new_graph((1, 2, 5, 6))
    b = build.graph.add_input("b", TensorType(np.dtype(np.float32), (3,)))
    w = build.constant(noise(2, 3, 3, 3))
    graph = finished(build, build.op("ConvTranspose", (x, w, b), {"strides": (2, 2)}))
    assert LowerToConv2d(PHASES).run(graph.clone(), Context(prove=prove)).applied == 1
    assert LowerToConv2d(STACKED).run(graph).declined == {"the biases are not constant": 1}


# -- conditions ---------------------------------------------------------------------------------


def weights_are_fed() -> Graph:
    build, x = new_graph((1, 2, 5, 6))
    w = build.graph.add_input("w", TensorType(np.dtype(np.float32), (2, 3, 3, 3)))
    return finished(build, build.op("ConvTranspose", (x, w), {"strides": (2, 2)}))


def unknown_geometry() -> Graph:
    build, x = new_graph((1, 2, "h", "w"), sizes={"h": 5, "w": 5})
    w = build.constant(noise(2, 3, 3, 3))
    attributes = {"strides": (2, 2), "output_shape": (10, 10)}
    type_ = TensorType(np.dtype(np.float32), (1, 3, 10, 10))
    return finished(build, build.op("ConvTranspose", (x, w), attributes, type_=type_))


def unequal_strides_at_open_sizes() -> Graph:
    return transposed((1, 2, "h", "w"), geometry((3, 3), (2, 3)))


def unknown_rank() -> Graph:
    build, x = new_graph((1, 2, 5, 6))
    x.type = TensorType(np.dtype(np.float32), None)
    w = build.constant(noise(2, 3, 3, 3))
    return finished(build, build.op("ConvTranspose", (x, w), {"strides": (2, 2)}))


def infinite_weight(stride: int) -> Graph:
    build, x = new_graph((1, 2, 5, 6))
    array = noise(2, 3, 3, 3)
    array[0, 1, 2, 0] = np.inf
    w = build.constant(array)
    return finished(build, build.op("ConvTranspose", (x, w), {"strides": (stride, stride)}))


def everything_cropped(stride: int) -> Graph:
    build, x = new_graph((1, 2, 3, "w"))
    w = build.constant(noise(2, 3, 2, 2))
    attributes = {"strides": (stride, stride), "pads": (4, 0, 2, 0)}
    type_ = TensorType(np.dtype(np.float32), (1, 3, None, None))
    return finished(build, build.op("ConvTranspose", (x, w), attributes, type_=type_))


NO_OUTPUT = "the convs have no output at their size"
NOT_FINITE = "the weights are not finite: zeros in the padding would become NaN"

DECLINES: list[tuple[Callable[[], Graph], tuple[str, ...], str]] = [
    (weights_are_fed, PHASES, "the weights are not constant"),
    (lambda: everything_cropped(1), ONE, NO_OUTPUT),
    (lambda: everything_cropped(2), STACKED, NO_OUTPUT),
    (lambda: infinite_weight(1), ONE, NOT_FINITE),
    (lambda: infinite_weight(2), PHASES, NOT_FINITE),
    (lambda: infinite_weight(2), STACKED, NOT_FINITE),
    (unknown_geometry, PHASES, "the geometry depends on an unknown size"),
    (unequal_strides_at_open_sizes, PHASES, "the size is not known"),
    (unequal_strides_at_open_sizes, STACKED, "the size is not known"),
    (unknown_rank, PHASES, "the rank of what the ConvTranspose takes is unknown"),
    (
        lambda: transposed((1, 2, 5, 6), geometry((2, 2), (2, 2))),
        PHASES,
        "one conv for all phases has no more MACs than one for each",
    ),
]


@pytest.mark.parametrize(("make", "forms", "reason"), DECLINES, ids=[r for _, _, r in DECLINES])
def test_declines(make: Callable[[], Graph], forms: tuple[str, ...], reason: str) -> None:
    graph = make()
    version = graph.version
    stats = LowerToConv2d(forms).run(graph, Context(prove=prove))
    assert stats.declined == {reason: 1}
    assert graph.version == version


@pytest.mark.parametrize(("stride", "forms"), [(1, PHASES), (1, STACKED), (2, ONE)])
def test_the_other_stride_is_left_without_a_word(stride: int, forms: tuple[str, ...]) -> None:
    graph = transposed((1, 2, 5, 6), geometry((3, 3), (stride, stride)))
    stats = LowerToConv2d(forms).run(graph)
    assert (stats.applied, stats.declined) == (0, {})


def test_other_domains_are_left_alone() -> None:
    build, x = new_graph((1, 2, 5, 6))
    w = build.constant(noise(2, 3, 3, 3))
    op = build.graph.add("ConvTranspose", (x, w), types=(x.type,), domain="other")
    assert LowerToConv2d(NOT_WIDE).run(finished(build, op.result)).applied == 0
