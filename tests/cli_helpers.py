"""What the tests of the command line share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from convc.cli import main
from tests.test_api import chain, wrong_pass  # noqa: F401  # a fixture

Capture = pytest.CaptureFixture[str]


COUNTED = ("optimize", "--objective", "macs")
"""The command without the clock: asking it takes seconds, and it does not say the same twice."""


def counted(arguments: Sequence[object]) -> list[str]:
    """The arguments of a command; counts choose where a test does not ask for the clock."""
    texts = [str(argument) for argument in arguments]
    if texts[:1] == ["optimize"] and "--objective" not in texts:
        return [*COUNTED, *texts[1:]]
    return texts


def convc_run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """``python -m convc`` in a process of its own."""
    command = [sys.executable, "-m", "convc", *counted(arguments)]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, capture_output=True, text=True, check=False, timeout=120, **options
    )


def call(*arguments: object) -> int:
    try:
        return main(counted(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


def refused(capsys: Capture, *arguments: object, says: str = "") -> str:
    """The one line on stderr with which convc refuses; nothing is on stdout."""
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("convc: ")
    assert says in lines[0]
    assert "Traceback" not in lines[0]
    assert "internal error" not in lines[0]
    return lines[0]
