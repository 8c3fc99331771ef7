"""What is asked of nodes everywhere: their domain, their operator, how messages call them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from onnx import NodeProto, defs

from convc.onnx_io.bodies import bodies


def domain_of(name: str) -> str:
    """The domain as the IR has it: "" for ONNX's own."""
    return "" if name == "ai.onnx" else name


def label(node: NodeProto) -> str:
    """How messages call a node: by its name, else by its first result."""
    name = node.name or next((name for name in node.output if name), "?")
    return f"{name!r} ({node.op_type})"


def inner(node: NodeProto) -> Iterator[NodeProto]:
    """The nodes of a node's subgraphs, at any depth."""
    for body in bodies(node):
        yield from inside(body.node)


def inside(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes and those of their subgraphs; protobuf bounds how deep these are."""
    for node in nodes:
        yield node
        if node.attribute:
            yield from inner(node)


@lru_cache(maxsize=4096)
def schema_of(kind: str, version: int, domain: str) -> defs.OpSchema | None:
    """An operator's schema, None of one that ONNX does not know."""
    try:
        return defs.get_schema(kind, version, domain)
    except (defs.SchemaError, TypeError, OverflowError, RuntimeError):
        return None
