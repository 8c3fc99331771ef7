"""Memory that holds what will hardly be needed again, given back before its owner goes."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from convc.ir import Array


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
