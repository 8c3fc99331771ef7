"""What has to hold for a graph after every change: the check behind `Graph.verify`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import networkx as nx

from convc.errors import InvalidGraphError
from convc.ir import CONSTANT, Op, TensorType

if TYPE_CHECKING:
    from convc.graph import Graph


def verify(graph: Graph) -> None:
    """Raises InvalidGraphError, naming the op, where an invariant is broken."""
    digraph = graph.networkx
    if graph.output not in graph:
        raise InvalidGraphError("the graph has no Output op")
    if not nx.is_directed_acyclic_graph(digraph):
        cycle = nx.find_cycle(digraph)
        raise InvalidGraphError(f"the graph has a cycle through {cycle[0][0]!r}")
    inputs = {value.op for value in graph.inputs}
    for op in digraph:
        _verify_op(op)
        if {value.op for value in op.operands if value is not None} != set(graph.producers(op)):
            raise InvalidGraphError(f"the edges into {op!r} are not those of its operands")
        if op.is_boundary and op not in inputs and op is not graph.output:
            raise InvalidGraphError(f"{op!r} is neither an input nor the output of the graph")
    _verify_interface(graph)


def _verify_op(op: Op) -> None:
    for i, result in enumerate(op.results):
        if result.op is not op or result.index != i:
            raise InvalidGraphError(f"result {i} of {op!r} does not point back at it")
    if len(op.captures) > len(op.operands):
        raise InvalidGraphError(f"{op!r} captures more values than it has operands")
    for operand in op.operands:
        if operand is not None and operand not in operand.op.results:
            raise InvalidGraphError(f"{op!r} uses {operand!r}, which its op no longer makes")
    if op.kind == CONSTANT and not op.domain:
        _verify_constant(op)


def _verify_constant(op: Op) -> None:
    if op.array is None:
        raise InvalidGraphError(f"{op!r} holds no array")
    if op.array.flags.writeable:
        raise InvalidGraphError(f"the array of {op!r} can be written to")
    if not isinstance(op.result.type, TensorType) or op.array.shape != op.result.type.shape:
        raise InvalidGraphError(f"the array of {op!r} has not the shape of its type")


def _verify_interface(graph: Graph) -> None:
    names = Counter(value.name for value in graph.inputs)
    repeated = [name for name, times in names.items() if times > 1]
    if repeated:
        raise InvalidGraphError(f"two inputs are named {repeated[0]!r}")
    if "" in names:
        raise InvalidGraphError("an input has no name")
    if None in graph.output.operands:
        raise InvalidGraphError("an operand of the Output op is missing")
    if len(graph.output_names) != len(graph.output.operands):
        raise InvalidGraphError("the Output op has not one name for each operand")
    if "" in graph.output_names:
        raise InvalidGraphError("an output has no name")
