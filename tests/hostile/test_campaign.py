"""A few of the campaign's files, always the same, and the campaign itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.hostile.campaign import KINDS, Ground, trial
from tests.hostile.extremes import is_extreme
from tests.hostile.judge import findings
from tests.hostile.sandbox import Outcome
from tests.hostile.warrants import Warrant
from tests.tiny import model, node

SEED, FILES = 2, {"protobuf": 40, "mlir": 15, "data": 10}


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_do_no_harm(kind: str, ground: Ground) -> None:
    codes = set()
    for number in range(FILES[kind]):
        one = trial(SEED, number, (kind,))
        outcome = ground.run(one.file, one.data, one.arguments)
        assert not ground.findings(one.arguments[0], outcome, one.file), (one.name, outcome)
        codes.add(outcome.code)
    assert {0, 2} <= codes


def test_a_file_is_made_from_its_number_alone() -> None:
    assert trial(1, 7) == trial(1, 7)
    assert trial(1, 7).data != trial(2, 7).data


REFUSED = Outcome(2, "", "", "convc: net.onnx: no model\n", 0.1, 1 << 20)


def judged(outcome: Outcome, **more: object) -> list[str]:
    changed = Outcome(**{**{f: getattr(outcome, f) for f in outcome.__slots__}, **more})
    return findings("optimize", changed, 1000, Warrant, written=False)


DIFFERS = replace(
    REFUSED, code=1, err="convc: net.onnx: the result differs from the original; not written\n"
)


@pytest.mark.parametrize(
    ("weight", "value", "wrong"),
    [(1.0, 1.0, ["differs"]), (1e31, 1.0, []), (np.nan, 1.0, []), (1e29, 1e29, [])],
)
def test_only_what_nearly_overflows_may_differ(
    weight: float, value: float, wrong: list[str], tmp_path: Path
) -> None:
    """The last case has harmless weights and makes infinity of them."""
    scales = {"a": np.full(3, weight, np.float32), "b": np.full(3, value, np.float32)}
    nodes = [node("Mul", "x a", "h"), node("Mul", "h b", "y")]
    path = tmp_path / "net.onnx"
    path.write_bytes(model(nodes, scales, inputs={"x": (1, (2, 3))}))
    found = findings(
        "optimize", DIFFERS, 1000, Warrant, written=False, extreme=lambda: is_extreme(path)
    )
    assert found == wrong


def test_what_differs_must_not_be_written() -> None:
    found = findings("optimize", DIFFERS, 1000, Warrant, written=True, extreme=lambda: True)
    assert found == ["exit code 1"]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"err": "Traceback (most recent call last):\n"}, "noise: Traceback"),
        ({"err": "convc: internal error, KeyError: 1\n"}, "raised: internal error"),
        ({"err": "convc: one\nconvc: two\n"}, "2 lines"),
        ({"err": ""}, "0 lines"),
        ({"err": "convc: \x1b[31mred\n"}, "control characters"),
        ({"err": "convc: " + "n" * 5000 + "\n"}, "a line too long"),
        ({"code": None, "signal": "SIGSEGV"}, "died of SIGSEGV"),
        ({"code": None, "signal": "SIGXCPU", "seconds": 10.5}, "hang"),
        ({"peak": 1 << 30}, "memory"),
        ({"deeds": ["left /tmp/x"]}, "deed: left /tmp/x"),
        ({"code": 1}, "exit code 1"),
        ({"code": 3}, "exit code 3"),
    ],
)
def test_the_judge_sees(more: dict[str, object], what: str) -> None:
    assert not judged(REFUSED)
    assert what in judged(REFUSED, **more)
