"""Subgraphs of If, Loop and Scan: which outer names they use, and how to rename those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The subgraphs among a node's attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    """All tensors inside the nodes' attributes, those of subgraphs included."""
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
        for body in bodies(node):
            yield from body.initializer
            for sparse in body.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            yield from tensors(body.node)


def captured(node: NodeProto) -> tuple[str, ...]:
    """The outer names that the node's subgraphs use, each once, in order of first use."""
    names: dict[str, None] = {}
    for body in bodies(node):
        names.update(dict.fromkeys(_free(body)))
    return tuple(names)


def defined(node: NodeProto) -> set[str]:
    """All names that the node's subgraphs define, at any depth: not to be used outside."""
    names: set[str] = set()
    for body in bodies(node):
        names |= _own(body)
        for inner in body.node:
            names |= defined(inner)
    return names


def rename_captured(node: NodeProto, names: Mapping[str, str]) -> None:
    """Renames, in place, the outer names that the node's subgraphs use."""
    for body in bodies(node):
        _rename(body, names)


def _own(body: GraphProto) -> set[str]:
    own = {value.name for value in body.input}
    own |= {tensor.name for tensor in body.initializer}
    own |= {sparse.values.name for sparse in body.sparse_initializer}
    own |= {name for node in body.node for name in node.output}
    return own


def _free(body: GraphProto) -> Iterator[str]:
    own = _own(body)
    for node in body.node:
        for name in (*node.input, *captured(node)):
            if name and name not in own:
                yield name
    for value in body.output:
        if value.name not in own:
            yield value.name


def _rename(body: GraphProto, names: Mapping[str, str]) -> None:
    own = _own(body)
    outer = {old: new for old, new in names.items() if old not in own and old != new}
    if not outer:
        return
    for node in body.node:
        for i, name in enumerate(node.input):
            node.input[i] = outer.get(name, name)
        rename_captured(node, outer)
    for value in body.output:
        value.name = outer.get(value.name, value.name)
