"""Types as MLIR text, and back."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np

from convc.errors import InvalidGraphError
from convc.ir import Dim, OpaqueType, TensorType, Type

UNKNOWN = "!onnx.unknown"
"""The type of a value of which nothing is known."""
OPAQUE = "!onnx.opaque"
LARGEST_DIM = 2**63

_ELEMENTS = {
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
    "bfloat16": "bf16",
    "float8_e4m3fn": "f8E4M3FN",
    "float8_e5m2": "f8E5M2",
    "bool": "i1",
    **{f"int{bits}": f"i{bits}" for bits in (2, 4, 8, 16, 32, 64)},
    **{f"uint{bits}": f"ui{bits}" for bits in (2, 4, 8, 16, 32, 64)},
    "complex64": "complex<f32>",
    "complex128": "complex<f64>",
    # Those that not every version of MLIR knows are of the onnx dialect.
    "float8_e4m3fnuz": "!onnx.f8E4M3FNUZ",
    "float8_e5m2fnuz": "!onnx.f8E5M2FNUZ",
    "float8_e8m0fnu": "!onnx.f8E8M0FNU",
    "float6_e2m3fn": "!onnx.f6E2M3FN",
    "float6_e3m2fn": "!onnx.f6E3M2FN",
    "float4_e2m1fn": "!onnx.f4E2M1FN",
    "object": "!onnx.String",
}

_TENSOR = re.compile(r"tensor\s*<\s*(\*x|(?:(?:[0-9]+|\?)x)*)([^x*?0-9\s][^\s]*)\s*>")
_NAMED_AXIS = r"([0-9]{1,4}):((?:[^\\,]|\\.)*)"
_DIM_PARAM = re.compile(rf"{_NAMED_AXIS}(?:,|\Z)", re.DOTALL)
_DIM_PARAMS = re.compile(rf"{_NAMED_AXIS}(?:,{_NAMED_AXIS})*", re.DOTALL)
_TO_ESCAPE = re.compile(r"[,\\]")


def _known_dtypes() -> dict[str, np.dtype[Any]]:
    dtypes: dict[str, np.dtype[Any]] = {}
    for name, text in _ELEMENTS.items():
        scalar = getattr(ml_dtypes, name, None) or np.sctypeDict.get(name)
        if scalar is not None:
            dtypes[text] = np.dtype(scalar)
    return dtypes


DTYPES = _known_dtypes()
"""dtype by the text of the element type; older versions of ml_dtypes know fewer."""


def is_builtin(dtype: np.dtype[Any]) -> bool:
    """True where MLIR's own attributes can hold elements of the dtype."""
    return not element_text(dtype).startswith("!")


def element_text(dtype: np.dtype[Any]) -> str:
    """The text of an element type."""
    text = _ELEMENTS.get(dtype.name)
    if text is None:
        raise InvalidGraphError(f"dtype {dtype} has no MLIR type")
    return text


def type_text(type_: Type) -> str:
    """The text of a type, without the names of its dims."""
    if type_ is None:
        return UNKNOWN
    if isinstance(type_, OpaqueType):
        return f'{OPAQUE}<"0x{type_.payload.hex()}">'
    return tensor_text(type_.dtype, type_.shape)


def tensor_text(dtype: np.dtype[Any], shape: tuple[Dim, ...] | None) -> str:
    """The text of a tensor type."""
    if shape is None:
        return f"tensor<*x{element_text(dtype)}>"
    sizes = "".join(f"{d if isinstance(d, int | np.integer) else '?'}x" for d in shape)
    return f"tensor<{sizes}{element_text(dtype)}>"


@lru_cache(maxsize=4096)
def parse_tensor(text: str) -> TensorType:
    """The type of which `tensor_text` is the text; raises ValueError where it is none."""
    match = _TENSOR.fullmatch(text)
    if match is None or match[2] not in DTYPES:
        raise ValueError(f"{text[:80]!r} is no tensor type that convc knows")
    dtype = DTYPES[match[2]]
    if match[1] == "*x":
        return TensorType(dtype, None)
    words = match[1].split("x")[:-1]
    if any(len(word) > 20 or (word != "?" and int(word) >= LARGEST_DIM) for word in words):
        raise ValueError("a dim of the tensor type is too large")
    return TensorType(dtype, tuple(None if word == "?" else int(word) for word in words))


def dim_params(type_: Type) -> str:
    """The names of a type's dims: ``axis:name``, separated by commas; "" where it has none."""
    if not isinstance(type_, TensorType) or type_.shape is None:
        return ""
    return ",".join(
        f"{axis}:{_TO_ESCAPE.sub(_escape, dim)}"
        for axis, dim in enumerate(type_.shape)
        if isinstance(dim, str)
    )


def _escape(match: re.Match[str]) -> str:
    return "\\" + match[0]


def with_dim_params(type_: Type, text: str) -> Type:
    """The type with its dims named; raises ValueError where names and type do not fit."""
    if not text:
        return type_
    if not isinstance(type_, TensorType) or type_.shape is None:
        raise ValueError("names of dims, but the type has no dims")
    if _DIM_PARAMS.fullmatch(text) is None:
        raise ValueError(f"names of dims are written as 'axis:name,axis:name', not {text!r}")
    shape: list[Dim] = list(type_.shape)
    for match in _DIM_PARAM.finditer(text):
        axis = int(match[1])
        if axis >= len(shape) or shape[axis] is not None:
            raise ValueError(f"axis {axis} of the type is not open, it cannot be named")
        shape[axis] = re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL)
    return TensorType(type_.dtype, tuple(shape))
