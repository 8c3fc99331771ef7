"""One command on one hostile file, in a process of its own that may die, hang or swell.

The process is forked from one in which everything is imported, so that a file costs milliseconds.
What is watched: the exit code, both streams, the signal that killed it, processor time, the peak
of its memory, every file that Python opens, and what lies in the folder afterwards.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 10
"""Of processor time: what takes longer is a hang."""
WALL = 60.0
"""Seconds of a clock on the wall: what takes longer waits for something that never comes. More than
`SECONDS`, as other processes may need the same cores."""
ADDRESSES = 8 << 30
"""Bytes that the process may map at all: a net under the test machine, not what is judged."""

SECRETS = ("/etc/passwd", "/etc/hostname", "/dev/zero", "/dev/random", "secret.bin")
"""Ends of paths that no command has any reason to open."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod")
_PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did.

    Attributes:
        code: its exit code; None where a signal ended it.
        signal: the name of that signal.
        out: what it wrote to stdout.
        err: what it wrote to stderr.
        seconds: processor time.
        peak: bytes of memory at the most, those it started with included.
        deeds: what it did that no command should: writing elsewhere, opening a secret, unpickling.
        trace: where it died, if the interpreter could still tell.
    """

    code: int | None
    signal: str
    out: str
    err: str
    seconds: float
    peak: int
    deeds: list[str] = field(default_factory=list)
    trace: str = ""


def run(arguments: Sequence[str], work: Path, writable: Sequence[Path] = ()) -> Outcome:
    """Runs ``convc`` with these arguments in the folder ``work``.

    Args:
        arguments: of the command line.
        work: its current folder.
        writable: files that it may write. Beside one of them temporary files are allowed, too.
    """
    before = _contents(work, writable)
    streams = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115  # closed by _text
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        _child(arguments, work, writable, [stream.fileno() for stream in streams])
    status, usage = _wait(pid)
    out, err, report = (_text(stream) for stream in streams)
    deeds = [line[5:] for line in report.splitlines() if line.startswith("deed ")]
    trace = "\n".join(line for line in report.splitlines() if not line.startswith("deed "))
    after = _contents(work, writable)
    deeds += [f"left {name}" for name in sorted(after - before)]
    deeds += [f"lost {name}" for name in sorted(before - after)]
    died = os.WIFSIGNALED(status)
    return Outcome(
        None if died else os.waitstatus_to_exitcode(status),
        signal.Signals(os.WTERMSIG(status)).name if died else "",
        out, err, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10, deeds, trace,
    )  # fmt: skip


def _wait(pid: int) -> tuple[int, Any]:
    end = time.monotonic() + WALL
    pause = 0.001
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            return status, usage
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            return status, usage
        time.sleep(pause)
        pause = min(pause * 1.2, 0.01)


def _text(stream: Any) -> str:
    stream.seek(0)
    text: str = stream.read().decode(errors="backslashreplace")
    stream.close()
    return text


def _contents(work: Path, writable: Sequence[Path]) -> set[str]:
    """What lies two folders above, files with size and time of their last change."""
    found: set[str] = set()
    for path in work.parents[2].rglob("*"):
        with suppress(OSError):
            facts = path.lstat()
            changed = f" {facts.st_size} {facts.st_mtime_ns}" if path.is_file() else ""
            if path not in writable and path.suffix not in (".pyc",):
                found.add(f"{path}{changed}")
    return found


def _child(
    arguments: Sequence[str], work: Path, writable: Sequence[Path], streams: Sequence[int]
) -> None:
    """Never returns."""
    code = 70
    try:
        os.chdir(work)
        os.dup2(streams[0], 1)
        os.dup2(streams[1], 2)
        sys.stdout = os.fdopen(1, "w", closefd=False, errors="surrogateescape")
        sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace")
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 2))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        os.environ["TMPDIR"] = tempfile.tempdir = str(work.parents[2] / "tmp")
        faulthandler.enable(streams[2])
        sys.addaudithook(_Watch(writable, streams[2]))
        from convc.cli import main

        code = main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class _Watch:
    """An audit hook: what Python does outside of the files it may write is reported."""

    def __init__(self, writable: Sequence[Path], report: int) -> None:
        self.report = report
        self.files = {str(path) for path in writable}
        self.folders = {str(path.parent) for path in writable}

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            self.opened(path, flags if isinstance(flags, int) else 0)
        elif event in _CHANGES:
            for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                if not self.may_write(path):
                    self.tell(f"{event} {path}")
        elif event == "pickle.find_class" or event in _PROCESSES:
            self.tell(f"{event} {arguments[:2]}")

    def opened(self, path: object, flags: int) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.fsdecode(path)
        if os.path.realpath(name).endswith(SECRETS):
            self.tell(f"opened {name}")
        if flags & _WRITES and name != os.devnull and not self.may_write(name):
            self.tell(f"opened {name} for writing")

    def may_write(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True
        whole = os.path.abspath(os.fsdecode(path))
        folder, name = os.path.split(whole)
        temporary = name.startswith((".convc.", "tmp")) and folder in self.folders
        return whole in self.files or temporary or whole in self.folders

    def tell(self, deed: str) -> None:
        os.write(self.report, f"deed {deed}\n".encode(errors="backslashreplace"))
