"""lower-activations: what becomes of infinity, NaN and single bits in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest

from convc.algebra import geometry_of
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, Value
from convc.onnx_io import to_bytes
from passes.lower_activations import LowerActivations
from tests.helpers import UNIT, run_onnx
from tests.strategies import finished, layer, new_graph

SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5, -1.5, 1e-40, -1e-40, 3e38, -3e38])
SLOPES = {
    "rising": np.linspace(0.05, 0.95, 16),
    "falling": np.linspace(-2, -0.1, 16),
    "steep": np.linspace(1.1, 3, 16),
    "mixed": np.array([-1.5, 0, 1, 2, 0.5, 0, -0.25, 1e-30] * 2),
    "equal": np.full(16, 0.3),
    "none": np.zeros(16),
}
FORMS = {
    "leaky": ("equal", "none"),
    "depthwise": tuple(SLOPES),
    "depthwise-relu": tuple(SLOPES),
    "depthwise-sum": ("rising", "equal"),
    "max": ("rising", "falling", "equal"),
    "split": tuple(SLOPES),
}
"""Which slopes a form takes."""
Run = Callable[[Graph, dict[str, Array]], list[Array]]
CASES = [(form, slopes) for form, all_ in FORMS.items() for slopes in all_]


def run_optimized(graph: Graph, feeds: dict[str, Array]) -> list[Array]:
    """The outputs in onnxruntime with everything it has switched on."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(to_bytes(graph), options, providers=["CPUExecutionProvider"])
    outputs: list[Array] = session.run(None, feeds)
    return outputs


def between_convs(slopes: Array, width: int, opset: int = 17) -> Graph:
    """A PRelu between two depthwise Convs that change nothing: they make the blocked layout."""
    build, x = new_graph((1, 16, 2, width), opset)
    slope = build.constant(slopes.reshape(-1, 1, 1).astype(np.float32))
    y = build.op("PRelu", (unchanged(build, x), slope), type_=x.type)
    return finished(build, unchanged(build, y))


def unchanged(build: Builder, x: Value) -> Value:
    ones = np.ones((16, 1, 1, 1))
    return layer(build, x, geometry_of(ones, group=16), ones)


def lowered(graph: Graph, form: str) -> Graph:
    after = graph.clone()
    stats = LowerActivations((form,)).run(after)
    assert stats.applied == 1, stats.declined
    return after


@pytest.mark.parametrize("opset", [7, 17])
@pytest.mark.parametrize("run", [run_onnx, run_optimized])
@pytest.mark.parametrize(("form", "slopes"), CASES)
def test_infinity_and_nan(form: str, slopes: str, run: Run, opset: int) -> None:
    before = between_convs(SLOPES[slopes], len(SPECIAL), opset)
    x = np.broadcast_to(SPECIAL, (1, 16, 2, len(SPECIAL))).astype(np.float32)
    (old,), (new,) = run(before, {"x": x}), run(lowered(before, form), {"x": x})
    if (form, slopes) == ("leaky", "none"):
        # PRelu makes NaN of minus infinity times zero.
        assert np.isnan(old[x == -np.inf]).all()
        assert (new[x == -np.inf] == 0).all()
        old = np.where(x == -np.inf, new, old)
    if form == "depthwise-sum":
        np.testing.assert_array_equal(np.isfinite(new), np.isfinite(old))
        np.testing.assert_allclose(new, old, rtol=3.01 * UNIT, atol=2**-148)
    else:
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("run", [run_onnx, run_optimized])
@pytest.mark.parametrize(("form", "slopes"), [c for c in CASES if c[0] != "depthwise-sum"])
def test_no_bit_differs(form: str, slopes: str, run: Run) -> None:
    before = between_convs(SLOPES[slopes], 500)
    x = np.random.default_rng(1).standard_normal((1, 16, 2, 500)).astype(np.float32)
    (old,), (new,) = run(before, {"x": x}), run(lowered(before, form), {"x": x})
    np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("run", [run_onnx, run_optimized])
def test_the_sum_of_two_convs_errs_by_three_units(run: Run) -> None:
    before = between_convs(SLOPES["rising"], 5000)
    x = np.random.default_rng(1).standard_normal((1, 16, 2, 5000)).astype(np.float32)
    (old,), (new,) = run(before, {"x": x}), run(lowered(before, "depthwise-sum"), {"x": x})
    np.testing.assert_array_equal(new[x <= 0], old[x <= 0])
    error = np.abs(new.astype(np.float64) - x)[x > 0] / x[x > 0]
    assert 0 < error.max() <= (1 + UNIT) ** 3 - 1


def test_softmax_of_infinity_and_nan() -> None:
    build, x = new_graph((1, 2, 1, 8))
    graph = finished(build, build.op("Softmax", (x,), {"axis": 1}, type_=x.type))
    inf, nan = np.inf, np.nan
    one = [1, 2, inf, -inf, nan, -inf, 3e38, 1]
    other = [2, 1, 1, 1, 1, -inf, -3e38, -200]
    feeds = {"x": np.array([one, other], np.float32).reshape(1, 2, 1, 8)}
    (old,), (new,) = run_onnx(graph, feeds), run_onnx(lowered(graph, "softmax"), feeds)
    # On either side two exponentials right to two units, their sum and the quotient.
    np.testing.assert_allclose(new, old, rtol=12 * UNIT, atol=1e-38)
    assert np.isnan(new).sum() == 6
