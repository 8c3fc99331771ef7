"""The folder of what was measured is read-only, full, damaged or shared: convc works as ever."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

from convc.errors import ConvcError
from convc.machine import CACHE_VARIABLE
from convc.model_files import load
from convc.tuning.store import FILE, Store
from tests.faults.command import Ended, convc, start
from tests.faults.network import write_network
from tests.faults.places import without_privileges
from tests.faults.tally import Tally

CLOCK = ("--objective", "latency", "--verify", "off", "--budget", "0.5", "--threads", "1")
GARBAGE = (
    b"", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(4096), os.urandom(8192),
    b"SQLite format 3\0" + os.urandom(8192),
)  # fmt: skip
PROCESSES = 3


def caches(folder: Path, rounds: int) -> Iterator[Tally]:
    """One test for each fault."""
    model = write_network(folder / "net.onnx")
    for fault in (_read_only, _full, _garbage, _a_folder, _no_folder, _shared):
        inside = folder / fault.__name__
        inside.mkdir()
        tally = Tally(f"cache: {fault.__name__.strip('_').replace('_', ' ')}")
        before = os.environ.get(CACHE_VARIABLE)
        os.environ[CACHE_VARIABLE] = str(inside / "cache")
        (inside / "cache").mkdir()
        try:
            fault(tally, inside, model, rounds)
        finally:
            os.environ.pop(CACHE_VARIABLE)
            if before is not None:
                os.environ[CACHE_VARIABLE] = before
        yield tally


def _optimize(
    tally: Tally, folder: Path, model: Path, setup: Callable[[], object] = lambda: None
) -> None:
    """``convc optimize`` by the clock; it has to go well."""
    tally.rounds += 1
    target = folder / "out.onnx"
    target.unlink(missing_ok=True)
    _judge(tally, convc(_arguments(model, target), folder / "log", setup), target)


def _arguments(model: Path, target: Path) -> list[object]:
    return ["optimize", *CLOCK, "--quiet", model, "-o", target]


def _judge(tally: Tally, ended: Ended, target: Path) -> None:
    tally.require(ended.code == 0 and not ended.errors, f"exit code {ended.code}: {ended.errors}")
    try:
        load(target)
    except ConvcError as error:
        tally.require(False, str(error))


def _read_only(tally: Tally, folder: Path, model: Path, _rounds: int) -> None:
    (folder / "cache").chmod(0o555)
    _optimize(tally, folder, model, without_privileges)
    (folder / "cache").chmod(0o755)
    Store().put(1, "kind", "key")
    (folder / "cache" / FILE).chmod(0o444)
    _optimize(tally, folder, model, without_privileges)


def _full(tally: Tally, folder: Path, model: Path, _rounds: int) -> None:
    """The store has to grow beyond what a file may have; the model fits."""
    store = Store()
    for number in range(64):
        store.put("x" * 16384, "kind", str(number))
    size = store.path.stat().st_size
    limit = max(size, 2 * model.stat().st_size)
    while store.path.stat().st_size < limit:
        store.put("x" * 16384, "kind", str(store.path.stat().st_size))
    limit = store.path.stat().st_size
    _optimize(
        tally, folder, model,
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )  # fmt: skip


def _garbage(tally: Tally, folder: Path, model: Path, _rounds: int) -> None:
    for garbage in GARBAGE:
        for name in (FILE, f"{FILE}-journal"):
            (folder / "cache" / name).write_bytes(garbage)
        _optimize(tally, folder, model)


def _a_folder(tally: Tally, folder: Path, model: Path, _rounds: int) -> None:
    """Where the store should be there is a folder."""
    (folder / "cache" / FILE).mkdir()
    _optimize(tally, folder, model)


def _no_folder(tally: Tally, folder: Path, model: Path, _rounds: int) -> None:
    """Where the folder should be there is a file."""
    (folder / "cache").rmdir()
    (folder / "cache").write_bytes(b"")
    _optimize(tally, folder, model)


def _shared(tally: Tally, folder: Path, model: Path, rounds: int) -> None:
    """Several processes measure and remember at once."""
    for _ in range(rounds):
        tally.rounds += 1
        (folder / "cache" / FILE).unlink(missing_ok=True)
        children = {}
        for number in range(PROCESSES):
            target, log = folder / f"{number}.onnx", folder / f"log{number}"
            children[start(_arguments(model, target), log)] = target, log
        for child, (target, log) in children.items():
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            _judge(tally, Ended(code, log.read_text().strip()), target)
        tally.require(bool(Store().counts()), "nothing was remembered")
