"""Every sample model through every approximate pass, named alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import sample_models
from tests.named import TEXTS, run_named

SIZES = {
    "sesr_m5_x2": {"height": 24, "width": 17},
    "filter_log": {"height": 24, "width": 17},
    "gaussian": {"height": 24, "width": 17},
}
fired: Counter[str] = Counter()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("model", sample_models(), ids=lambda path: path.stem)
def test_named(model: Path, text: str) -> None:
    sizes = next((size for name, size in SIZES.items() if model.stem.startswith(name)), {})
    found = run_named(model, text, sizes)
    fired[text] += found.applied > 0


@pytest.mark.parametrize("text", TEXTS)
def test_has_fired(text: str) -> None:
    if sum(fired.values()) == 0:
        pytest.skip("test_named was not selected")
    assert fired[text] >= 5
