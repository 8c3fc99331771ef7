"""Bounds by hand, their scales, and where there are none."""

from __future__ import annotations

from dataclasses import replace
from math import isclose, sqrt

import numpy as np
import pytest

from convc.algebra import geometry_of
from convc.algebra.winograd import axis_tile
from convc.algebra.winograd_error import ROUNDING, probable_error
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.rewrite import Exactness, Replacement, Rewrite
from convc.rounding import bounds, compared, region_bounds
from convc.rounding.tail import factor
from passes import FactorKernels, FoldAffine, FuseConvs, LowerToWinograd, Simplify
from tests.helpers import UNIT
from tests.strategies import finished, layer, new_graph

HALF_UNIT, DOUBLE_UNIT = 2.0**-11, 2.0**-53


def conv_graph(
    weights: np.ndarray,
    bias: np.ndarray | None = None,
    size: tuple[int, ...] = (9, 9),
    dtype: type = np.float32,
    **geometry: int,
) -> Graph:
    shape = geometry_of(weights, **geometry)
    build, x = new_graph((1, weights.shape[1] * shape.group, *size), dtype=dtype)
    return finished(build, layer(build, x, shape, weights, bias))


def plain(graph: Graph, **options: bool) -> tuple[float, float]:
    found = region_bounds(graph, graph.outputs, graph.inputs, **options)
    assert found is not None
    return found.worst, found.probable


def gamma(count: float, unit: float) -> float:
    return count * unit / (1 - count * unit)


@pytest.mark.parametrize(
    ("dtype", "unit"), [(np.float32, UNIT), (np.float16, HALF_UNIT), (np.float64, DOUBLE_UNIT)]
)
def test_a_conv_by_hand(dtype: type, unit: float) -> None:
    """Weights 1 and -1, 3 channels, 4 taps, bias 2: 13 roundings of at most 14."""
    weights = np.array([1.0, -1.0] * 6).reshape(1, 3, 2, 2)
    graph = conv_graph(weights, np.array([2.0]), dtype=dtype)
    found = region_bounds(graph, graph.outputs, graph.inputs)
    assert found is not None
    assert found.largest == (14.0,)
    assert isclose(found.worst, gamma(13, unit))
    # Twelve products of variance 1, and the bias; n + 1 sums of all, and the products.
    assert found.rms == (4.0,)
    expected = factor(64, 0.99) * sqrt(ROUNDING * 14) * unit
    assert isclose(found.probable, expected)


def test_zero_weights_do_not_count() -> None:
    weights = np.zeros((1, 8, 3, 3))
    weights[0, 2, 1] = 1
    assert isclose(plain(conv_graph(weights))[0], gamma(3, UNIT))


def test_long_sums_cut_in_runs_have_smaller_bounds() -> None:
    rng = np.random.default_rng(0)
    graph = conv_graph(rng.standard_normal((4, 256, 3, 3)), size=(14, 14))
    worst, probable = plain(graph)
    worst_of_runs, probable_of_runs = plain(graph, runs=True)
    # Of 2304 products, 16 runs of 16 channels times 9 taps.
    assert isclose(worst, gamma(2304, UNIT))
    assert isclose(worst_of_runs, gamma(144 + 15, UNIT))
    assert isclose(probable / probable_of_runs, sqrt(2305 / 160), rel_tol=1e-9)


def test_the_worst_case_grows_with_the_sum_and_the_probable_one_with_its_root() -> None:
    rng = np.random.default_rng(0)
    short, long = (
        plain(conv_graph(rng.standard_normal((16, channels, 3, 3)))) for channels in (16, 16 * 16)
    )
    assert long[0] / short[0] == pytest.approx(16, rel=0.01)
    assert long[1] / short[1] == pytest.approx(4, rel=0.1)


def test_padding_lowers_the_power() -> None:
    """On a 1×1 input a padded 3×3 kernel has one tap."""
    weights = np.ones((1, 1, 3, 3))
    found = region_bounds(*_region(conv_graph(weights, size=(1, 1), pads=1)))
    assert found is not None
    assert found.rms == (1.0,)


def _region(graph: Graph) -> tuple[Graph, tuple[Value, ...], tuple[Value, ...]]:
    return graph, graph.outputs, graph.inputs


def test_the_cast_of_new_weights_is_a_rounding_more() -> None:
    """Weights and factors of powers of two are stored as they are; thirds are not."""
    found = []
    for scale in (0.5, 1 / 3):
        build, x = new_graph((1, 4, 5, 5))
        ones = np.ones((2, 4, 1, 1))
        y = layer(build, x, geometry_of(ones), ones)
        y = build.op("Mul", (y, build.constant(np.full((2, 1, 1), scale, np.float32))))
        graph = finished(build, y)
        (rewrite,) = FoldAffine().propose(graph)
        if scale != 0.5:  # what a pass composes in float64 need not be a float32
            rewrite = _with_weights(rewrite, np.full((2, 4, 1, 1), scale))
        bound = bounds(graph, rewrite)
        assert bound is not None
        found.append(bound.worst)
    assert isclose(found[0], gamma(4, UNIT))
    assert isclose(found[1], gamma(5, UNIT), rel_tol=1e-6)


def _with_weights(rewrite: Rewrite, weights: np.ndarray) -> Rewrite:
    for op in rewrite.after.ops():
        if op.array is not None and op.array.shape == weights.shape:
            op.attributes = {"value": weights}
    return rewrite


