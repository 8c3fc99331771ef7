"""The command line: every command, its output and its exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

import convc
from convc.api import DEFAULT_PIPELINE, TUNED_PIPELINE
from convc.runtime import Settings
from tests.cli_helpers import Capture, call, convc_run
from tests.conftest import ROOT
from tests.test_api import chain, wrong_pass  # noqa: F401  # a fixture
from tests.tiny import FLOAT, STRING, kernel, model, node, write

MODELS = ROOT / "models"

SIDE = {"ops", "convs", "macs", "params", "weight_bytes", "peak_activation_bytes", "latency_ms"}
VERIFY = {"verdict", "max_abs", "max_rel", "original_error", "error", "bit_identical", "sizes"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "net.onnx", chain())


def test_optimize_writes_beside_the_model(source: Path, capsys: Capture) -> None:
    assert call("optimize", source) == 0
    target = source.with_name("net.convc.onnx")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"written     {target}" in captured.err
    assert "verdict     equal: error" in captured.err
    assert captured.err.splitlines()[0] == "net.onnx: 2.89× fewer MACs, equal"
    assert len(convc.load(target)) < len(convc.load(source))
    meta = {entry.key: entry.value for entry in onnx.load(target).metadata_props}
    assert meta == {"convc.version": convc.__version__, "convc.passes": DEFAULT_PIPELINE}
    assert sorted(p.name for p in source.parent.iterdir()) == ["net.convc.onnx", "net.onnx"]


def test_json_of_optimize(source: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "out.onnx"
    assert call("optimize", source, "-o", target, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    wanted = {"input", "output", "passes", "before", "after", "speedup", "verify"}
    assert set(document) >= wanted
    assert (document["input"], document["output"]) == (str(source), str(target))
    assert document["speedup"] is None
    for side in ("before", "after"):
        assert set(document[side]) >= SIDE
        assert document[side]["latency_ms"] is None
    assert document["before"]["ops"] == 4
    assert document["after"]["ops"] < 4
    assert document["before"]["macs"] == 120 * 8 * (4 * 9 + 3)
    assert set(document["verify"]) >= VERIFY
    assert document["verify"]["verdict"] == "equal"
    assert document["verify"]["bit_identical"] is False
    for entry in document["passes"]:
        assert {"pass", "seconds", "applied", "declined"} <= set(entry)
        assert isinstance(entry["declined"], dict)
    assert sum(entry["applied"] for entry in document["passes"]) >= 1


def test_declined_reasons_are_counted(capsys: Capture, tmp_path: Path) -> None:
    path = MODELS / "norm_conv_dynamic.onnx"
    assert call("optimize", path, "-o", tmp_path / "o.onnx", "--json", "--quiet") == 0
    captured = capsys.readouterr()
    declined = {
        reason: count
        for entry in json.loads(captured.out)["passes"]
        for reason, count in entry["declined"].items()
    }
    assert declined
    assert all(reason and count >= 1 for reason, count in declined.items())
    assert captured.err == ""
    assert call("optimize", path, "-o", tmp_path / "o.onnx") == 0
    shown = capsys.readouterr().err
    assert "left alone" in shown
    assert next(iter(declined)) in shown


def test_dry_run_quiet_and_timing(source: Path, capsys: Capture) -> None:
    assert call("optimize", source, "--dry-run") == 0
    assert "written     no: --dry-run" in capsys.readouterr().err
    assert call("optimize", source, "--dry-run", "--json", "--quiet") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["output"] is None
    assert captured.err == ""
    assert call("optimize", source, "--dry-run", "--quiet", "--timing") == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "seconds" in captured.err
    assert "fold-affine" in captured.err
    assert [p.name for p in source.parent.iterdir()] == ["net.onnx"]


def test_chosen_passes_and_verify_levels(source: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "o.onnx"
    text = "fold-affine,fuse-convs{border=decline}"
    assert call("optimize", source, "-o", out, "--passes", text, "--verify", "each", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["pass"] for entry in document["passes"]] == text.split(",")
    assert all(e["residual"] < 1e-9 for e in document["passes"] if e["applied"])
    assert call("optimize", source, "-o", out, "--verify", "off", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verify"] is None
    assert call("optimize", source, "-o", out, "--passes", "", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passes"] == []
    assert document["verify"]["verdict"] == "identical"
    assert document["verify"]["bit_identical"] is True


def test_several_models_and_folders(tmp_path: Path, capsys: Capture) -> None:
    folder, out = tmp_path / "in", tmp_path / "deep" / "out"
    folder.mkdir()
    for name in ("a", "b"):
        write(folder / f"{name}.onnx", chain())
    write(folder / "c.convc.onnx", b"a result of an earlier run")
    assert call("optimize", folder, "-o", out, "--json", "--quiet") == 0
    document = json.loads(capsys.readouterr().out)
    assert [Path(entry["output"]).name for entry in document["models"]] == ["a.onnx", "b.onnx"]
    assert sorted(p.name for p in out.iterdir()) == ["a.onnx", "b.onnx"]
    assert call("optimize", folder / "a.onnx", folder / "b.onnx", "-o", out, "--quiet") == 0
    assert call("optimize", folder, "--quiet") == 0
    assert (folder / "a.convc.onnx").exists()
    # One model into a folder that is there.
    assert call("optimize", folder / "a.onnx", "-o", tmp_path / "deep", "--quiet") == 0
    assert (tmp_path / "deep" / "a.onnx").exists()


def test_one_bad_model_among_several(tmp_path: Path, capsys: Capture) -> None:
    good, bad = write(tmp_path / "a.onnx", chain()), write(tmp_path / "b.onnx", b"nonsense")
    out = tmp_path / "out"
    assert call("optimize", bad, good, "-o", out, "--json", "--quiet") == 2
    captured = capsys.readouterr()
    assert [set(e) == {"input", "error"} for e in json.loads(captured.out)["models"]] == [
        True,
        False,
    ]
    assert len(captured.err.splitlines()) == 1
    assert [p.name for p in out.iterdir()] == ["a.onnx"]


def test_two_runs_write_the_same_bytes(source: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / f"{i}.onnx" for i in range(3)]
    for out, seed in zip(outputs, (0, 0, 5), strict=True):
        assert convc_run("optimize", source, "-o", out, "--seed", seed, "--quiet").returncode == 0
    assert len({out.read_bytes() for out in outputs}) == 1


def test_external_data(tmp_path: Path) -> None:
    big = write(
        tmp_path / "big.onnx", model([node("MatMul", "x w", "y")], {"w": kernel(1, 10, 300)})
    )
    out = tmp_path / "out.onnx"
    assert call("optimize", big, "-o", out, "--external-data", "--quiet") == 0
    assert out.stat().st_size < 2000
    assert len(list(tmp_path.glob("out.*.data"))) == 1
    assert call("verify", big, out, "--quiet") == 0
    # And read from there again, over itself.
    assert call("optimize", out, "-o", out, "--external-data", "--quiet") == 0
    assert call("verify", big, out, "--quiet") == 0


def test_data_and_dim(tmp_path: Path, capsys: Capture) -> None:
    path, out = MODELS / "chain_padded_dynamic.onnx", tmp_path / "o.onnx"
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((2, 8, 9, 11)))
    assert call("optimize", path, "-o", out, "--json", "--data", tmp_path / "x.npy") == 0
    found = json.loads(capsys.readouterr().out)["verify"]
    assert found["cases"][0] == "x.npy"
    assert {"batch": 2, "height": 9, "width": 11} in found["sizes"]
    dims = ("--dim", "height=12", "--dim", "width=14")
    assert call("optimize", path, "-o", out, "--json", *dims) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verify"]["sizes"][0] == {"batch": 1, "height": 12, "width": 14}
    assert document["before"]["macs"] == 12 * 14 * 9 * (8 * 12 + 12 * 6)


def test_verify_and_its_exit_codes(source: Path, tmp_path: Path, capsys: Capture) -> None:
    assert call("verify", source, source, "--json") == 0
    document = json.loads(capsys.readouterr().out)["verify"]
    assert set(document) >= VERIFY
    assert document["verdict"] == "identical"
    pair = MODELS / "pointwise_conv.onnx", MODELS / "pointwise_matmul.onnx"
    assert call("verify", *pair, "--json") == 0
    document = json.loads(capsys.readouterr().out)["verify"]
    assert (document["verdict"], document["bit_identical"]) == ("equal", False)
    assert call("verify", *pair) == 0
    assert capsys.readouterr().out.startswith("equal, not bit-identical: largest difference")
    wrong = write(tmp_path / "wrong.onnx", model([node("Relu", "x", "y")]))
    assert call("verify", source, wrong) == 1
    assert capsys.readouterr().out.startswith("different")
    assert call("verify", source, wrong, "--json", "--quiet") == 1
    assert json.loads(capsys.readouterr().out)["verify"]["verdict"] == "different"
    assert call("verify", source, wrong, "--quiet") == 1
    assert capsys.readouterr().out == ""


CUSTOM = model([node("Mystery", "x", "y", domain="nowhere")], domains=["nowhere"])
WORDS = model([node("Identity", "x", "y")], inputs={"x": (STRING, (3,))}, outputs={"y": STRING})


@pytest.mark.parametrize("data", [CUSTOM, WORDS], ids=["custom op", "strings"])
def test_what_cannot_be_run_is_unverified(data: bytes, tmp_path: Path, capsys: Capture) -> None:
    path, out = write(tmp_path / "m.onnx", data), tmp_path / "o.onnx"
    assert call("verify", path, path) == 2
    assert capsys.readouterr().out.startswith("unverified")
    assert call("optimize", path, "-o", out) == 0
    assert "unverified" in capsys.readouterr().err
    assert out.exists()
    # Even the quiet are told.
    assert call("optimize", path, "-o", out, "--quiet") == 0
    assert "unverified" in capsys.readouterr().err
    assert call("optimize", path, "-o", out, "--quiet", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verify"]["verdict"] == "unverified"


@pytest.mark.usefixtures("wrong_pass")
@pytest.mark.parametrize("level", ["model", "each"])
def test_a_wrong_pass_is_not_written(
    level: str, source: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = write(tmp_path / "o.onnx", b"what was here before")
    passes = "simplify,fold-affine,flip,fuse-convs"
    arguments = ("optimize", source, "-o", out, "--passes", passes, "--verify", level)
    assert call(*arguments, "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert "flip" in captured.err
    assert out.read_bytes() == b"what was here before"
    assert call(*arguments, "--json") == 1
    captured = capsys.readouterr()
    if level == "model":
        document = json.loads(captured.out)
        assert (document["verify"]["verdict"], document["culprit"]) == ("different", "flip")
        assert document["output"] is None
        assert "not written; at fault: flip" in captured.err
        assert "  written" not in captured.err
        assert "different: not written" in captured.err.splitlines()[0]
    both = write(tmp_path / "also.onnx", chain())
    folder = tmp_path / "folder"
    assert call("optimize", source, both, "-o", folder, "--passes", passes, "--verify", level) == 1
    assert {p.name for p in folder.iterdir()} == {"net.reproducer.mlir", "also.reproducer.mlir"}


def test_bench(source: Path, capsys: Capture) -> None:
    arguments = ("bench", source, source, "--runs", 6, "--threads", 1)
    assert call(*arguments, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    names = [entry["model"] for entry in document["models"]]
    assert names == [str(source)] * 2 + [f"{source} with set_denormal_as_zero"]
    assert (document["rounds"], document["threads"]) == (6, 1)
    for entry in document["models"]:
        assert entry["low"] <= entry["ratio"] <= entry["high"]
        assert entry["latency_ms"] > 0
    assert document["models"][0]["ratio"] == 1.0
    assert call(*arguments) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "faster than the first" in captured.err


def test_passes(capsys: Capture) -> None:
    assert call("passes") == 0
    listed = capsys.readouterr().out
    for name in ("simplify", "flush-subnormals", "fold-affine", "fuse-convs", "default"):
        assert any(line.split()[0] == name for line in listed.splitlines())
    assert call("passes", "default") == 0
    assert capsys.readouterr().out.strip() == TUNED_PIPELINE
    assert call("passes", "fuse-convs") == 0
    assert "border=exact" in capsys.readouterr().out


def test_version_help_and_module(capsys: Capture) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out.strip() == f"convc {convc.__version__}"
    assert call() == 0
    assert "optimize" in capsys.readouterr().out
    assert call("optimize", "--help") == 0
    assert "--passes" in capsys.readouterr().out
    found = convc_run("--version")
    assert (found.returncode, found.stdout.strip()) == (0, f"convc {convc.__version__}")


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_piped_output_is_plain(source: Path, variables: dict[str, str]) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR")}
    found = convc_run("optimize", source, "--timing", env={**environment, **variables})
    assert found.returncode == 0
    assert found.stdout == ""
    assert "\x1b" not in found.stderr
    assert "  written     " in found.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("optimize", "net.onnx", "--timing"),
        ("cost", "net.onnx", "--backward"),
        ("passes", "fuse-convs"),
    ],
)
def test_a_terminal_without_unicode_gets_letters(arguments: tuple[str, ...], source: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["PYTHONIOENCODING"] = "ascii"
    found = convc_run(*arguments, env=environment, cwd=source.parent)
    assert found.returncode == 0, found.stderr
    assert (found.stdout + found.stderr).isascii()
    assert "\\u" not in found.stdout + found.stderr


def test_a_model_is_printed_as_it_is_whatever_the_terminal(tmp_path: Path) -> None:
    made = model([node("Relu", "x", "größe→×")], outputs={"größe→×": FLOAT})
    path = write(tmp_path / "net.onnx", made)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    found = convc_run("print", path, env=environment, encoding="utf-8")
    assert call("print", path, "-o", tmp_path / "net.mlir") == 0
    assert found.stdout == (tmp_path / "net.mlir").read_text(encoding="utf-8")
    assert "größe→×" in found.stdout


def test_several_models_end_with_a_table_of_all(
    source: Path, tmp_path: Path, capsys: Capture
) -> None:
    write(tmp_path / "bad.onnx", b"nonsense")
    assert call("optimize", tmp_path, "-o", tmp_path / "out") == 2
    shown = capsys.readouterr().err
    closing = shown[shown.index("all models") :]
    rows = [line.split() for line in closing.splitlines() if line.strip()]
    assert ["net.onnx", "2.89×", "less", "equal"] in rows
    assert ["bad.onnx", "–", "failed"] in rows
    assert rows[-1] == ["geometric", "mean", "2.89×", "less"]
    assert call("optimize", source) == 0
    assert "all models" not in capsys.readouterr().err


def test_long_paths_and_brackets_are_shown_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / ("long " * 20) / "[bold]"
    folder.mkdir(parents=True)
    path = write(folder / "net[red].onnx", chain())
    found = convc_run("optimize", path)
    assert found.returncode == 0
    assert f"  written     {folder}/net[red].convc.onnx\n" in found.stderr
    assert found.stderr.startswith("net[red].onnx: ")


def test_a_name_that_ends_in_a_slash_is_a_folder(source: Path, tmp_path: Path) -> None:
    assert call("optimize", source, "-o", f"{tmp_path}/made/", "--quiet") == 0
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["net.onnx"]


def test_threads_and_provider_reach_the_sessions(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import convc.check

    seen: list[Settings] = []
    made = convc.check.Session

    def session(model: object, settings: Settings) -> object:
        seen.append(settings)
        return made(model, settings)

    monkeypatch.setattr(convc.check, "Session", session)
    flags = ("--threads", "1", "--provider", "cpu", "--dry-run", "--quiet")
    assert call("optimize", source, *flags) == 0
    assert {(s.threads, s.provider, s.optimised) for s in seen} == {
        (1, "cpu", False),
        (1, "cpu", True),  # as it is deployed
    }
