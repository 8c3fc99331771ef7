"""convc's command line in a process of its own, under conditions that only that process has."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import convc.commands.optimize
import convc.commands.print
import passes
from convc.cli import main

Setup = Callable[[], object]
IMPORTED = (convc.commands.optimize, convc.commands.print, passes)
"""What every command needs: here, so that not each copy has to import it anew."""
COUNTS = ("--objective", "macs", "--verify", "off")
"""Options of ``optimize`` that make it quick: onnxruntime is not even loaded."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it wrote to stderr."""

    code: int
    errors: str

    def is_told(self) -> str:
        """Empty where it failed as it should, with code 2 and one line; else what it did."""
        lines = self.errors.splitlines()
        plain = len(lines) == 1 and lines[0].startswith("convc: ") and "internal" not in lines[0]
        return "" if self.code == 2 and plain else f"exit code {self.code}: {self.errors[-400:]}"


def convc(arguments: Sequence[object], log: Path, setup: Setup = lambda: None) -> Ended:
    """Runs a command in a copy of this process, whose imports it has already.

    Args:
        arguments: of ``convc``.
        log: a file for what it writes to stderr; its other words are dropped.
        setup: called in the copy first.
    """
    _, status = os.waitpid(start(arguments, log, setup), 0)
    return Ended(os.waitstatus_to_exitcode(status), log.read_text(errors="replace").strip())


def start(arguments: Sequence[object], log: Path, setup: Setup = lambda: None) -> int:
    """As `convc`, but does not wait for the end; the id of the process."""
    log.write_bytes(b"")
    child = os.fork()
    if not child:
        _become(list(map(str, arguments)), log, setup)
    return child


def _become(arguments: list[str], log: Path, setup: Setup) -> None:
    """Runs the command and ends the process."""
    code = 99
    try:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
        sys.stdout = os.fdopen(os.dup(1), "w")
        # A shell lets what it starts in the background ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        setup()
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 98
    except KeyboardInterrupt:  # before convc could see to it, or after
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # this process ends here, whatever happened
        traceback.print_exc(file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)
