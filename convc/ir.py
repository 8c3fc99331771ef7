"""The IR: ops, their values and types. The graph they live in is `convc.graph.Graph`.

Everything that makes a value is an `Op`: graph inputs are ``Input`` ops, weights are ``Constant``
ops with a read-only array, and the results of the graph are the operands of its one ``Output`` op.
So replacing uses and removing dead code need no special cases. The networkx graph holds plain
edges from producer to user; order, repeats and which result is used live in `Op.operands`.

Three mutators touch operands and edges: `Graph.add`, `Graph.set_operand` and `Graph.erase`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Dim: TypeAlias = int | str | None
"""A size, the name of a size that varies, or None where nothing is known."""


def is_real(dtype: np.dtype[Any] | None) -> bool:
    """True for the floating types that models compute in, bfloat16 included.

    Those of 8 bits and less only store: ml_dtypes gives one of them (float8_e5m2) numpy's kind.
    """
    if dtype is None or dtype.itemsize < 2:
        return False
    return dtype.kind == "f" or dtype.name == "bfloat16"


INPUT = "Input"
CONSTANT = "Constant"
OUTPUT = "Output"


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of a tensor; shape is None where even the rank is unknown."""

    dtype: np.dtype[Any]
    shape: tuple[Dim, ...] | None

    @property
    def rank(self) -> int | None:
        """Number of axes, None where unknown."""
        return None if self.shape is None else len(self.shape)

    @property
    def static_shape(self) -> tuple[int, ...] | None:
        """The shape when every dim is a number, else None."""
        if self.shape is None:
            return None
        sizes = tuple(d for d in self.shape if isinstance(d, int))
        return sizes if len(sizes) == len(self.shape) else None


@dataclass(frozen=True, slots=True)
class OpaqueType:
    """A type convc does not look into (sequence, optional, map), as serialised by ONNX."""

    payload: bytes


Type: TypeAlias = TensorType | OpaqueType | None


@dataclass(frozen=True, slots=True)
class Opaque:
    """An attribute convc does not look into (a subgraph, a type), as serialised by ONNX."""

    payload: bytes


Attribute: TypeAlias = int | float | str | tuple[Any, ...] | Array | Opaque


class Value:
    """One result of one op. Identity is what counts; the name is for people and for the file."""

    __slots__ = ("index", "name", "op", "type")

    def __init__(self, op: Op, index: int, type_: Type, name: str) -> None:
        self.op = op
        self.index = index
        self.type = type_
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name or '?'}: result {self.index} of {self.op.kind}>"

    @property
    def shape(self) -> tuple[Dim, ...] | None:
        """The shape, None where the value is no tensor or its rank is unknown."""
        return self.type.shape if isinstance(self.type, TensorType) else None

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The element type, None where the value is no tensor or nothing is known."""
        return self.type.dtype if isinstance(self.type, TensorType) else None

    @property
    def array(self) -> Array | None:
        """The array when a ``Constant`` op makes this value, else None."""
        return self.op.array


NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Op:
    """A node of the graph: compared and hashed by identity, changed only through its graph.

    ``captures`` are the outer names that the subgraphs in ``attributes`` refer to; the values they
    stand for are the last operands, one each, so that a body's uses are uses like any other.
    """

    __slots__ = (
        "attributes",
        "captures",
        "doc",
        "domain",
        "kind",
        "metadata",
        "name",
        "operands",
        "overload",
        "results",
    )

    def __init__(
        self,
        kind: str,
        operands: tuple[Value | None, ...],
        attributes: Mapping[str, Attribute],
        *,
        domain: str = "",
        name: str = "",
        doc: str = "",
        overload: str = "",
        captures: tuple[str, ...] = (),
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> None:
        self.kind = kind
        self.domain = domain
        self.operands = operands
        self.attributes = attributes
        self.results: tuple[Value, ...] = ()
        self.name = name
        self.doc = doc
        self.overload = overload
        self.captures = captures
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name or (self.results[0].name if self.results else '')}>"

    @property
    def is_boundary(self) -> bool:
        """True for the ops that stand for the graph's inputs and its results."""
        return self.kind in (INPUT, OUTPUT) and not self.domain

    @property
    def default(self) -> Array | None:
        """What an ``Input`` op is worth where nothing is fed, else None."""
        value = self.attributes.get("default") if self.kind == INPUT and not self.domain else None
        return value if isinstance(value, np.ndarray) else None

    @property
    def result(self) -> Value:
        """The first result (for most kinds the only one)."""
        return self.results[0]

    @property
    def inputs(self) -> tuple[Value | None, ...]:
        """The operands without the values that subgraphs capture."""
        return self.operands[: len(self.operands) - len(self.captures)]

    @property
    def array(self) -> Array | None:
        """The array of a ``Constant`` op, else None."""
        if self.kind != CONSTANT or self.domain:
            return None
        value = self.attributes.get("value")
        return value if isinstance(value, np.ndarray) else None

    def operand(self, index: int) -> Value | None:
        """The operand at ``index``, None where it is omitted or the list is shorter."""
        inputs = self.inputs
        return inputs[index] if index < len(inputs) else None


@dataclass(frozen=True, slots=True)
class Header:
    """What a model file says besides its graph; carried from import to export.

    Attributes:
        ir_version: of the file format.
        opsets: version of each operator set, by domain ("" is ONNX's own).
        metadata: entries added to the model's metadata.
        model_shell: the serialised ModelProto without its graph (producer, functions, ...).
        graph_shell: the serialised GraphProto without what the IR holds (name, doc, ...).
    """

    ir_version: int = 8
    opsets: Mapping[str, int] = field(default_factory=lambda: {"": 17})
    metadata: Mapping[str, str] = field(default_factory=dict)
    model_shell: bytes = b""
    graph_shell: bytes = b""

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return self.opsets.get("", 1)

    def with_metadata(self, entries: Mapping[str, str]) -> Header:
        """A copy with more metadata."""
        return replace(self, metadata={**self.metadata, **entries})
