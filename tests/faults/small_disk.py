"""A disk of a megabyte, filled by degrees: ``unshare --mount python -m tests.faults.small_disk M``.

Mounts a tmpfs over a folder, which only this process and its children see, and runs convc's
commands on the model ``M`` with their output on it. Prints a line for each: name, rounds, and what
was wrong, separated by tabs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults.command import convc
from tests.faults.disk_full import COMMANDS, OLD, PARTS, arguments_of, judge
from tests.faults.tally import Tally

SIZE = 2**20
BLOCK = 4096


def main(model: Path) -> int:
    with tempfile.TemporaryDirectory() as outside:
        disk = Path(outside, "disk")
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(disk)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr.strip() or "mount failed", file=sys.stderr)
            return 1
        try:
            for kind in COMMANDS:
                tally = _fill(kind, model, disk, Path(outside, "log"))
                _tell(tally)
            _tell(_stdout(model, disk))
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=False)
    return 0


def _tell(tally: Tally) -> None:
    findings = (" ".join(finding.split()) for finding in tally.findings)
    print(tally.name, tally.rounds, *findings, sep="\t", flush=True)


def _fill(kind: str, model: Path, disk: Path, log: Path) -> Tally:
    tally = Tally(f"full disk: {kind}")
    name, command = COMMANDS[kind]
    folder = disk / "out"
    target = folder / name
    arguments = arguments_of(command, model, target)
    folder.mkdir()
    done = convc(arguments, log)
    tally.require(not done.code, f"with room: {done.errors}")
    needed = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    largest = max(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    for part in PARTS:
        tally.rounds += 1
        _clear(disk)
        folder.mkdir()
        target.write_bytes(OLD)
        # Not even the largest file must fit.
        room = min(int(part * needed), largest - 2 * BLOCK) // BLOCK * BLOCK
        _leave(disk / "filler", room)
        judge(tally, convc(arguments, log).is_told(), target)
    _clear(disk)
    return tally


def _stdout(model: Path, disk: Path) -> Tally:
    """JSON printed into a file on the full disk."""
    tally = Tally("full disk: JSON on stdout", 1)
    command = [sys.executable, "-m", "convc", "cost", "--json", "--quiet", str(model)]
    target = disk / "out.json"
    target.touch()
    _leave(disk / "filler", 0)
    with target.open("wb") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, check=False)
    lines = done.stderr.splitlines()
    good = done.returncode == 2 and len(lines) == 1 and lines[0].startswith("convc: ")
    tally.require(good, f"exit code {done.returncode}: {done.stderr[-300:]}")
    _clear(disk)
    return tally


def _leave(filler: Path, room: int) -> None:
    """Fills the disk, then gives back so many bytes."""
    size = 0
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                size += file.write(bytes(BLOCK))
        except OSError:
            pass
        file.truncate(max(0, size - room))


def _clear(disk: Path) -> None:
    for file in sorted(disk.rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
