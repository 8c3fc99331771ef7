"""The door to ONNX files: `load` and `save`. Only this room and `convc.reference` import onnx."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto, TensorProto, helper

from convc.errors import ConvcError, InvalidModelError, UsageError
from convc.files import check_writable, write_whole
from convc.graph import Graph
from convc.onnx_io.exporter import CONSTANTS_NEED_IR, export_model
from convc.onnx_io.importer import import_model, parse_model
from convc.onnx_io.refresh import refresh_types

LARGEST_FILE = 2**31 - 2**20
"""Protobuf ends at 2 GiB; beyond (less a margin) weights go to a file beside the model."""
EXTERNAL_FROM = 1024
"""Bytes from which a weight is put into the external file."""

__all__ = [
    "from_bytes",
    "identity_model",
    "load",
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

    Args:
        path: the file; external data is looked for in its folder and mapped, not read.
        sizes: sizes of open dims, by name, at which the model is costed and proved. The dims
            stay open. A dim without a name is called ``input.axis``.
        keep_initializer_inputs: keep weights that are also graph inputs as inputs.

    Raises InvalidModelError where the file is no model convc can read, UsageError where ``sizes``
    names no dim of it.
    """
    path = Path(path)
    data = _read(path)
    try:
        model = parse_model(data, str(path))
        del data
        return import_model(
            model,
            path.parent,
            sizes or {},
            keep_initializer_inputs=keep_initializer_inputs,
        )
    except ConvcError as error:
        text = str(error)
        raise type(error)(text if text.startswith(str(path)) else f"{path}: {text}") from error


def from_bytes(data: bytes, sizes: Mapping[str, int] | None = None) -> Graph:
    """Reads a serialised model that has no external data."""
    return import_model(parse_model(data, "model"), None, sizes or {})


def to_bytes(graph: Graph) -> bytes:
    """The serialised model; raises UsageError where it does not fit into one protobuf."""
    if weight_bytes(graph) > LARGEST_FILE:
        raise UsageError("the weights exceed 2 GB and do not fit into one protobuf: save to a file")
    data: bytes = export_model(graph).SerializeToString(deterministic=True)
    return data


def save(graph: Graph, path: str | Path, *, external_data: bool = False) -> None:
    """Writes an ONNX file, whole or not at all.

    Args:
        graph: what to write; verified first.
        path: the file.
        external_data: put the weights into a file beside it; always done above 2 GB.
    """
    path = Path(path)
    check_writable(path)
    graph.verify()
    model = export_model(graph)
    made = None
    if external_data or weight_bytes(graph) > LARGEST_FILE:
        made = _move_weights_out(model, path)
    try:
        write_whole(path, model.SerializeToString(deterministic=True))
    except BaseException:
        if made is not None:
            made.unlink(missing_ok=True)
        raise


def weight_bytes(graph: Graph) -> int:
    """Bytes of all weights, defaults of inputs included."""
    arrays = (op.default if op.array is None else op.array for op in graph.ops())
    return sum(array.nbytes for array in arrays if array is not None)


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise InvalidModelError(f"{path}: is a folder, not a model file")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InvalidModelError(f"{path}: no such file") from error
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot read it: {error.strerror or error}") from error


def _move_weights_out(model: ModelProto, path: Path) -> Path | None:
    """Moves large weights into a file named after their content; returns it where it is new.

    So the old model never sees the new weights: its data file has another name.
    """
    large = [t for t in model.graph.initializer if len(t.raw_data) >= EXTERNAL_FROM]
    if not large:
        return None
    digest = hashlib.blake2b(digest_size=8)
    for tensor in large:
        digest.update(tensor.raw_data)
    name = f"{path.stem}.{digest.hexdigest()}.data"
    target = path.parent / name
    known = target.exists()
    chunks = [tensor.raw_data for tensor in large]
    write_whole(target, *chunks)
    offset = 0
    for tensor in large:
        length = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", name), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        offset += length
    return None if known else target


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
