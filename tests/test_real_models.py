"""The default pipeline on every real model: it succeeds, verifies, and every interface stays."""

from __future__ import annotations

from pathlib import Path

import pytest

import convc
from convc.cli import main
from convc.concrete import resolve_shapes
from convc.costs.estimate import estimate
from convc.graph import Graph
from convc.onnx_io import from_bytes, load, to_bytes
from tests.cli_helpers import COUNTED
from tests.conftest import real_models
from tests.real_models import cut_down, sizes_of

NO_MODELS = "no folder of real models (set CONVC_SHARED)"


FEW_FILTERS = "few filters: several outputs at once fill the blocks"

COUNTS_GROW = {
    "audio_basic_pitch_nmp": FEW_FILTERS,
    "cls_mesonet": FEW_FILTERS,
    "conv3d_brainchop_meshnet_30_3class": "channels padded to whole blocks, slices stacked",
    "conv3d_brainchop_mnm_large": "several slices at once fill the blocks",
    "conv3d_brainchop_model5_gw_ae": "several slices at once fill the blocks",
    "depth_litemono_tiny_decoder": FEW_FILTERS,
    "det_ultraface_rfb320": FEW_FILTERS,
    "det_ultraface_slim320_simplified": FEW_FILTERS,
    "det_yolox_nano": "a conv on a Concat split in two: fewer MACs, more ops",
    "filter_log_7x7": FEW_FILTERS,
    "filter_xdog_7x7_13x13": FEW_FILTERS,
    "lowlight_agllnet_256x256": "padding of transposed convs counts, phases have kernels each",
    "lowlight_tbefn_240x320": FEW_FILTERS,
    "seg_pan_mnv3": FEW_FILTERS,
    "sr_espcn_cvtools": FEW_FILTERS,
}
"""Where the runtime is faster for it, and why."""


def expected(graph: Graph) -> float:
    """Seconds that all ops of known cost are expected to take."""
    resolve_shapes(graph)
    return sum(estimate(graph, op) or 0.0 for op in graph.ops() if not op.is_boundary)


@pytest.mark.skipif(not real_models(), reason=NO_MODELS)
@pytest.mark.parametrize("model", real_models(), ids=lambda path: path.stem)
def test_default_pipeline(model: Path, tmp_path: Path) -> None:
    model = cut_down(model, tmp_path, size=24)
    result = convc.optimize(model, sizes=sizes_of(model))
    assert result.verdict.good, result.comparison
    before, after = result.before, result.after
    assert expected(result.graph) <= expected(load(model, sizes_of(model)))
    if model.stem not in COUNTS_GROW:
        assert after.macs <= before.macs
        # An Add of a scalar becomes one bias value a channel, a small constant is written out.
        assert after.params <= before.params * 1.01 + 64
        assert after.ops <= before.ops
    original, rewritten = load(model), from_bytes(to_bytes(result.graph))
    assert rewritten.output_names == original.output_names
    assert [v.name for v in rewritten.inputs] == [v.name for v in original.inputs]
    for old, new in zip(original.inputs, rewritten.inputs, strict=True):
        assert old.type == new.type


@pytest.mark.skipif(not real_models(), reason=NO_MODELS)
def test_weights_as_inputs_become_constants(shared: Path, tmp_path: Path) -> None:
    """Two thirds of this detector's time goes with weights that are inputs as well."""
    model, output = shared / "models" / "det_ultraface_rfb320.onnx", tmp_path / "out.onnx"
    assert main([*COUNTED, str(model), "-o", str(output), "--quiet"]) == 0
    assert len(load(output).inputs) == 1


@pytest.mark.skipif(not real_models(), reason=NO_MODELS)
def test_subnormal_weights_are_flushed(shared: Path) -> None:
    result = convc.optimize(
        shared / "models" / "seg_road_adas_0001.onnx", "simplify,flush-subnormals"
    )
    assert result.reports[1].stats.applied > 50
    assert result.comparison is not None
    assert result.comparison.bit_identical
