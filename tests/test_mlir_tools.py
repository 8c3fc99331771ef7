"""MLIR's own tools read the text, and what they print of it is read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.mlir import parse_graph, print_graph
from convc.onnx_io import load
from tests.conftest import real_models, sample_models
from tests.mlir_strategies import assert_same, graphs

MODELS = [*sample_models(), *real_models()]
VERSIONS = range(22, 15, -1)


def find(variable: str, names: Sequence[str]) -> str | None:
    """The tool that the environment names, or the first found beside Python or on the path."""
    beside = str(Path(sys.executable).parent)
    found = [shutil.which(name, path=path) for path in (beside, None) for name in names]
    return os.environ.get(variable) or next((tool for tool in found if tool), None)


MLIR_OPT = find("CONVC_MLIR_OPT", ["mlir-opt", *(f"mlir-opt-{n}" for n in VERSIONS)])
XDSL_OPT = find("CONVC_XDSL_OPT", ["xdsl-opt"])
SPLIT = "\n// -----\n"

needs_mlir = pytest.mark.skipif(
    not MLIR_OPT, reason="no mlir-opt (Debian: mlir-16-tools; or set CONVC_MLIR_OPT)"
)
needs_xdsl = pytest.mark.skipif(
    not XDSL_OPT, reason="no xdsl-opt (pip install xdsl; or set CONVC_XDSL_OPT)"
)


def run(tool: str | None, text: str, *options: str) -> str:
    """What the tool prints of the text, which it has to accept."""
    assert tool is not None
    done = subprocess.run(
        [tool, "--allow-unregistered-dialect", *options],
        input=text.encode(),
        capture_output=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout.decode()


@needs_mlir
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_mlir_opt_reads_models_and_is_read(path: Path) -> None:
    graph = load(path)
    run(MLIR_OPT, print_graph(graph))
    text = print_graph(graph, weights=True)
    generic = run(MLIR_OPT, text, "--mlir-print-op-generic")
    assert '"func.func"() ' in generic
    assert_same(graph, parse_graph(generic), value_names=False)
    assert_same(graph, parse_graph(run(MLIR_OPT, text)), value_names=False)


@needs_mlir
@given(graphs())
@settings(max_examples=100)
def test_mlir_opt_reads_random_graphs_and_is_read(graph) -> None:
    generic = run(MLIR_OPT, print_graph(graph, weights=True), "--mlir-print-op-generic")
    assert_same(graph, parse_graph(generic), value_names=False)


@needs_xdsl
def test_xdsl_opt_reads_models() -> None:
    # One process for all: it takes longer to start than to read.
    texts = [print_graph(load(path)) for path in MODELS]
    printed = run(XDSL_OPT, SPLIT.join(texts), "--split-input-file")
    assert printed.count("func.func @main_graph") == len(MODELS)


@needs_xdsl
def test_xdsl_opt_reads_weights_and_is_read() -> None:
    for path in sample_models():
        if path.stat().st_size < 10_000:
            graph = load(path)
            printed = run(XDSL_OPT, print_graph(graph, weights=True))
            assert_same(graph, parse_graph(printed), value_names=False)


@needs_xdsl
@given(st.lists(graphs(max_ops=4), min_size=10, max_size=10))
@settings(max_examples=8)
def test_xdsl_opt_reads_random_graphs(some) -> None:
    texts = [print_graph(graph, weights=True) for graph in some]
    printed = run(XDSL_OPT, SPLIT.join(texts), "--split-input-file")
    assert printed.count("func.func @main_graph") == len(some)
