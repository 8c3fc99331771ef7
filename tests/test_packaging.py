"""What is in the wheel and in the sdist, built without network; `tests.packaging` installs them."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

import convc
from convc.text import one_line
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHIPPED = ("convc", "passes")


def files(*folders: str) -> set[str]:
    """The files below some folders of the working tree, what is made by running left out."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    assert path.name == f"convc-{convc.__version__}-py3-none-any.whl"
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    info = f"convc-{convc.__version__}.dist-info/"
    names = {name for name in wheel.namelist() if not name.startswith(info)}
    assert names == files(*SHIPPED)
    assert {"convc/py.typed", "passes/py.typed"} <= names


def test_the_metadata_is_that_of_the_project(wheel: zipfile.ZipFile) -> None:
    info = f"convc-{convc.__version__}.dist-info"
    metadata = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert metadata["Version"] == convc.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    needed = metadata.get_all("Requires-Dist", [])
    assert {re.split(r"[<>=]", need)[0] for need in needed if "extra ==" not in need} == {
        re.split(r"[<>=]", need)[0] for need in PROJECT["dependencies"]
    }
    points = ConfigParser()
    points.read_string(wheel.read(f"{info}/entry_points.txt").decode())
    assert dict(points["console_scripts"]) == {"convc": "convc.cli:main"}
    assert dict(points["convc.passes"]) == PROJECT["entry-points"]["convc.passes"]


def test_the_wheel_runs_from_where_it_lies(built: Path, tmp_path: Path) -> None:
    """Nothing of it comes from the working tree, and its passes are found."""
    (path,) = built.glob("*.whl")
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import passes; "
        "from convc.cli import main, __file__ as file; code = main(sys.argv[1:]); "
        "sys.exit(code or not ('.whl' in file and '.whl' in passes.__file__))"
    )
    model = ROOT / "models" / "conv_norm_relu.onnx"
    out = tmp_path / "out.onnx"
    arguments = ["optimize", str(model), "-o", str(out), "--objective", "macs", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(path), *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(convc.load(out)) < len(convc.load(model))


def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files(*SHIPPED, "tests", "models", "docs") <= names
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"} <= names
    roots = {name.partition("/")[0] for name in names if name}
    files_beside = {path.name for path in ROOT.iterdir() if path.is_file()} | {"PKG-INFO"}
    assert roots - files_beside == {*SHIPPED, "tests", "models", "docs"}
    assert not any(name.endswith((".pyc", ".log")) for name in names)


def test_one_version_everywhere() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", convc.__version__)
    assert PROJECT["dynamic"] == ["version"]
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [heading.partition(" ")[0].strip("[]") for heading in headings[1:]]
    assert headings[0] == "Unreleased" or headings[0].startswith(convc.__version__)
    assert not released or released[0] == convc.__version__


def test_the_module_and_the_command_are_the_same(tmp_path: Path) -> None:
    """``python -m convc`` from any folder, and the exit code that the command gives."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words, code, said in (
        (["--version"], 0, f"convc {convc.__version__}\n"),
        (["optimise"], 2, "did you mean optimize?"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "convc", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code
        assert said in done.stdout + done.stderr
        assert one_line(done.stderr) == done.stderr.strip()
