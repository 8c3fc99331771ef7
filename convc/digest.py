"""Structural hashing: digests that tell graphs apart by what they compute, not by names.

Bottom-up, one hash for each op: its kind, attributes and the digests of its operands. So two
ops with the same digest in one graph compute the same. Weights go in by their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from struct import pack
from typing import Any

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Attribute, Dim, Op, Opaque, OpaqueType, TensorType, Type

SIZE = 20
"""Bytes of a digest: two of a billion graphs collide with probability 2^-100."""
CHUNK = 1 << 16
"""Elements hashed at a time of arrays whose bytes do not lie in one row."""


def graph_digest(graph: Graph, *, values: bool = True) -> str:
    """The digest of a graph, as hexadecimal digits.

    Equal for graphs that differ only in names (of ops, values and dims), doc strings, metadata
    and the order in which ops were added; different where a kind, an attribute, an operand, a
    weight, the dtype or shape of an input or weight, the size of an open dim, the order of inputs
    or outputs, the version of an operator set, or the number of equal ops differs.

    Without ``values`` only what changes the speed counts of a weight of floats: its dtype, its
    shape, and whether it is all zero or holds subnormal numbers. The sizes of all results count
    then: those of a Resize follow from floats.
    """
    digests = op_digests(graph, _Arrays() if values else _Shapes())
    parts = [digests[graph.output], *sorted(digests.values())]
    opsets = sorted(graph.header.opsets.items())
    # The ops of other domains may be functions of the model, which are in its shell.
    foreign = any(op.domain for op in digests)
    shell = graph.header.model_shell if foreign else b""
    return _hash(_encode((repr(opsets), _Raw(shell), *map(_Raw, parts)))).hex()


def op_digests(graph: Graph, arrays: _Arrays | None = None) -> dict[Op, bytes]:
    """The digest of each op. Weights are read once, where several ops share one, too."""
    arrays = arrays or _Arrays()
    boundary = _inputs(graph, arrays)
    digests: dict[Op, bytes] = {}
    for op in graph.ops():
        operands = tuple(
            () if value is None else (_Raw(digests[value.op]), value.index) for value in op.operands
        )
        own = boundary.get(op) or _op(op, arrays)
        digests[op] = _hash([own, *_encode(operands + arrays.facts(graph, op))])
    return digests


def own_digest(op: Op) -> bytes:
    """What an op is apart from its operands: kind, domain, attributes, the bytes of a weight."""
    return _op(op, _Arrays())


def _inputs(graph: Graph, arrays: _Arrays) -> dict[Op, bytes]:
    """What is hashed of each input: position, type, default; and of the output: its place only."""
    numbers: dict[Dim, int] = {}
    found: dict[Op, bytes] = {graph.output: b"output"}
    for position, value in enumerate(graph.inputs):
        type_ = _type(value.type, numbers, graph.sizes)
        default = () if value.op.default is None else (_Raw(arrays.digest(value.op.default)),)
        found[value.op] = _hash(_encode(("input", position, type_, default)))
    return found


def _op(op: Op, arrays: _Arrays) -> bytes:
    attributes = tuple((name, arrays.plain(op.attributes[name])) for name in sorted(op.attributes))
    # A weight may be kept in float64 until it is stored in the dtype of its type.
    stored = str(op.result.dtype) if op.array is not None else ""
    return _hash(
        _encode((op.kind, op.domain, op.overload, op.captures, len(op.results), stored, attributes))
    )


def _type(type_: Type, numbers: dict[Dim, int], sizes: Mapping[str, int]) -> Any:
    """A type as plain data, with named dims numbered in the order in which they come."""
    if isinstance(type_, OpaqueType):
        return _Raw(type_.payload)
    if not isinstance(type_, TensorType):
        return ()
    if type_.shape is None:
        return (str(type_.dtype),)
    dims = tuple(
        (numbers.setdefault(d, len(numbers)), sizes.get(d, -1)) if isinstance(d, str)
        else () if d is None else d
        for d in type_.shape
    )  # fmt: skip
    return (str(type_.dtype), dims)


class _Raw(bytes):
    """Bytes that are hashed as they are."""


class _Arrays:
    """Digests of arrays, each read once however many ops hold it."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], bytes] = {}

    def digest(self, array: Array) -> bytes:
        """The digest of dtype, shape and bytes."""
        place = array.__array_interface__
        key = (place["data"][0], array.dtype, array.shape, place["strides"])
        if key not in self._known:
            head = _encode(("array", str(array.dtype), array.shape))
            self._known[key] = _hash([*head, *self._content(array)])
        return self._known[key]

    def _content(self, array: Array) -> Iterable[Any]:
        return _bytes_of(array)

    def facts(self, _graph: Graph, _op: Op) -> tuple[Any, ...]:
        """What else tells ops apart: nothing, where the operands' values are all known."""
        return ()

    def plain(self, value: Attribute) -> Any:
        """An attribute as plain data."""
        if isinstance(value, np.ndarray):
            return _Raw(self.digest(value))
        return _Raw(value.payload) if isinstance(value, Opaque) else value


class _Shapes(_Arrays):
    """Arrays of floats by what of their values changes the speed of a product with them."""

    def _content(self, array: Array) -> Iterable[Any]:
        facts = speed_facts(array)
        return _bytes_of(array) if facts is None else _encode(facts)

    def facts(self, graph: Graph, op: Op) -> tuple[Any, ...]:
        """The sizes of the results, which a float operand may decide."""
        return tuple(graph.concrete_shape(result) or () for result in op.results)


def speed_facts(array: Array) -> tuple[int, int] | None:
    """Of floats: whether all are zero, and whether some are subnormal; None for anything else."""
    if array.dtype.kind != "f" or array.size <= 1:
        return None
    smallest = np.finfo(array.dtype).smallest_normal
    zero, subnormal = True, False
    for start in range(0, array.size, CHUNK):
        part = np.abs(array.reshape(-1)[start : start + CHUNK])
        zero &= not part.any()
        subnormal |= bool(((part > 0) & (part < smallest)).any())
    return int(zero), int(subnormal)


def _bytes_of(array: Array) -> Iterator[Any]:
    if array.dtype == np.dtype(object):
        yield from _encode(tuple(v if isinstance(v, bytes) else str(v) for v in array.flat))
    elif array.size and array.flags.c_contiguous:
        yield array.reshape(-1).view(np.uint8)
    else:
        for start in range(0, array.size, CHUNK):
            yield np.asarray(array.flat[start : start + CHUNK]).view(np.uint8)


def _encode(value: Any) -> Iterator[bytes]:
    """Plain data as bytes, each with its kind and length, so that no two values look the same."""
    if isinstance(value, tuple):
        yield b"t" + pack("<q", len(value))
        for item in value:
            yield from _encode(item)
    elif isinstance(value, float):
        yield b"f" + pack("<d", value)
    elif isinstance(value, int | np.integer):
        text = str(int(value)).encode()
        yield b"i" + pack("<q", len(text)) + text
    elif isinstance(value, str | bytes):
        data = value if isinstance(value, bytes) else value.encode()
        yield (b"b" if isinstance(value, bytes) else b"s") + pack("<q", len(data)) + data
    else:
        raise TypeError(f"{type(value).__name__} is no attribute")


def _hash(parts: Iterable[Any]) -> bytes:
    total = blake2b(digest_size=SIZE)
    for part in parts:
        total.update(part)
    return total.digest()
