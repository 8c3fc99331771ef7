"""Random layers in onnxruntime stay within their bounds.

``python -m tests.rounding`` does the same on 10,000 layers.
"""

from __future__ import annotations

from dataclasses import replace
from math import erfc, exp, log, sqrt

import numpy as np
import pytest

from convc.algebra import geometry_of
from convc.onnx_io import to_bytes
from convc.reference import evaluate
from convc.rewrite import Rewrite
from convc.rounding import bounds, region_bounds
from convc.rounding.tail import factor
from passes import FoldAffine
from tests.helpers import run_onnx
from tests.rounding.checking import COMMON_SHARE, Limits, Seen, drawn, largest_error, seen
from tests.rounding.kinds import KINDS
from tests.rounding.report import Report, limit
from tests.rounding.steady import steady
from tests.strategies import finished, layer, new_graph


@pytest.fixture(scope="module")
def report() -> Report:
    """Four layers of every kind, and four of common size."""
    found = Report()
    small = [n for n in range(1, 4 * len(KINDS) + 4) if n % COMMON_SHARE]
    for number in (*small, *(COMMON_SHARE * n for n in (2, 6, 7, 12))):
        found.add(number, seen(drawn(5, number), np.random.default_rng([5, number])))
    return found


def test_every_kind_is_among_them(report: Report) -> None:
    assert {one.kind for _, one in report.seen} == set(KINDS)
    assert {one.optimised for _, one in report.seen} == {False, True}


def test_no_error_exceeds_the_worst_case(report: Report) -> None:
    assert not report.broken("any_order")
    assert not report.broken("runs")


def test_the_probable_bound_is_exceeded_no_more_often_than_it_says(report: Report) -> None:
    assert len(report.exceeding("any_order")) <= limit(report.trials())
    assert len(report.exceeding("runs")) <= limit(report.trials())


def test_bounds_of_layers_of_common_size_are_within_a_hundred_times(report: Report) -> None:
    assert len(report.common()) >= 3
    assert report.problems() == []


def test_a_thousandth_of_the_bounds_is_exceeded(report: Report) -> None:
    less = Report()
    for number, one in report.seen:
        less.add(number, [replace(one, any_order=_less(one.any_order), runs=_less(one.runs))])
    assert len(less.exceeding("any_order")) > 0.9 * less.trials()
    assert len(less.broken("any_order")) > len(less.seen) / 2
    assert len(less.problems()) > len(less.seen) / 2


def _less(limits: Limits) -> Limits:
    probable = None if limits.probable is None else limits.probable / 1000
    return Limits(limits.worst / 1000, probable)


def test_a_bound_that_is_far_off_is_a_problem(report: Report) -> None:
    far = Report()
    for number, one in report.seen:
        far.add(number, [_far(one)])
    assert len(far.problems()) == len(far.common())


def _far(one: Seen) -> Seen:
    probable = None if one.runs.probable is None else 1000 * one.runs.probable
    return replace(one, runs=replace(one.runs, probable=probable))


@pytest.mark.parametrize("wrong", ["bias", "channel", "tap"])
def test_a_layer_with_a_term_left_out_exceeds_them(wrong: str) -> None:
    """Of a right rewrite the bounds hold; of one that drops a term they do not."""
    rng = np.random.default_rng(0)
    build, x = new_graph((1, 16, 12, 12))
    weights = rng.standard_normal((8, 16, 3, 3))
    y = layer(build, x, geometry_of(weights, pads=1), weights, rng.standard_normal(8))
    y = build.op("Mul", (y, build.constant(rng.standard_normal((8, 1, 1)).astype(np.float32))))
    graph = finished(build, y)
    (rewrite,) = FoldAffine().propose(graph)
    feeds = {"x": rng.uniform(-1, 1, (1, 16, 12, 12)).astype(np.float32)}
    found = bounds(graph, rewrite)
    assert found is not None
    worst, probable = found.worst * found.largest[0], found.probable * found.rms[0]
    exact = evaluate(graph, feeds)
    right = largest_error(run_onnx(_alone(rewrite), feeds), exact)
    _spoil(rewrite, wrong)
    spoilt = largest_error(run_onnx(_alone(rewrite), feeds), exact)
    assert right <= min(worst, probable)
    assert spoilt > max(worst, probable)


def _alone(rewrite: Rewrite) -> bytes:
    graph = rewrite.after
    copy = type(graph)(graph.header, graph.sizes)
    inputs = [copy.add_input("x", value.type) for value in graph.inputs]
    copy.set_outputs(copy.inline(graph, inputs), ["y"])
    return to_bytes(copy)


def _spoil(rewrite: Rewrite, wrong: str) -> None:
    for op in rewrite.after.ops():
        if op.array is None or (op.array.ndim == 1) != (wrong == "bias"):
            continue
        array = op.array.copy()
        place = {"bias": (0,), "channel": (0, 3), "tap": (0, 3, 1, 1)}[wrong]
        array[place] = 0
        op.attributes = {"value": array}


def test_a_bound_for_a_shorter_sum_is_exceeded() -> None:
    """Adding the same number again and again errs nearly as much as it can."""
    errors = {}
    for count in (16, 4096):
        build, x = new_graph((1, count, 4, 4))
        weights = np.full((1, count, 1, 1), 0.1)
        graph = finished(build, layer(build, x, geometry_of(weights), weights))
        feeds = {"x": np.full((1, count, 4, 4), 0.7, np.float32)}
        error = largest_error(run_onnx(graph, feeds), evaluate(graph, feeds))
        found = region_bounds(graph, graph.outputs, graph.inputs)
        assert found is not None
        errors[count] = (error / found.largest[0], found.worst)
    assert errors[4096][0] <= errors[4096][1]
    assert errors[4096][0] > errors[16][1] / 16


def test_the_worst_case_can_be_provoked() -> None:
    """Within 100 times of what sums do that grow steadily; within 10 where runs are counted on.

    Of 2304 products: in any order 2304 roundings; in runs of 144 and 16 of them.
    """
    for channels in (16, 256):
        found = steady(channels, 6)
        assert 1 <= found.runs <= 10
        assert found.runs <= found.any_order <= 100


def test_the_tail_is_that_of_a_product_of_two_gaussians() -> None:
    """P(|X·Y| > x) stays below what `factor` allows; one Gaussian's tail would be exceeded."""
    x = factor(1, 0.99)
    rng = np.random.default_rng(0)
    products = rng.standard_normal(400_000) * rng.standard_normal(400_000)
    gaussian = sqrt(2 * log(2 / 0.01))
    assert (np.abs(products) > x).mean() <= 0.01
    assert erfc(gaussian / sqrt(2)) <= 0.01
    assert (np.abs(products) > gaussian).mean() > 0.01


def test_many_errors_need_a_larger_factor() -> None:
    few, many = factor(10, 0.99), factor(10**6, 0.99)
    assert 1 < many / few < 3
    assert 2 * exp(-many) <= 1e-8


def test_the_limit_of_exceedances_is_the_binomial_one() -> None:
    assert limit(1, 0.01, 0.02) == 0
    assert limit(1, 0.01, 0.001) == 1
    assert 100 < limit(10_000) < 140
