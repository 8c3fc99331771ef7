"""onnxsim's ``certify`` as a second, independent judge, where it is installed and answers.

It proves two models equal in real arithmetic by structural hashing, by congruence and by an SMT
solver, or gives a counterexample, or skips. It knows nothing of convc, and convc nothing of it.

It runs in a process of its own, in any Python that has ``onnxsim`` and ``z3-solver``: this file is
then the program, and imports nothing else.
"""

from __future__ import annotations

import base64
import json
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SECONDS = 10
"""Time for one pair of models; the solver needs seconds for a few thousand products."""

RANGE = 3.0
"""Inputs are taken from −3 to 3."""


@dataclass
class Answers:
    """What the judge said, in words of its own, and where it disagreed with the fuzzer's."""

    said: Counter[str] = field(default_factory=Counter)
    disagreed: list[str] = field(default_factory=list)


class Certifier:
    """The judge's process, started anew where it dies or hangs."""

    def __init__(self, python: str = sys.executable) -> None:
        self.python = python
        self._process: subprocess.Popen[str] | None = None

    def available(self) -> str:
        """The versions of onnxsim and z3 that answer; nothing where they are not installed."""
        code = (
            "import onnxsim, onnxsim.certify, z3; "
            "print(onnxsim.__version__, z3.get_version_string())"
        )
        found = subprocess.run(
            [self.python, "-c", code], capture_output=True, text=True, check=False
        )
        return found.stdout.strip()

    def ask(self, before: bytes, after: bytes, tolerance: float) -> str:
        """``proved``, ``refuted: ...`` or ``skipped``, for all outputs together; or ``died``."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [self.python, "-u", __file__], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        pair = [base64.b64encode(data).decode() for data in (before, after)]
        process.stdin.write(json.dumps([*pair, tolerance]) + "\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            answer = process.stdout.readline() if selector.select(6 * SECONDS) else ""
        if not answer:
            self.stop()
            return "died"
        return str(json.loads(answer))

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def verdict(outputs: Sequence[str]) -> str:
    """One word for all outputs: refuted where one is, proved where all are."""
    if "refuted" in outputs:
        return "refuted"
    return "proved" if all(status.startswith("proved") for status in outputs) else "skipped"


def _main() -> None:
    import onnx
    from onnxsim.certify import certify

    for line in sys.stdin:
        before, after, tolerance = json.loads(line)
        a, b = (onnx.ModelProto.FromString(base64.b64decode(text)) for text in (before, after))
        weights = {tensor.name for tensor in a.graph.initializer}
        ranges: dict[str, Any] = {
            entry.name: (-RANGE, RANGE) for entry in a.graph.input if entry.name not in weights
        }
        try:
            report = certify(
                a, b, ranges, atol=tolerance, timeout_ms=1000 * SECONDS,
                total_timeout_ms=1000 * SECONDS,
            )  # fmt: skip
            said = verdict(list(report.outputs.values()))
            bad = [w.detail for w in report.windows if w.status == "refuted"]
            said += f": {bad[0][:300]}" if said == "refuted" and bad else ""
        except Exception as error:
            said = f"failed: {type(error).__name__}: {error}"[:200]
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    _main()
