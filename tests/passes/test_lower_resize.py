"""lower-to-conv2d on linear and cubic resizes alone: every form, and what is left alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, Attribute, Dim, TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from passes.lower_to_conv2d.resize import DENSEST, Form
from tests.helpers import check_pass
from tests.resize_strategies import Case, Drawn, LowerResize, check_resize, resize, resizes
from tests.strategies import finished, new_graph, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(1)
ALONE: tuple[Form, ...] = ("resize-dense", "resize-phases", "resize-depthwise", "resize-separable")
LINEAR = Case(mode="linear", coordinates="half_pixel")


def count(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def alone(case: Case = LINEAR, shape: tuple[Dim, ...] = (1, 3, 5, 4), **how: Any) -> Graph:
    build, x = new_graph(shape, case.opset, **how)
    return finished(build, resize(build, x, case, (5, 4)))


# -- the whole attribute space -------------------------------------------------------------------


@pytest.mark.parametrize("form", ALONE)
def test_every_form_over_all_attributes(form: Form) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=220, **QUIET)
    @given(resizes(), seeds())
    def check(drawn: Drawn, rng: np.random.Generator) -> None:
        stats = check_resize(form, drawn, rng, found)
        channels = drawn.graph.inputs[0].shape[1]
        fits = {
            "resize-dense": channels <= DENSEST,
            "resize-phases": channels > 1,
            "resize-depthwise": channels > 1,
            "resize-separable": sum(f > 1 for f in drawn.case.factors) > 1,
        }[form]
        assert stats.applied == (fits and "the size is not known" not in stats.declined)

    check()
    assert found["fired"] >= 100, found
    assert found["compared"] >= 90, found
    assert min(found["linear"], found["cubic"]) >= 30, found
    assert min(found["open"], found["opset below 11"]) >= 10, found


# -- what they emit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "channels", "kinds", "kernels"),
    [
        ("resize-dense", 3, {"Conv": 1}, [(12, 3, 3, 3)]),
        ("resize-phases", 5, {"Conv": 4, "Concat": 1}, [(5, 1, 3, 3)] * 4),
        ("resize-depthwise", 5, {"Conv": 1}, [(20, 1, 3, 3)]),
        ("resize-separable", 5, {"Conv": 2}, [(10, 1, 3, 1), (20, 1, 1, 3)]),
    ],
)
@pytest.mark.parametrize("opset", [10, 17])
def test_forms(
    form: Form,
    channels: int,
    kinds: dict[str, int],
    kernels: list[tuple[int, ...]],
    opset: int,
) -> None:
    case = replace(LINEAR, opset=opset)
    if opset < 11:
        case, kernels = replace(case, coordinates="asymmetric"), [_two(k) for k in kernels]
    stats, after = check_pass(LowerResize((form,)), alone(case, (2, channels, 5, 4)), RNG)
    assert stats.applied == 1
    last_first = form in ("resize-depthwise", "resize-separable") and opset < 11
    shuffle = {"Reshape": 2, "Transpose": 1} if last_first else {"DepthToSpace": 1}
    assert count(after) == {"Pad": 1, **kinds, **shuffle}
    convs = [op for op in after.ops() if op.kind == "Conv"]
    assert [op.operands[1].shape for op in convs] == kernels
    (pad,) = [op for op in after.ops() if op.kind == "Pad"]
    assert pad.attributes["mode"] == "edge"
    order = "CRD" if form in ("resize-depthwise", "resize-separable") else "DCR"
    shuffles = [op for op in after.ops() if op.kind == "DepthToSpace"]
    assert [op.attributes.get("mode", "none yet") for op in shuffles] == (
        [order] if opset >= 11 else ["none yet"] * len(shuffles)
    )


def _two(kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Asymmetric linear reads two samples where half_pixel reads three."""
    return (*kernel[:2], *(min(k, 2) for k in kernel[2:]))


