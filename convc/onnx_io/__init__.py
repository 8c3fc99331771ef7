"""The door to ONNX files: `load` and `save`. Only this room and `convc.reference` import onnx."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from convc.errors import ConvcError, InvalidModelError, UsageError
from convc.files import (
    being_written,
    check_writable,
    no_such_file,
    remove_stale,
    write_whole,
)
from convc.graph import Graph
from convc.onnx_io.exporter import CONSTANTS_NEED_IR, LARGE, export_model
from convc.onnx_io.importer import check_soundness, import_model, parse_model
from convc.onnx_io.metadata import functions_only, model_metadata
from convc.onnx_io.outside import move_weights_out, remove_unused
from convc.onnx_io.refresh import refresh_types
from convc.onnx_io.tensors import Files, map_file
from convc.onnx_io.wire import grow, shrink

PROTOBUF_ENDS = 2**31
"""Bytes that no protobuf reaches."""
LARGEST_FILE = PROTOBUF_ENDS - 2**20
"""From there on (2 GiB less a margin) weights go to a file beside the model."""
EXTERNAL_FROM = LARGE
"""Bytes from which a weight is put into the external file."""
MAPPED_FROM = 2**20
"""Bytes from which a file is mapped; below that there is nothing to gain."""

__all__ = [
    "check_graph",
    "from_bytes",
    "functions_only",
    "identity_model",
    "load",
    "model_metadata",
    "refresh_types",
    "save",
    "to_bytes",
    "weight_bytes",
]


def load(
    path: str | Path,
    sizes: Mapping[str, int] | None = None,
    *,
    keep_initializer_inputs: bool = False,
) -> Graph:
    """Reads an ONNX file.

    The weights of a large file are not read but mapped, like external data. So the file may be
    replaced or deleted while the graph is in use, but must not be written into.

    Args:
        path: the file; external data is looked for in its folder and mapped, not read.
        sizes: sizes of open dims, by name, at which the model is costed and proved. The dims
            stay open. A dim without a name is called ``input.axis``.
        keep_initializer_inputs: keep weights that are also graph inputs as inputs.

    Raises InvalidModelError where the file is no model convc can read, UsageError where ``sizes``
    names no dim of it.
    """
    path = Path(path)
    files = Files(path.parent)
    data = _read_mapped(path, files) or _read(path)
    try:
        model = parse_model(data, str(path))
        del data
        return import_model(
            model,
            files,
            sizes or {},
            keep_initializer_inputs=keep_initializer_inputs,
        )
    except ConvcError as error:
        text = str(error)
        raise type(error)(text if text.startswith(str(path)) else f"{path}: {text}") from error


def from_bytes(data: bytes, sizes: Mapping[str, int] | None = None) -> Graph:
    """Reads a serialised model that has no external data."""
    return import_model(parse_model(data, "model"), None, sizes or {})


def check_graph(graph: Graph) -> None:
    """Raises InvalidModelError where the graph could not come from a sound file, as `load` does.

    For graphs that were read from elsewhere: the bytes in them (of subgraphs, functions, types)
    may be anything.
    """
    try:
        model, _ = export_model(graph)
        data = model.SerializeToString()
    except (ConvcError, ValueError, TypeError, OverflowError, NotImplementedError) as error:
        raise InvalidModelError(f"it makes no ONNX model: {error}") from error
    except DecodeError as error:
        raise InvalidModelError("bytes of it that ONNX reads are broken") from error
    check_soundness(parse_model(data, "its ONNX form"))


def to_bytes(graph: Graph) -> bytes:
    """The serialised model; raises UsageError where it does not fit into one protobuf."""
    if weight_bytes(graph) > LARGEST_FILE:
        raise UsageError("the weights exceed 2 GB and do not fit into one protobuf: save to a file")
    model, weights = export_model(graph)
    return b"".join(grow(model.SerializeToString(deterministic=True), weights))


def save(graph: Graph, path: str | Path, *, external_data: bool = False) -> None:
    """Writes an ONNX file, whole or not at all.

    Args:
        graph: what to write; verified first.
        path: the file. It may be the one that ``graph`` was read from.
        external_data: put the weights into a file beside it; always done above 2 GB. The data file
            of the model that is replaced stays for those who are reading it; the next time it
            is removed, as no model names it any more.
    """
    path = Path(path)
    check_writable(path)
    graph.verify()
    model, weights = export_model(graph)
    remove_stale(path.parent)
    remove_unused(path)
    try:
        # Until the model is in its place, nobody names its data file: it must not seem unused.
        with being_written(path.parent):
            if external_data or weight_bytes(graph) > LARGEST_FILE:
                move_weights_out(model, weights, path)
                weights = {}
            write_whole(path, *grow(model.SerializeToString(deterministic=True), weights))
    except BaseException:
        remove_unused(path)
        raise


def weight_bytes(graph: Graph) -> int:
    """Bytes of all weights, defaults of inputs included."""
    arrays = (op.default if op.array is None else op.array for op in graph.ops())
    return sum(array.nbytes for array in arrays if array is not None)


def _read_mapped(path: Path, files: Files) -> bytes | None:
    """The model in a large file without its large weights, which are added to ``files``.

    None where the file is to be read as a whole, be it only for the error that this gives.
    """
    try:
        if not path.is_file() or not MAPPED_FROM <= path.stat().st_size <= LARGEST_FILE:
            return None
        path.name.encode()
        mapped = map_file(path)
    except (OSError, UnicodeEncodeError):
        return None
    data = shrink(mapped.data, path.name)
    if data is not None:
        files.add(path.name, mapped)
    return data


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise InvalidModelError(f"{path}: is a folder, not a model file; name a file in it")
    try:
        if path.exists() and not path.is_file():
            raise InvalidModelError(f"{path}: is no regular file, as a model has to be")
        if path.stat().st_size >= PROTOBUF_ENDS:
            raise InvalidModelError(
                f"{path}: larger than 2 GiB, where protobuf ends; "
                "a model of that size keeps its weights in external data"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InvalidModelError(f"{path}: {no_such_file(path)}") from error
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot read it: {error.strerror or error}") from error


def identity_model(opset: int) -> bytes:
    """A model of one Identity node in the given opset: does a runtime know it?"""
    vector = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "identity", [vector], [result]
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=CONSTANTS_NEED_IR
    )
    data: bytes = model.SerializeToString()
    return data
