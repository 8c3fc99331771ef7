"""fold-affine: it fires, it is right, and it says why it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, Attribute, Value
from convc.onnx_io import load, to_bytes
from convc.pipeline import Context
from convc.proof import prove
from convc.reference import evaluate
from convc.rewrite import Stats
from passes.fold_affine import FoldAffine
from tests.affine_strategies import Sandwich, add_link, conv_sandwiches, product_sandwiches, spread
from tests.conftest import real_models
from tests.helpers import random_feeds, run_onnx, summands
from tests.real_models import cut_down, sizes_of
from tests.strategies import finished, new_graph, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
ELEMENTWISE = ("Mul", "Add", "Sub", "Div", "BatchNormalization")
RNG = np.random.default_rng(7)


def noise(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def fold(graph: Graph, **options: object) -> tuple[Stats, Graph]:
    """Applies the pass to a copy, each rewrite proved."""
    after = graph.clone()
    stats = FoldAffine(**options).run(after, Context(prove=prove))
    after.verify()
    return stats, after


def left(graph: Graph) -> list[str]:
    """The scales and shifts of a graph."""
    return [op.kind for op in graph.ops() if op.kind in ELEMENTWISE]


def absolute(graph: Graph, feeds: dict[str, Array]) -> list[Array]:
    """The outputs with every sum a sum of magnitudes, which bounds what rounding can do."""
    build = Builder(Graph(graph.header, graph.sizes))
    copies = {v: build.graph.add_input(v.name, v.type) for v in graph.inputs}
    for op in graph.ops():
        if op is graph.output or op.result in copies or op.array is not None:
            continue
        operands: list[Value | None] = []
        for i, value in enumerate(op.operands):
            array = None if value is None else value.array
            mean = op.kind == "BatchNormalization" and i == 3
            if value is not None and array is not None:
                known = np.asarray(np.abs(array.astype(np.float64)) * (-1 if mean else 1))
                operands.append(build.constant(known if array.dtype.kind == "f" else array))
            else:
                operands.append(None if value is None else copies[value])
        attributes = {k: abs(v) if k in ("alpha", "beta") else v for k, v in op.attributes.items()}
        kind = "Add" if op.kind == "Sub" else op.kind
        copies[op.result] = build.op(kind, operands, attributes, type_=op.result.type)
    build.graph.set_outputs([copies[v] for v in graph.outputs], graph.output_names)
    return evaluate(build.graph, {name: np.abs(array) for name, array in feeds.items()})


def compare(before: Graph, after: Graph, rng: np.random.Generator, more: int = 0) -> None:
    """Both in onnxruntime: each rounding is within u of the magnitudes that it sums.

    ``summands`` counts the roundings on the way, 16 more stand for the inner size of a MatMul.
    """
    sizes = {name: size + more for name, size in before.sizes.items()}
    feeds = random_feeds(before, rng, sizes)
    olds, news = run_onnx(to_bytes(before), feeds), run_onnx(to_bytes(after), feeds)
    for old, new, scale in zip(olds, news, absolute(before, feeds), strict=True):
        assert old.shape == new.shape
        assert old.dtype == new.dtype
        unit = float(np.finfo(old.dtype).eps) / 2
        bound = (summands(before) + summands(after) + 16) * unit * scale.max()
        assert np.abs(new.astype(np.float64) - old).max() <= bound


def check(case: Sandwich, rng: np.random.Generator, more: int = 0) -> tuple[Stats, Graph]:
    stats, after = fold(case.graph)
    if case.runs and stats.applied:
        compare(case.graph, after, rng, more)
    return stats, after


# -- over the whole attribute space ----------------------------------------------------------


@settings(max_examples=200, **QUIET)
@given(conv_sandwiches(after=(1, 4)), seeds())
def test_after_a_conv_the_whole_chain_goes_in_one_rewrite(
    case: Sandwich, rng: np.random.Generator
) -> None:
    stats, after = check(case, rng)
    assert (stats.applied, left(after)) == (1, [])


@settings(max_examples=200, **QUIET)
@given(conv_sandwiches(before=(1, 3)), seeds())
def test_before_a_conv_at_most_a_map_is_left(case: Sandwich, rng: np.random.Generator) -> None:
    stats, after = check(case, rng)
    assert stats.applied == 1
    assert left(after) in ([], ["Add"])


@settings(max_examples=200, **QUIET)
@given(conv_sandwiches(before=(0, 2), after=(0, 2)), seeds())
def test_on_both_sides_of_a_conv(case: Sandwich, rng: np.random.Generator) -> None:
    stats, after = check(case, rng)
    assert stats.applied >= bool(case.before) + bool(case.after)
    assert left(after) in ([], ["Add"])


@settings(max_examples=200, **QUIET)
@given(conv_sandwiches(before=(0, 2), after=(0, 2), dynamic=True), seeds())
def test_open_sizes_decline_only_for_the_border(case: Sandwich, rng: np.random.Generator) -> None:
    stats, after = check(case, rng, more=3)
    if left(after):
        assert any("size is unknown" in reason for reason in stats.declined)
        assert len(left(after)) <= len(case.before)


@settings(max_examples=200, **QUIET)
@given(product_sandwiches(["Gemm"], before=(0, 2), after=(0, 3)), seeds())
def test_around_a_gemm(case: Sandwich, rng: np.random.Generator) -> None:
    stats, after = check(case, rng)
    assert stats.applied == bool(case.before) + bool(case.after)
    assert left(after) == []


@settings(max_examples=200, **QUIET)
@given(product_sandwiches(["MatMul", "LeftMatMul"], before=(0, 3), after=(0, 3)), seeds())
def test_around_a_matmul_an_add_may_be_left(case: Sandwich, rng: np.random.Generator) -> None:
    stats, after = check(case, rng)
    stays = 2 if len(case.before) == 1 and not case.after else 1
    assert len(left(after)) <= stays
    assert stats.applied or len(case.before) <= 1 >= len(case.after)


@settings(max_examples=200, **QUIET)
@given(conv_sandwiches(before=(1, 1), after=(3, 3)), seeds())
def test_every_length_counts(case: Sandwich, rng: np.random.Generator) -> None:
    """Of four ops around a conv three always go in one rewrite, and the fourth in at most two."""
    stats, after = check(case, rng)
    assert 2 <= stats.applied <= 3
    assert max(stats.notes.values()) == 1
    assert left(after) in ([], ["Add"])


# -- one by one ------------------------------------------------------------------------------


def conv(
    build: Builder, data: Value, weight: Array, bias: Array | None = None, **more: Attribute
) -> Value:
    operands = [data, build.constant(weight)]
    if bias is not None:
        operands.append(build.constant(bias))
    return build.op("Conv", operands, more, name=f"conv{len(build.graph)}")


def channelwise(build: Builder, kind: str, data: Value, size: int = 4) -> Value:
    return add_link(build, data, kind, spread(RNG, (size,)), 1 - len(data.shape or ()))


def test_alone_nothing_happens() -> None:
    build, x = new_graph((1, 4, 6, 6))
    relu = build.op("Relu", (channelwise(build, "Norm", x),), name="relu")
    stats, after = fold(finished(build, relu))
    assert stats.applied == 0
    assert stats.declined == {
        "no Conv, ConvTranspose, Gemm or MatMul is next to the BatchNormalization": 1
    }
    assert left(after) == ["BatchNormalization"]


@pytest.mark.parametrize(
    ("links", "kept"),
    [
        (["Mul", "Add", "Mul", "Add"], ["Mul", "Add"]),
        (["Mul", "Div", "Mul"], ["Mul"]),
        (["Add", "Sub"], ["Add"]),
        (["Norm", "Mul", "Add"], ["BatchNormalization"]),
        (["Mul", "Norm"], ["BatchNormalization"]),
        (["Mul", "Add"], ["Mul", "Add"]),
        (["Norm", "Norm"], ["BatchNormalization"]),
    ],
)
@pytest.mark.parametrize("opset", [6, 17])
def test_a_chain_alone_is_merged(links: list[str], kept: list[str], opset: int) -> None:
    build, x = new_graph((1, 4, 6, 6), opset)
    value = x
    for link in links:
        value = channelwise(build, link, value)
    graph = finished(build, build.op("Relu", (value,), name="relu"))
    stats, after = fold(graph)
    if opset == 6 and "BatchNormalization" in kept:
        kept = ["Mul", "Add"] if len(links) > 2 else left(graph)
    assert left(after) == kept
    assert bool(stats.applied) == (kept != links and len(kept) < len(links))
    if opset == 17:
        compare(graph, after, RNG)


def test_residual_and_computed_operands_are_left() -> None:
    build, x = new_graph((1, 4, 6, 6))
    value = build.op("Add", (conv(build, x, noise(4, 4, 1, 1)), x), name="residual")
    assert fold(finished(build, value))[0].applied == 0


def test_the_result_of_the_conv_is_used_elsewhere() -> None:
    build, x = new_graph((1, 4, 6, 6))
    value = conv(build, x, noise(4, 4, 1, 1))
    graph = finished(build, channelwise(build, "Mul", value), value)
    stats, _ = fold(graph)
    reason = "the result of the Conv has other users or is a graph output"
    assert (stats.applied, dict(stats.declined)) == (0, {reason: 1})


def test_the_affine_result_is_used_elsewhere() -> None:
    build, x = new_graph((1, 4, 6, 6))
    value = channelwise(build, "Mul", x)
    graph = finished(build, conv(build, value, noise(4, 4, 1, 1)), build.op("Relu", (value,)))
    stats, _ = fold(graph)
    assert dict(stats.declined) == {"the Mul before the Conv has users that need it": 1}


def test_a_norm_before_two_convs_goes_into_both() -> None:
    build, x = new_graph((1, 4, 6, 6))
    value = channelwise(build, "Norm", x)
    graph = finished(
        build, conv(build, value, noise(4, 4, 1, 1)), conv(build, value, noise(2, 4, 3, 3))
    )
    stats, after = fold(graph)
    assert (stats.applied, left(after)) == (2, [])
    compare(graph, after, RNG)


def test_an_add_would_stay_for_each_of_two_padded_convs() -> None:
    build, x = new_graph((1, 4, 6, 6))
    value = channelwise(build, "Norm", x)
    padded = {"pads": (1, 1, 1, 1)}
    graph = finished(
        build,
        conv(build, value, noise(4, 4, 3, 3), **padded),
        conv(build, value, noise(2, 4, 3, 3), **padded),
    )
    stats, _ = fold(graph)
    assert (stats.applied, len(stats.declined)) == (0, 1)
    assert "would stay as an Add" in next(iter(stats.declined))


def two_convs_of_one_weight() -> Graph:
    build, x = new_graph((1, 4, 6, 6))
    weight, bias = build.constant(noise(4, 4, 3, 3), name="w"), build.constant(noise(4), name="b")
    first = build.op("Conv", (x, weight, bias), name="first")
    second = build.op("Conv", (x, weight, bias), name="second")
    return finished(build, channelwise(build, "Norm", first), second)


def test_shared_weights_are_copied() -> None:
    graph = two_convs_of_one_weight()
    stats, after = fold(graph)
    assert list(stats.notes) == ["BatchNormalization after Conv folded, a copy of shared weights"]
    compare(graph, after, RNG)


def test_shared_weights_are_left_alone_where_a_copy_is_not_wanted() -> None:
    graph = two_convs_of_one_weight()
    stats, after = fold(graph, copy_shared=False)
    reason = "the weights of the Conv are shared; a copy would grow the model"
    assert (stats.applied, dict(stats.declined)) == (0, {reason: 1})
    assert len(after) == len(graph)


def test_weights_that_are_no_constants() -> None:
    build, x = new_graph((1, 4, 6, 6))
    weight = build.graph.add_input("w", build.constant(noise(4, 4, 1, 1)).type)
    value = build.op("Conv", (channelwise(build, "Mul", x), weight), name="conv")
    graph = finished(build, channelwise(build, "Mul", value))
    graph.erase_dead(graph.ops())
    stats, _ = fold(graph)
    assert dict(stats.declined) == {"the weights of the Conv are not constant": 2}


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("link", ["Mul", "Add"])
def test_a_bias_that_is_no_constant(side: str, link: str) -> None:
    build, x = new_graph((1, 4, 6, 6))
    bias = build.graph.add_input("b", build.constant(noise(4)).type)
    value = channelwise(build, link, x) if side == "before" else x
    value = build.op("Conv", (value, build.constant(noise(4, 4, 1, 1)), bias), name="conv")
    graph = finished(build, channelwise(build, link, value) if side == "after" else value)
    graph.erase_dead(graph.ops())
    stats, after = fold(graph)
    if (side, link) == ("before", "Mul"):
        assert stats.applied == 1
        compare(graph, after, RNG)
    else:
        assert dict(stats.declined) == {"the bias of the Conv is not constant": 1}


# A constant of shape (C,) lines up with the last axis, and one of the whole shape with all.
@pytest.mark.parametrize("shape", [(4,), (1, 1, 4, 4), (1, 4, 4, 4), (4, 1, 4)])
@pytest.mark.parametrize("group", [1, 2])
def test_not_per_channel_after_a_conv(shape: tuple[int, ...], group: int) -> None:
    build, x = new_graph((1, 4, 4, 4))
    value = conv(build, x, noise(4, 4 // group, 1, 1), group=group)
    value = build.op("Add", (value, build.constant(noise(*shape))), name="add")
    stats, _ = fold(finished(build, value))
    reason = "the shift after the Conv is not one value per output channel"
    assert dict(stats.declined) == {reason: 1}


def test_a_map_stays_but_the_scale_behind_it_goes() -> None:
    build, x = new_graph((2, 4, 5, 5))
    value = conv(build, x, noise(4, 4, 1, 1), noise(4))
    value = build.op("Add", (value, build.constant(noise(1, 4, 5, 5))), name="map")
    graph = finished(build, channelwise(build, "Norm", value))
    stats, after = fold(graph)
    assert (stats.applied, left(after)) == (1, ["Add"])
    compare(graph, after, RNG)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((1, 3, 1, 1), "the constant of the Mul may be larger than the value"),
        ((2, 1, 1, 1), "the constant of the Mul may be larger than the value"),
        ((1, 1, 1, 1, 1), "the constant of the Mul has more axes than the value"),
    ],
)
def test_a_constant_that_widens_the_value(shape: tuple[int, ...], reason: str) -> None:
    build, x = new_graph((1, 1, 4, 4))
    value = conv(build, x, noise(1, 1, 1, 1))
    value = build.op("Mul", (value, build.constant(noise(*shape))), name="mul")
    assert dict(fold(finished(build, value))[0].declined) == {reason: 1}


@pytest.mark.parametrize(
    ("kind", "constant_first", "value", "reason"),
    [
        ("Div", True, 2.0, "a constant divided by a value is not affine"),
        ("Div", False, 0.0, "the Div divides by zero"),
        ("Mul", False, np.inf, "the constant of the Mul is not finite"),
        ("Add", False, np.nan, "the constant of the Add is not finite"),
    ],
)
def test_constants_that_cannot_be_folded(
    kind: str, constant_first: bool, value: float, reason: str
) -> None:
    build, x = new_graph((1, 4, 4, 4))
    pair = [conv(build, x, noise(4, 4, 1, 1)), build.constant(np.array(value, np.float32))]
    result = build.op(kind, pair[::-1] if constant_first else pair, name="op")
    assert dict(fold(finished(build, result))[0].declined) == {reason: 1}


@pytest.mark.parametrize(
    ("opset", "attributes", "reason"),
    [
        (17, {"training_mode": 1}, "the BatchNormalization is in training form"),
        (6, {}, "the BatchNormalization is in training form"),
        (17, {"epsilon": -9.0}, "a variance of the BatchNormalization is not positive"),
        (7, {"spatial": 0}, None),
    ],
)
def test_forms_of_batch_normalization(
    opset: int, attributes: dict[str, float], reason: str | None
) -> None:
    build, x = new_graph((1, 4, 3, 3), opset)
    shape = (4, 3, 3) if "spatial" in attributes else (4,)
    parts = [build.constant(np.abs(noise(*shape))) for _ in range(4)]
    value = conv(build, x, noise(4, 4, 1, 1))
    norm = build.op("BatchNormalization", (value, *parts), attributes, name="norm")
    stats, _ = fold(finished(build, norm))
    expected = reason or "the scale after the Conv is not one value per output channel"
    assert dict(stats.declined) == {expected: 1}


def test_used_statistics_mean_training() -> None:
    build, x = new_graph((1, 4, 3, 3), 9)
    parts = [build.constant(np.abs(noise(4))) for _ in range(4)]
    value = conv(build, x, noise(4, 4, 1, 1))
    types = [value.type, *(parts[0].type for _ in range(2))]
    norm = build.graph.add(
        "BatchNormalization", (value, *parts), {}, types=types, names=("y", "m", "v")
    )
    stats, _ = fold(finished(build, *norm.results[:2]))
    assert "its statistics" not in str(stats.declined)
    assert "are used: it is in training form" in next(iter(stats.declined))


def norm_then_padded(sizes: tuple[int | str, ...] = (6, 6), **more: Attribute) -> Graph:
    known = {d: 6 for d in sizes if isinstance(d, str)}
    build, x = new_graph((1, 4, *sizes), sizes=known)
    attributes: dict[str, Attribute] = more or {"pads": (1, 0, 2, 1)}
    value = conv(build, channelwise(build, "Norm", x), noise(3, 4, 3, 3), noise(3), **attributes)
    return finished(build, value)


def test_the_border_map_is_exact() -> None:
    graph = norm_then_padded()
    stats, after = fold(graph)
    assert list(stats.notes) == ["BatchNormalization before Conv folded, an Add left"]
    assert left(after) == ["Add"]
    compare(graph, after, RNG)


BORDER = "the shift before the padded Conv needs a border map"
UNKNOWN = "the spatial size is unknown"
STRIDED = {"auto_pad": "SAME_UPPER", "strides": (2, 2)}


@pytest.mark.parametrize(
    ("graph", "options", "reason"),
    [
        (norm_then_padded(), {"border": "decline"}, f"{BORDER} (border=map makes one)"),
        (
            norm_then_padded(),
            {"max_map": 10},
            "the border map of the shift would exceed 10 elements",
        ),
        (norm_then_padded(("h", "w")), {}, f"{BORDER}, but {UNKNOWN}"),
        (
            norm_then_padded(("h", "w"), **STRIDED),
            {},
            f"the shift before the Conv needs its pads, but {UNKNOWN}",
        ),
    ],
)
def test_the_border_declines(graph: Graph, options: dict[str, object], reason: str) -> None:
    stats, _ = fold(graph, **options)
    assert dict(stats.declined) == {reason: 1}


def test_a_scale_alone_needs_no_map() -> None:
    build, x = new_graph((1, 4, "h", "w"), sizes={"h": 7, "w": 5})
    attributes = {"auto_pad": "SAME_LOWER", "strides": (2, 2)}
    graph = finished(
        build, conv(build, channelwise(build, "Mul", x), noise(3, 4, 3, 3), **attributes)
    )
    stats, after = fold(graph)
    assert (stats.applied, left(after)) == (1, [])
    compare(graph, after, RNG)


def test_the_shift_behind_a_padded_conv_takes_the_map_in() -> None:
    """A map, then a norm behind it: one Add is left of both norms."""
    build, x = new_graph((1, 4, 6, 6))
    value = conv(build, channelwise(build, "Norm", x), noise(3, 4, 3, 3), pads=(1, 1, 1, 1))
    graph = finished(build, channelwise(build, "Norm", value, 3))
    stats, after = fold(graph)
    assert left(after) == ["Add"]
    compare(graph, after, RNG)
    assert stats.applied == 2


def test_a_matmul_keeps_its_add() -> None:
    build, x = new_graph((2, 5, 4))
    value = build.op("MatMul", (x, build.constant(noise(4, 3))), name="product")
    value = build.op("Add", (value, build.constant(noise(3))), name="bias")
    stats, after = fold(finished(build, value))
    assert dict(stats.declined) == {"a MatMul has no bias to take the shift after it": 1}
    assert left(after) == ["Add"]


@pytest.mark.parametrize("left_side", [False, True])
def test_a_batched_matmul(left_side: bool) -> None:
    build, x = new_graph((2, 4, 4))
    matrices = build.constant(noise(2, 4, 4))
    value = add_link(build, x, "Mul", spread(RNG, (4,)), -2 if left_side else -1)
    value = build.op("MatMul", (matrices, value) if left_side else (value, matrices), name="p")
    graph = finished(
        build, add_link(build, value, "Div", spread(RNG, (4,)), -2 if left_side else -1)
    )
    stats, after = fold(graph)
    assert (stats.applied, left(after)) == (2, [])
    compare(graph, after, RNG)


def test_a_shift_before_a_batched_matmul() -> None:
    build, x = new_graph((2, 4, 4))
    value = add_link(build, x, "Add", spread(RNG, (4,)), -1)
    value = build.op("MatMul", (value, build.constant(noise(2, 4, 4))), name="p")
    stats, _ = fold(finished(build, value))
    assert dict(stats.declined) == {"the MatMul is batched: the shift before it would grow": 1}


def test_a_gemm_whose_bias_would_grow() -> None:
    build, x = new_graph((3, 4))
    operands = (x, build.constant(noise(4, 5)), build.constant(noise(3, 1)))
    value = build.op("Gemm", operands, name="gemm")
    graph = finished(build, build.op("Mul", (value, build.constant(noise(5))), name="mul"))
    assert dict(fold(graph)[0].declined) == {"the bias of the Gemm would grow": 1}


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (60000.0, "the folded weights overflow float16"),
        (2.0**-14, "the folded weights of a filter are subnormal in float16"),
    ],
)
def test_half_precision_that_cannot_hold_the_weights(factor: float, reason: str) -> None:
    build, x = new_graph((1, 2, 4, 4), dtype=np.float16)
    value = build.op(
        "Conv", (x, build.constant(np.full((2, 2, 1, 1), 0.5 + factor / 4e4, np.float16)))
    )
    value.name = "conv"
    constant = build.constant(np.array(factor, np.float16))
    graph = finished(build, build.op("Mul", (value, constant), name="mul"))
    assert dict(fold(graph)[0].declined) == {reason: 1}


def test_integers_are_left_alone() -> None:
    build, x = new_graph((3, 4), dtype=np.int32)
    value = build.op("MatMul", (x, build.constant(np.ones((4, 2), np.int32))), name="product")
    graph = finished(build, build.op("Mul", (value, build.constant(np.array(2, np.int32)))))
    assert fold(graph)[0].applied == 0


def test_proposals_change_nothing() -> None:
    graph = norm_then_padded()
    version = graph.version
    assert [p.note for p in FoldAffine().propose(graph)] == [
        "BatchNormalization before Conv folded, an Add left"
    ]
    assert graph.version == version


# -- the real models -------------------------------------------------------------------------

FOLDED = {
    "audio_basic_pitch_nmp": 1,
    "audio_gtcrn_simple": 11,
    "audio_oww_melspectrogram": 1,
    "cls_mnist8": 2,
    "det_ultraface_rfb320": 35,
    "filter_emboss": 1,
    "filter_xdog_7x7_13x13": 1,
    "lowlight_agllnet_256x256": 14,
    "ocr_en_number_rec": 44,
    "ocr_ppocr_mobile_v2_det": 69,
}
"""Rewrites in the real models; the others have none."""


@pytest.mark.skipif(not real_models(), reason="no folder of real models (set CONVC_SHARED)")
@pytest.mark.parametrize("path", real_models(), ids=lambda path: path.stem)
def test_real_models(path: Path, tmp_path: Path) -> None:
    model = cut_down(path, tmp_path)
    graph = load(model, sizes_of(model))
    after = graph.clone()
    stats = FoldAffine().run(after)
    after.verify()
    assert stats.applied == FOLDED.get(path.stem, 0)
    if not stats.applied:
        return
    feeds = random_feeds(graph, np.random.default_rng(3))
    for old, new in zip(run_onnx(graph, feeds), run_onnx(after, feeds), strict=True):
        assert old.dtype == new.dtype
        assert old.shape == new.shape
        # Whole networks amplify rounding, some by thresholds: the design's own tolerance.
        assert np.abs(new.astype(np.float64) - old).max() <= 1e-4 * np.abs(old).max()
