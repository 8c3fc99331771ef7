"""The command line on bad input: one line on stderr, exit code 2, nothing written or lost."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import convc
from convc.cli import main
from tests.cli_helpers import COUNTED, Capture, call, refused
from tests.conftest import ROOT
from tests.test_api import chain, wrong_pass  # noqa: F401  # a fixture
from tests.tiny import IMAGE, kernel, model, node, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "net.onnx", chain())


def external(location: str) -> bytes:
    proto = onnx.ModelProto.FromString(
        model([node("Mul", "x w", "y")], {"w": kernel(1, 1, 4, 1, 1)})
    )
    (tensor,) = proto.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return proto.SerializeToString()


def cyclic() -> bytes:
    return model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Neg", "b", "y")])


def opset(version: int) -> bytes:
    proto = onnx.ModelProto.FromString(chain())
    proto.opset_import[0].version = version
    return proto.SerializeToString()


BAD_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "truncated": (lambda: chain()[:-200], "not an ONNX model, or a truncated one"),
    "truncated early": (lambda: chain()[:40], "not an ONNX model"),
    "random": (lambda: random.Random(1).randbytes(5000), "not an ONNX model"),
    "text": (lambda: b"hello world, this is no model\n" * 20, "not an ONNX model"),
    "zeros": (lambda: bytes(500), "not an ONNX model"),
    "json": (lambda: b'{"graph": []}', "not an ONNX model"),
    "Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "PyTorch": (lambda: b"PK\x03\x04" + bytes(40), "export the network with torch.onnx"),
    "Keras": (lambda: b"\x89HDF\r\n" + bytes(40), "tf2onnx"),
    "TensorFlow Lite": (lambda: b"\x1c\0\0\0TFL3" + bytes(40), "tf2onnx"),
    "onnxruntime's": (lambda: b"\x1c\0\0\0ORTM" + bytes(40), "give the .onnx"),
    "a web page": (lambda: b"<!DOCTYPE html><html></html>", "the download gave no file"),
    "convc's text": (lambda: b"module {\n}\n", "call it .mlir"),
    "cycle": (cyclic, "cycle"),
    "dangling": (lambda: model([node("Add", "x nobody", "y")]), "nobody"),
    "no maker of the output": (lambda: model([node("Relu", "x", "z")]), "'y'"),
    "made twice": (lambda: model([node("Relu", "x", "y"), node("Neg", "x", "y")]), "'y'"),
    "newest opset": (lambda: opset(999), "opset 999"),
    "oldest opset": (lambda: opset(3), "opset 3"),
    "external data missing": (lambda: external("missing.bin"), "missing"),
    "external data above": (lambda: external("../secret.bin"), "refused"),
    "external data absolute": (lambda: external("/etc/passwd"), "refused"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files(kind: str, tmp_path: Path, capsys: Capture) -> None:
    make, says = BAD_FILES[kind]
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    folder = tmp_path / "in"
    folder.mkdir()
    path = write(folder / "bad.onnx", make())
    out = write(folder / "o.out", b"what was here before")
    before = sorted(folder.iterdir())
    line = refused(capsys, "optimize", path, "-o", out, says=says)
    assert str(path) in line
    refused(capsys, "optimize", path, says=says)
    assert sorted(folder.iterdir()) == before
    assert out.read_bytes() == b"what was here before"
    good = write(tmp_path / "good.onnx", chain())
    refused(capsys, "verify", path, good, says=says)
    refused(capsys, "verify", good, path, says=says)
    assert call("bench", path) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_missing_and_unreadable(tmp_path: Path, capsys: Capture, source: Path) -> None:
    refused(capsys, "optimize", tmp_path / "none.onnx", says="no such file")
    refused(capsys, "verify", source, tmp_path / "none.onnx", says="no such file")
    refused(capsys, "verify", source, tmp_path, says="is a folder")
    (tmp_path / "empty").mkdir()
    refused(capsys, "optimize", tmp_path / "empty", says="holds no .onnx file")
    refused(capsys, "optimize", source / "below.onnx", says="below.onnx")
    near = tmp_path / "nte.onnx"
    for command in (("optimize",), ("verify", source), ("bench", source), ("cost",), ("print",)):
        refused(capsys, *command, near, says=f"no such file: did you mean {source}?")
    np.save(tmp_path / "data.npy", np.zeros(IMAGE, np.float32))
    data = tmp_path / "date.npy"
    refused(capsys, "optimize", source, "--data", data, says=f"{data}: no such file: did you mean")
    text = tmp_path / "net.mlir"
    assert call("print", source, "-o", text) == 0
    refused(capsys, "optimize", tmp_path / "nett.mlir", says=f"did you mean {text}?")


def test_unwritable_output(tmp_path: Path, capsys: Capture, source: Path) -> None:
    other = write(tmp_path / "other.onnx", chain())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "net.onnx").mkdir()
    refused(capsys, "optimize", source, "-o", source / "below.onnx", says="below.onnx")
    refused(capsys, "optimize", source, "-o", tmp_path / "none" / "o.onnx", says="does not exist")
    refused(capsys, "optimize", source, other, "-o", source, says="several models need a folder")
    refused(capsys, "optimize", source, other, "-o", source / "below", says="no folder")
    refused(capsys, "optimize", source, "-o", tmp_path / "out", says="is a folder")
    refused(capsys, "optimize", source, "-o", "/dev/null", says="regular file")
    refused(capsys, "optimize", source, "-o", tmp_path / ("n" * 300), says="nnn")
    refused(capsys, "optimize", source, other, "-o", tmp_path, says="would replace")
    refused(capsys, "optimize", source, source, says="two of the models")
    assert source.read_bytes() == chain()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "other.onnx", "out"]


BAD_OPTIONS = {
    "unknown pass": (["--passes", "fuse-conv"], "did you mean fuse-convs"),
    "unknown option": (["--passes", "fuse-convs{bordr=exact}"], "did you mean border"),
    "bad value": (["--passes", "fuse-convs{border=none}"], "exact"),
    "bad pipeline": (["--passes", "simplify;fuse-convs"], "position"),
    "open brace": (["--passes", "fuse-convs{border=exact"], "missing '}'"),
    "unknown dim": (["--dim", "hight=3"], "all its sizes are fixed: leave it out"),
    "bad dim": (["--dim", "height"], "NAME=SIZE"),
    "zero dim": (["--dim", "height=0"], "NAME=SIZE"),
    "seed": (["--seed", "-1"], "--seed"),
    "tolerance": (["--tolerance", "nan"], "--tolerance"),
    "threads": (["--threads", "0"], "--threads"),
    "provider": (["--provider", "Quantum"], "this onnxruntime has"),
    "max error": (["--max-error", "lots"], "--max-error lots: is safe, balanced, or a number"),
    "no fraction": (["--max-error", "2"], "from 0 to below 1"),
    "metric": (["--metric", "beauty"], "--metric beauty: is none of"),
    "preprocess": (["--preprocess", "size=9x9"], "give --data an image or a folder of images"),
    "unknown flag": (["--frobnicate"], "--frobnicate"),
    "missing data": (["--data", "none.npz"], "no such file"),
}


@pytest.mark.parametrize("kind", BAD_OPTIONS)
def test_bad_options(kind: str, source: Path, capsys: Capture) -> None:
    arguments, says = BAD_OPTIONS[kind]
    refused(capsys, "optimize", source, *arguments, says=says)
    assert [p.name for p in source.parent.iterdir()] == ["net.onnx"]


def test_a_misspelt_dim_is_told_with_those_there_are(capsys: Capture) -> None:
    path = ROOT / "models" / "chain_padded_dynamic.onnx"
    says = "it has batch, height, width: did you mean height?"
    refused(capsys, "optimize", path, "--dim", "hight=8", says=says)


def test_wrong_data(source: Path, tmp_path: Path, capsys: Capture) -> None:
    data = tmp_path / "x.npy"
    for array, says in (
        (np.zeros((1, 3, 12, 10)), "must be 1x4x12x10, given 1x3x12x10"),
        (np.zeros(IMAGE, int), "must be float32"),
        (np.full(IMAGE, np.nan), "NaN"),
    ):
        np.save(data, array)
        refused(capsys, "optimize", source, "--data", data, says=says)
        refused(capsys, "verify", source, source, "--data", data, says=says)
        assert call("bench", source, "--data", data) == 2
        capsys.readouterr()
    assert not source.with_name("net.convc.onnx").exists()


def test_bad_commands(source: Path, capsys: Capture) -> None:
    refused(capsys, "optimise", says="did you mean optimize")
    refused(capsys, "frobnicate", says="there are optimize")
    refused(capsys, "optimize", says="MODEL")
    refused(capsys, "verify", source, says="B")
    refused(capsys, "passes", "fold-affin", says="did you mean fold-affine")
    refused(capsys, "bench", source, "--runs", "0", says="--runs")
    refused(capsys, "bench", source, "--budget", "nan", says="--budget")
    refused(capsys, "bench", source, source.parent / "none.onnx", says="none.onnx: no such file")
    refused(capsys, "--json", "optimize", source, says="--json goes behind the command")
    refused(capsys, "--frobnicate", says="unknown option --frobnicate (see convc --help)")


def test_several_models_need_a_folder(source: Path, capsys: Capture) -> None:
    other = write(source.with_name("other.onnx"), chain())
    one = source.with_name("one.onnx")
    refused(capsys, "optimize", source, other, "-o", one, says="several models need a folder")
    assert not one.exists()


def test_a_folder_is_no_model_whatever_its_name(source: Path, tmp_path: Path) -> None:
    (source.parent / "folder.onnx").mkdir()
    out = tmp_path / "out"
    assert call(*COUNTED, source.parent, "-o", out, "--quiet") == 0
    assert [p.name for p in out.iterdir()] == ["net.onnx"]


def test_bench_of_models_with_other_inputs(source: Path, capsys: Capture) -> None:
    other = ROOT / "models" / "conv_norm_relu.onnx"
    refused(capsys, "bench", source, other, says=f"does not run it on the inputs of {source}")


def test_internal_errors_are_one_line_too(
    source: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import convc.commands.optimize

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(convc.commands.optimize, "optimize", broken)
    assert call("optimize", source) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("convc: internal error, RuntimeError: two lines")
    for name in ("convc", "onnx", "onnxruntime", "numpy"):
        assert re.search(rf"{name} \d+\.\d+", captured.err)
    assert len(captured.err.splitlines()) == 1
    monkeypatch.setenv("CONVC_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main([*COUNTED, str(source)])


def test_an_internal_error_where_a_package_has_another_name(
    source: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime-gpu is imported as onnxruntime, and has no metadata under that name."""
    known = metadata.version

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr("convc.commands.optimize.optimize", broken)
    assert call("optimize", source) == 2
    told = capsys.readouterr().err
    assert told.startswith("convc: internal error, RuntimeError: broken (convc ")
    assert "numpy " in told


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m convc passes | head -n 0"
    found = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in found.stderr
    assert "internal error" not in found.stderr


