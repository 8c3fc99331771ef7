"""lower-to-gemm on whole networks: named alone it lowers every conv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import convc
from convc.api import Result
from tests.conftest import real_models, sample_models
from tests.real_models import sizes_of

PIPELINE = "simplify,lower-to-gemm"
LEFT: Mapping[str, Mapping[str, int]] = {
    # Its strided convs pad by sizes that are open: TensorFlow's SAME.
    "pose_bodypix_mnv1_050_s16": {"the geometry depends on an unknown size": 4},
}
"""Convs that stay, and why."""

VERIFIED = (
    "audio_gtcrn_simple",  # grouped and strided transposed convs
    "audio_silero_vad_16k_op15",  # one axis, a kernel of 256, values of unknown rank
    "cls_mnist8",  # opset 8
    "det_blazeface_front",  # kernel and stride of two
    "filter_xdog_7x7_13x13",  # large kernels at open sizes
    "ocr_ppocr_mobile_v2_det",  # transposed convs at open sizes
)
"""Small ones, compared in onnxruntime too."""


def convs(graph: convc.Graph) -> int:
    return sum(op.kind in ("Conv", "ConvTranspose") and not op.domain for op in graph.ops())


def check(result: Result, before: int, left: Mapping[str, int]) -> None:
    stats = result.reports[-1].stats
    assert stats.declined == left
    assert convs(result.graph) == sum(left.values())
    assert stats.applied + sum(left.values()) <= before, "equal ones are computed once"
    assert bool(stats.applied) == bool(before)


@pytest.mark.parametrize("path", sample_models(), ids=lambda path: path.stem)
def test_every_conv_of_the_samples(path: Path) -> None:
    # That they compute the same is shown in tests/test_equivalence.py.
    check(convc.optimize(path, PIPELINE, verify="off"), convs(convc.load(path)), {})


def test_there_are_convs_to_lower() -> None:
    assert sum(convs(convc.load(path)) for path in sample_models()) >= 50


@pytest.mark.skipif(not real_models(), reason="no folder of real models (set CONVC_SHARED)")
@pytest.mark.parametrize("path", real_models(), ids=lambda path: path.stem)
def test_every_conv_of_real_networks(path: Path) -> None:
    verify = "model" if path.stem in VERIFIED else "off"
    result = convc.optimize(path, PIPELINE, sizes=sizes_of(path), verify=verify)
    check(result, convs(convc.load(path)), LEFT.get(path.stem, {}))
    if verify == "model":
        assert result.verdict.value in ("identical", "equal"), result.comparison
