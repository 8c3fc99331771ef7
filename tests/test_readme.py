"""The README's Python runs, and its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_python_blocks_run(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "models").symlink_to(ROOT / "models")
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        # What a line is said to print, it prints.
        for shown in re.findall(r"print\(.*\)  # (.*)$", block, re.MULTILINE):
            assert shown in done.stdout
    assert (tmp_path / "sesr.onnx").exists()


@pytest.mark.parametrize("marker", ["try", "test"])
def test_there_are_two_commands(marker: str) -> None:
    (command,) = re.findall(rf"^<!-- {marker} -->\n```sh\n(.*)\n```$", README, re.MULTILINE)
    assert command.startswith("python3.11 -m venv .venv && .venv/bin/pip install")


def test_every_command_and_pass_is_named() -> None:
    from convc.cli import COMMANDS
    from convc.pipeline import pass_names

    for command in COMMANDS:
        assert f"`convc {command}" in README
    for name in pass_names():
        assert f"`{name}`" in README
