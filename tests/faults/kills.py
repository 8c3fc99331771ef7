"""kill -9 at random moments of writing: afterwards one of the versions is there, whole."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.tally import Tally
from tests.faults.versions import WRITERS, left_overs, look, version

ELEMENTS = 256**2
"""Of each weight: a megabyte for a version, so that writing takes longer than all else."""
LATEST = 0.06
"""Seconds of writing after which the kill comes at the latest."""
OLD = 120.0
"""Seconds by which what is left is made older, as if the next run came later."""


def kills(folder: Path, rounds: int, seed: int) -> Iterator[Tally]:
    """One test for each kind of output."""
    for kind in WRITERS:
        inside = folder / kind.replace(" ", "-")
        inside.mkdir()
        yield _kill(inside, kind, rounds, random.Random(seed))


def _kill(folder: Path, kind: str, rounds: int, rng: random.Random) -> Tally:
    tally = Tally(f"kill -9: {kind}")
    name, write = WRITERS[kind]
    elements = ELEMENTS if name.endswith(".onnx") else ELEMENTS // 64
    target = folder / name
    versions = {number: version(number, elements) for number in (1, 2, 3)}
    write(versions[3], target)
    for _ in range(rounds):
        tally.rounds += 1
        before = look_up(target)
        child = os.fork()
        if not child:
            _write_on(target, kind, versions)
        time.sleep(rng.uniform(0.001, LATEST))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        wrong = look(target, {1, 2, 3})
        tally.require(not wrong, wrong)
        tally.seen["with another version than before"] += look_up(target) != before
        left = left_overs(folder)
        tally.seen["killed within a write"] += bool(left)
        for file in left:
            os.utime(file, (time.time() - OLD,) * 2)
        write(versions[3], target)
        tally.require(not left_overs(folder), "what the killed run left is still there")
        # The data of the version before stays for its readers.
        data = len(list(folder.glob("*.data")))
        tally.require(data <= 2, f"{data} data files for one model")
    return tally


def look_up(target: Path) -> bytes:
    """The bytes of the model itself: enough to tell versions apart."""
    return target.read_bytes()[-4096:] + target.read_bytes()[:4096]


def _write_on(target: Path, kind: str, versions: dict[int, object]) -> None:
    """Writes one version after the other until the process is killed."""
    write = WRITERS[kind][1]
    number = 0
    try:
        while True:
            number += 1
            write(versions[1 + number % 2], target)  # type: ignore[arg-type]
    finally:
        os._exit(1)
