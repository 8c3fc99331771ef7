"""``convc cache``, in a folder of the test's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convc.tuning import Store
from tests.cli_helpers import Capture, call


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONVC_CACHE", str(tmp_path / "cache"))


def test_nothing_measured_yet(capsys: Capture) -> None:
    assert call("cache") == 0
    assert capsys.readouterr().out == f"{Store().path}: empty\n"
    assert not Store().path.exists()


def test_entries_are_counted_by_kind(capsys: Capture) -> None:
    store = Store()
    store.put(1, "sieve", "a")
    store.put(1, "sieve", "b")
    store.put(1, "whole", "a")
    assert call("cache") == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"{store.path}: {store.path.stat().st_size} bytes"
    assert [line.split()[0] for line in rest] == ["2", "1"]


def test_as_json(capsys: Capture) -> None:
    store = Store()
    store.put(1, "choice", "a")
    assert call("cache", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "path": str(store.path),
        "bytes": store.path.stat().st_size,
        "entries": {"choice": 1},
        "cleared": False,
    }


def test_clearing_forgets_it_all(capsys: Capture) -> None:
    store = Store()
    store.put(1, "choice", "a")
    assert call("cache", "--clear", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cleared"] is True
    assert store.get("choice", "a") is None
    assert call("cache", "--clear") == 0
    assert capsys.readouterr().out == f"{store.path}: empty\n"


def test_a_damaged_file_is_named_and_can_be_cleared(capsys: Capture) -> None:
    path = Store().path
    path.parent.mkdir(parents=True)
    path.write_text("junk")
    assert call("cache") == 0
    assert "damaged" in capsys.readouterr().out
    assert call("cache", "--clear") == 0
    assert not path.exists()
