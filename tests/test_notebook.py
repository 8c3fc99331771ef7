"""The notebooks run, and print what they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.notebook import NOTEBOOKS, code_cells, outputs, run, stored

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_there_is_one() -> None:
    assert [path.name for path in PATHS] == ["one_model.ipynb"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_its_cells_print_what_it_holds(path: Path, tmp_path: Path) -> None:
    notebook = load(path)
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    compared = 0
    for cell, *told in run(notebook, tmp_path):
        assert any(stored(cell)), "a cell without output: run python -m tests.notebook"
        if "machine" not in cell["metadata"].get("tags", []):
            assert tuple(told) == stored(cell), "".join(cell["source"])
            compared += 1
    assert compared >= len(cells) - 2
    assert (tmp_path / "sesr.onnx").exists()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_is_a_notebook(path: Path) -> None:
    notebook = load(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        code = cell["cell_type"] == "code"
        assert set(cell) == keys | ({"execution_count", "outputs"} if code else set())
    text = path.read_text(encoding="utf-8")
    assert "/tmp" not in text
    assert "Traceback" not in text


def test_outputs_are_stored_as_they_are_read() -> None:
    cell = {"outputs": outputs("one\ntwo\n", "3", 1)}
    assert stored(cell) == ("one\ntwo\n", "3")
    assert stored({"outputs": outputs("", None, 1)}) == ("", None)
