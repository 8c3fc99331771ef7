"""The machine: what is measured makes sense, and what was measured is found again."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from convc import machine as rooms
from convc.machine import CACHE_VARIABLE, Caches, Machine, cache_folder, caches, machine, vectors
from convc.runtime import version

MADE_UP = Machine(
    processor=rooms.processor(),
    threads=1,
    runtime=f"onnxruntime {version()}",
    macs_per_second=3.5e10,
    bandwidths=((1000, 4e10), (2000, 2e10)),
    l1=32768,
    l2=None,
    l3=None,
    lanes=16,
    registers=32,
)


class Meter:
    """Stands in for the measurement; counts how often it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[int] = []
        monkeypatch.setattr(rooms, "_measure", self)

    def __call__(self, threads: int, runtime: str, say: rooms.Progress) -> Machine:
        self.calls.append(threads)
        say("measuring")
        made = {**asdict(MADE_UP), "threads": threads, "runtime": runtime}
        return Machine(**made)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "new" / "cache"
    monkeypatch.setenv(CACHE_VARIABLE, str(place))
    return place


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    return Meter(monkeypatch)


def test_measured_once_for_each_number_of_threads(folder: Path, meter: Meter) -> None:
    said: list[str] = []
    first = machine(1, on_progress=said.append)
    assert first == MADE_UP
    assert said == ["measuring"]
    assert machine(1, on_progress=said.append) == first
    assert len(said) == 1
    assert machine(2).threads == 2
    assert machine(2) == machine(2)
    assert meter.calls == [1, 2]
    assert len(list(folder.iterdir())) == 2
    machine(1, fresh=True)
    assert meter.calls == [1, 2, 1]


@pytest.mark.parametrize("what", ["version", "processor"])
def test_another_runtime_or_processor_is_measured_again(
    folder: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    machine(1)
    monkeypatch.setattr(rooms, what, lambda: "another one")
    machine(1)
    assert meter.calls == [1, 1]
    assert len(list(folder.iterdir())) == 2


def test_a_file_of_another_key_is_not_believed(folder: Path, meter: Meter) -> None:
    machine(1)
    (file,) = folder.iterdir()
    entries = json.loads(file.read_text())
    entries["key"]["processor"] = "another one"
    file.write_text(json.dumps(entries))
    machine(1)
    assert meter.calls == [1, 1]


DAMAGES = {
    "empty": "",
    "cut": '{"key": {"form',
    "list": "[]",
    "nothing": "{}",
    "binary": "\udcff\udcfe",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_measured_again(folder: Path, meter: Meter, damage: str) -> None:
    machine(1)
    (file,) = folder.iterdir()
    file.write_bytes(DAMAGES[damage].encode(errors="surrogateescape"))
    assert machine(1) == MADE_UP
    assert meter.calls == [1, 1]
    assert machine(1) == MADE_UP
    assert meter.calls == [1, 1], "it was not written anew"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("macs_per_second", 0.0),
        ("macs_per_second", float("nan")),
        ("macs_per_second", "fast"),
        ("bandwidths", []),
        ("bandwidths", [[2000, 1.0], [1000, 2.0]]),
        ("bandwidths", [[1000, float("inf")]]),
        ("bandwidths", [[1000]]),
        ("bandwidths", 7),
        ("lanes", 0),
        ("lanes", 1.5),
        ("l2", -1),
        ("threads", None),
        ("processor", 3),
        ("unheard", 3),
    ],
)
def test_values_that_make_no_sense_are_measured_again(
    folder: Path, meter: Meter, name: str, value: object
) -> None:
    machine(1)
    (file,) = folder.iterdir()
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))
    assert machine(1) == MADE_UP
    assert meter.calls == [1, 1]


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file where the folder should be: not even root can write there.
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    assert machine(1) == machine(1) == MADE_UP
    assert meter.calls == [1, 1]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("meter")