def test_both_sides_are_relative_to_the_same_numbers() -> None:
    """A composed conv sums 36 products, the two that it replaces 36 and 4."""
    rng = np.random.default_rng(1)
    build, x = new_graph((1, 4, 8, 8))
    for kernel in ((4, 4, 3, 3), (4, 4, 1, 1)):
        weights = rng.standard_normal(kernel)
        x = layer(build, x, geometry_of(weights), weights)
    graph = finished(build, x)
    (rewrite,) = FuseConvs().propose(graph)
    sides = compared(graph, rewrite)
    assert sides.before is not None
    assert sides.after is not None
    assert sides.before.largest == sides.after.largest
    assert sides.before.rms == sides.after.rms
    assert sides.before.worst > sides.after.worst
    assert bounds(graph, rewrite) == sides.after


@pytest.mark.parametrize("channels", [16, 128])
def test_tiles_are_not_bounded_below_their_own_analysis(channels: int) -> None:
    """That one has exact covariances, half of the sums, and a Gaussian tail."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((channels, channels, 3, 3))
    graph = conv_graph(weights, size=(28, 28), pads=1)
    (rewrite,) = LowerToWinograd(("planes",), (4,), np.inf).propose(graph)
    found = bounds(graph, rewrite)
    assert found is not None
    own = probable_error(weights, (axis_tile(4, 3),) * 2, UNIT, channels * 28 * 28)
    assert found.probable > own


def test_what_a_rewrite_changes_itself_counts() -> None:
    """A batch norm whose factor is 1 as stored is dropped, and says by how much it was not."""
    build, x = new_graph((1, 2, 3, 3))
    one, zero = (build.constant(np.full(2, value, np.float32)) for value in (1, 0))
    variance = build.constant(np.full(2, 1 - 1e-5 + 3e-8, np.float32))
    y = build.op("BatchNormalization", (x, one, zero, zero, variance), type_=x.type)
    graph = finished(build, y)
    (rewrite,) = Simplify().propose(graph)
    assert rewrite.exactness is Exactness.ROUNDING
    found = bounds(graph, rewrite)
    assert found is not None
    assert found.worst == found.probable == rewrite.bound > 0


def test_of_two_chains_of_convs_the_weights_are_compared() -> None:
    """The pass allows for inputs a thousand times larger where the weights moved most."""
    rng = np.random.default_rng(0)
    column, row = rng.standard_normal((8, 1, 7, 1)), rng.standard_normal((8, 1, 1, 7))
    graph = conv_graph(column * row, group=8)
    rewrite = next(r for r in FactorKernels(block=1).propose(graph) if r.bound)
    found = bounds(graph, rewrite)
    assert found is not None
    assert found.worst < rewrite.bound / 10
    unknown = bounds(graph, replace(rewrite, frontier=rewrite.inputs))
    assert unknown is not None
    assert unknown.worst > rewrite.bound


def test_an_approximation_has_none() -> None:
    graph = conv_graph(np.ones((2, 2, 1, 1)))
    (value,) = graph.outputs
    build = Replacement(graph)
    rewrite = build.rewrite({value: build.take(graph.inputs[0])}, Exactness.APPROXIMATE)
    assert bounds(graph, rewrite) is None
    assert "approximate" in compared(graph, rewrite).reason


@pytest.mark.parametrize("kind", ["Softmax", "Exp", "LayerNormalization"])
def test_an_unknown_op_has_none_and_is_named(kind: str) -> None:
    build, x = new_graph((1, 4, 3, 3))
    graph = finished(build, build.op(kind, (x,), type_=x.type))
    assert region_bounds(graph, graph.outputs, graph.inputs) is None
    again = Replacement(graph)
    copy = again.op(kind, (again.take(graph.inputs[0]),), type_=x.type)
    rewrite = again.rewrite({graph.outputs[0]: copy})
    assert compared(graph, rewrite).reason.startswith(f"{kind}: ")


def test_computed_weights_have_none() -> None:
    build, x = new_graph((1, 2, 3, 3))
    w = build.graph.add_input("w", TensorType(np.dtype(np.float32), (2, 2, 1, 1)))
    graph = finished(build, build.op("Conv", (x, w)))
    assert region_bounds(graph, graph.outputs, graph.inputs) is None


def test_what_only_moves_numbers_has_no_error() -> None:
    build, x = new_graph((1, 4, 6, 6))
    type_ = TensorType(np.dtype(np.float32), (1, 1, 12, 12))
    turned = build.transpose(x, (0, 1, 3, 2))
    y = build.op("DepthToSpace", (turned,), {"blocksize": 2}, type_=type_)
    graph = finished(build, build.slice(y, (2,), (1,), (5,)))
    assert plain(graph) == (0.0, 0.0)


def test_weights_that_are_no_numbers_have_none() -> None:
    assert region_bounds(*_region(conv_graph(np.full((1, 2, 1, 1), np.nan)))) is None


def test_half_precision_has_no_worst_case_for_long_sums() -> None:
    """Where n·u reaches 1, no relative bound exists."""
    found = region_bounds(*_region(conv_graph(np.ones((1, 2048, 1, 1)), dtype=np.float16)))
    assert found is not None
    assert found.worst == np.inf
    assert found.probable < 1
