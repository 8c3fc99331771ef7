"""What the store tells apart: two situations with different times must not share a key."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import convc
from convc.digest import graph_digest
from convc.runtime import Settings
from convc.tuning.judge import Contender
from tests.tiny import FLOAT, model, node, write
from tests.tuning_helpers import chain


def enlarged(path: Path, factor: float) -> str:
    weights = {"s": np.array([1, 1, factor, factor], np.float32)}
    data = model([node("Resize", "x - s", "y")], weights, inputs={"x": (FLOAT, (1, 2, 4, 4))})
    return graph_digest(convc.load(write(path, data)), values=False)


def test_floats_that_decide_sizes_count(tmp_path: Path) -> None:
    path = tmp_path / "resize.onnx"
    assert enlarged(path, 2) != enlarged(path, 3)
    assert enlarged(path, 2) == enlarged(path, 2)


def test_what_a_model_is_fed_counts() -> None:
    graph = chain("Neg", shape=("n", 4, "h", "w"))

    def fed(size: int, dtype: type) -> str:
        feeds = {"x": np.zeros((1, 4, size, size), dtype)}
        return Contender((), graph, Settings(), feeds).digest

    assert fed(8, np.float32) == fed(8, np.float32)
    assert len({fed(8, np.float32), fed(16, np.float32), fed(8, np.float64)}) == 3
