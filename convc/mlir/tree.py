"""What a text says before it is a graph: operations, their attributes and types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from convc.ir import TensorType, Type


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type that is no tensor: ``none``, ``si64``, ``f32``."""

    text: str


@dataclass(frozen=True, slots=True)
class FunctionType:
    """Types of arguments and results."""

    arguments: tuple[AnyType, ...]
    results: tuple[AnyType, ...]


AnyType: TypeAlias = Type | Scalar | FunctionType


@dataclass(frozen=True, slots=True)
class TypeAttribute:
    """An attribute that is a type."""

    type: AnyType


@dataclass(frozen=True, slots=True)
class Resource:
    """An array whose bytes are among the file's resources."""

    key: str
    type: TensorType
    at: int


@dataclass(slots=True)
class Operation:
    """An operation in generic form. ``results`` are pairs of a name and a number of results."""

    name: str
    at: int
    results: list[tuple[str, int]] = field(default_factory=list)
    operands: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    operand_types: tuple[AnyType, ...] = ()
    result_types: tuple[AnyType, ...] = ()
    arguments: list[tuple[str, AnyType]] = field(default_factory=list)
    body: list[Operation] | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """All operations at the top of a text, and its resources: hexadecimal digits by name."""

    source: str
    operations: list[Operation]
    resources: dict[str, str]
