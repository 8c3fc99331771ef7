"""Graphs for tests of memory: values of so many bytes, and what holds for every graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

from convc.costs.memory import Memory, activation_memory, peak_activation_bytes
from convc.graph import Graph
from convc.ir import Op, TensorType, Value


class Net:
    """Builds graphs whose values are so many bytes."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.names = count()

    def input(self, size: int) -> Value:
        return self.graph.add_input(f"in{next(self.names)}", of(size))

    def op(self, kind: str, operands: Sequence[Value], *sizes: int | None) -> tuple[Value, ...]:
        name = f"{kind}{next(self.names)}"
        types = [None if size is None else of(size) for size in sizes]
        names = [f"{name}.{i}" for i in range(len(sizes))]
        return self.graph.add(kind, operands, types=types, names=names, name=name).results

    def one(self, kind: str, operands: Sequence[Value], size: int | None) -> Value:
        return self.op(kind, operands, size)[0]

    def done(self, *outputs: Value) -> Graph:
        self.graph.set_outputs(outputs, [f"out{i}" for i in range(len(outputs))])
        return self.graph


def of(size: int) -> TensorType:
    return TensorType(np.dtype(np.int8), (size,))


def checked(graph: Graph) -> Memory:
    """The memory of a graph, after what holds for every graph has been asserted."""
    found = activation_memory(graph)
    assert found.lower_bound <= found.best_peak <= found.file_peak
    assert found.file_peak == peak_activation_bytes(graph) == max(found.timeline)
    assert found.file_peak == sum(size for _, size in found.alive)
    sizes = [size for _, size in found.alive]
    assert sizes == sorted(sizes, reverse=True)
    assert len(found.timeline) == len(graph.ops())
    assert found.timeline[graph.ops().index(found.at)] == found.file_peak
    assert peak_activation_bytes(graph, found.best_order) == found.best_peak
    assert is_order(graph, found.best_order)
    return found


def is_order(graph: Graph, order: Sequence[Op]) -> bool:
    """All ops once, operands before users."""
    place = {op: i for i, op in enumerate(order)}
    return (
        len(place) == len(order) == len(graph.ops())
        and set(place) == set(graph.ops())
        and all(place[v.op] < i for op, i in place.items() for v in op.operands if v is not None)
    )
