"""The last step where something was approximated: who is at fault when it is too far off."""

from __future__ import annotations

from pathlib import Path

import pytest

import convc
from convc.judge import Verdict
from tests.mutants.approximating import blurry


@pytest.mark.parametrize("behind", ["", ",simplify"])
def test_an_approximation_that_is_too_far_off_is_named(
    behind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was the next pass that was named; where there was none, the search for it failed."""
    monkeypatch.setattr("convc.approximate.judging.Strictest.loss", lambda *_: 0.0)
    path, reproducer = tmp_path / "blurry.onnx", tmp_path / "reproducer.mlir"
    path.write_bytes(blurry())
    text = f"simplify,approximate(factor-kernels){behind}"
    result = convc.optimize(path, text, max_error=0.005, reproducer=reproducer)
    assert result.verdict is Verdict.DIFFERENT
    assert result.culprit == "approximate(factor-kernels)"
    assert result.reproducer == reproducer
    assert reproducer.exists()
