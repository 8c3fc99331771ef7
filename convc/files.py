"""Writing files so that a reader finds the old one or the new one, never half.

A file is written beside its place under another name, flushed to the disk, and moved there in one
step. What a run that was killed left behind is removed by a later one, once it is clear that
nobody writes it any more: whoever writes holds a lock on the folder that others may share, and
whoever wants to remove something must get it alone. The lock goes with the process, however that
ends; where the system has none, only the age of a file counts.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path

from convc.errors import UsageError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

PREFIX, SUFFIX = ".convc.", ".tmp"
"""Of the name of a file that is being written."""

STALE, STALE_ALONE = 3600.0, 60.0
"""Seconds since its last change after which such a file is nobody's any more: without the lock, and
with it, where they are for those whom a lock does not reach (other machines on one disk)."""


def write_whole(path: Path, *chunks: bytes | memoryview) -> None:
    """Writes a file beside ``path``, flushes it to the disk and moves it there in one step.

    A file that is there keeps its mode. Where ``path`` is a symbolic link, the file that it points
    to is replaced; other hard links to the old file keep the old file.

    Raises UsageError, with the reason, where the file cannot be written; ``path`` is then as it was
    and nothing is left behind.
    """
    target = _target(path)
    _require_unprotected(path)
    remove_stale(target.parent)
    with being_written(target.parent):
        try:
            # Not named after the file: its name may be as long as the file system allows.
            handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=SUFFIX, dir=target.parent)
        except OSError as error:
            raise UsageError(f"{path}: cannot write there: {error.strerror or error}") from error
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, _mode(target))
            os.replace(name, target)
        except OSError as error:
            raise UsageError(f"{path}: cannot write it: {error.strerror or error}") from error
        finally:
            Path(name).unlink(missing_ok=True)


@contextmanager
def being_written(folder: Path) -> Iterator[None]:
    """Says, while it lasts, that somebody writes into ``folder``; several may at once."""
    with _locked(folder, alone=False):
        yield


@contextmanager
def to_oneself(folder: Path) -> Iterator[bool]:
    """Whether nobody else writes into ``folder``: those who begin wait while this lasts.

    False where somebody does, or where the system cannot tell.
    """
    with _locked(folder, alone=True) as locked:
        yield locked


@contextmanager
def _locked(folder: Path, *, alone: bool) -> Iterator[bool]:
    handle, locked = -1, False
    try:
        if fcntl is not None:
            # Some file systems have no locks, or none on folders.
            with suppress(OSError):
                handle = os.open(folder, os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
                locked = True
        yield locked
    finally:
        if handle >= 0:
            os.close(handle)


def remove_stale(folder: Path) -> None:
    """Removes what runs that were killed while writing left behind."""
    left = list(folder.glob(f"{PREFIX}*{SUFFIX}"))
    if not left:
        return
    with to_oneself(folder) as alone:
        for file in left:
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > (STALE_ALONE if alone else STALE):
                    file.unlink()


def no_such_file(path: Path) -> str:
    """That there is none, with the name in its folder that may be meant."""
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return "no such file"
    close = get_close_matches(path.name, names, n=1, cutoff=0.8)
    return f"no such file: did you mean {path.with_name(close[0])}?" if close else "no such file"


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it; raises UsageError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot create it: {error.strerror or error}") from error


def check_writable(path: Path) -> None:
    """Raises UsageError where ``path`` cannot become a file; found before long work, not after."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file with -o")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: is no regular file and cannot be replaced by one")
    folder = _target(path).parent
    if not folder.is_dir():
        raise UsageError(f"{path}: the folder {folder} does not exist; create it first")
    _require_unprotected(path)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{path}: cannot write there: {error.strerror or error}") from error


def _target(path: Path) -> Path:
    """The file itself, where ``path`` is a symbolic link; raises UsageError where there is none."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise UsageError(f"{path}: its symbolic links lead in a circle")
    return target


def _require_unprotected(path: Path) -> None:
    """Raises UsageError where there is a file that may not be written: to replace it may be."""
    if path.exists() and not os.access(path, os.W_OK):
        raise UsageError(f"{path}: is write-protected and is not replaced; name another file")


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, else what a new file would get."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