@pytest.mark.parametrize("flags", [(), ("--external-data",)], ids=["inside", "external"])
def test_killed_while_writing(flags: tuple[str, ...], tmp_path: Path) -> None:
    """The old file or the new one, never half; what is left over are dot-files."""
    w = np.arange(12_000_000, dtype=np.float32).reshape(10, -1)
    source = write(tmp_path / "big.onnx", model([node("MatMul", "x w", "y")], {"w": w}))
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "o.onnx"
    old = chain()
    command = [
        sys.executable, "-m", "convc", *COUNTED, str(source), "-o", str(target), "--quiet",
        "--verify", "off", "--passes", "simplify", *flags,
    ]  # fmt: skip
    start = time.monotonic()
    subprocess.run(command, check=True)
    whole = time.monotonic() - start
    rng = random.Random(len(flags))
    seen = set()
    for trial in range(6):
        for file in folder.iterdir():
            file.unlink()
        target.write_bytes(old)
        process = subprocess.Popen(command)
        # Late in the run, where it writes; from its first temporary file on in half of the cases.
        if trial % 2:
            while process.poll() is None and len(list(folder.iterdir())) < 2:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.05))
        else:
            time.sleep(rng.uniform(0.6, 1.0) * whole)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.read_bytes() == old:
            seen.add("old")
        else:
            graph = convc.load(target)
            arrays = [op.array for op in graph.ops() if op.array is not None]
            np.testing.assert_array_equal(arrays[0], w)
            seen.add("new")
        named = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
        assert all(name == "o.onnx" or name.endswith(".data") for name in named)
    assert "old" in seen


