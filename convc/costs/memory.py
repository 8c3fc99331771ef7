"""The memory that activations need, by liveness."""

from __future__ import annotations

from collections import Counter
from math import prod

import numpy as np

from convc.graph import Graph
from convc.ir import CONSTANT, Value


def peak_activation_bytes(graph: Graph) -> int:
    """The largest sum of the bytes of values alive at once, in the file's order.

    A value lives from the op that makes it to its last user; an op's operands and results live
    together. Weights do not count, inputs and outputs do.
    """
    users = Counter(value for op in graph.ops() for value in set(op.operands) if value is not None)
    alive = peak = 0
    for op in graph.ops():
        if op.kind == CONSTANT and not op.domain:
            continue
        alive += sum(_bytes(graph, result) for result in op.results)
        peak = max(peak, alive)
        for value in {v for v in op.operands if v is not None and v.op.kind != CONSTANT}:
            users[value] -= 1
            if not users[value]:
                alive -= _bytes(graph, value)
        alive -= sum(_bytes(graph, result) for result in op.results if not users[result])
    return peak


def _bytes(graph: Graph, value: Value) -> int:
    shape = graph.concrete_shape(value)
    if shape is None or value.dtype is None or value.dtype == np.dtype(object):
        return 0
    return prod(shape) * value.dtype.itemsize
