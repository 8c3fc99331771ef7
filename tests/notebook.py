"""Runs a notebook's cells in one namespace and compares, or stores, what they print.

    python -m tests.notebook [NOTEBOOK...]

stores. A cell tagged ``machine`` is run and not compared. Without nbclient and a kernel: the cells
are plain Python, and a kernel would cost the tests seconds.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from pprint import pformat
from typing import Any

from tests.conftest import ROOT

NOTEBOOKS = ROOT / "docs" / "notebooks"


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(notebook: dict[str, Any], folder: Path) -> Iterator[tuple[dict[str, Any], str, str | None]]:
    """Each cell of code with what it prints and the text of its last expression, if it is one.

    Args:
        notebook: as its file holds it.
        folder: where it runs; gets the repository's ``models``.
    """
    (folder / "models").symlink_to(ROOT / "models")
    names: dict[str, Any] = {"__name__": "__main__"}
    with chdir(folder):
        for cell in code_cells(notebook):
            body = ast.parse("".join(cell["source"])).body
            last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
            printed, value = StringIO(), None
            with redirect_stdout(printed):
                exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
                if isinstance(last, ast.Expr):
                    value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
            yield cell, printed.getvalue(), None if value is None else pformat(value)


def outputs(printed: str, value: str | None, number: int) -> list[dict[str, Any]]:
    """What a notebook stores of a cell's run."""
    stored: list[dict[str, Any]] = []
    if printed:
        text = printed.splitlines(keepends=True)
        stored.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        data = {"text/plain": value.splitlines(keepends=True)}
        result = {"output_type": "execute_result", "metadata": {}, "execution_count": number}
        stored.append({"data": data, **result})
    return stored


def stored(cell: dict[str, Any]) -> tuple[str, str | None]:
    """What a cell's outputs say it prints, and its last expression's text."""
    printed, value = "", None
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            printed += "".join(output["text"])
        else:
            value = "".join(output["data"]["text/plain"])
    return printed, value


def update(path: Path) -> None:
    """Runs a notebook and stores its outputs in it."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        for number, (cell, printed, value) in enumerate(run(notebook, Path(folder)), start=1):
            cell["execution_count"] = number
            cell["outputs"] = outputs(printed, value, number)
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
    print(f"{path}: {len(code_cells(notebook))} cells")


if __name__ == "__main__":
    os.environ.setdefault("CONVC_CACHE", tempfile.mkdtemp())
    for name in map(Path, sys.argv[1:] or sorted(NOTEBOOKS.glob("*.ipynb"))):
        update(name)
