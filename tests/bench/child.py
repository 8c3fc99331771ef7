"""Runs a command and says what it needed: processor time, and memory at its highest."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.01
"""Seconds between two looks at the memory of a process."""


@dataclass(frozen=True)
class Used:
    """What one process needed; bytes and seconds.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        errors: what it wrote to stderr.
        processor: seconds of processor time, the kernel's for it included.
        wall: seconds from start to end.
        resident: the kernel's own record of its resident memory at the highest (``ru_maxrss``).
        own: the highest seen of the memory that is its own (RssAnon).
        mapped: the highest seen of the pages of mapped files (RssFile), which the system may take
            back at any time.
    """

    code: int
    errors: str
    processor: float
    wall: float
    resident: int
    own: int
    mapped: int


def run(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Used:
    """Runs a command to its end; ``log`` is the file that takes what it says.

    The record of the kernel begins with the size of the process that calls this: so nothing large
    may be held there. The other two figures are looked at every `INTERVAL`: what is shorter than
    that may be missed.
    """
    start = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **(environment or {})}
        )
        own = mapped = 0
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            seen = _resident(process.pid)
            own, mapped = max(own, seen.get("RssAnon", 0)), max(mapped, seen.get("RssFile", 0))
            time.sleep(INTERVAL)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Used(
        process.returncode,
        log.read_text(errors="replace").strip(),
        usage.ru_utime + usage.ru_stime,
        time.perf_counter() - start,
        usage.ru_maxrss * 1024,
        own,
        mapped,
    )


def _resident(pid: int) -> dict[str, int]:
    """The Rss lines of a process's status, in bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    found = (line.split() for line in lines if line.startswith("Rss"))
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in found}
