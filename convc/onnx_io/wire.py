"""Models read and written without copying their weights, on the level of protobuf's wire format.

A message is a row of fields in any order, each a tag (number and kind) and a value; the length of
a nested message stands before it. So the bytes of a weight can be found in the mapped file without
parsing the rest, and a file can be written with each weight straight from its array:

- `shrink` gives the model with the bytes of its large weights left out. In their place each tensor
  says where in the file they are, as external data, which the importer maps anyway.
- `grow` gives the chunks of a file: a small serialised model with the weights put back in.

The encoding: https://protobuf.dev/programming-guides/encoding; the fields' numbers: onnx.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import TypeAlias

from google.protobuf.message import DecodeError
from onnx import TensorProto

from convc.errors import InvalidModelError
from convc.onnx_io.tensors import Payload, is_plain, to_dtype

LARGE = 4096
"""Bytes from which a weight is left out of what onnx parses."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Kinds of fields. Groups (3 and 4), which ONNX has none of, are not understood."""

MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER = 7, 1, 5
NODE_ATTRIBUTE, ATTRIBUTE_TENSOR, ATTRIBUTE_TYPE, ATTRIBUTE_REFERENCE = 5, 5, 20, 21
TENSOR_RAW_DATA = 9

_TENSOR_KIND = b"\xa0\x01\x04"
"""The field ``type: TENSOR`` of an attribute."""
_ALONE = frozenset({"dims", "data_type", "name", "doc_string", "metadata_props"})
"""What may be said of a tensor besides its raw data: nothing that is data, too."""

Field: TypeAlias = tuple[int, int, int, int, int]
"""Number, kind, and where the tag starts, the value starts and the value ends."""
Shrink: TypeAlias = Callable[[memoryview, int, int], bytes | None]
"""Gives the message between two places without its large weights; None where it has none."""


class NotUnderstoodError(Exception):
    """Bytes that are no sound protobuf, or such as this module does not look into."""


def fields(data: memoryview, place: int, end: int) -> Iterator[Field]:
    """The fields of the message between two places; NotUnderstoodError where it is not sound."""
    while place < end:
        start = place
        tag, place = _varint(data, place, end)
        kind = tag & 7
        if kind == BYTES:
            size, place = _varint(data, place, end)
            stop = place + size
        elif kind == VARINT:
            stop = _varint(data, place, end)[1]
        elif kind in (FIXED64, FIXED32):
            stop = place + (8 if kind == FIXED64 else 4)
        else:
            raise NotUnderstoodError
        if stop > end or not tag >> 3:
            raise NotUnderstoodError
        yield tag >> 3, kind, start, place, stop
        place = stop


def _varint(data: memoryview, place: int, end: int) -> tuple[int, int]:
    """The number at a place, seven bits to a byte, lowest first; and the place behind it."""
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise NotUnderstoodError


def _as_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _head(number: int, size: int) -> bytes:
    return _as_varint(number << 3 | BYTES) + _as_varint(size)


# -- reading -----------------------------------------------------------------------------------


def shrink(data: memoryview, location: str) -> bytes | None:
    """The model in ``data``, its large weights replaced by references to the file ``location``.

    None where there is no large weight, or something that this module does not understand: the
    ordinary path then reads the whole, or says what is wrong with it.
    """

    def tensor(data: memoryview, start: int, end: int) -> bytes | None:
        return _shrink_tensor(data, start, end, location)

    def attribute(data: memoryview, start: int, end: int) -> bytes | None:
        return _shrink_attribute(data, start, end, tensor)

    def node(data: memoryview, start: int, end: int) -> bytes | None:
        return _shrink_within(data, start, end, {NODE_ATTRIBUTE: attribute})

    def graph(data: memoryview, start: int, end: int) -> bytes | None:
        return _shrink_within(data, start, end, {GRAPH_NODE: node, GRAPH_INITIALIZER: tensor})

    try:
        return _shrink_within(data, 0, len(data), {MODEL_GRAPH: graph})
    except NotUnderstoodError:
        return None


