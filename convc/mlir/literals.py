"""Strings, numbers and arrays as MLIR text, and back; all of them bit for bit."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from math import isfinite, prod
from typing import Any

import numpy as np

from convc.errors import InvalidGraphError
from convc.ir import Array, TensorType
from convc.mlir.types import element_text, is_builtin, tensor_text

FEW = 16
"""Elements up to which an array is written out one by one."""
SPLAT_LIMIT = 1 << 28
"""Bytes up to which an array of equal elements is written as one of them: a short text must not
ask for all of the memory."""

_TO_ESCAPE = re.compile(r'["\\]|[^ -~]')
_ESCAPED = re.compile(rb'\\(?:([nt"\\])|([0-9A-Fa-f]{2})|())', re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b'"': b'"', b"\\": b"\\"}
_BITS = re.compile(r"u?int([24])")


def string_text(text: str) -> str:
    """A string in quotes; what cannot be printed as the hexadecimal digits of its bytes."""
    return f'"{_TO_ESCAPE.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable() and char not in '"\\':
        return char
    return "".join(f"\\{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def parse_string(quoted: str) -> str:
    """The string of which `string_text` is the text; raises ValueError on a bad escape."""
    text = quoted[1:-1]
    if "\\" not in text:
        return text
    data = _ESCAPED.sub(_unescape, text.encode("utf-8", "surrogatepass"))
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise ValueError("the string is no UTF-8") from error


def _unescape(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return _ESCAPES[match[1]]
    if match[2]:
        return bytes.fromhex(match[2].decode())
    raise ValueError('a backslash in a string is followed by n, t, ", \\ or two hex digits')


def parse_hex(text: str) -> bytes:
    """The bytes of ``0x`` and hexadecimal digits; raises ValueError where they are none."""
    if not text.startswith("0x") or (not text[2:].isalnum() and text != "0x"):
        raise ValueError("expected 0x and hexadecimal digits")
    try:
        return bytes.fromhex(text[2:])
    except ValueError as error:
        raise ValueError("expected an even number of hexadecimal digits after 0x") from error


def scalar_text(value: float) -> str:
    """A float attribute: f32, as ONNX stores it, where that is exact, else f64."""
    try:
        single = struct.pack("<f", value)
    except OverflowError:
        single = b""
    if single and struct.pack("<d", *struct.unpack("<f", single)) == struct.pack("<d", value):
        number = np.frombuffer(single, "<f4")[0]
        bits = f"0x{single[::-1].hex().upper()}"
        return f"{decimal(number) if isfinite(value) else bits} : f32"
    bits = f"0x{struct.pack('>d', value).hex().upper()}"
    return f"{decimal(np.float64(value)) if isfinite(value) else bits} : f64"


def decimal(value: Any) -> str:
    """The shortest decimal of a finite numpy scalar that its reader makes the same bits of."""
    short = str(value)
    text = short if value.dtype.type(float(short)) == value else repr(float(value))
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}"


def dense_text(array: Array) -> str | None:
    """The text of a small array, or of one whose elements are all equal; None for others."""
    type_ = tensor_text(array.dtype, array.shape)
    if array.dtype == np.dtype(object):
        return f"#onnx.dense<[{', '.join(_element_string(v) for v in array.flat)}] : {type_}>"
    uniform = array.size > 1 and array.nbytes <= SPLAT_LIMIT and _is_uniform(array)
    if array.size > FEW and not uniform:
        return None
    shown = array.reshape(-1)[:1] if uniform else array
    if not is_builtin(array.dtype):
        return f'#onnx.dense<"0x{raw_bytes(shown).hex()}" : {type_}>'
    if array.dtype.kind not in "biu" and not _all_finite(shown):
        return f'dense<"0x{raw_bytes(shown).hex()}"> : {type_}'
    words = [_element(value) for value in shown.reshape(-1)]
    return f"dense<{words[0] if uniform else _nested(words, array.shape)}> : {type_}"


def raw_bytes(array: Array) -> bytes:
    """The bytes of an array, little-endian, four- and two-bit elements in one byte each."""
    return _stored(array).tobytes()


def _stored(array: Array) -> Array:
    match = _BITS.fullmatch(array.dtype.name)
    if match:
        return array.astype(np.uint8 if array.dtype.name.startswith("u") else np.int8)
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def from_raw_bytes(data: bytes | memoryview, type_: TensorType, *, splat: bool = True) -> Array:
    """The array of `raw_bytes`, or, if ``splat``, of those of one element that all others equal.

    Raises ValueError where the bytes do not fit the type.
    """
    dtype, count = type_.dtype, prod(_shape(type_))
    if dtype == np.dtype(object):
        raise ValueError("strings are not written as bytes")
    if len(data) != count * dtype.itemsize and not (splat and len(data) == dtype.itemsize):
        raise ValueError(f"{len(data)} bytes, but the type has {count * dtype.itemsize}")
    if _BITS.fullmatch(dtype.name):
        flat = np.frombuffer(data, np.uint8 if dtype.name[0] == "u" else np.int8).astype(dtype)
    elif dtype == np.dtype(bool):
        flat = np.frombuffer(data, np.uint8) != 0
    else:
        flat = np.frombuffer(data, dtype)
    return _shaped(flat, type_, splat=splat)


def from_words(words: Sequence[str], type_: TensorType, *, splat: bool) -> Array:
    """The array with the elements ``words`` (of complex numbers two each).

    Raises ValueError where a word is no element of the dtype, or there are not as many as in the
    type; one is enough if ``splat``.
    """
    dtype = type_.dtype
    if not is_builtin(dtype):
        raise ValueError(f"elements of type {element_text(dtype)} are not written so")
    if dtype.kind == "b":
        flat = np.array([_bool(word) for word in words], dtype)
    elif dtype.kind in "iu" or _BITS.fullmatch(dtype.name):
        flat = _integers(words, dtype)
    else:
        part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
        flat = _floats(words, part).view(dtype)
    return _shaped(flat, type_, splat=splat)


def string_array(values: Sequence[str | bytes], type_: TensorType) -> Array:
    """The array of strings; raises ValueError where they are not as many, or not of this type."""
    if type_.dtype != np.dtype(object):
        raise ValueError("strings, but the type is of other elements")
    flat = np.empty(len(values), object)
    flat[:] = values
    return _shaped(flat, type_, splat=False)


def float_of(word: str, dtype: np.dtype[Any]) -> float:
    """The number that the word of an attribute stands for, rounded to ``dtype``."""
    return float(_floats([word], dtype)[0])


def _shape(type_: TensorType) -> tuple[int, ...]:
    shape = type_.static_shape
    if shape is None:
        raise ValueError("the type of an array has a fixed shape")
    return shape


def _shaped(flat: Array, type_: TensorType, *, splat: bool) -> Array:
    shape = _shape(type_)
    count = prod(shape)
    if splat and len(flat) == 1:
        if count * flat.itemsize > SPLAT_LIMIT:
            raise ValueError(f"{count} equal elements are too many to be written as one")
        flat = np.repeat(flat, count)
    if len(flat) != count:
        raise ValueError(f"{len(flat)} elements, but the type has {count}")
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array


def _integers(words: Sequence[str], dtype: np.dtype[Any]) -> Array:
    signed = not dtype.name.startswith("u")
    match = _BITS.fullmatch(dtype.name)
    bits = int(match[1]) if match else 8 * dtype.itemsize
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    numbers: list[int] = []
    for word in words:
        number = parse_int(word)
        if not low <= number < high:
            raise ValueError(f"{word} is outside of {dtype}")
        numbers.append(number)
    return np.array(numbers, np.int64 if signed else np.uint64).astype(dtype)


def parse_int(word: str) -> int:
    """A decimal or hexadecimal integer; raises ValueError where it is none, or far too long."""
    if len(word) > 30:
        raise ValueError(f"{word[:30]}... is too large a number")
    return int(word, 16 if word.startswith("0x") else 10)


def _floats(words: Sequence[str], dtype: np.dtype[Any]) -> Array:
    flat = np.zeros(len(words), dtype)
    bits = flat.view(f"u{dtype.itemsize}")
    for i, word in enumerate(words):
        if word.startswith("0x"):
            number = parse_int(word)
            if number >= 1 << 8 * dtype.itemsize:
                raise ValueError(f"{word} has more bits than {dtype}")
            bits[i] = number
        else:
            with np.errstate(over="ignore"):
                flat[i] = float(word)
    return flat


def _bool(word: str) -> bool:
    if word not in ("true", "false"):
        raise ValueError(f"expected true or false, not {word!r}")
    return word == "true"


def _element(value: Any) -> str:
    if isinstance(value, np.bool_):
        return "true" if value else "false"
    if isinstance(value, np.complexfloating):
        return f"({decimal(value.real)}, {decimal(value.imag)})"
    if isinstance(value, np.integer) or _BITS.fullmatch(value.dtype.name):
        return str(int(value))
    return decimal(value)


def _element_string(value: Any) -> str:
    # ONNX's strings are bytes: those that are no text are kept as they are.
    if isinstance(value, bytes):
        return f'bytes "0x{value.hex()}"'
    if isinstance(value, str):
        return string_text(value)
    raise InvalidGraphError(f"an array of strings holds a {type(value).__name__}")


def _nested(words: Sequence[str], shape: Sequence[int]) -> str:
    if not words:
        return ""
    rows = list(words)
    for size in reversed(shape):
        rows = [f"[{', '.join(rows[start : start + size])}]" for start in range(0, len(rows), size)]
    return rows[0]


def _is_uniform(array: Array) -> bool:
    first, last = array.flat[0], array.flat[-1]
    if first.tobytes() != last.tobytes():
        return False
    rows = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, -1)
    return bool((rows == rows[0]).all())


def _all_finite(array: Array) -> bool:
    wide = array if array.dtype.kind in "fc" else array.astype(np.float64)
    return bool(np.isfinite(wide).all())
