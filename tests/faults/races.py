"""Several processes that write one output at once, and a reader: each finds one version, whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from convc.graph import Graph
from tests.faults.tally import Tally
from tests.faults.versions import WRITERS, left_overs, look, version

WRITERS_AT_ONCE = 3
ELEMENTS = 64**2
"""Of each weight: small, so that many writes meet."""


def races(folder: Path, rounds: int) -> Iterator[Tally]:
    """One test for each kind of output."""
    for kind in WRITERS:
        inside = folder / kind.replace(" ", "-")
        inside.mkdir()
        yield _race(inside, kind, rounds)


def _race(folder: Path, kind: str, rounds: int) -> Tally:
    tally = Tally(f"{WRITERS_AT_ONCE} writers at once: {kind}", rounds)
    name, write = WRITERS[kind]
    target = folder / name
    versions = {number: version(number, ELEMENTS) for number in range(WRITERS_AT_ONCE + 1)}
    write(versions[0], target)
    children = [_fork(versions[number], kind, target, rounds) for number in versions if number]
    running = set(children)
    while running:
        wrong = look(target, set(versions))
        tally.seen["reads meanwhile"] += 1
        tally.require(not wrong, f"a reader found: {wrong}")
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            running.discard(child)
            tally.require(not status, f"a writer ended with status {status}")
    wrong = look(target, set(versions) - {0})
    tally.require(not wrong, f"in the end: {wrong}")
    tally.require(not left_overs(folder), "something is left over")
    write(versions[0], target)
    data = len(list(folder.glob("*.data")))
    tally.require(data <= 2, f"{data} data files for one model")
    return tally


def _fork(graph: Graph, kind: str, target: Path, rounds: int) -> int:
    """A process that writes one version again and again; its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        for _ in range(rounds):
            WRITERS[kind][1](graph, target)
        status = 0
    finally:
        os._exit(status)
