"""The golden files: see `tests.golden`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convc.reference import evaluate
from tests.golden import FOLDER, SPLIT, cases, modules, read, run
from tests.helpers import random_feeds

PASSES = (
    "annotate-cost",
    "block-diagonal",
    "commute-linear",
    "factor-kernels",
    "flush-subnormals",
    "fold-affine",
    "fuse-convs",
    "lower-activations",
    "lower-to-conv2d",
    "lower-to-gemm",
    "lower-to-winograd",
    "merge-branches",
    "prune-dead-channels",
    "select-channels",
    "simplify",
)


@pytest.mark.parametrize("path", cases(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text(encoding="utf-8")
    made = run(read(text))
    if request.config.getoption("--update-golden"):
        path.write_text(made, encoding="utf-8")
        return
    assert made == text, "see the diff; if the new text is right: pytest --update-golden"


@pytest.mark.parametrize("path", cases(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_input_and_output_compute_the_same(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if SPLIT not in text:
        pytest.skip("a new case: run --update-golden first")
    before, after = modules(text)
    feeds = random_feeds(before, np.random.default_rng(0))
    for one, other in zip(evaluate(before, feeds), evaluate(after, feeds), strict=True):
        # Weights are multiples of powers of two: no rounding but float64's own.
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12)


def test_every_pass_has_golden_files() -> None:
    found = {path.parent.name for path in cases()}
    assert found == set(PASSES)
    assert [path for path in FOLDER.iterdir() if path.name not in found] == []


def test_what_the_passes_do_is_in_the_text() -> None:
    text = (FOLDER / "fold-affine" / "norm_after_conv.mlir").read_text(encoding="utf-8")
    untouched = run(replace(read(text), passes=""))
    assert "// rewrites: 0" in untouched
    assert "BatchNormalization" in untouched.partition(SPLIT)[2]
    assert "// rewrites: 1" in text
    assert "BatchNormalization" not in text.partition(SPLIT)[2]