def test_a_folder_in_the_files_place_is_no_error(folder: Path) -> None:
    machine(1)
    (file,) = folder.iterdir()
    file.unlink()
    file.mkdir()
    assert machine(1) == MADE_UP
    assert [path.name for path in folder.iterdir()] == [file.name]


def test_the_users_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_folder().name == "convc"
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path


def test_what_is_really_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "SPENT", 0.0)
    monkeypatch.setattr(rooms, "LEAST", 1)
    monkeypatch.setattr(rooms, "WORKING_SETS", (2**17, 2**20, 2**23))
    said: list[str] = []
    found = machine(1, on_progress=said.append)
    assert len(said) == 4
    assert [size for size, _ in found.bandwidths] == [2**17, 2**20, 2**23]
    # Between a pocket calculator and the fastest core there is.
    assert 1e6 < found.macs_per_second < 1e13
    assert all(1e6 < speed < 1e14 for _, speed in found.bandwidths)
    assert (found.l1, found.l2, found.l3) == (caches().l1, caches().l2, caches().l3)
    assert (found.lanes, found.registers) == vectors()
    (file,) = folder.iterdir()
    assert machine(1) == found
    assert json.loads(file.read_text())["threads"] == 1


def test_a_working_set_that_does_not_fit_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(elements: int, _settings: object) -> float:
        if elements > 1000:
            raise MemoryError
        return 1e-9 * elements

    monkeypatch.setattr(rooms, "_dense_kernels", lambda: [(b"", {}, 100)])
    monkeypatch.setattr(rooms, "_best", lambda *_: 2.0)
    monkeypatch.setattr(rooms, "_seconds_per_op", seconds)
    monkeypatch.setattr(rooms, "WORKING_SETS", (80, 800, 80_000))
    found = machine(1)
    assert found.macs_per_second == 50.0
    # 10 and 100 floats read and written, the overhead of one taken off.
    assert [size for size, _ in found.bandwidths] == [80, 800]
    assert [speed for _, speed in found.bandwidths] == pytest.approx([80 / 9e-9, 800 / 99e-9])
    assert list(folder.iterdir())


def test_cache_sizes_as_linux_writes_them(tmp_path: Path) -> None:
    entries = [
        ("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2M"),
        ("3", "Unified", "lots"),
    ]  # fmt: skip
    for i, (level, kind, size) in enumerate(entries):
        index = tmp_path / f"index{i}"
        index.mkdir()
        (index / "level").write_text(f"{level}\n")
        (index / "type").write_text(f"{kind}\n")
        (index / "size").write_text(f"{size}\n")
    (tmp_path / "index9").mkdir()
    assert caches(tmp_path) == Caches(48 * 1024, 2 * 2**20, None)
    assert caches(tmp_path / "absent") == Caches(None, None, None)


@pytest.mark.parametrize(
    ("flags", "name", "wanted"),
    [
        ("sse2 avx2 avx512f", "x86_64", (16, 32)),
        ("sse2 avx2", "AMD64", (8, 16)),
        ("sse2", "x86_64", (4, 16)),
        ("", "aarch64", (4, 32)),
        ("", "arm64", (4, 32)),
    ],
)
def test_vector_registers(
    monkeypatch: pytest.MonkeyPatch, flags: str, name: str, wanted: tuple[int, int]
) -> None:
    monkeypatch.setattr(rooms, "_cpuinfo", lambda: {"flags": flags})
    monkeypatch.setattr(rooms.platform, "machine", lambda: name)
    assert vectors() == wanted


def test_no_runtime_is_loaded_for_the_caches() -> None:
    code = "import sys, convc.machine as m; m.caches(); m.processor(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "onnxruntime" not in done.stdout.split()


def test_two_processes_at_once(folder: Path) -> None:
    code = (
        "import sys, convc.machine as m\n"
        "m.SPENT, m.LEAST, m.WORKING_SETS = 0.0, 1, (2**17, 2**20, 2**23)\n"
        "sys.stdout.write(repr(m.machine(1)))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    texts = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    (file,) = folder.iterdir()
    assert file.suffix == ".json"
    assert repr(machine(1)) in texts
