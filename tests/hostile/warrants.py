"""What a file that is still a sound model warrants: its dims may have become large."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from convc.limits import COPIES, limits_of
from convc.opset import macs
from convc.sizes import load_runnable
from convc.trials import HEAVY

LARGE = 2**25
"""Bytes of activations from which making up a dozen inputs, running and judging takes seconds:
eleven for one conv of 29 MB in and 29 MB out, on one core."""


@dataclass(frozen=True)
class Warrant:
    """What a model may take besides what every file may.

    Attributes:
        bytes: of memory: twice what a run is given, six times its activations and a gibibyte. What
            doubles from one look at it to the next is found at twice its limit.
        heavy: whether ten seconds are no measure: more than 3·10⁹ products, or 32 MB, as two models
            are compared on a dozen inputs, some of them larger.
    """

    bytes: int = 0
    heavy: bool = False


def warrant(path: Path) -> Warrant:
    """What a file warrants; nothing where it is no model. Found in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        try:
            graph = load_runnable(path, {})
            room = limits_of(graph).bytes
            work = sum(macs(graph, op) or 0 for op in graph.ops())
            heavy = work > HEAVY or room > (1 << 30) + COPIES * LARGE
            os.write(writer, f"{2 * room} {int(heavy)}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        words = stream.read().split()
    os.waitpid(pid, 0)
    return Warrant(int(words[0]), bool(int(words[1]))) if words else Warrant()