def test_who_reads_the_old_file_keeps_reading_it(source: Path, tmp_path: Path) -> None:
    """The new file takes the old one's place in one step; the old one is never changed."""
    target = write(tmp_path / "o.onnx", b"what was here before")
    target.chmod(0o640)
    with target.open("rb") as reader:
        assert call("optimize", source, "-o", target, "--quiet") == 0
        assert reader.read() == b"what was here before"
    assert len(convc.load(target)) > 0
    assert target.stat().st_mode & 0o777 == 0o640


def test_stale_temporary_files_are_cleaned_up(source: Path) -> None:
    stale, fresh = source.parent / ".convc.old.tmp", source.parent / ".convc.new.tmp"
    other = source.parent / ".somebody.tmp"
    for file in (stale, fresh, other):
        file.write_bytes(b"left over")
    for file in (stale, other):
        os.utime(file, (time.time() - 90_000, time.time() - 90_000))
    assert call("optimize", source, "--quiet") == 0
    assert not stale.exists()
    assert fresh.exists()
    assert other.exists()


@pytest.mark.parametrize("arguments", [("",), ("net.onnx", "-o", "")])
def test_an_empty_name_is_no_folder(
    arguments: tuple[str, ...], source: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    before = sorted(source.parent.iterdir())
    assert call("optimize", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "name is empty" in line
    assert sorted(source.parent.iterdir()) == before
