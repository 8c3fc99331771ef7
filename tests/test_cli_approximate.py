"""``convc optimize --max-error``: what a user sees and gets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from convc.cli import main
from convc.model_files import save
from tests.approximate.test_fitting import network, smooth

Capture = pytest.CaptureFixture[str]
COUNTED = ["--objective", "macs", "--passes", "approximate(factor-kernels,select-channels)"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    save(network(), path)
    np.savez(tmp_path / "data.npz", x=np.concatenate([feeds["x"] for feeds in smooth(24, 1)]))
    return path


def test_the_summary_says_what_was_given_up(model: Path, capsys: Capture) -> None:
    data = str(model.with_name("data.npz"))
    assert main(["optimize", str(model), *COUNTED, "--max-error", "0.6", "--data", data]) == 0
    text = " ".join(capsys.readouterr().err.split())
    assert "within-budget" in text
    assert "allowed 60.00%" in text
    assert "24 samples of 1×3×10×10" in text
    assert model.with_suffix(".convc.onnx").exists()


def test_a_budget_that_nothing_meets_gives_the_exact_model(model: Path, capsys: Capture) -> None:
    data = str(model.with_name("data.npz"))
    assert main(["optimize", str(model), *COUNTED, "--max-error", "1e-7", "--data", data]) == 0
    text = " ".join(capsys.readouterr().err.split())
    assert "nothing within the error saves time: the result is exact" in text
    assert "identical" in text


def test_several_errors_give_several_models(model: Path, capsys: Capture) -> None:
    data = str(model.with_name("data.npz"))
    options = ["--max-error", "0.4", "--data", data, "--pareto", "--json"]
    assert main(["optimize", str(model), *COUNTED, *options]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)["pareto"]
    assert [row["max_error"] for row in rows] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    macs = [row["after"]["macs"] for row in rows]
    assert macs == sorted(macs, reverse=True)
    assert macs[-1] < macs[0]
    for row in rows:
        assert Path(row["output"]).exists()
        assert row["approximation"]["value"] <= row["max_error"]
    assert "net.convc.40.00%.onnx" in err


def test_several_errors_need_one(model: Path, capsys: Capture) -> None:
    assert main(["optimize", str(model), "--pareto"]) == 2
    assert capsys.readouterr().err == "convc: --pareto: around which error? give --max-error\n"


def test_a_metric_measures_an_error(model: Path, capsys: Capture) -> None:
    assert main(["optimize", str(model), *COUNTED, "--metric", "psnr"]) == 2
    told = "convc: --metric psnr: of which error? give --max-error\n"
    assert capsys.readouterr().err == told


def test_data_that_cannot_be_used_is_said_in_a_line(model: Path, capsys: Capture) -> None:
    few = model.with_name("few.npz")
    np.savez(few, x=smooth(1, 0)[0]["x"])
    assert main(["optimize", str(model), *COUNTED, "--max-error", "0.1", "--data", str(few)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "too little data" in err
