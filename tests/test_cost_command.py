"""``convc cost``: what a person sees, what a script gets, and what is refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli_helpers import Capture, call, convc_run, refused
from tests.conftest import ROOT
from tests.test_analysis import network
from tests.tiny import FLOAT, model, node, write

SESR = ROOT / "models" / "sesr_m5_x2.onnx"
DOCS = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "net.onnx", network())


def document(capsys: Capture, *arguments: object) -> dict[str, Any]:
    assert call("cost", *arguments, "--json") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    found = json.loads(captured.out)
    assert isinstance(found, dict)
    return found


def test_the_table_is_the_answer(path: Path, capsys: Capture) -> None:
    assert call("cost", path) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    lines = captured.out.splitlines()
    assert lines[0] == "net.onnx"
    macs = 120 * 9 * (8 * 4 + 8 * 8 + 8 + 5 * 8)
    assert re.search(rf"MACs +{macs / 1e3:.3g} k\b", captured.out)
    assert "alive at once, best order found" in captured.out
    assert len([line for line in lines if line.lstrip().startswith("Conv ")]) == 4
    assert "\x1b" not in captured.out


def test_long_tables_are_cut_with_a_count(path: Path, capsys: Capture) -> None:
    assert call("cost", path, "--top", 2) == 0
    out = capsys.readouterr().out
    assert len([line for line in out.splitlines() if line.lstrip().startswith("Conv ")]) == 2
    assert re.search(r"and 3 more: \d+\.\d% of the MACs \(--top 0: all\)", out)
    assert call("cost", path, "--top", 0) == 0
    assert "more" not in capsys.readouterr().out


def test_the_tables_fit_the_terminal(tmp_path: Path) -> None:
    long = "/".join(["a_scope_that_all_names_share"] * 4)
    nodes = [node("Relu", "x", f"{long}/one"), node("Abs", f"{long}/one", f"{long}/two")]
    data = model(nodes, outputs={f"{long}/two": FLOAT})
    source = write(tmp_path / "long.onnx", data)
    environment = {**os.environ, "COLUMNS": "80", "FORCE_COLOR": "1", "TERM": "xterm"}
    for flags in ([], ["--backward"], ["--batch", "2"], ["--roofline"]):
        done = convc_run("cost", source, *flags, env=environment)
        assert done.returncode == 0, done.stderr
        plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        rows = [line for line in plain.splitlines() if line.startswith((" Relu", " Abs"))]
        assert len(rows) >= 2
        assert all(len(line) <= 80 for line in rows), rows
        assert all("/one " in line or "/two " in line for line in rows)
        assert "\x1b[" in done.stdout


def test_figures_are_not_cut_however_narrow_the_terminal(path: Path) -> None:
    environment = {**os.environ, "COLUMNS": "40", "FORCE_COLOR": "1", "TERM": "xterm"}
    done = convc_run("cost", path, "--batch", "3", env=environment)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    (row,) = (line for line in plain.splitlines() if line.split()[:2] == ["Conv", "dense"])
    assert row.split()[2:] == ["3×8×12×10", "69.1", "k", "207", "k", "×3", "25.3", "k", "×2.54"]


def test_out_of_memory_is_no_internal_error(
    path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object, **__: object) -> None:
        raise MemoryError("unable to allocate 21.8 TiB")

    monkeypatch.setattr("convc.analysis.profile", too_large)
    refused(capsys, "cost", path, "--measure", says="out of memory; smaller sizes need less")


def test_no_colour_where_none_is_wanted(path: Path) -> None:
    environment = {**os.environ, "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm"}
    done = convc_run("cost", path, env=environment)
    assert not re.search(r"\x1b\[(3|4)\d", done.stdout)


def test_backward_shows_a_training_step(path: Path, capsys: Capture) -> None:
    assert call("cost", path, "--backward") == 0
    out = capsys.readouterr().out
    for word in ("input gradient", "kept bytes", "sgd", "momentum", "adam", "best found"):
        assert word in out


def test_what_if_shows_both(path: Path, capsys: Capture) -> None:
    assert call("cost", path, "--scale-channels", 2, "--batch", 3) == 0
    out = capsys.readouterr().out
    assert "what if: batch 3, inner channels ×2" in out
    (dense,) = (line for line in out.splitlines() if line.split()[:2] == ["Conv", "dense"])
    assert "×12" in dense


def test_strips_are_shown_once_for_equal_convs(path: Path, capsys: Capture) -> None:
    assert call("cost", path, "--strips", "--top", 0) == 0
    out = capsys.readouterr().out
    assert out.count("best D") == 4
    assert "registers: D = " in out


def test_measured_times_come_first(path: Path, capsys: Capture) -> None:
    assert call("cost", path, "--measure", "--threads", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "GMAC/s" in lines[1]
    assert lines[2].startswith("  a run takes ")
    assert any(line.startswith((" Conv first +Relu", " Conv r +Relu")) for line in lines)


def test_unknown_is_said(tmp_path: Path, capsys: Capture) -> None:
    nodes = [node("Mystery", "x", "m", domain="com.example"), node("Relu", "m", "y")]
    assert call("cost", write(tmp_path / "m.onnx", model(nodes, domains=["com.example"]))) == 0
    out = capsys.readouterr().out
    assert "not known: com.example.Mystery m: no cost rule for this kind of op" in out
    assert "totals are without what is not known" in out


def test_quiet(path: Path, capsys: Capture) -> None:
    assert call("cost", path, "--quiet") == 0
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


# -- JSON ------------------------------------------------------------------------------------

FROZEN_OP = {"name", "kind", "macs", "multiplications", "additions", "params", "read_bytes",
             "write_bytes"}  # fmt: skip
FROZEN_TOTAL = {"macs", "params", "weight_bytes", "peak_activation_bytes"}


def test_json(path: Path, capsys: Capture) -> None:
    found = document(capsys, path)
    assert found["input"] == str(path)
    assert set(found["total"]) >= FROZEN_TOTAL
    assert all(set(entry) >= FROZEN_OP for entry in found["ops"])
    assert sum(entry["macs"] for entry in found["ops"]) == found["total"]["macs"]
    assert sum(entry["params"] for entry in found["ops"]) == found["total"]["params"]
    assert sum(e["weight_bytes"] for e in found["ops"]) == found["total"]["weight_bytes"]
    assert "backward_macs" not in found["total"]


def test_json_backward(path: Path, capsys: Capture) -> None:
    found = document(capsys, path, "--backward")
    total = found["total"]
    assert total["backward_macs"] == sum(e.get("backward_macs") or 0 for e in found["ops"])
    # The first conv's input is the data: it needs no gradient.
    first = 120 * 9 * 8 * 4
    assert total["backward_macs"] == 2 * total["macs"] - first


def keys(value: object) -> set[str]:
    """All keys of an object, those within included; keys that are data are left out."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*map(keys, value.values()))


