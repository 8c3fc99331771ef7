"""merge-branches on whole networks: the sample block, real ones, and inside ``choose(...)``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

import convc
from models import reparam
from tests.conftest import ROOT
from tests.real_models import sizes_of

REAL: Mapping[str, Mapping[str, int]] = {
    "audio_oww_melspectrogram": {"2 sibling 512 → 512 + Split": 1},
    # The pointwise convs of its residuals follow depthwise ones: only siblings are left.
    "det_blazeface_front": {"2 sibling 1×1 → 1×1 + Split": 2},
    "det_ultraface_rfb320": {
        "3 sibling 1×1 → 1×1 + Split": 1,
        "sum of 2 1×1 → 1×1 on a Concat": 1,
        "2 sibling 3×3 → 3×3 + Split": 1,
    },
    "det_yunet_s_dynamic": {"4 sibling 1×1 → 1×1 + Split": 3},
}


@pytest.mark.parametrize("name", list(REAL))
def test_real_networks(name: str, shared: Path) -> None:
    path = shared / "models" / f"{name}.onnx"
    if not path.exists():
        path = next((shared / "models").glob(f"{name}*.onnx"))
    result = convc.optimize(path, "simplify,merge-branches", sizes=sizes_of(path), verify="each")
    assert result.verdict.good
    assert result.reports[1].stats.notes == REAL[name]
    assert result.after.macs == result.before.macs


@pytest.mark.parametrize("passes", ["merge-branches", "fold-affine,choose(merge-branches)"])
def test_the_sample_block_becomes_one_conv(passes: str) -> None:
    result = convc.optimize(ROOT / "models" / "repvgg_block.onnx", passes, verify="each")
    assert result.verdict.good
    assert [op.kind for op in result.graph.ops() if op.kind in ("Conv", "Add", "Relu")] == [
        "Conv",
        "Relu",
    ]


@pytest.mark.parametrize("name", list(reparam.BUILDERS))
def test_collapsing_pays_by_count(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    onnx.save(reparam.BUILDERS[name](32), path)
    passes = "simplify,fold-affine,choose(merge-branches),simplify"
    graph = convc.optimize(path, passes, verify="off").graph
    convs = sum(op.kind == "Conv" for op in graph.ops())
    assert convs == sum(op.kind == "Relu" for op in graph.ops())
    assert not any(op.kind in ("Add", "BatchNormalization") for op in graph.ops())
