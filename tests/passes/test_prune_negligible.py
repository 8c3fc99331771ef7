"""Filters that prune-dead-channels sets to zero because rounding hides what they give."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convc.algebra.channels import negligible
from convc.graph import Graph
from convc.pipeline import Context
from convc.proof import difference, prove
from convc.reference import evaluate
from convc.rewrite import Exactness
from passes.prune_dead_channels import PruneDeadChannels
from tests.helpers import check_pass, random_feeds
from tests.strategies import finished, new_graph, seeds

F32 = np.dtype(np.float32)
RNG = np.random.default_rng(15)
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@st.composite
def decayed(draw: st.DrawFn) -> tuple[Graph, int]:
    """A layer of any kind with some filters far below the others; how many of them qualify."""
    rng = draw(seeds())
    kind = draw(st.sampled_from(["Conv", "ConvTranspose", "Gemm"]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    ndim = 0 if kind == "Gemm" else draw(st.integers(1, 3))
    build, x = new_graph((2, 4, *(3 for _ in range(ndim))), dtype=dtype)
    w, b = rng.standard_normal((6, 4, *(2,) * ndim)), rng.standard_normal(6)
    small = rng.random(6) < 0.4
    small[0] = False
    small[5] = True
    w[small] *= 10.0 ** rng.uniform(-40, -5, (small.sum(), *(1,) * (ndim + 1)))
    b[small] *= rng.choice([0, 1], small.sum())
    w, b = w.astype(dtype), b.astype(dtype)
    mask, _ = negligible(w, b, float(np.finfo(dtype).eps) / 2)
    stored = w if kind == "Conv" else np.ascontiguousarray(np.swapaxes(w, 0, 1))
    y = build.op(kind, (x, build.constant(stored), build.constant(b)))
    return finished(build, y), int((mask & w.reshape(6, -1).any(axis=1)).sum())


def test_negligible_filters_become_zero() -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=200, **QUIET)
    @given(decayed(), seeds())
    def check(case: tuple[Graph, int], rng: np.random.Generator) -> None:
        graph, wanted = case
        after = graph.clone()
        stats = PruneDeadChannels().run(after, Context(prove=prove))
        notes = [note for note in stats.notes if note.startswith(f"{wanted} negligible filters")]
        assert len(notes) == stats.applied == bool(wanted)
        found["fired"] += stats.applied
        if wanted:
            feeds = random_feeds(graph, rng)
            (old,), (new,) = evaluate(graph, feeds), evaluate(after, feeds)
            assert difference(old, new) <= 2.0**-24

    check()
    assert found["fired"] >= 100, found


def test_the_bound_of_a_negligible_filter_is_stated() -> None:
    build, x = new_graph((1, 2, 4))
    w = np.array([[1.0, -2.0], [1e-20, 0.0]], F32)[:, :, np.newaxis]
    graph = finished(build, build.op("Conv", (x, build.constant(w))))
    (rewrite,) = PruneDeadChannels().propose(graph)
    assert rewrite.exactness is Exactness.ROUNDING
    assert rewrite.bound == pytest.approx(2**10 * 1e-20 / 2e-6)
    assert rewrite.note == "1 negligible filters of a Conv zeroed"


@pytest.mark.parametrize(("largest", "small"), [(1e-16, 0), (1e-17, 1)])
def test_only_what_is_lost_in_rounding_is_negligible(largest: float, small: int) -> None:
    """1e-6 · 2⁻³⁴ = 5.8e-17 of the layer's largest weight."""
    build, x = new_graph((1, 2, 4))
    w = np.array([[1.0, -1.0], [largest, 0.0]], F32)[:, :, np.newaxis]
    graph = finished(build, build.op("Conv", (x, build.constant(w))))
    assert PruneDeadChannels().run(graph).applied == small


@pytest.mark.parametrize(("alpha", "fired"), [(1.0, 0), (1e-20, 1)])
def test_the_alpha_of_a_gemm_counts(alpha: float, fired: int) -> None:
    build, x = new_graph((2, 3))
    operands = [build.constant(RNG.uniform(0.5, 1.0, shape).astype(F32)) for shape in ((3, 4), 4)]
    graph = finished(build, build.op("Gemm", (x, *operands), {"alpha": alpha}))
    proposals = PruneDeadChannels().propose(graph)
    assert [rewrite.note for rewrite in proposals] == fired * [
        "4 negligible filters of a Gemm zeroed"
    ]


def test_zeroed_filters_are_dropped_next() -> None:
    build, x = new_graph((1, 3, 6, 6))
    w, b = RNG.uniform(0.5, 1.0, (5, 3, 1, 1)), RNG.uniform(0.5, 1.0, 5)
    w[2] *= 1e-30
    y = build.op("Conv", (x, build.constant(w.astype(F32)), build.constant(b.astype(F32))))
    reader = build.constant(RNG.uniform(0.5, 1.0, (2, 5, 1, 1)).astype(F32))
    graph = finished(build, build.op("Conv", (build.op("Relu", (y,)), reader)))
    stats, after = check_pass(PruneDeadChannels(1), graph, RNG)
    assert dict(stats.notes) == {
        "1 negligible filters of a Conv zeroed": 1,
        "1 constant dropped": 1,
    }
    shapes = [op.operand(1).array.shape[:2] for op in after.ops() if op.kind == "Conv"]
    assert shapes == [(4, 3), (2, 4)]