def test_the_first_form_that_fits_is_taken() -> None:
    for channels, expected in ((1, "dense 3×3"), (4, "dense 3×3"), (5, "4 depthwise 3×3")):
        stats = LowerResize().run(alone(shape=(1, channels, 5, 4)))
        assert list(stats.notes) == [f"linear 2×2 → {expected}"]


def test_all_forms_compete() -> None:
    notes = [found.note for found in LowerResize().propose(alone())]
    assert notes == [
        "linear 2×2 → dense 3×3",
        "linear 2×2 → 4 depthwise 3×3",
        "linear 2×2 → depthwise 3×3 to 4 phases",
        "linear 2×2 → depthwise 3×1 then 1×3",
    ]


def test_names_and_types_stay() -> None:
    graph = alone()
    old = graph.outputs[0]
    name, shape = old.name, old.shape
    LowerResize().run(graph)
    assert graph.outputs[0].name == name
    assert graph.outputs[0].shape == shape == (1, 3, 10, 8)


def test_one_axis_is_resized() -> None:
    stats, after = check_pass(LowerResize(), alone(replace(LINEAR, factors=(1, 3))), RNG)
    assert stats.applied == 1
    assert count(after) == {"Pad": 1, "Conv": 1, "Reshape": 2, "Transpose": 1}
    (pad,) = [op for op in after.ops() if op.kind == "Pad"]
    assert pad.operands[1].array.tolist() == [0, 0, 0, 1, 0, 0, 0, 1]


def test_antialias_does_nothing_where_nothing_shrinks() -> None:
    for mode in ("linear", "cubic"):
        case = replace(LINEAR, mode=mode, opset=19, antialias=True)
        assert check_pass(LowerResize(), alone(case), RNG)[0].applied == 1


# -- dtypes, users, open sizes -------------------------------------------------------------------


def weight_types(graph: Graph) -> set[np.dtype[Any]]:
    return {op.operands[1].dtype for op in graph.ops() if op.kind == "Conv"}


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("form", ALONE)
def test_other_dtypes_stay(form: Form, dtype: type) -> None:
    graph = alone(replace(LINEAR, mode="cubic"), dtype=dtype)
    assert LowerResize((form,)).run(graph, Context(prove=prove)).applied == 1
    graph.verify()
    assert weight_types(graph) == {np.dtype(dtype)}
    assert graph.outputs[0].dtype == np.dtype(dtype)


def test_half_precision_in_onnxruntime() -> None:
    assert check_pass(LowerResize(), alone(dtype=np.float16), RNG)[0].applied == 1


def test_several_users_and_a_result_from_the_middle() -> None:
    build, x = new_graph((1, 2, 5, 4))
    y = resize(build, x, LINEAR)
    graph = finished(build, y, build.op("Relu", (y,)), build.add(y, y), build.op("Neg", (x,)))
    stats, after = check_pass(LowerResize(), graph, RNG)
    assert stats.applied == 1
    assert count(after)["Conv"] == 1


@pytest.mark.parametrize("form", ALONE)
def test_open_sizes(form: Form) -> None:
    graph = alone(shape=("n", 3, "h", "w"), sizes={"n": 1, "h": 5, "w": 4})
    larger = {"n": 2, "h": 6, "w": 9, "?0": 12, "?1": 18}
    stats, after = check_pass(LowerResize((form,)), graph, RNG, sizes=({}, larger))
    assert stats.applied == 1
    assert count(after)["DepthToSpace"] == 1
    assert after.outputs[0].shape == graph.outputs[0].shape == ("n", 3, "?0", "?1")


def test_one_open_size_is_found_by_a_reshape() -> None:
    case = replace(LINEAR, factors=(2, 3))
    graph = alone(case, ("n", 3, "h", 4), sizes={"n": 1, "h": 5})
    stats, after = check_pass(LowerResize(), graph, RNG, sizes=({}, {"n": 2, "h": 7, "?0": 14}))
    assert stats.applied == 1
    assert count(after)["Reshape"] == 2


# -- how factors are said ------------------------------------------------------------------------


