"""Tensors between ONNX's protobuf and numpy, external data included."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convc.errors import InvalidModelError
from convc.ir import Array

_PACKED_BITS = {
    getattr(TensorProto, name): bits
    for name, bits in (("INT4", 4), ("UINT4", 4), ("FLOAT4E2M1", 4), ("INT2", 2), ("UINT2", 2))
    if hasattr(TensorProto, name)
}
"""Bits of the types that share bytes; older versions of onnx know fewer of them."""

LARGEST_SPARSE, SPARSEST = 2**28, 1000
"""Bytes that any sparse weight may have once it is dense, and bytes for each of its own that a
larger one may: a few values must not ask for all of the memory."""

Payload: TypeAlias = bytes | memoryview
"""The bytes of a weight as they stand in a file: those of its array, where these are the same."""


class Files:
    """The files in which the data of weights is that is not in the model itself, each mapped once.

    A mapping outlives the file's name: a model may be replaced by the one that is made of it
    (`convc.files.write_whole` does replace, and never writes into an old file).
    """

    def __init__(self, folder: Path) -> None:
        """``folder`` is the model's own: all other files have to be in there."""
        self._folder = folder
        self._mapped: dict[str, Array] = {}

    def add(self, location: str, mapped: Array) -> None:
        """Makes bytes that are mapped already known under ``location``."""
        self._mapped[location] = mapped

    def get(self, where: str, location: str) -> Array:
        """The bytes of a file; raises InvalidModelError, beginning with ``where``."""
        if location not in self._mapped:
            self._mapped[location] = map_file(_external_path(where, location, self._folder))
        return self._mapped[location]


def map_file(path: Path) -> Array:
    """The bytes of a file, read-only and not read before they are used."""
    if not path.stat().st_size:
        return np.zeros(0, np.uint8)
    return np.memmap(path, np.uint8, mode="r")


def to_dtype(elem_type: int) -> np.dtype[Any]:
    """The numpy dtype (ml_dtypes' for the small floats, object for strings) of an ONNX type."""
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(elem_type))
    except KeyError as error:
        raise InvalidModelError(f"element type {elem_type} is not known to onnx") from error


def to_elem_type(dtype: np.dtype[Any]) -> int:
    """The ONNX element type of a numpy dtype."""
    if dtype == np.dtype(object):
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def is_plain(elem_type: int) -> bool:
    """Whether a tensor of this type is stored as its array is: neither packed nor strings."""
    return elem_type not in _PACKED_BITS and elem_type != TensorProto.STRING


def to_array(tensor: TensorProto, files: Files | None) -> Array:
    """The array of a tensor, read-only where it is a view.

    External data is mapped, not read; ``files`` is None where a model has no folder.
    """
    try:
        if min(tensor.dims, default=0) < 0:
            raise ValueError(f"a negative size in {tuple(tensor.dims)}")
        if tensor.data_location == TensorProto.EXTERNAL:
            return _read_external(tensor, files)
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, OSError, RuntimeError, OverflowError) as error:
        message = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidModelError(f"weight {tensor.name!r} is broken: {message}") from error


def to_dense(sparse: onnx.SparseTensorProto, files: Files | None) -> Array:
    """The dense array of a sparse tensor (linear or coordinate indices)."""
    values = to_array(sparse.values, files)
    indices = to_array(sparse.indices, files)
    shape = tuple(sparse.dims)
    size = prod(shape) * values.dtype.itemsize
    if min(shape, default=0) < 0 or size > max(LARGEST_SPARSE, SPARSEST * values.nbytes):
        raise InvalidModelError(
            f"sparse weight {sparse.values.name!r} is broken: {values.size} values for a shape "
            f"of {'×'.join(map(str, shape))}"
        )
    try:
        if indices.dtype.kind not in "iu":
            raise IndexError(f"the indices are of type {indices.dtype}")
        if indices.size and indices.min() < 0:
            raise IndexError("an index is negative")
        dense = np.zeros(shape, values.dtype)
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
    except (IndexError, ValueError, MemoryError) as error:
        raise InvalidModelError(
            f"sparse weight {sparse.values.name!r} is broken: {error}"
        ) from error
    return dense


def from_array(array: Array, name: str) -> TensorProto:
    """A tensor that holds a copy of ``array``."""
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def payload_of(array: Array) -> tuple[TensorProto, Payload]:
    """A tensor without name and data, and its data: a view of ``array`` wherever that is possible.

    Not for strings, which have no bytes.
    """
    kind = to_elem_type(array.dtype)
    if is_plain(kind) and array.dtype.isnative:
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        return TensorProto(data_type=kind, dims=array.shape), data
    tensor = from_array(array, "")
    packed: bytes = tensor.raw_data
    tensor.ClearField("raw_data")
    return tensor, packed


def _read_external(tensor: TensorProto, files: Files | None) -> Array:
    """Maps external data; what is packed into shared bytes is read and unpacked instead."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    where = f"external data of weight {tensor.name!r}"
    if files is None:
        raise InvalidModelError(f"{where}: a model from memory has no folder to find it in")
    data = files.get(where, entries.get("location", ""))
    shape = tuple(tensor.dims)
    dtype = to_dtype(tensor.data_type)
    if dtype == np.dtype(object):
        raise InvalidModelError(f"{where}: strings are not read from outside")
    count = prod(shape)
    bits = _PACKED_BITS.get(tensor.data_type, 8 * dtype.itemsize)
    needed = -(-count * bits // 8)
    offset = int(entries.get("offset", 0))
    length = int(entries.get("length", needed))
    if offset < 0 or length != needed:
        raise InvalidModelError(f"{where}: length {length} does not fit shape {shape} of {dtype}")
    if offset + length > data.size:
        location = entries.get("location", "")
        raise InvalidModelError(f"{where}: {location!r} ends before byte {offset + length}")
    if not count:
        return np.zeros(shape, dtype)
    raw = data[offset : offset + length].view(np.ndarray)
    if is_plain(tensor.data_type):
        return raw.view(dtype).reshape(shape)
    packed = TensorProto(data_type=tensor.data_type, dims=shape, raw_data=raw.tobytes())
    return np.asarray(numpy_helper.to_array(packed))


def _external_path(where: str, location: str, folder: Path) -> Path:
    try:
        path = (folder / location).resolve()
        inside = path.is_relative_to(folder.resolve()) and not os.path.isabs(location)
        there = path.is_file()
    except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
        name = location[:80]
        raise InvalidModelError(f"{where} is broken: {name!r} is no name of a file") from error
    if not location or not inside:
        raise InvalidModelError(f"{where} points outside the model's folder: {location!r}; refused")
    if not there:
        raise InvalidModelError(f"{where} is missing: put {location!r} beside the model")
    return path
