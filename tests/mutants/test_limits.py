"""The limits of detection: what is measured is a limit, and what lies above it is found."""

from __future__ import annotations

import numpy as np
import pytest

from convc.check import Subject, compare
from convc.judge import Verdict
from convc.onnx_io import load, to_bytes
from tests.mutants.limits import KINDS, SAYS, SMALLEST, least
from tests.mutants.samples import MODELS


@pytest.mark.parametrize("kind", KINDS)
def test_the_least_mistake_that_is_found(kind: str) -> None:
    graph = load(MODELS / "conv_norm_relu.onnx")
    original = Subject(to_bytes(graph), graph)
    (conv,) = [op for op in graph.ops() if op.kind == "Conv"]
    name = conv.result.name
    limits = [least(original, name, KINDS[kind], 0, verdicts) for verdicts in SAYS.values()]
    assert 2.0**SMALLEST < limits[1] <= limits[0] < 0.125
    verdicts = []
    for part in (limits[0], limits[0] / 2):
        spoiled = graph.clone()
        (op,) = [op for op in spoiled.ops() if op.results and op.result.name == name]
        KINDS[kind](spoiled, op, part, np.random.default_rng(0))
        verdicts.append(compare(original, Subject(to_bytes(spoiled), spoiled)).verdict)
    assert verdicts[0] is Verdict.DIFFERENT
    assert verdicts[1].good