def by_hand(
    operands: dict[int, Array], shape: tuple[Dim, ...] = (1, 2, 4, 6), **more: Any
) -> Graph:
    """A Resize with the operands given by position."""
    attributes: dict[str, Attribute] = {"mode": "linear", **more.pop("attributes", {})}
    build, x = new_graph(shape, more.pop("opset", 19), **more)
    values: list[Value | None] = [x, None, None, None]
    for i, array in operands.items():
        values[i] = build.constant(np.asarray(array))
    used = values if 3 in operands else values[:3]
    type_ = TensorType(np.dtype(np.float32), None)
    return finished(build, build.op("Resize", used, attributes, type_=type_))


@pytest.mark.parametrize(
    ("policy", "sizes", "factors"),
    [
        ("stretch", [8, 18], (2, 3)),
        ("not_larger", [8, 18], (2, 2)),
        ("not_smaller", [8, 18], (3, 3)),
        ("not_larger", [11, 12], (2, 2)),
    ],
)
def test_keep_aspect_ratio_policy(policy: str, sizes: list[int], factors: tuple[int, int]) -> None:
    attributes = {"keep_aspect_ratio_policy": policy, "axes": (2, 3)}
    graph = by_hand({3: np.array(sizes)}, attributes=attributes)
    stats, _ = check_pass(LowerResize(), graph, RNG)
    assert list(stats.notes) == [f"linear {factors[0]}×{factors[1]} → dense 3×3"]


def test_axes_in_another_order() -> None:
    graph = by_hand({2: np.array([3, 2], np.float32)}, attributes={"axes": (-1, 2)})
    stats, _ = check_pass(LowerResize(), graph, RNG)
    assert list(stats.notes) == ["linear 2×3 → dense 3×3"]


@pytest.mark.parametrize("batch", [2, "n"])
def test_sizes_that_are_known_by_the_type_alone(batch: Dim) -> None:
    build, x = new_graph((batch, 2, 4, 6), sizes={"n": 2})
    shape = build.op("Shape", (x,), type_=TensorType(np.dtype(np.int64), (4,)))
    sizes = build.op("Mul", (shape, build.ints([1, 1, 2, 2])))
    type_ = TensorType(np.dtype(np.float32), (batch, 2, 8, 12))
    y = build.op("Resize", (x, None, None, sizes), {"mode": "linear"}, type_=type_)
    stats, after = check_pass(LowerResize(), finished(build, y), RNG)
    assert stats.applied == 1
    assert "Shape" not in count(after)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_an_axis_of_scale_one_is_copied_wherever_its_samples_lie(mode: str) -> None:
    """The formula of tf_half_pixel_for_nn puts them half a sample further."""
    case = Case(mode=mode, coordinates="tf_half_pixel_for_nn", factors=(2, 1))
    stats, after = check_pass(LowerResize(), alone(case), RNG)
    assert stats.applied == 1
    (pad,) = [op for op in after.ops() if op.kind == "Pad"]
    assert pad.operands[1].array[[3, 7]].tolist() == [0, 0]


# -- what is left alone --------------------------------------------------------------------------


def reasons(graph: Graph, form: Form = "resize-dense") -> list[str]:
    stats = LowerResize((form,)).run(graph)
    assert stats.applied == 0
    return list(stats.declined)


def scales(*values: float) -> dict[int, Array]:
    return {2: np.array(values, np.float32)}


