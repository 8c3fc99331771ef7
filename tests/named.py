"""Approximate passes named alone, on whole models: they apply whether they pay or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import convc
from convc.feeds import noise
from convc.ir import is_real
from convc.onnx_io import to_bytes
from convc.pipeline import Pipeline
from convc.runtime import Session, Settings

TEXTS = (
    "factor-kernels{max-error=0.3}",
    "block-diagonal{kinds=grouped max-error=0.99}",
    "block-diagonal{kinds=shuffled max-error=0.99}",
    "select-channels{share=0.5}",
)


@dataclass(frozen=True)
class Named:
    """What one pass did to one model: rewrites, and the relative error of the outputs on noise."""

    applied: int
    error: float


def run_named(path: Path, text: str, sizes: Mapping[str, int] | None = None) -> Named:
    """Applies the pass; asserts that the result is a model with outputs like the original's."""
    graph = convc.load(path, sizes or {})
    original = Session(to_bytes(graph), Settings(threads=1))
    feeds = noise(graph)
    before = original.run(feeds)
    (report,) = Pipeline.parse(text).run(graph)
    graph.verify()
    if not report.stats.applied:
        return Named(0, 0.0)
    after = Session(to_bytes(graph), Settings(threads=1)).run(feeds)
    worst = 0.0
    for a, b in zip(before, after, strict=True):
        if not (isinstance(a, np.ndarray) and is_real(a.dtype) and a.shape == b.shape):
            continue
        old, new = a.astype(np.float64), b.astype(np.float64)
        assert np.isfinite(new[np.isfinite(old)]).all()
        worst = max(worst, float(np.linalg.norm(new - old) / max(np.linalg.norm(old), 1e-30)))
    return Named(report.stats.applied, worst)
