"""Faults on purpose, a few rounds of each; ``python -m tests.faults`` does many."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import convc.files
import convc.model_files
import convc.onnx_io
from tests.faults import disk_full, kills, places, races, signals
from tests.faults.command import start
from tests.faults.network import write_network
from tests.faults.tally import Tally
from tests.faults.versions import look, version

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the tests fork")


def check(tallies: Iterator[Tally]) -> list[Tally]:
    found = list(tallies)
    assert found
    for tally in found:
        assert not tally.findings, str(tally)
    return found


def test_no_room_for_a_file(tmp_path: Path) -> None:
    assert all(tally.rounds for tally in check(disk_full.limited(tmp_path)))


def test_awkward_places(tmp_path: Path) -> None:
    check(places.places(tmp_path))


def test_kills_within_a_write(tmp_path: Path) -> None:
    tallies = check(kills.kills(tmp_path, 8, seed=0))
    assert sum(tally.seen["killed within a write"] for tally in tallies), "no kill hit a write"


def test_several_writers_of_one_output(tmp_path: Path) -> None:
    check(races.races(tmp_path, 8))


def test_ctrl_c_and_sigterm(tmp_path: Path) -> None:
    check(signals.signals(tmp_path, 4, 0, ("macs",)))


# -- the tests find what they are to find --------------------------------------------------------


def in_place(path: Path, *chunks: bytes) -> None:
    """What `write_whole` must not do."""
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)


def test_a_writer_in_place_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (convc.onnx_io, convc.onnx_io.outside, convc.model_files):
        monkeypatch.setattr(module, "write_whole", in_place)
    tallies = [*kills.kills(tmp_path, 12, seed=0)]
    assert any(tally.findings for tally in tallies)
    (tmp_path / "full").mkdir()
    assert any(tally.findings for tally in disk_full.limited(tmp_path / "full"))


def test_a_mixture_of_two_versions_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    graph = version(1, 64)
    old = next(op for op in graph.ops() if op.array is not None).result
    graph.replace_uses(old, version_weight(graph, old.array))
    graph.erase_dead([old.op])
    convc.onnx_io.save(graph, path)
    assert "values [1.0, 2.0]" in look(path, {1, 2})
    convc.onnx_io.save(version(2, 64), path)
    assert not look(path, {1, 2})
    assert "version 2" in look(path, {1})
    path.write_bytes(path.read_bytes()[:-5])
    assert look(path, {1, 2})


def version_weight(graph: convc.Graph, array: object) -> convc.ir.Value:
    return graph.add_constant(array + 1, "other")  # type: ignore[operator]


# -- one decision each ---------------------------------------------------------------------------


def test_what_a_killed_run_left_is_removed_once_nobody_writes(tmp_path: Path) -> None:
    left = tmp_path / f"{convc.files.PREFIX}x{convc.files.SUFFIX}"
    left.write_bytes(b"half")
    young = tmp_path / f"{convc.files.PREFIX}y{convc.files.SUFFIX}"
    young.write_bytes(b"half")
    past = left.stat().st_mtime - 2 * convc.files.STALE_ALONE
    os.utime(left, (past, past))
    with convc.files.being_written(tmp_path):
        convc.files.write_whole(tmp_path / "a", b"")
        assert left.exists(), "somebody else is writing: it may be theirs"
    convc.files.write_whole(tmp_path / "a", b"")
    assert not left.exists()
    assert young.exists()
    past = young.stat().st_mtime - 2 * convc.files.STALE
    os.utime(young, (past, past))
    with convc.files.being_written(tmp_path):
        convc.files.write_whole(tmp_path / "a", b"")
    assert not young.exists(), "too old to be anybody's"


def test_data_is_kept_while_somebody_else_writes(tmp_path: Path) -> None:
    """Their model is not there yet, so that nobody names the data that it will name."""
    theirs = tmp_path / "net.0123456789abcdef.data"
    theirs.write_bytes(b"data")
    with convc.files.being_written(tmp_path):
        convc.onnx_io.save(version(1, 1024), tmp_path / "net.onnx", external_data=True)
        assert theirs.exists()
    convc.onnx_io.save(version(1, 1024), tmp_path / "net.onnx", external_data=True)
    assert not theirs.exists()


def test_only_convcs_own_data_files_are_removed(tmp_path: Path) -> None:
    names = ("net.data", "net.0123.data", "other.0123456789abcdef.data", "net.onnx.data")
    for name in names:
        (tmp_path / name).write_bytes(b"somebody's")
    for _ in range(2):
        convc.onnx_io.save(version(1, 1024), tmp_path / "net.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, "net.onnx"])


def test_an_ignored_sigterm_stays_ignored(tmp_path: Path) -> None:
    """Somebody, nohup for one, may have decided what it does: convc does not take that over."""
    arguments = ["print", write_network(tmp_path / "net.onnx"), "-o", tmp_path / "out.mlir"]
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        child = start(arguments, tmp_path / "log")
    finally:
        signal.signal(signal.SIGTERM, before)
    done = 0
    while not done:
        os.kill(child, signal.SIGTERM)
        done, status = os.waitpid(child, os.WNOHANG)
    assert status == 0


def test_a_file_larger_than_protobuf_is_told_so_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(convc.ConvcError, match="2 GiB, where protobuf ends"):
        convc.load(path)