UP = scales(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (
            by_hand(UP, attributes={"coordinate_transformation_mode": "align_corners"}),
            "the coordinates of align_corners are not periodic",
        ),
        (
            by_hand(
                {1: np.array([0, 0, 0, 0, 1, 1, 1, 1], np.float32), **UP},
                attributes={"coordinate_transformation_mode": "tf_crop_and_resize"},
            ),
            "the coordinates of tf_crop_and_resize are not periodic",
        ),
        (
            by_hand(UP, attributes={"mode": "cubic", "exclude_outside": 1}),
            "the resize excludes what is outside",
        ),
        (by_hand(UP, attributes={"mode": "sinc"}), "the resize has the unknown mode sinc"),
        (by_hand(scales(1, 1, 2.5, 2)), "the resize is by no whole factor"),
        (by_hand(scales(1, 1, 0.5, 2)), "the resize is by no whole factor"),
        (by_hand(scales(1, 1, 0, 2)), "the resize is by no whole factor"),
        (by_hand({3: np.array([1, 2, 9, 12])}), "the resize is by no whole factor"),
        (by_hand(scales(1, 2, 2, 1)), "the resize is not one of the spatial axes"),
        (by_hand(scales(2, 1, 2, 1)), "the resize is not one of the spatial axes"),
        (by_hand(scales(1, 2), (3, 4)), "the resize is not one of the spatial axes"),
        (by_hand({3: np.array([1, 2, 8, 12])}, (1, 2, "h", 6)), "the size is not known"),
        (by_hand(scales(1, 1, 2, 3), (1, 2, "h", "w")), "the size is not known"),
        (by_hand(UP, (1, "c", 4, 6)), "the number of channels is not known"),
        (by_hand(UP, dtype=np.int32), "the resize is not one of floating point"),
    ],
)
def test_declines(graph: Graph, reason: str) -> None:
    assert reasons(graph) == [reason]


def test_sizes_that_are_not_known() -> None:
    def with_input(index: int, dtype: type) -> Graph:
        build, x = new_graph((1, 2, 4, 6))
        given = build.graph.add_input("given", TensorType(np.dtype(dtype), (4,)))
        operands = [x, None, None, None]
        operands[index] = given
        type_ = TensorType(np.dtype(np.float32), None)
        return finished(build, build.op("Resize", operands, {"mode": "linear"}, type_=type_))

    assert reasons(with_input(2, np.float32)) == ["the scales are not constant"]
    assert reasons(with_input(3, np.int64)) == ["the sizes are not constant"]


def test_the_rank_is_not_known() -> None:
    build, _ = new_graph((1,))
    x = build.graph.add_input("y", TensorType(np.dtype(np.float32), None))
    scale = build.constant(np.array([2, 2], np.float32))
    operands = (x, None, scale)
    y = build.op("Resize", operands, {"mode": "linear", "axes": (2, 3)}, type_=x.type)
    assert reasons(finished(build, y)) == ["the rank is not known"]


def test_what_is_not_worth_showing() -> None:
    build, x = new_graph((1, 2, 4, 6))
    nearest = resize(build, x, Case())
    same = build.op("Resize", (x, None, build.constant(np.ones(4, np.float32))), {"mode": "linear"})
    other = build.graph.add("Resize", (x,), types=(x.type,), domain="custom").result
    stats = LowerResize().run(finished(build, nearest, same, other))
    assert (stats.applied, stats.declined) == (0, {})
    assert reasons(alone(), "resize-conv-phases") == []
    assert reasons(alone(shape=(1, DENSEST + 1, 5, 4))) == []
    for form in ALONE[1:3]:
        assert reasons(alone(shape=(1, 1, 5, 4)), form) == []
    assert reasons(alone(replace(LINEAR, factors=(2, 1))), "resize-separable") == []


def test_the_most_phases() -> None:
    assert LowerResize().run(alone(replace(LINEAR, factors=(8, 8)))).applied == 1
    for factors in ((13, 5), (33, 33)):
        graph = alone(replace(LINEAR, factors=factors))
        for form in ALONE:
            assert reasons(graph, form) == ["the resize has more than 64 phases"]


def test_upsample_before_it_had_scales() -> None:
    builder: Builder
    builder, x = new_graph((1, 2, 4, 6), 6)
    attributes: dict[str, Attribute] = {"height_scale": 2.0, "width_scale": 2.0}
    y = builder.op("Upsample", (x,), attributes, type_=x.type)
    assert reasons(finished(builder, y)) == ["Upsample has scales since opset 7"]
