"""Instruments of pipelines, the reproducer, MLIR files on the command line, a plug-in pass."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import convc
from convc import pipeline as pipelines
from convc.build import Builder
from convc.cli import main
from convc.graph import Graph
from convc.instruments import Dump, PrintAfterChange, passes_of
from convc.ir import TensorType
from convc.mlir import parse_graph, print_graph
from convc.onnx_io import to_bytes
from convc.pipeline import Context, Pass, PassError, Pipeline
from convc.rewrite import Stats
from tests.cli_helpers import COUNTED
from tests.conftest import ROOT

MODEL = ROOT / "models" / "conv_norm_relu.onnx"

Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Explode(Pass):
    """Raises."""

    name: ClassVar[str] = "explode"

    def run(self, _graph: Graph, _context: Context | None = None) -> Stats:
        raise RuntimeError("as it was told to")


@pytest.fixture
def explode(monkeypatch: pytest.MonkeyPatch) -> None:
    known = pipelines.find_pass
    monkeypatch.setattr(
        pipelines, "find_pass", lambda name: Explode if name == "explode" else known(name)
    )


def test_dump_has_a_file_for_each_pass_that_changed_something(tmp_path: Path) -> None:
    graph = convc.load(MODEL)
    Pipeline.parse("simplify,fold-affine,fuse-convs,simplify").run(
        graph, instruments=[Dump(tmp_path / "dump")]
    )
    names = sorted(path.name for path in (tmp_path / "dump").iterdir())
    assert names == ["00-input.mlir", "02-fold-affine.mlir"]
    texts = [(tmp_path / "dump" / name).read_text() for name in names]
    assert "onnx.BatchNormalization" in texts[0]
    assert "onnx.BatchNormalization" not in texts[1]


def test_print_after_change_is_a_diff() -> None:
    graph, printed = convc.load(MODEL), list[str]()
    Pipeline.parse("simplify,fold-affine,simplify").run(
        graph, instruments=[PrintAfterChange(printed.append)]
    )
    (text,) = printed
    lines = text.splitlines()
    assert lines[:2] == ["--- before pass 2, fold-affine", "+++ after fold-affine"]
    assert any(line.startswith("-") and "onnx.BatchNormalization" in line for line in lines)
    assert any(line.startswith("+") and "onnx.Conv" in line for line in lines)


def test_the_flags_print_and_dump(tmp_path: Path, capsys: Capture) -> None:
    output, dump = tmp_path / "out.onnx", tmp_path / "dump"
    flags = ["--print-after-change", "--dump", str(dump), "--quiet"]
    assert main([*COUNTED, str(MODEL), "-o", str(output), *flags]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "+++ after fold-affine" in captured.err
    assert [path.name for path in sorted(dump.iterdir())] == [
        "00-input.mlir",
        "02-fold-affine.mlir",
    ]


@pytest.mark.usefixtures("explode")
def test_a_pass_that_raises_leaves_a_reproducer(tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "out.onnx"
    passes = "fold-affine{border=decline},explode,simplify"
    assert main([*COUNTED, str(MODEL), "--passes", passes, "-o", str(output), "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    saved = tmp_path / "out.reproducer.mlir"
    assert line == f"convc: pass explode: RuntimeError: as it was told to; to reproduce: {saved}"
    assert not output.exists()

    # It holds the graph as it was before that pass, weights included, and what was to come.
    assert passes_of(saved.read_text()) == "explode,simplify"
    before = convc.load(MODEL)
    Pipeline.parse("fold-affine{border=decline}").run(before)
    assert to_bytes(convc.load(saved)) == to_bytes(before)

    # And it is picked up again.
    assert main([*COUNTED, str(saved), "-o", str(output), "--quiet"]) == 2
    assert "pass explode: RuntimeError" in capsys.readouterr().err
    assert main([*COUNTED, str(saved), "--passes", "simplify", "-o", str(output)]) == 0
    assert convc.verify(MODEL, output).verdict.good


@pytest.mark.usefixtures("explode")
def test_the_api_saves_a_reproducer_only_where_it_is_told_to(tmp_path: Path) -> None:
    with pytest.raises(PassError, match=r"pass explode: RuntimeError: as it was told to$"):
        convc.optimize(MODEL, "explode")
    with pytest.raises(PassError, match=r"to reproduce: .*again\.mlir$"):
        convc.optimize(MODEL, "explode", reproducer=tmp_path / "again.mlir")
    assert [path.name for path in tmp_path.iterdir()] == ["again.mlir"]


@pytest.mark.usefixtures("explode")
def test_a_reproducer_that_cannot_be_saved_does_not_hide_why_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(PassError, match=r"pass explode: RuntimeError: as it was told to$"):
        convc.optimize(MODEL, "explode", reproducer=tmp_path / "file" / "again.mlir")


def test_print_writes_text_that_optimize_and_verify_take(tmp_path: Path, capsys: Capture) -> None:
    text, output = tmp_path / "model.mlir", tmp_path / "out.mlir"
    assert main(["print", str(MODEL)]) == 0
    printed = capsys.readouterr().out
    assert printed == print_graph(convc.load(MODEL))
    assert main(["print", str(MODEL), "--weights", "-o", str(text)]) == 0
    assert to_bytes(parse_graph(text.read_text())) == to_bytes(convc.load(MODEL))
    assert main([*COUNTED, str(text), "-o", str(output), "--quiet"]) == 0
    assert main(["verify", str(MODEL), str(output)]) == 0
    assert capsys.readouterr().out.startswith("equal")


def test_a_text_without_weights_is_refused_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    text = tmp_path / "model.mlir"
    assert main(["print", str(MODEL), "-o", str(text)]) == 0
    assert main([*COUNTED, str(text), "-o", str(tmp_path / "out.onnx")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"convc: {text}: line ")
    text.write_bytes(b"\xff\xfe no text")
    assert main(["verify", str(text), str(MODEL)]) == 2
    assert capsys.readouterr().err == f"convc: {text}: is no text\n"


def test_open_sizes_of_a_text_can_be_chosen(tmp_path: Path) -> None:
    text = tmp_path / "model.mlir"
    convc.save(convc.load(ROOT / "models" / "chain_expand_project_dynamic.onnx"), text)
    graph = convc.load(text, {"height": 48})
    assert graph.concrete_shape(graph.outputs[0])[2] == 48
    result = convc.optimize(text, sizes={"height": 20, "width": 20})
    assert result.comparison.sizes[0]["height"] == 20
    assert result.verdict.good


PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar

from convc import Pass
from convc.rewrite import NoMatch, Replacement, rule


@dataclass(frozen=True)
class DoubleNegation(Pass):
    """Neg of Neg is nothing."""

    name: ClassVar[str] = "double-negation"
    deep: bool = False

    def rules(self):
        return [rule(drop, "Neg")]


def drop(graph, op):
    first = op.operands[0].op
    if first.kind != "Neg":
        raise NoMatch("no Neg before it")
    build = Replacement(graph)
    return build.rewrite({op.result: build.take(first.operands[0])}, note="two Neg dropped")
'''


def test_a_plug_in_is_found_listed_parsed_and_run(tmp_path: Path) -> None:
    """A package beside convc, as pip lays one out; convc knows nothing of it."""
    (tmp_path / "convc_negation.py").write_text(PLUGIN)
    info = tmp_path / "convc_negation-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: convc-negation\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[convc.passes]\ndouble-negation = convc_negation:DoubleNegation\n"
    )
    (tmp_path / "model.mlir").write_text(_double_negation())

    def convc_(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "convc", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    assert "double-negation      Neg of Neg is nothing." in convc_("passes")
    assert "deep=false  (bool)" in convc_("passes", "double-negation")
    passes = "double-negation{deep=true},simplify"
    shown = convc_("optimize", "model.mlir", "--passes", passes, "-o", "out.onnx")
    assert "double-negation: 1 rewrite: two Neg dropped" in shown
    assert [op.kind for op in convc.load(tmp_path / "out.onnx").ops()][1:-1] in ([], ["Identity"])


def _double_negation() -> str:
    graph = Graph()
    x = graph.add_input("x", TensorType(np.dtype(np.float32), (2, 3)))
    build = Builder(graph)
    graph.set_outputs([build.op("Neg", (build.op("Neg", (x,)),))], ["y"])
    return print_graph(graph, weights=True)
