"""A whole network against float64; ``python -m tests.bench.rounding`` has all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.rounding import row_of
from tests.conftest import real_models

MODELS = {path.stem: path for path in real_models()}


@pytest.mark.skipif(not MODELS, reason="no folder of real models (set CONVC_SHARED)")
def test_a_row_of_the_table() -> None:
    row = row_of(MODELS["cls_mnist8"], 2, 32)
    assert row.verdict in ("identical", "equal")
    assert row.errors is not None
    assert all(0 < error < 1e-5 for error in row.errors)
    assert row.rewrites >= 5
    assert 1e-7 < row.probable < 1e-4
    assert 0.5 < row.ratio < 2
    assert not row.without
    assert row.line().startswith("| cls_mnist8 | 12 → 9 | 5 | ")


def test_a_file_that_is_no_model_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    row = row_of(path, 1, 32)
    assert row.verdict == ""
    assert row.errors is None
    assert row.note
