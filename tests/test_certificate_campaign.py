"""The command that makes, replays and forges the certificates of many models, on one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import convc
from convc.errors import ProofError
from tests import certificates
from tests.cli_helpers import Capture
from tests.conftest import ROOT

MODEL = str(ROOT / "models" / "repvgg_block.onnx")


def campaign(*arguments: str) -> int:
    return certificates.run(certificates.parser().parse_args([MODEL, *arguments]))


def test_it_counts_what_it_did(tmp_path: Path, capsys: Capture) -> None:
    figures = tmp_path / "figures.json"
    assert campaign("--forgeries", "9", "--pairs", "2", "--json", str(figures)) == 0
    found = json.loads(figures.read_text())
    assert found["certificates"] == 1
    assert found["rewrites"] == found["classes"]["exact"] == 3
    assert found["forgeries"] == len(certificates.FORGERIES)
    assert found["findings"] == 0
    assert sum(found["pairs"].values()) == 4
    assert found["pairs"]["disagree"] == 0
    assert "3 rewrites (3 exact)" in capsys.readouterr().out.splitlines()[-2]


def test_a_forgery_that_passes_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(certificates, "FORGERIES", {"nothing": lambda _document, _rng: True})
    assert campaign("--forgeries", "1") == 1
    assert "passed: nothing" in capsys.readouterr().out


def test_a_proof_that_does_not_hold_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def fail(*_: object) -> None:
        raise ProofError("pass simplify: Conv a → b: it differs")

    monkeypatch.setattr(convc, "replay", fail)
    assert campaign("--forgeries", "0") == 1
    assert "does not hold: pass simplify" in capsys.readouterr().out
