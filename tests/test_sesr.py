"""The trained super-resolution network: collapsing it costs no quality."""

from __future__ import annotations

from pathlib import Path

import pytest

import convc
from models import psnr
from tests.conftest import ROOT

MODEL = ROOT / "models" / "sesr_m5_x2.onnx"


def test_collapses_to_the_deploy_form() -> None:
    result = convc.optimize(MODEL, sizes={"height": 40, "width": 33})
    assert result.verdict is convc.Verdict.EQUAL
    assert result.after.convs == 7
    assert result.before.macs > 20 * result.after.macs


def test_psnr_is_unchanged(shared: Path, tmp_path: Path) -> None:
    result = convc.optimize(MODEL, verify="off")
    convc.save(result.graph, tmp_path / "sesr.onnx")
    pairs = psnr.load_pairs(shared / "images" / "Set5")
    scores = [
        psnr.mean(psnr.evaluate(psnr.Model(path), pairs))
        for path in (MODEL, tmp_path / "sesr.onnx")
    ]
    bicubic = psnr.mean(psnr.evaluate(psnr.bicubic, pairs))
    assert scores[0] > bicubic + 3.0
    assert abs(scores[0] - scores[1]) < 0.001


@pytest.mark.parametrize("size", [(17, 31), (128, 128)])
def test_takes_every_size(size: tuple[int, int], tmp_path: Path) -> None:
    result = convc.optimize(MODEL, sizes={"height": 24, "width": 24}, verify="off")
    convc.save(result.graph, tmp_path / "sesr.onnx")
    sizes = dict(zip(("height", "width"), size, strict=True))
    assert convc.verify(MODEL, tmp_path / "sesr.onnx", sizes=sizes).verdict.good
