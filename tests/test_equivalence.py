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
    "chain_expand_project_dynamic": {"height": 24, "width": 17},
    "gaussian_chain_11": {"height": 24, "width": 17},
    "gaussian_chain_15": {"height": 24, "width": 17},
    "gaussian_chain_edges": {"height": 24, "width": 17},
}
"""Sizes for open dims, where the default ones make float64 slow."""

ROUNDS_OTHERWISE = {("repvgg_block", "merge-branches"), ("repvgg_block", DEFAULT_PIPELINE)}
"""One channel of the merged conv is further from float64 than that of the sum was, by more than is
called equal; the output as a whole is not."""

AMPLIFIES = {"lower-to-winograd"}
"""Passes whose rounding errors may exceed the original's: they are held to the tolerance."""

ONLY_APPROXIMATE = {"select-channels"}
"""Passes that do nothing where no error is allowed."""

PIPELINES = [*pass_names(), DEFAULT_PIPELINE]

fired: Counter[str] = Counter()


@pytest.mark.parametrize("pipeline", PIPELINES, ids=[*pass_names(), "default"])
@pytest.mark.parametrize("model", sample_models(), ids=lambda path: path.stem)
def test_same_function(model: Path, pipeline: str) -> None:
    result = convc.optimize(model, pipeline, sizes=SIZES.get(model.stem), verify="each")
    assert result.verdict.good, result.comparison
    changed = any(report.stats.applied for report in result.reports)
    fired[pipeline] += changed
    if changed and pipeline not in AMPLIFIES and (model.stem, pipeline) not in ROUNDS_OTHERWISE:
        assert result.verdict.value in ("identical", "equal"), result.comparison
    again = from_bytes(to_bytes(result.graph))
    assert len(again.outputs) == len(result.graph.outputs)


@pytest.mark.parametrize("pipeline", PIPELINES, ids=[*pass_names(), "default"])
def test_has_fired(pipeline: str) -> None:
    """Runs after all of `test_same_function`: a pass that never fires was never tested."""
    if sum(fired.values()) == 0:
        pytest.skip("test_same_function was not selected")
    if pipeline in ONLY_APPROXIMATE:
        assert fired[pipeline] == 0
        return
    assert fired[pipeline] >= 1
