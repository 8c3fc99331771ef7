"""The disk is full: exit code 2 and one line, the old file as it was, nothing left behind.

In two ways. A limit on the size of files (RLIMIT_FSIZE) needs no rights: writing beyond it fails as
a full disk does, with another error number. And a real disk of a megabyte (a tmpfs in a mount
namespace of its own), where the system allows it: see `tests.faults.small_disk`.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.faults.command import COUNTS, convc
from tests.faults.network import write_network
from tests.faults.tally import Tally
from tests.faults.versions import left_overs

ROOT = Path(__file__).parents[2]
OLD = b"the old file, which is no model"

COMMANDS: Mapping[str, tuple[str, Sequence[str]]] = {
    "model": ("out.onnx", ("optimize", *COUNTS, "MODEL", "-o", "OUT")),
    "model and data": ("out.onnx", ("optimize", *COUNTS, "--external-data", "MODEL", "-o", "OUT")),
    "model and dump": ("out.onnx", ("optimize", *COUNTS, "--dump", "DUMP", "MODEL", "-o", "OUT")),
    "model and proof": ("out.onnx", ("optimize", *COUNTS, "--proof", "MODEL", "-o", "OUT")),
    "mlir": ("out.mlir", ("print", "--weights", "MODEL", "-o", "OUT")),
}
"""By what they write: the output's name, and the command."""

PARTS = (0.0, 0.05, 0.3, 0.7, 0.95, 0.999)
"""Of what is needed: as much room there is."""


def arguments_of(command: Sequence[str], model: Path, target: Path) -> list[str]:
    """The command with its paths put in."""
    paths = {"MODEL": str(model), "OUT": str(target), "DUMP": str(target.parent / "dump")}
    return [paths.get(word, word) for word in command]


def limited(folder: Path) -> Iterator[Tally]:
    """Files may not grow beyond a limit; one test for each command."""
    model = write_network(folder / "net.onnx")
    for kind, (name, command) in COMMANDS.items():
        tally = Tally(f"no room for: {kind}")
        inside = folder / kind.replace(" ", "-")
        inside.mkdir()
        target = inside / name
        arguments = arguments_of(command, model, target)
        done = convc(arguments, folder / "log")
        tally.require(not done.code, f"with room: {done.errors}")
        needed = max(file.stat().st_size for file in inside.iterdir() if file.is_file())
        for part in PARTS:
            tally.rounds += 1
            for file in sorted(inside.rglob("*"), reverse=True):
                file.unlink() if file.is_file() else file.rmdir()
            target.write_bytes(OLD)
            ended = convc(arguments, folder / "log", partial(_limit, int(part * needed)))
            judge(tally, ended.is_told(), target)
        yield tally


def judge(tally: Tally, wrong: str, target: Path) -> None:
    """Notes where a command that had no room did anything but refuse."""
    tally.require(not wrong, wrong)
    tally.require(target.read_bytes() == OLD, "the old file is not what it was")
    left = [file.name for file in left_overs(target.parent)]
    left += [file.name for file in target.parent.glob("*.data")]
    tally.require(not left, f"left behind: {left}")


def _limit(size: int) -> None:
    # What the command says must go through: its log is a file as well.
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(size, 4096), resource.RLIM_INFINITY))


def full(folder: Path) -> Iterator[Tally]:
    """A real disk that is full; where none can be made, a test without rounds that says why."""
    model = write_network(folder / "net.onnx")
    for user in ([], ["--user", "--map-root-user"]):
        command = ["unshare", *user, "--mount", sys.executable, "-m", "tests.faults.small_disk"]
        try:
            done = subprocess.run(
                [*command, str(model)], cwd=ROOT, capture_output=True, text=True, check=False
            )
        except OSError as error:
            yield Tally(f"full disk: not tried ({error.strerror})")
            return
        tallies = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
        if not done.returncode and tallies:
            for name, rounds, *findings in tallies:
                yield Tally(name, int(rounds), findings=findings)
            return
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    yield Tally(f"full disk: not tried ({reason})")
