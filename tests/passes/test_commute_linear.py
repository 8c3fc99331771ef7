"""commute-linear with all of its rules: they go together, and on networks they are exact."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convc.build import Builder
from convc.ir import Value
from convc.pipeline import Pipeline
from convc.rewrite import size_of
from passes.commute_linear import CommuteLinear
from tests.affine_strategies import add_link
from tests.commute_strategies import (
    Case,
    Sum,
    concat_cases,
    imported,
    pool_cases,
    resize_cases,
)
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv, seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RNG = np.random.default_rng(9)


def test_the_rules_go_together_and_come_to_an_end() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=200, **QUIET)
    @given(st.one_of(pool_cases(), resize_cases(), concat_cases()), seeds())
    def check(case: Case | Sum, rng: np.random.Generator) -> None:
        stats, after = check_pass(CommuteLinear(), case.graph, rng)
        found["fired"] += bool(stats.applied)
        again, _ = check_pass(CommuteLinear(), after, rng)
        assert again.applied == 0

    check()
    assert found["fired"] >= 100, found


def transition(build: Builder, data: Value, channels: int) -> Value:
    """Of a DenseNet: norm, Relu, a 1×1 conv that halves the channels, and a pool."""
    assert data.shape is not None
    assert isinstance(data.shape[1], int)
    value = normed(build, data)
    value = random_conv(build, value, channels, (1, 1), bias=False)
    window = {"kernel_shape": (2, 2), "strides": (2, 2)}
    return build.op("AveragePool", (value,), window, name=f"pool{len(build.graph)}")


def normed(build: Builder, data: Value) -> Value:
    assert data.shape is not None
    assert isinstance(data.shape[1], int)
    value = add_link(build, data, "Norm", RNG.uniform(0.5, 2, data.shape[1]), -3)
    return build.op("Relu", (value,), name=f"relu{len(build.graph)}")


def test_a_small_densenet() -> None:
    build, x = new_graph((1, 8, 16, 16))
    value = x
    for channels in (8, 8):
        for _ in range(2):
            grown = random_conv(build, normed(build, value), 16, (1, 1), bias=False)
            grown = random_conv(build, normed(build, grown), 4, (3, 3), pads=1, bias=False)
            value = build.concat([value, grown], 1, f"concat{len(build.graph)}")
        value = transition(build, value, channels)
    head = build.op("GlobalAveragePool", (normed(build, value),), name="mean")
    graph = imported(finished(build, random_conv(build, head, 10, (1, 1))))
    stats, after = check_pass(CommuteLinear(), graph, RNG)
    assert dict(stats.notes) == {"AveragePool before the 1×1 conv 16→8": 2}
    one, other = size_of(graph, graph.ops()).macs, size_of(after, after.ops()).macs
    assert one is not None
    assert one - (other or 0) == (256 - 64) * 16 * 8 + (64 - 16) * 16 * 8


def test_in_choose_nothing_is_taken_that_does_not_pay() -> None:
    build, x = new_graph((1, 16, 6, 6))
    parts = [build.slice(x, (1,), (0,), (8,)), build.slice(x, (1,), (8,), (11,))]
    graph = finished(build, random_conv(build, build.concat(parts, 1), 4, (3, 3), pads=1))
    reports = Pipeline.parse("choose(commute-linear)").run(graph.clone())
    assert sum(report.stats.applied for report in reports) == 0
    reports = Pipeline.parse("commute-linear").run(graph.clone())
    assert sum(report.stats.applied for report in reports) == 1
