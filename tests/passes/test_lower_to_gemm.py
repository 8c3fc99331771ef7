"""lower-to-gemm: every form fires over the whole attribute space, and is right."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convc.graph import Graph
from convc.rewrite import Stats
from passes.lower_to_gemm import LowerToGemm
from tests.gemm_strategies import (
    convs,
    full_convs,
    patch_convs,
    pointwise_convs,
    transposed_convs,
)
from tests.helpers import check_pass
from tests.strategies import seeds

QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
NO_STEPS = "the size is not known, and before opset 10 a Slice has no steps"
NOT_INTERLEAVED = "the size is not known"


def checked(pass_: LowerToGemm, graph: Graph, rng: np.random.Generator) -> tuple[Stats, Graph]:
    """`check_pass`; open sizes are tried at two values."""
    more = {name: size + 3 for name, size in graph.sizes.items()}
    return check_pass(pass_, graph, rng, ({}, more) if more else ({},))


def kinds(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.array is None and not op.is_boundary)


def sweep(strategy: st.SearchStrategy[Graph], forms: tuple[str, ...], examples: int) -> Counter:
    """What the drawn graphs became: rewrites, declines, and of what sort the graphs were."""
    found: Counter[str] = Counter()

    @settings(max_examples=examples, **QUIET)
    @given(strategy, seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = checked(LowerToGemm(forms), graph, rng)
        found.update(stats.declined)
        if not stats.applied:
            found["left"] += 1
            return
        assert stats.applied == 1
        left = kinds(after)
        assert not left["Conv"] + left["ConvTranspose"]
        assert left["MatMul"] + left["Gemm"] == 1
        assert after.outputs[0].type == graph.outputs[0].type
        found["fired"] += 1
        found[f"{len(graph.inputs[0].shape) - 2}-D"] += 1
        found[f"opset {graph.header.opset}"] += 1
        found["open"] += bool(graph.sizes)
        found.update(left)

    check()
    return found


def test_columns() -> None:
    found = sweep(convs(), ("columns",), 160)
    assert found["fired"] >= 100, found
    assert found["open"] >= 30, found
    assert found["Shape"] >= 5, found
    assert found["Gather"] >= 10, found
    assert found["AveragePool"] >= 3, found
    assert min(found["1-D"], found["2-D"], found["3-D"]) >= 10, found
    assert set(found) & {"the size is not known"} == set()


def test_pointwise() -> None:
    found = sweep(pointwise_convs(), ("pointwise",), 125)
    assert found["fired"] >= 100, found
    assert found["open"] >= 30, found
    assert found["Unsqueeze"] == found["Concat"] - found["Shape"] == 0, found
    assert found["Slice"] >= 30, found


def test_patches() -> None:
    found = sweep(patch_convs(), ("patches",), 140)
    assert found["fired"] >= 100, found
    assert found["Transpose"] == found["fired"], found
    assert found["Slice"] == found["Concat"] == 0, found
    assert found["Pad"] >= 40, found
    assert found["the size is not known"] == found["left"], found


def test_full_extent() -> None:
    found = sweep(full_convs(), ("full",), 100)
    assert found["fired"] == 100, found
    assert found["Gemm"] >= 40, found
    assert found["MatMul"] >= 20, found
    assert found["Slice"] == found["Concat"] == 0, found


def test_transposed() -> None:
    found = sweep(transposed_convs(), ("transposed",), 150)
    assert found["fired"] >= 100, found
    assert found["open"] >= 20, found
    assert found["DepthToSpace"] >= 10, found
    # Those of stride 1 are convs, and this form leaves them without a word.
    assert found["left"] > found[NOT_INTERLEAVED], found


@pytest.mark.parametrize("strategy", [convs, full_convs, patch_convs, transposed_convs])
def test_all_forms_leave_no_conv(strategy: type) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=25, **QUIET)
    @given(strategy(), seeds())
    def check(graph: Graph, rng: np.random.Generator) -> None:
        stats, after = checked(LowerToGemm(), graph, rng)
        assert set(stats.declined) <= {NO_STEPS, NOT_INTERLEAVED, "the size is not known"}
        convs_left = kinds(after)["Conv"] + kinds(after)["ConvTranspose"]
        assert stats.applied + convs_left == 1
        found["fired"] += stats.applied

    check()
    assert found["fired"] >= 15, found
