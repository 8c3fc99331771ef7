"""Tensors between ONNX's protobuf and numpy, external data included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convc.errors import InvalidModelError
from convc.ir import Array

_SUB_BYTE_BITS = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
}


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


def to_array(tensor: TensorProto, folder: Path | None) -> Array:
    """The array of a tensor, read-only where it is a view.

    External data is mapped, not read; ``folder`` is the model's own, None where there is none.
    """
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            return _map_external(tensor, folder)
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError) as error:
        message = str(error).splitlines()[0]
        raise InvalidModelError(f"weight {tensor.name!r} is broken: {message}") from error


def to_dense(sparse: onnx.SparseTensorProto, folder: Path | None) -> Array:
    """The dense array of a sparse tensor (linear or coordinate indices)."""
    values = to_array(sparse.values, folder)
    indices = to_array(sparse.indices, folder)
    shape = tuple(sparse.dims)
    dense = np.zeros(shape, values.dtype)
    try:
        if indices.ndim == 1:
            dense.reshape(-1)[indices] = values
        else:
            dense[tuple(indices.T)] = values
    except (IndexError, ValueError) as error:
        raise InvalidModelError(
            f"sparse weight {sparse.values.name!r} is broken: {error}"
        ) from error
    return dense


def from_array(array: Array, name: str) -> TensorProto:
    """A tensor that holds a copy of ``array``."""
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def _map_external(tensor: TensorProto, folder: Path | None) -> Array:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    where = f"external data of weight {tensor.name!r}"
    if folder is None:
        raise InvalidModelError(f"{where}: a model from memory has no folder to find it in")
    location = entries.get("location", "")
    path = (folder / location).resolve()
    if not location or os.path.isabs(location) or not path.is_relative_to(folder.resolve()):
        raise InvalidModelError(f"{where} points outside the model's folder: {location!r}; refused")
    if not path.is_file():
        raise InvalidModelError(f"{where} is missing: put {location!r} beside the model")
    shape = tuple(tensor.dims)
    dtype = to_dtype(tensor.data_type)
    if tensor.data_type in _SUB_BYTE_BITS or dtype == np.dtype(object):
        raise InvalidModelError(f"{where}: strings and 4-bit types are not read from outside")
    offset = int(entries.get("offset", 0))
    count = int(np.prod(shape, dtype=np.int64))
    length = int(entries.get("length", count * dtype.itemsize))
    if min(shape, default=0) < 0 or offset < 0 or length != count * dtype.itemsize:
        raise InvalidModelError(f"{where}: length {length} does not fit shape {shape} of {dtype}")
    if offset + length > path.stat().st_size:
        raise InvalidModelError(f"{where}: {location!r} ends before byte {offset + length}")
    if not count:
        return np.zeros(shape, dtype)
    raw = np.memmap(path, np.uint8, mode="r", offset=offset, shape=(length,))
    return raw.view(dtype).reshape(shape)
