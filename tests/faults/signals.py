"""Ctrl-C and SIGTERM at random moments of ``convc optimize``: told in one line, nothing half."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from convc.machine import CACHE_VARIABLE
from tests.faults.command import start
from tests.faults.network import write_network
from tests.faults.tally import Tally
from tests.faults.versions import left_overs

SIGNALS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
PATIENCE = 20.0
"""Seconds in which a process must end that was told to."""

ENOUGH = 8
"""Rounds from which on a fifth has to be stopped."""

WAYS = {
    "macs": ("--objective", "macs", "--verify", "off", "--external-data"),
    "verified": ("--objective", "macs", "--threads", "1"),
    "by the clock": ("--budget", "2", "--threads", "1"),
}
"""Options of ``optimize``: reading and writing alone, with onnxruntime, with its timing."""


def signals(
    folder: Path, rounds: int, seed: int, ways: tuple[str, ...] = tuple(WAYS)
) -> Iterator[Tally]:
    """One test for each way and signal; the moments are spread over the time that it takes."""
    model = write_network(folder / "net.onnx")
    for way in ways:
        for number, word in SIGNALS.items():
            inside = folder / f"{way}-{number.name}".replace(" ", "-")
            inside.mkdir()
            yield _interrupt(inside, model, way, number, word, rounds, random.Random(seed))


def _interrupt(  # noqa: PLR0917  # one test in all its parts
    folder: Path, model: Path, way: str, number: signal.Signals, word: str, rounds: int,
    rng: random.Random,
) -> Tally:  # fmt: skip
    tally = Tally(f"{number.name}: {way}")
    target, log = folder / "out.onnx", folder / "log"
    arguments = ["optimize", *WAYS[way], str(model), "-o", str(target), "--quiet"]
    begin = time.perf_counter()
    os.waitpid(start(arguments, log, _forget), 0)
    seconds = time.perf_counter() - begin
    for file in folder.iterdir():
        file.unlink()
    for _ in range(rounds):
        tally.rounds += 1
        child = start(arguments, log, _forget)
        time.sleep(rng.uniform(0, 1.1 * seconds))
        late, status = os.waitpid(child, os.WNOHANG)
        if late:
            tally.seen["signals after the end"] += 1
        else:
            os.kill(child, number)
            status = _wait(child)
        said = log.read_text().strip()
        code = os.waitstatus_to_exitcode(status)
        tally.seen[f"exit code {code}"] += 1
        whole = code == 0 and not said
        stopped = code == 128 + number and said == f"convc: {word}; no file is half-written"
        early = code == -number and not said  # before convc has begun
        tally.require(whole or stopped or early, f"exit code {code}: {said[-400:]}")
        left = left_overs(folder)
        tally.require(not left, f"left behind: {[file.name for file in left]}")
        if code == 0:
            tally.require(target.exists(), "nothing was written")
        data = list(folder.glob("*.data"))
        tally.require(len(data) <= target.exists(), "data without a model")
        for file in folder.iterdir():
            file.unlink()
    stopped = tally.seen[f"exit code {128 + number}"]
    # By the clock, Ctrl-C ends the search for the best, and what was found so far is written.
    ended = number is signal.SIGINT and way == "by the clock"
    # Else all came too early or too late, and nothing was tested.
    some = ended or rounds < ENOUGH or 5 * stopped >= rounds
    tally.require(some, f"only {stopped} were told to end")
    return tally


def _forget() -> None:
    """Lets nothing be remembered: it would shorten the next run."""
    os.environ[CACHE_VARIABLE] = os.devnull


def _wait(child: int) -> int:
    """The status of a process that ends soon; one that does not is killed."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]
