"""Running a model on values of every kind: in onnxruntime and in onnx's own reference."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto
from onnx import numpy_helper as nh
from onnx.reference import ReferenceEvaluator

NATIVE = frozenset(
    {
        "tensor(bool)", "tensor(int8)", "tensor(int16)", "tensor(int32)", "tensor(int64)",
        "tensor(uint8)", "tensor(uint16)", "tensor(uint32)", "tensor(uint64)",
        "tensor(float16)", "tensor(float)", "tensor(double)", "tensor(string)",
    }
)  # fmt: skip
"""Types, by onnxruntime's names, that are numpy's own too. The others (bfloat16, the floats of 8
bits and less, the integers of less than 8) go in and out as bytes."""


class CannotRunError(Exception):
    """A runtime refuses the model or fails on its inputs: the message is its own."""


def by_onnxruntime(model: bytes, feeds: Mapping[str, Any]) -> list[Any]:
    """The outputs in onnxruntime as it is deployed, on one thread; raises CannotRunError."""
    try:
        session = ort.InferenceSession(model, _options(), ["CPUExecutionProvider"])
        ends = [*session.get_inputs(), *session.get_outputs()]
        if any(end.type.startswith("tensor(") and end.type not in NATIVE for end in ends):
            values = {name: _to_ort(value) for name, value in feeds.items()}
            return [_from_ort(value) for value in session.run_with_ort_values(None, values)]
        return list(session.run(None, dict(feeds)))
    except Exception as error:  # onnxruntime's errors share no public base class
        raise CannotRunError(" ".join(str(error).split())) from error


def by_reference(model: bytes, feeds: Mapping[str, Any]) -> list[Any]:
    """The outputs in the reference implementation of onnx; raises CannotRunError."""
    try:
        return list(ReferenceEvaluator(onnx.load_from_string(model)).run(None, dict(feeds)))
    except Exception as error:  # it raises whatever numpy does
        raise CannotRunError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error


@cache
def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _to_ort(array: np.ndarray) -> ort.OrtValue:
    if array.dtype.isbuiltin == 1:  # numpy's own types; those of ml_dtypes give 2
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
    # onnxruntime wants an array of that shape, and of what lies in it only the packed bytes.
    packed = nh.from_array(array)
    unit = np.uint16 if array.dtype.itemsize == 2 else np.uint8
    room = np.zeros(array.shape, unit)
    raw = np.frombuffer(packed.raw_data, unit)
    room.reshape(-1)[: len(raw)] = raw
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(room, packed.data_type)


def _from_ort(value: ort.OrtValue) -> np.ndarray:
    if value.data_type() in NATIVE:
        return value.numpy()
    tensor = TensorProto(data_type=value.element_type(), dims=value.shape())
    tensor.raw_data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return nh.to_array(tensor)