def _shrink_within(
    data: memoryview, start: int, end: int, inner: Mapping[int, Shrink]
) -> bytes | None:
    """The message with those of its fields shrunk that ``inner`` names; the rest as it is."""
    parts: list[bytes | memoryview] = []
    kept = start
    for number, kind, tag, place, stop in fields(data, start, end):
        if stop - place < LARGE or kind != BYTES or number not in inner:
            continue
        small = inner[number](data, place, stop)
        if small is not None:
            parts += data[kept:tag], _head(number, len(small)), small
            kept = stop
    return b"".join([*parts, data[kept:end]]) if parts else None


def _shrink_attribute(data: memoryview, start: int, end: int, tensor: Shrink) -> bytes | None:
    """Shrinks one that the importer takes for a tensor: others pass through as they are."""
    found = [(number, data[tag:stop]) for number, _, tag, _, stop in fields(data, start, end)]
    numbers = [number for number, _ in found]
    kinds = [field for number, field in found if number == ATTRIBUTE_TYPE]
    whole = numbers.count(ATTRIBUTE_TENSOR) == 1 and ATTRIBUTE_REFERENCE not in numbers
    if not whole or kinds != [_TENSOR_KIND]:
        return None
    return _shrink_within(data, start, end, {ATTRIBUTE_TENSOR: tensor})


def _shrink_tensor(data: memoryview, start: int, end: int, location: str) -> bytes | None:
    """The tensor with a reference in place of its raw data; None where it is better left alone."""
    raw = [field for field in fields(data, start, end) if field[0] == TENSOR_RAW_DATA]
    if len(raw) != 1:
        return None
    _, kind, tag, place, stop = raw[0]
    if kind != BYTES or stop - place < LARGE:
        return None
    rest = bytes(data[start:tag]) + bytes(data[stop:end])
    try:
        tensor = TensorProto.FromString(rest)
        if not {field.name for field, _ in tensor.ListFields()} <= _ALONE:
            return None
        fits = min(tensor.dims, default=0) >= 0 and is_plain(tensor.data_type)
        if not fits or prod(tensor.dims) * to_dtype(tensor.data_type).itemsize != stop - place:
            return None
    except (DecodeError, InvalidModelError):
        return None
    return rest + reference(location, place, stop - place)


def reference(location: str, offset: int, size: int) -> bytes:
    """The fields of a tensor that say where its bytes are."""
    tensor = TensorProto(data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", size)):
        tensor.external_data.add(key=key, value=str(value))
    fields: bytes = tensor.SerializeToString()
    return fields


# -- writing -----------------------------------------------------------------------------------


def grow(model: bytes, weights: Mapping[int, Payload]) -> Sequence[Payload]:
    """The chunks of a file: the serialised ``model`` with the raw data of its weights put in.

    Args:
        model: a model some of whose initialisers have no data; serialised by protobuf.
        weights: the bytes of these, by their place in the list of initialisers. They become chunks
            as they are, without a copy.
    """
    data = memoryview(model)
    tag, start, end = next(
        (tag, place, stop)
        for number, _, tag, place, stop in fields(data, 0, len(data))
        if number == MODEL_GRAPH
    )
    chunks: list[Payload] = []
    kept = start
    index = -1
    for number, _, tensor, place, stop in fields(data, start, end) if weights else ():
        index += number == GRAPH_INITIALIZER
        if number != GRAPH_INITIALIZER or index not in weights:
            continue
        weight = weights[index]
        head = _head(TENSOR_RAW_DATA, len(weight))
        size = stop - place + len(head) + len(weight)
        chunks += data[kept:tensor], _head(number, size), data[place:stop], head, weight
        kept = stop
    chunks.append(data[kept:end])
    size = sum(map(len, chunks))
    return [data[:tag], _head(MODEL_GRAPH, size), *chunks, data[end:]]
