"""lower-to-conv2d on a Resize and the conv behind it: every form, and what is left alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.algebra import geometry_of
from convc.algebra.resample import linear_phases
from convc.graph import Graph
from convc.ir import Dim, TensorType
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import gain, size_of
from passes.lower_to_conv2d.resize import FORMS, Form
from tests.helpers import check_pass
from tests.resize_strategies import Case, Drawn, LowerResize, check_resize, resize, resize_convs
from tests.strategies import copied, finished, layer, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(1)
PAIRS = FORMS[:3]
MORE = "the phases have more products than the conv"
ONE_TAP = "a conv of one tap goes before the resize"
UNKNOWN = "the size is not known"
CONTINUED = "the conv pads with zeros what the resize continues"
DO_NOT_DIVIDE = "strides of the transposed conv and the conv do not divide"
NO_REPETITION = "the resize is no plain repetition"


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


NEAREST = Case()


def pair(
    case: Case = NEAREST,
    kernel: tuple[int, ...] = (3, 3),
    shape: tuple[Dim, ...] = (1, 3, 5, 4),
    outputs: int = 4,
    *,
    how: dict[str, Any] | None = None,
    **geometry: Any,
) -> Graph:
    """A Resize and a conv on all of its channels."""
    build, x = new_graph(shape, case.opset, **(how or {}))
    value = resize(build, x, case, (5, 4))
    return finished(build, random_conv(build, value, outputs, kernel, **geometry))


# -- the whole attribute space -------------------------------------------------------------------


@pytest.mark.parametrize("form", PAIRS)
def test_every_form_over_all_attributes(form: Form) -> None:
    found: Counter[str] = Counter()
    expected = {MORE, ONE_TAP, UNKNOWN}
    if form == "resize-conv-transpose":
        expected = {MORE, ONE_TAP, DO_NOT_DIVIDE}

    @settings(max_examples=500, **QUIET)
    @given(resize_convs(), seeds())
    def check(drawn: Drawn, rng: np.random.Generator) -> None:
        stats = check_resize(form, drawn, rng, found)
        assert set(stats.declined) <= expected
        assert stats.applied + sum(stats.declined.values()) <= 1

    check()
    assert found["fired"] >= 150, found
    assert found["compared"] >= 150, found
    assert min(found["open"], found["opset below 11"]) >= 15, found


def test_other_resizes_go_into_a_conv_without_padding() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=500, **QUIET)
    @given(resize_convs(plain=False), seeds())
    def check(drawn: Drawn, rng: np.random.Generator) -> None:
        stats = check_resize("resize-conv-phases", drawn, rng, found)
        assert set(stats.declined) <= {MORE, ONE_TAP, UNKNOWN}

    check()
    assert found["fired"] >= 100, found
    assert min(found["nearest"], found["linear"]) >= 25, found


# -- what they emit ------------------------------------------------------------------------------


def test_four_convs_of_two_by_two() -> None:
    graph = pair(pads=1)
    stats, after = check_pass(LowerResize(), graph, RNG)
    assert list(stats.notes) == ["nearest 2×2 then 3×3 → 4 convs 2×2"]
    assert count(after) == {"Conv": 4, "Concat": 1, "DepthToSpace": 1}
    convs = [op for op in after.ops() if op.kind == "Conv"]
    assert [op.attributes["pads"] for op in convs] == [
        (1, 1, 0, 0),
        (1, 0, 0, 1),
        (0, 1, 1, 0),
        (0, 0, 1, 1),
    ]
    assert len({op.operands[2] for op in convs}) == 1
    macs = [size_of(g, g.ops()).macs for g in (graph, after)]
    assert macs == [3 * 4 * 9 * 80, 3 * 4 * 4 * 80]


def test_one_conv_to_all_phases() -> None:
    stats, after = check_pass(LowerResize(("resize-conv-stacked",)), pair(pads=1), RNG)
    assert list(stats.notes) == ["nearest 2×2 then 3×3 → 3×3 to 4 phases"]
    assert count(after) == {"Conv": 1, "DepthToSpace": 1}
    (conv,) = [op for op in after.ops() if op.kind == "Conv"]
    assert conv.operands[1].shape == (16, 3, 3, 3)
    # Of the 3×3 taps each phase has 2×2.
    assert np.count_nonzero(conv.operands[1].array) == 16 * 3 * 4


def test_a_transposed_conv() -> None:
    stats, after = check_pass(LowerResize(("resize-conv-transpose",)), pair(pads=1), RNG)
    assert list(stats.notes) == ["nearest 2×2 then 3×3 → ConvTranspose 4×4"]
    (op,) = [op for op in after.ops() if op.kind == "ConvTranspose"]
    assert op.operands[1].shape == (3, 4, 4, 4)
    assert (op.attributes["strides"], op.attributes["pads"]) == ((2, 2), (1, 1, 1, 1))


def test_all_forms_compete() -> None:
    graph = pair(pads=1)
    found = LowerResize().propose(graph)
    assert [proposal.note for proposal in found] == [
        "nearest 2×2 then 3×3 → 4 convs 2×2",
        "nearest 2×2 then 3×3 → 3×3 to 4 phases",
        "nearest 2×2 then 3×3 → ConvTranspose 4×4",
    ]
    assert [gain(graph, proposal).macs for proposal in found] == [5 * 960, 0, 5 * 960]


@pytest.mark.parametrize("form", ["resize-conv-phases", "resize-conv-stacked"])
@pytest.mark.parametrize("opset", [9, 17])
def test_groups_stay_together(form: Form, opset: int) -> None:
    graph = pair(Case(opset=opset), shape=(2, 6, 5, 4), outputs=6, pads=1, group=3)
    stats, after = check_pass(LowerResize((form,)), graph, RNG)
    assert stats.applied == 1
    assert {op.attributes["group"] for op in after.ops() if op.kind == "Conv"} == {3}
    by_reshape = form == "resize-conv-stacked" and opset < 11
    assert count(after)["Reshape" if by_reshape else "DepthToSpace"] == 1 + by_reshape


def test_a_stride_that_undoes_the_resize() -> None:
    for kernel, result in (((3, 3), "2×2"), ((1, 1), "1×1")):
        graph = pair(kernel=kernel, pads=kernel[0] // 2, strides=2)
        stats, after = check_pass(LowerResize(), graph, RNG)
        assert list(stats.notes) == [f"nearest 2×2 then {kernel[0]}×{kernel[1]} → {result}"]
        assert count(after) == {"Conv": 1}
        for form in PAIRS[1:]:
            left = LowerResize((form,)).run(graph.clone())
            assert (left.applied, left.declined) == (0, {})


def test_what_is_too_much_is_cut_off() -> None:
    graph = pair(kernel=(4, 3), pads=1)
    for form in PAIRS[:2]:
        stats, after = check_pass(LowerResize((form,)), graph, RNG)
        assert stats.applied == 1
        (cut,) = [op for op in after.ops() if op.kind == "Slice"]
        assert [v.array.tolist() for v in cut.operands[1:]] == [[0], [-1], [2]]
        assert after.outputs[0].shape == (1, 4, 9, 8)


def test_nearest_beyond_the_edge_is_padded_with_the_edge() -> None:
    case = Case(rounding="ceil")
    stats, after = check_pass(LowerResize(), pair(case), RNG)
    assert stats.applied == 1
    (pad,) = [op for op in after.ops() if op.kind == "Pad"]
    assert pad.operands[1].array.tolist() == [0, 0, 0, 0, 0, 0, 1, 1]


def test_linear_goes_into_a_conv_that_does_not_pad() -> None:
    stats, after = check_pass(LowerResize(PAIRS), pair(Case(mode="linear")), RNG)
    assert list(stats.notes) == ["linear 2×2 then 3×3 → 4 convs 3×3"]
    assert count(after) == {"Pad": 1, "Conv": 4, "Concat": 1, "DepthToSpace": 1}
    assert linear_phases(2, "asymmetric").after == 1


def test_padding_on_the_axis_that_is_only_repeated() -> None:
    """What an axis continues is a matter of that axis alone."""
    case = Case(rounding="ceil", factors=(2, 1))
    stats, _ = check_pass(LowerResize(), pair(case, pads=(0, 1)), RNG)
    assert stats.applied == 1


# -- dtypes, users, open sizes -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("form", PAIRS)
def test_other_dtypes_stay(form: Form, dtype: type) -> None:
    graph = pair(pads=1, how={"dtype": dtype})
    assert LowerResize((form,)).run(graph, Context(prove=prove)).applied == 1
    graph.verify()
    kinds = ("Conv", "ConvTranspose")
    weights = {v.dtype for op in graph.ops() if op.kind in kinds for v in op.operands[1:]}
    assert weights == {np.dtype(dtype)}


def test_half_precision_in_onnxruntime() -> None:
    graph = pair(pads=1, how={"dtype": np.float16})
    for form in PAIRS:
        assert check_pass(LowerResize((form,)), graph, RNG)[0].applied == 1


def test_sums_that_overflow_are_declined() -> None:
    build, x = new_graph((1, 1, 5, 4), dtype=np.float16)
    w = np.full((1, 1, 3, 3), 4e4)
    graph = finished(build, layer(build, resize(build, x, NEAREST), geometry_of(w, pads=1), w))
    for form in PAIRS:
        reason = "the composed weights overflow float16"
        assert LowerResize((form,)).run(graph).declined == {reason: 1}


@pytest.mark.parametrize("other", ["none", "output", "relu"])
def test_a_resize_with_other_users_stays_for_them(other: str) -> None:
    build, x = new_graph((1, 2, 5, 4))
    y = resize(build, x, NEAREST)
    results = [random_conv(build, y, 3, (3, 3), pads=1) for _ in range(2)]
    if other != "none":
        results.append(y if other == "output" else build.op("Relu", (y,), name="relu"))
    stats, after = check_pass(LowerResize(), finished(build, *results), RNG)
    assert stats.applied == 2
    assert count(after)["Resize"] == (other != "none")


def test_copies_between_are_looked_through() -> None:
    build, x = new_graph((1, 2, 5, 4))
    y = copied(build, resize(build, x, NEAREST), ("Identity", "Dropout", "Cast"))
    stats, after = check_pass(LowerResize(), finished(build, random_conv(build, y, 3, (3, 3))), RNG)
    assert stats.applied == 1
    assert count(after) == {"Conv": 4, "Concat": 1, "DepthToSpace": 1}


@pytest.mark.parametrize("form", PAIRS)
@pytest.mark.parametrize("kernel", [(3, 3), (4, 2)])
def test_open_sizes(form: Form, kernel: tuple[int, int]) -> None:
    sizes = {"n": 1, "h": 5, "w": 4}
    graph = pair(kernel=kernel, shape=("n", 3, "h", "w"), how={"sizes": sizes}, pads=1)
    larger = {"n": 2, "h": 6, "w": 9, "?0": 12, "?1": 18}
    stats, after = check_pass(LowerResize((form,)), graph, RNG, sizes=({}, larger))
    assert stats.applied == 1
    assert after.outputs[0].shape == graph.outputs[0].shape


def test_nothing_but_the_rank_is_known() -> None:
    for form in PAIRS:
        build, _ = new_graph((1, 2, 5, 4))
        x = build.graph.add_input("y", TensorType(np.dtype(np.float32), (None,) * 4))
        value = resize(build, x, NEAREST, (5, 4))
        w = RNG.standard_normal((3, 2, 3, 3))
        graph = finished(build, layer(build, value, geometry_of(w, pads=1), w))
        shape = graph.outputs[0].shape
        assert LowerResize((form,)).run(graph).applied == 1
        graph.verify()
        assert graph.outputs[0].shape == shape


# -- what is left alone --------------------------------------------------------------------------


def reasons(graph: Graph, form: Form) -> list[str]:
    stats = LowerResize((form,)).run(graph)
    assert stats.applied == 0
    return list(stats.declined)


OPEN = {"shape": (1, 3, "h", "w"), "how": {"sizes": {"h": 5, "w": 4}}}


@pytest.mark.parametrize(
    ("form", "graph", "reason"),
    [
        *((form, pair(kernel=(1, 1)), ONE_TAP) for form in PAIRS),
        *((form, pair(Case(mode="linear"), pads=1), CONTINUED) for form in PAIRS[:2]),
        *((form, pair(Case(rounding="ceil"), pads=1), CONTINUED) for form in PAIRS[:2]),
        (PAIRS[2], pair(Case(mode="linear")), NO_REPETITION),
        (PAIRS[2], pair(Case(rounding="ceil")), NO_REPETITION),
        *((form, pair(Case(mode="cubic", opset=13)), MORE) for form in PAIRS[:2]),
        *((form, pair(dilations=3), MORE) for form in PAIRS),
        (PAIRS[1], pair(Case(factors=(5, 5)), strides=4, pads=1), MORE),
        *((form, pair(**OPEN, strides=3), UNKNOWN) for form in PAIRS[:2]),
        *((form, pair(Case(factors=(2, 3)), **OPEN), UNKNOWN) for form in PAIRS[:2]),
        (PAIRS[2], pair(strides=3), DO_NOT_DIVIDE),
    ],
)
def test_declines(form: Form, graph: Graph, reason: str) -> None:
    assert reasons(graph, form) == [reason]


@pytest.mark.parametrize("form", PAIRS)
def test_other_declines(form: Form) -> None:
    def with_weight(kind: str) -> Graph:
        build, x = new_graph((1, 2, 5, 4))
        weight = build.graph.add_input("w", TensorType(np.dtype(np.float32), (3, 2, 3, 3)))
        y = resize(build, x, NEAREST)
        if kind != "input":
            weight = build.constant(np.ones((3, 2, 3, 3), np.float32))
        if kind == "relu":
            y = build.op("Relu", (y,))
        if kind == "custom":
            y = build.graph.add("Resize", (x,), types=(y.type,), domain="custom").result
        return finished(build, build.op("Conv", (y, weight)))

    assert reasons(with_weight("input"), form) == ["the weights are not constant"]
    assert reasons(with_weight("relu"), form) == []
    assert reasons(with_weight("custom"), form) == []
    scales = pair(Case(factors=(2, 2)), pads=1)
    (op,) = [op for op in scales.ops() if op.kind == "Resize"]
    wrong = scales.add_constant(np.array([1, 1, 1.5, 2], np.float32))
    scales.set_operand(op, 2, wrong)
    assert reasons(scales, form) == ["the resize is by no whole factor"]


def test_an_output_of_no_size() -> None:
    build, x = new_graph((1, 2, 2, 2))
    value = resize(build, x, NEAREST)
    w = build.constant(np.ones((3, 2, 5, 5), np.float32))
    graph = finished(build, build.conv(value, w, None, geometry_of(w.array)))
    for form in PAIRS[:2]:
        assert reasons(graph, form) == ["the conv has no output at its size"]


def test_weights_that_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("passes._chains.LARGEST", 3 * 4 * 9 * 4 - 1)
    for form in PAIRS:
        assert reasons(pair(), form) == ["the composed weights would be too large"]
    monkeypatch.setattr("passes._chains.LARGEST", 3 * 4 * 9 * 4)
    assert LowerResize().run(pair()).applied == 1


def test_zeros_of_a_dilation_are_not_written_out_to_be_declined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = pair(dilations=3)
    monkeypatch.setattr("passes._chains.LARGEST", 3 * 4 * 8 * 8 - 1)
    assert reasons(graph, PAIRS[2]) == ["the composed weights would be too large"]
    monkeypatch.setattr("passes._chains.LARGEST", 3 * 4 * 8 * 8)
    assert reasons(graph, PAIRS[2]) == [MORE]


def test_scales_of_another_rank() -> None:
    build, _ = new_graph((1,))
    x = build.graph.add_input("y", TensorType(np.dtype(np.float32), None))
    scales = build.constant(np.array([1, 1, 2, 2, 2], np.float32))
    y = build.op("Resize", (x, None, scales), {"mode": "nearest"}, type_=x.type)
    w = build.constant(np.ones((3, 2, 3, 3), np.float32))
    graph = finished(build, build.conv(y, w, None, geometry_of(w.array)))
    for form in PAIRS:
        assert reasons(graph, form) == ["the resize is not one of the spatial axes"]
