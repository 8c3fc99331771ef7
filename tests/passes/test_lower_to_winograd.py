"""lower-to-winograd: every form on convs over the whole attribute space."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import convc
from convc.algebra.winograd_error import worst_error
from convc.graph import Graph
from convc.ir import Op
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from convc.reference import evaluate
from convc.rewrite import propose
from passes.lower_to_winograd import Form, LowerToWinograd
from passes.lower_to_winograd.tiling import read_tiling
from tests.helpers import UNIT, random_feeds, run_onnx
from tests.strategies import finished, layer, new_graph, random_conv, seeds
from tests.winograd_strategies import tiled_convs

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(6)
FORMS: tuple[Form, ...] = get_args(Form)
ANY = float("inf")


def kinds(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def conv_of(graph: Graph) -> Op:
    return next(op for op in graph.ops() if op.kind == "Conv")


def check(pass_: LowerToWinograd, graph: Graph, rng: np.random.Generator) -> Counter[str]:
    """Runs the pass on a copy, proves what it does, and holds onnxruntime to the worst-case bound.

    The bound holds for float32 in any order; the Relu behind a conv makes no error larger.
    """
    after = graph.clone()
    stats = pass_.run(after, Context(prove=prove))
    after.verify()
    if not stats.applied:
        return stats.declined
    assert stats.applied == 1
    tiling = read_tiling(
        conv_of(graph), pass_.tiles[0], ANY, rows=pass_.forms[0].startswith("rows")
    )
    bias = 0.0 if tiling.layer.bias is None else np.abs(tiling.layer.bias).max()
    for more in (0, 2) if graph.sizes else (0,):
        feeds = random_feeds(graph, rng, {name: size + more for name, size in graph.sizes.items()})
        (exact,), (found,) = evaluate(graph, feeds), run_onnx(after, feeds)
        assert found.shape == exact.shape
        allowed = worst_error(tiling.filters, tiling.axes, UNIT, np.abs(feeds["x"]).max(), bias)
        assert np.abs(found - exact).max() <= allowed
    return Counter(["fired", pass_.forms[0], *features(conv_of(graph), graph)])


def features(op: Op, graph: Graph) -> list[str]:
    """What the op has of the attribute space."""
    strides = op.attributes["strides"]
    assert isinstance(strides, tuple)
    shape = op.operands[0].shape
    present = {
        "grouped": op.attributes["group"] != 1,
        "strided": max(strides) > 1,
        "open batch": bool(graph.sizes),
        "batch": shape is not None and shape[0] in (2, 3),
        "auto_pad": "auto_pad" in op.attributes,
        "not square": len(set(op.attributes["kernel_shape"])) > 1,
        **{f"{rank}-D": len(strides) == rank for rank in (1, 2, 3)},
    }
    return [name for name, here in present.items() if here]


@pytest.mark.parametrize("forms", [FORMS[:3], FORMS[3:]], ids=["tiles", "planes"])
def test_forms(forms: tuple[Form, ...]) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=150, **QUIET)
    @given(tiled_convs(), st.sampled_from(forms), st.sampled_from([2, 3, 4]), seeds())
    def run(graph: Graph, form: Form, tile: int, rng: np.random.Generator) -> None:
        found.update(check(LowerToWinograd((form,), (tile,), ANY), graph, rng))

    run()
    assert found["fired"] >= 100, found
    assert all(found[form] >= 25 for form in forms), found
    for feature in ("grouped", "strided", "open batch", "batch", "auto_pad", "not square", "1-D"):
        assert found[feature] >= 10, (feature, found)
    assert found["3-D"] >= 5, found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tile", [4, 6])
def test_a_layer_of_a_network(form: Form, tile: int) -> None:
    build, x = new_graph((1, 16, 14, 13))
    graph = finished(build, build.op("Relu", (random_conv(build, x, 16, (3, 3), pads=1),)))
    found = check(LowerToWinograd((form,), (tile,)), graph, RNG)
    assert found["fired"] == 1


OPS: dict[Form, dict[str, int]] = {
    "tiles": {"Reshape": 4, "MatMul": 2, "Conv": 1, "Transpose": 1, "DepthToSpace": 1,
              "Slice": 1, "Add": 1},
    "tiles-last": {"Reshape": 5, "MatMul": 2, "Conv": 1, "Transpose": 3, "Slice": 1, "Add": 1},
    "grouped": {"Reshape": 5, "MatMul": 1, "Conv": 2, "Transpose": 1, "DepthToSpace": 1,
                "Slice": 1},
    "planes": {"Conv": 6 + 36 + 1, "Concat": 1, "Reshape": 2, "MatMul": 1, "DepthToSpace": 1,
               "Slice": 1},
    "rows": {"Conv": 6 + 1, "Concat": 1, "Reshape": 4, "MatMul": 1, "Transpose": 1, "Slice": 1},
    "rows-apart": {"Conv": 6 + 6, "Concat": 1, "Reshape": 4, "MatMul": 1, "Transpose": 1,
                   "Slice": 1},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_a_3x3_becomes(form: Form) -> None:
    build, x = new_graph((1, 4, 14, 14))
    graph = finished(build, random_conv(build, x, 8, (3, 3), pads=1))
    stats = LowerToWinograd((form,), (4,)).run(graph, Context(prove=prove))
    tile = "4" if form.startswith("rows") else "4×4"
    assert stats.notes == {f"Conv 3×3 → F({tile}, 3×3) ({form})": 1}
    assert kinds(graph) == OPS[form]
    assert graph.outputs[0].shape == (1, 8, 14, 14)


@pytest.mark.parametrize(("pads", "convs"), [(0, 4 + 1), (1, 4 + 4 + 1)])
def test_an_axis_of_one_tap_needs_no_planes(pads: int, convs: int) -> None:
    """Unless it is padded, which the bias is seen in."""
    build, x = new_graph((1, 4, 8, 8))
    graph = finished(build, random_conv(build, x, 8, (3, 1), pads=pads))
    assert LowerToWinograd(("planes",), (2,)).run(graph, Context(prove=prove)).applied == 1
    assert kinds(graph)["Conv"] == convs


def test_nothing_is_cut_where_tiles_fit_and_nothing_added_without_a_bias() -> None:
    build, x = new_graph((1, 4, 12, 8))
    graph = finished(build, random_conv(build, x, 8, (3, 3), pads=1, bias=False))
    assert LowerToWinograd(("tiles",), (4,)).run(graph, Context(prove=prove)).applied == 1
    assert not kinds(graph)["Slice"] + kinds(graph)["Add"]


def test_tiles_are_as_long_as_a_short_axis() -> None:
    build, x = new_graph((1, 4, 20, 3))
    graph = finished(build, random_conv(build, x, 8, (3, 3), pads=1))
    stats = LowerToWinograd(("tiles",), (4,)).run(graph, Context(prove=prove))
    assert stats.notes == {"Conv 3×3 → F(4×3, 3×3) (tiles)": 1}
    assert kinds(graph)["DepthToSpace"] == 0


@pytest.mark.parametrize("form", FORMS)
def test_what_a_stride_leaves_over_is_not_read(form: Form) -> None:
    """Two tiles read ten of eleven inputs: there is nothing to pad, and nothing to crop."""
    build, x = new_graph((2, 4, 11))
    graph = finished(build, random_conv(build, x, 8, (4,), strides=2))
    assert check(LowerToWinograd((form,), (2,)), graph, RNG)["fired"] == 1


@pytest.mark.parametrize(
    ("outputs", "tile", "taken"), [(14, 6, 5), (14, 4, 4), (9, 4, 3), (8, 6, 4), (13, 6, 5)]
)
def test_tiles_are_no_longer_than_they_need_be(outputs: int, tile: int, taken: int) -> None:
    build, x = new_graph((1, 4, outputs))
    graph = finished(build, random_conv(build, x, 8, (3,), pads=1))
    stats = LowerToWinograd(("tiles",), (tile,)).run(graph, Context(prove=prove))
    assert stats.notes == {f"Conv 3 → F({taken}, 3) (tiles)": 1}


def test_only_axes_of_more_than_one_tap_are_tiled() -> None:
    build, x = new_graph((1, 4, 9, 12))
    graph = finished(build, random_conv(build, x, 8, (1, 5)))
    stats = LowerToWinograd(("tiles",), (4,)).run(graph, Context(prove=prove))
    assert stats.notes == {"Conv 1×5 → F(1×4, 1×5) (tiles)": 1}


@pytest.mark.parametrize("form", FORMS)
def test_negative_pads_crop(form: Form) -> None:
    """onnxruntime refuses them: the proof has to do."""
    build, x = new_graph((2, 4, 14, 13))
    y = random_conv(build, x, 8, (3, 3))
    y.op.attributes = {**y.op.attributes, "pads": (-1, 2, 1, -2)}
    graph = finished(build, build.op("Conv", y.op.operands, y.op.attributes))
    build.graph.erase(y.op)
    assert LowerToWinograd((form,), (4,)).run(graph, Context(prove=prove)).applied == 1
    graph.verify()


def test_float64_is_kept() -> None:
    build, x = new_graph((1, 4, 12, 12), dtype=np.float64)
    graph = finished(build, random_conv(build, x, 8, (7, 7), pads=3))
    assert LowerToWinograd(("tiles",), (6,)).run(graph, Context(prove=prove)).applied == 1
    arrays = [op.array for op in graph.ops() if op.array is not None]
    assert {a.dtype for a in arrays if a.dtype.kind == "f"} == {np.dtype(np.float64)}


def test_a_dead_layer_is_exact() -> None:
    build, x = new_graph((1, 4, 12, 12))
    zeros = np.zeros((8, 4, 3, 3))
    y = random_conv(build, x, 8, (3, 3))
    graph = finished(build, layer(build, x, read_tiling(y.op, 4, ANY).geometry, zeros))
    graph.erase_dead([y.op])
    assert LowerToWinograd(("tiles",), (4,), 0.0).run(graph, Context(prove=prove)).applied == 1


@pytest.mark.parametrize("form", FORMS)
def test_its_own_convs_are_left_alone(form: Form) -> None:
    build, x = new_graph((1, 4, 14, 14))
    graph = finished(build, random_conv(build, x, 8, (3, 3), pads=1))
    pass_ = LowerToWinograd((form,))
    assert pass_.run(graph).applied == 1
    assert propose(graph, pass_.rules()) == []


def test_a_real_network(shared: Path) -> None:
    path = shared / "models" / "det_ultraface_slim320_simplified.onnx"
    result = convc.optimize(path, "simplify,lower-to-winograd", verify="each")
    assert result.reports[1].stats.applied == 3
    assert result.verdict.value in ("equal", "within-tolerance")


def test_options_are_in_the_text() -> None:
    text = "lower-to-winograd{forms=rows,tiles tiles=2,6 tolerance=0.001}"
    pipeline = Pipeline.parse(text)
    assert str(pipeline) == text
    assert [rule.name for rule in pipeline.passes[0].rules()] == [
        "lower_rows", "lower_tiles", "lower_rows", "lower_tiles",
    ]  # fmt: skip
