"""Was what a command did on a hostile file right? Everything that is not is a finding."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.hostile.sandbox import SECONDS, Outcome
from tests.hostile.warrants import Warrant

BASE = 300 << 20
"""Bytes of the interpreter, of onnx, onnxruntime and their sessions, with room to breathe."""
PER_BYTE = 20
"""Bytes of memory for each byte of a file: parsed by protobuf, as objects, as a graph, exported."""
LONGEST_LINE = 1000
"""Characters of an error: names of a megabyte are no message."""

_LIBRARY = re.compile(
    r"Traceback|Warning:|\[[VIWEF]:onnxruntime|libprotobuf|terminate called|core dumped|"
    r"Exception ignored|<frozen"
)
_RAISED = re.compile(r"internal error|convc: pass .*?: [A-Za-z.]*(?:Error|Exception)\b")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_VERDICTS = {None, "identical", "equal", "within-tolerance", "within-budget", "unverified"}


def findings(
    command: str,
    outcome: Outcome,
    size: int,
    warranted: Callable[[], Warrant],
    *,
    written: bool,
    extreme: Callable[[], bool] = lambda: False,
) -> list[str]:
    """What is wrong with an outcome; nothing where it is as it has to be.

    Args:
        command: the first argument of the command line.
        outcome: what it did.
        size: bytes of the hostile file.
        warranted: says what the model warrants, where it is one; asked only where that matters.
        written: whether there is a result now.
        extreme: says whether the model's numbers are at the end of what floats can hold.
    """
    found = [f"deed: {deed}" for deed in outcome.deeds]
    if outcome.code is None:
        if not _is_hang(outcome):
            found.append(f"died of {outcome.signal}")
        elif not warranted().heavy:
            found.append("hang")
        return found
    plain = BASE + PER_BYTE * size
    if outcome.peak > plain and outcome.peak > plain + warranted().bytes:
        found.append("memory")
    lines = outcome.err.splitlines()
    noise = _LIBRARY.search(outcome.err) or _LIBRARY.search(outcome.out)
    if noise:
        found.append(f"noise: {noise[0]}")
    if _CONTROL.search(outcome.err) or _CONTROL.search(outcome.out):
        found.append("control characters")
    if outcome.code == 2:
        found += _refused(command, outcome, lines)
    elif outcome.code == 1 and command != "verify":
        found += _differing(lines, extreme, written=written)
    elif outcome.code not in (0, 1):
        found.append(f"exit code {outcome.code}")
    elif outcome.code == 0 and outcome.out.startswith("{"):
        found += _verdict(outcome.out)
    return found


def _is_hang(outcome: Outcome) -> bool:
    return outcome.signal in ("SIGXCPU", "SIGKILL") or outcome.seconds > SECONDS


def _differing(lines: list[str], extreme: Callable[[], bool], *, written: bool) -> list[str]:
    """Only where numbers are about to overflow may a result differ, which is then not written."""
    caught = any("differs from the original; not written" in line for line in lines[-1:])
    if not caught or written:
        return ["exit code 1"]
    return [] if extreme() else ["differs"]


def _refused(command: str, outcome: Outcome, lines: list[str]) -> list[str]:
    if command == "verify" and not lines and "unverified" in outcome.out:
        return []
    found: list[str] = []
    if len(lines) != 1 or not lines[0].startswith("convc: "):
        found.append(f"{len(lines)} lines")
    raised = _RAISED.search(outcome.err)
    if raised:
        found.append(f"raised: {raised[0]}")
    if max(map(len, lines), default=0) > LONGEST_LINE:
        found.append("a line too long")
    return found


def _verdict(text: str) -> list[str]:
    try:
        verify = json.loads(text).get("verify")
    except ValueError:
        return ["broken JSON"]
    verdict = verify["verdict"] if verify else None
    return [] if verdict in _VERDICTS else [f"verdict {verdict}"]