DATA = {"sgd", "momentum", "adam", "batch", "height", "width"}


def test_every_key_is_documented(capsys: Capture) -> None:
    flags = ["--backward", "--strips", "--dim", "height=64", "--dim", "width=64"]
    blocks = ["--blocks", "--top", "1"]
    found = [
        document(capsys, SESR, *flags, "--roofline"),
        document(capsys, SESR, *flags[2:], *blocks, "--measure", "--threads", "1"),
    ]
    # Keys of the object stand in the page's tables and lists between backquotes.
    documented = set(re.findall(r"`([a-z_0-9]+)`", DOCS))
    assert set().union(*map(keys, found)) - DATA - documented == set()


# -- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--scale-channels", "-2"], "'-2' is not a factor"),
        (["--scale-channels", "0"], "'0' is not a factor above 0"),
        (["--scale-channels", "nan"], "'nan' is not a factor"),
        (["--scale-channels", "inf"], "'inf' is not a factor"),
        (["--scale-padding", "-1"], "'-1' is not a factor"),
        (["--batch", "0"], "'0' is not a positive number"),
        (["--dim", "depth=3"], "no such open dim"),
        (["--dim", "depth"], "not NAME=SIZE"),
        (["--top", "-1"], "not a number from 0 up"),
        (["--blocks", "--scale-channels", "2"], "--blocks is about the weights as they are"),
        (["--measure", "--batch", "2"], "--measure times the model as it is"),
        (["--measure", "--provider", "Abacus"], "--provider Abacus"),
    ],
)
def test_bad_flags(path: Path, capsys: Capture, flags: list[str], says: str) -> None:
    refused(capsys, "cost", path, *flags, says=says)


def test_bad_files(tmp_path: Path, capsys: Capture) -> None:
    refused(capsys, "cost", tmp_path / "none.onnx", says="no such file")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    refused(capsys, "cost", broken, says="broken.onnx")


def test_the_machine_is_measured_again_when_asked(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "CONVC_CACHE": str(tmp_path / "cache")}
    found = []
    for flags in (["--roofline"], ["--roofline"], ["--remeasure"]):
        done = convc_run("cost", path, *flags, "--threads", "1", "--json", env=environment)
        found.append(json.loads(done.stdout)["machine"])
    assert found[0] == found[1]
    assert found[1] != found[2]
    assert len(list((tmp_path / "cache").iterdir())) == 1
