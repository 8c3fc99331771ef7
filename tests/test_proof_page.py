"""docs/proof.md: its commands run, and what they print is what the page shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from convc.certificate.records import FORMAT
from tests.cli_helpers import Capture, call
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "proof.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_its_commands_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    assert [command[:2] for command in commands()] == [["convc", "optimize"], ["convc", "verify"]]
    for _, *arguments in commands():
        assert call(*arguments) == 0
    printed = capsys.readouterr().out.splitlines()
    shown = re.findall(r"^the proof holds: .*? again;", PAGE, re.MULTILINE)
    assert printed[0].startswith(shown[0])
    assert printed[1].startswith("equal")


def test_its_record_is_one(tmp_path: Path) -> None:
    """Names and digests of the page's example come out again; its residual is noise."""
    (text,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    wanted = json.loads(text)
    model, target = ROOT / "models" / "chain_expand_project.onnx", tmp_path / "c.onnx"
    assert call("optimize", model, "-o", target, "--proof", "--quiet", "--verify", "off") == 0
    document = json.loads((tmp_path / "c.onnx.proof.json").read_text())
    assert document["format"] == FORMAT
    ((found,),) = [entry["records"] for entry in document["passes"] if entry["records"]]
    assert found.pop("residual") < 1e-12 > wanted.pop("residual")
    assert found.pop("rounding").keys() == wanted.pop("rounding").keys()
    # The digest of new weights is that of one machine: elsewhere one may round to its neighbour.
    for document in (found, wanted):
        document["after"].pop("digest")
    assert found == wanted


def test_every_field_is_explained(tmp_path: Path) -> None:
    model, target = ROOT / "models" / "chain_expand_project.onnx", tmp_path / "c.onnx"
    assert call("optimize", model, "-o", target, "--proof", "--quiet", "--verify", "off") == 0
    document = json.loads((tmp_path / "c.onnx.proof.json").read_text())
    (entry,) = [entry for entry in document["passes"] if entry["records"]]
    fields = {*document, *entry, *entry["records"][0]} - {"passes", "records", "class", "note"}
    assert [field for field in sorted(fields) if f"`{field}`" not in PAGE] == []
