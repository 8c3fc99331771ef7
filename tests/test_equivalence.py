"""Every sample model through every installed pass and the default pipeline.

A new model or a new pass is covered by being there.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import convc
from convc.api import DEFAULT_PIPELINE
from convc.onnx_io import from_bytes, to_bytes
from convc.pipeline import pass_names
from tests.conftest import sample_models

SIZES = {
    "sesr_m5_x2": {"height": 24, "width": 17},
    "filter_log": {"height": 24, "width": 17},
}
"""Sizes for open dims, where the default ones make float64 slow."""

PIPELINES = [*pass_names(), DEFAULT_PIPELINE]

fired: Counter[str] = Counter()


@pytest.mark.parametrize("pipeline", PIPELINES, ids=[*pass_names(), "default"])
@pytest.mark.parametrize("model", sample_models(), ids=lambda path: path.stem)
def test_same_function(model: Path, pipeline: str) -> None:
    result = convc.optimize(model, pipeline, sizes=SIZES.get(model.stem), verify="each")
    assert result.verdict.good, result.comparison
    changed = any(report.stats.applied for report in result.reports)
    fired[pipeline] += changed
    if changed:
        # A sum of branches rounds otherwise than one conv: a single channel of few that are off
        # by half as much as before is no longer called equal, though the output as a whole is.
        found = result.comparison
        assert found is not None
        near = found.error <= 2 * found.original_error and "merge" in str(result.pipeline)
        assert near or result.verdict.value in ("identical", "equal"), found
    again = from_bytes(to_bytes(result.graph))
    assert len(again.outputs) == len(result.graph.outputs)


@pytest.mark.parametrize("pipeline", PIPELINES, ids=[*pass_names(), "default"])
def test_has_fired(pipeline: str) -> None:
    """Runs after all of `test_same_function`: a pass that never fires was never tested."""
    if sum(fired.values()) == 0:
        pytest.skip("test_same_function was not selected")
    assert fired[pipeline] >= 1
