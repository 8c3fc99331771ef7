"""Model files by their suffix: ``.mlir`` is convc's text, everything else ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from convc import mlir, onnx_io
from convc.errors import InvalidModelError
from convc.files import check_writable, no_such_file, write_whole
from convc.graph import Graph

TEXT = ".mlir"

LARGEST_TEXT = 2**33
"""Bytes of a text: weights of 2 GB as hexadecimal digits, with room."""


def load(
    path: str | Path,
    sizes: Mapping[str, int] | None = None,
    *,
    keep_initializer_inputs: bool = False,
) -> Graph:
    """Reads a model, ONNX or convc's MLIR text.

    Args:
        path: the file; of ONNX, external data is looked for in its folder and mapped, not read.
        sizes: sizes of open dims, by name, at which the model is costed and proved. The dims
            stay open. A dim without a name is called ``input.axis``.
        keep_initializer_inputs: keep weights that are also graph inputs as inputs.

    Raises InvalidModelError where the file is no model convc can read, UsageError where ``sizes``
    names no dim of it.
    """
    path = Path(path)
    if path.suffix != TEXT:
        return onnx_io.load(path, sizes, keep_initializer_inputs=keep_initializer_inputs)
    text = read_text(path)
    try:
        graph = mlir.parse_graph(text)
        onnx_io.check_graph(graph)
    except InvalidModelError as error:
        raise InvalidModelError(f"{path}: {error}") from error
    # The sizes of the dims between follow from those of the inputs: inference has to find them.
    return onnx_io.from_bytes(onnx_io.to_bytes(graph), sizes) if sizes else graph


def save(graph: Graph, path: str | Path, *, external_data: bool = False) -> None:
    """Writes a model, ONNX or (to a ``.mlir`` file) MLIR text with all weights in it.

    Args:
        graph: what to write; verified first.
        path: the file; it appears whole or not at all.
        external_data: of ONNX, put the weights into a file beside it; always done above 2 GB.

    Raises InvalidGraphError where the graph breaks an invariant, UsageError where the file cannot
    be written; what was there before is then still there.
    """
    path = Path(path)
    if path.suffix != TEXT:
        onnx_io.save(graph, path, external_data=external_data)
        return
    check_writable(path)
    graph.verify()
    write_whole(path, mlir.print_graph(graph, weights=True).encode())


def runnable(path: str | Path) -> bytes | str | Path:
    """What onnxruntime loads for a model file: the file itself, or an .mlir as ONNX.

    Raises InvalidModelError where there is no file.
    """
    if not Path(path).exists():
        raise InvalidModelError(f"{path}: {no_such_file(Path(path))}")
    return onnx_io.to_bytes(load(path)) if Path(path).suffix == TEXT else path


def read_text(path: Path) -> str:
    """The text of a file; raises InvalidModelError where it has none."""
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise InvalidModelError(f"{path}: is {what}, not a text")
        if path.exists() and path.stat().st_size > LARGEST_TEXT:
            raise InvalidModelError(f"{path}: too large for a text: use ONNX, with external data")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InvalidModelError(f"{path}: {no_such_file(path)}") from error
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{path}: is no text") from error
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot read it: {error.strerror or error}") from error
