"""One hostile file for each idea of harm: refused in a line, or survived without any."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from onnx import ModelProto

from tests.hostile.campaign import Ground
from tests.hostile.named import REFUSED, SURVIVED

Make = Callable[[], ModelProto | bytes]
OPTIMIZE = ("optimize", "net.onnx", "-o", "result.onnx", "--objective", "macs")


def bytes_of(make: Make) -> bytes:
    made = make()
    return made if isinstance(made, bytes) else made.SerializeToString()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_is_refused(name: str, ground: Ground) -> None:
    outcome = ground.run("net.onnx", bytes_of(REFUSED[name]), OPTIMIZE)
    assert not ground.findings("optimize", outcome, "net.onnx"), outcome
    assert outcome.code == 2, outcome
    assert "net.onnx" in outcome.err
    assert not (ground.work / "result.onnx").exists()


@pytest.mark.parametrize("name", SURVIVED)
def test_what_may_be_a_model_does_no_harm(name: str, ground: Ground) -> None:
    outcome = ground.run("net.onnx", bytes_of(SURVIVED[name]), OPTIMIZE)
    assert not ground.findings("optimize", outcome, "net.onnx"), outcome
