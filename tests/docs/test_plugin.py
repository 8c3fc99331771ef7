"""docs/plugins.md: its package is installed as a user would, its pass found, used and tested."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType
from convc.model_files import save
from convc.pipeline import pass_names
from tests.cli_helpers import Capture, call
from tests.conftest import ROOT

PACKAGE = Path(__file__).with_name("plugin_package")
PAGE = ROOT / "docs" / "plugins.md"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package's wheel is installed in."""
    reason = "hatchling builds the package: pip install hatchling"
    backend = pytest.importorskip("hatchling.build", reason=reason)
    source = tmp_path_factory.mktemp("plugin") / "package"
    shutil.copytree(PACKAGE, source)
    wheels, folder = source.with_name("wheels"), source.with_name("site")
    wheels.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source)
        name = backend.build_wheel(str(wheels))
    with ZipFile(wheels / name) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("split_pools", None)


@pytest.fixture
def pools(tmp_path: Path) -> Path:
    """Two max pools, one of which is too small."""
    import numpy as np

    graph = Graph()
    x = graph.add_input("x", TensorType(np.dtype(np.float32), (1, 4, 20, 20)))
    build = Builder(graph)
    large = build.op("MaxPool", (x,), {"kernel_shape": (5, 5), "pads": (2, 2, 2, 2)})
    small = build.op("MaxPool", (large,), {"kernel_shape": (2, 2), "strides": (2, 2)})
    graph.set_outputs([small], ["y"])
    save(graph, tmp_path / "pools.onnx")
    return tmp_path / "pools.onnx"


@pytest.mark.usefixtures("installed")
def test_it_is_listed_and_described(capsys: Capture) -> None:
    assert call("passes") == 0
    listed = capsys.readouterr().out
    line = r"^split-max-pools +Max pools over rectangles become two over lines"
    assert re.search(line, listed, re.MULTILINE)
    assert call("passes", "split-max-pools") == 0
    described = capsys.readouterr().out
    assert "least=5  (int)" in described
    assert "rows(columns(x))" in described


@pytest.mark.usefixtures("installed")
def test_it_optimizes(pools: Path, capsys: Capture) -> None:
    command = ("optimize", pools, "--passes", "simplify,split-max-pools", "--verify", "each")
    assert call(*command, "--json", "--quiet") == 0
    document = json.loads(capsys.readouterr().out)
    ran = document["passes"][1]
    assert (ran["pass"], ran["applied"]) == ("split-max-pools", 1)
    assert ran["declined"] == {"the pool has fewer than 5 taps on an axis": 1}
    assert ran["residual"] == 0
    assert document["verify"]["verdict"] in ("identical", "equal")


@pytest.mark.usefixtures("installed")
def test_its_options_are_converted_and_checked(pools: Path, capsys: Capture) -> None:
    for text, code in (("least=2", 0), ("least=0", 2), ("least=x", 2), ("most=3", 2)):
        arguments = ("optimize", pools, "--passes", f"split-max-pools{{{text}}}", "--dry-run")
        assert call(*arguments, "--verify", "off", "--json", "--quiet") == code, text
    errors = capsys.readouterr().err.splitlines()
    assert "least is a number of taps" in errors[0]
    assert "takes int, not 'x'" in errors[1]
    assert "no option 'most'" in errors[2]


def test_it_is_gone_without_its_package() -> None:
    assert "split-max-pools" not in pass_names()


def test_its_own_tests_pass(site: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
         "--rootdir", str(site.parent), str(site.with_name("package"))],
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "8 passed" in done.stdout


@pytest.mark.parametrize(
    "name", ["pyproject.toml", "split_pools.py", "test_split_pools.py", "pool.mlir"]
)
def test_the_page_shows_its_files(name: str) -> None:
    block = rf'^```\w+ title="{re.escape(name)}"\n(.*?)^```$'
    (shown,) = re.findall(block, PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown == (PACKAGE / name).read_text(encoding="utf-8")
