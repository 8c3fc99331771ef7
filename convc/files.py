"""Writing files so that a reader finds the old one or the new one, never half."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from convc.errors import UsageError

PREFIX, SUFFIX = ".convc.", ".tmp"
"""Of the name of a file that is being written."""

STALE = 3600.0
"""Seconds after which such a file is nobody's any more: writing takes seconds."""


def write_whole(path: Path, *chunks: bytes | memoryview) -> None:
    """Writes a file beside ``path``, flushes it to the disk and moves it there in one step.

    Raises UsageError, with the reason, where the folder cannot be written to; ``path`` is then as
    it was and nothing is left behind.
    """
    try:
        _remove_stale(path.parent)
        # Not named after the file: its name may be as long as the file system allows.
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=SUFFIX, dir=path.parent)
    except OSError as error:
        raise UsageError(f"{path}: cannot write there: {error.strerror or error}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(path))
        os.replace(name, path)
    except OSError as error:
        raise UsageError(f"{path}: cannot write it: {error.strerror or error}") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _remove_stale(folder: Path) -> None:
    """Removes what a run that was killed while writing left behind."""
    for file in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > STALE:
                file.unlink()


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
    if not path.parent.is_dir():
        raise UsageError(f"{path}: the folder {path.parent} does not exist; create it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(f"{path}: cannot write there: {error.strerror or error}") from error


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, else what a new file would get."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
