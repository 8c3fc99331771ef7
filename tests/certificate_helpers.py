"""What the tests of certificates share: a model, what was made of it, and the proof."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from convc.certificate.records import METADATA, digest_of
from tests.cli_helpers import Capture, call
from tests.test_api import chain
from tests.tiny import write

PASSES = ("--passes", "simplify,fold-affine,fuse-convs,simplify")
Document = dict[str, Any]


@pytest.fixture(scope="module", name="made")
def made_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model ``a.onnx``, what was made of it, ``b.onnx``, and the proof."""
    folder = tmp_path_factory.mktemp("proof")
    write(folder / "a.onnx", chain())
    assert call("optimize", folder / "a.onnx", "-o", folder / "b.onnx", "--proof", *PASSES) == 0
    return folder


@pytest.fixture(name="files")
def files_fixture(made: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Copies of the three, to be changed: proof, original, result."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "b.onnx.proof.json", tmp_path / "a.onnx", tmp_path / "b.onnx"


Files = tuple[Path, Path, Path]


def check(files: Files, capsys: Capture, *more: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``convc verify --proof``."""
    capsys.readouterr()
    code = call("verify", "--proof", *files, *more)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def caught(files: Files, capsys: Capture, *says: str) -> None:
    """Exit code 1, and one line that says all of it."""
    code, out, err = check(files, capsys)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1, err
    assert err.startswith("convc: ")
    for text in says:
        assert text in err


def change(files: Files, edit: Callable[[Document], object], *, sign: bool) -> None:
    """Edits the proof; ``sign`` writes the new digest into the result's metadata as well."""
    proof, _, result = files
    document = json.loads(proof.read_text())
    edit(document)
    proof.write_text(json.dumps(document))
    if sign:
        put_metadata(result, digest_of(document))


def put_metadata(path: Path, digest: str) -> None:
    found = onnx.load(path)
    for entry in found.metadata_props:
        if entry.key == METADATA:
            entry.value = digest
    onnx.save(found, path)


def record(document: Document, number: int = 0) -> Document:
    """A record by its number over all passes."""
    every = [entry for part in document["passes"] for entry in part["records"]]
    found: Document = every[number]
    return found
