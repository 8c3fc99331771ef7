"""The file that remembers: shared by processes, and dispensable."""

from __future__ import annotations

import multiprocessing as mp
import os
from pathlib import Path

import pytest

from convc.runtime import Settings
from convc.tuning.store import Store, environment


def test_entries_are_found_by_their_whole_key(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "timings.sqlite")
    assert store.get("sieve", "a", "b") is None
    store.put([1.5, 2], "sieve", "a", "b")
    assert Store(store.path).get("sieve", "a", "b") == [1.5, 2]
    assert store.get("whole", "a", "b") is None
    assert store.get("sieve", "ab", "") is None
    store.put([3], "sieve", "a", "b")
    assert store.get("sieve", "a", "b") == [3]
    store.put(1, "whole", "c")
    assert store.counts() == {"sieve": 1, "whole": 1}


def test_asking_makes_no_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "timings.sqlite")
    assert store.get("sieve", "a") is None
    assert store.counts() == {}
    assert not store.path.exists()


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "timings.sqlite"
    path.write_bytes(b"no database " * 1000)
    store = Store(path)
    assert store.get("sieve", "a") is None
    store.put(1, "sieve", "a")
    assert store.counts() == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    store = Store(tmp_path / "timings.sqlite")
    store.put(1, "sieve", "a")
    assert store.get("sieve", "a") is None


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "timings.sqlite")
    store.put(1, "sieve", "a")
    assert store.get("sieve", "a") is None


def _write(path: Path, name: str) -> None:
    store = Store(path)
    for i in range(20):
        store.put(i, "sieve", name, str(i))


def test_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "timings.sqlite"
    context = mp.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert Store(path).counts() == {"sieve": 40}


def test_threads_and_providers_are_told_apart() -> None:
    assert environment(Settings(threads=1)) != environment(Settings(threads=2))
    assert environment(Settings(threads=1)) == environment(Settings(threads=1))
    assert environment(Settings(provider="CPU")) != environment(Settings(provider="CUDA"))


def test_another_convc_has_other_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment(Settings())
    monkeypatch.setattr("convc.tuning.store.__version__", "99")
    assert environment(Settings()) != before


def test_a_folder_that_may_not_be_looked_into(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_self: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", refuse)
    store = Store(tmp_path / "timings.sqlite")
    assert store.get("sieve", "a") is None
    assert store.counts() == {}
