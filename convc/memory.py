"""The memory of this process: how much it uses, and what can be given back early."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from convc.ir import Array


def resident_bytes() -> int:
    """Bytes of memory that this process uses now; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0


def give_back(array: Array) -> None:
    """Lets the system take back the pages of a mapped file that ``array`` shows.

    The array stays what it is: who reads it again reads the file again, nearly always from the
    system's cache. An array in ordinary memory is left alone.
    """
    root: Any = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    mapped = root.base
    if not isinstance(mapped, mmap.mmap) or not array.flags.c_contiguous:
        return
    start = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    size = (start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if size > 0 and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED, first, size)


def free_memory() -> int | None:
    """Bytes that this process can still get: of the machine, its container and its own limit.

    None where the system does not say.
    """
    return min(_free(), default=None)


def _free() -> Iterator[int]:
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        yield int(line.split()[1]) << 10
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text())
        yield max(0, most - int((group / "memory.current").read_text()))
    with suppress(OSError, ValueError, ImportError):
        import resource  # noqa: PLC0415  # not everywhere

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            yield max(0, soft - pages * os.sysconf("SC_PAGE_SIZE"))
