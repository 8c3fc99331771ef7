"""Numbers for which rewriting is no longer exact: float32 ends at 3.4e38.

``(x·a)·b`` and ``x·(a·b)`` are the same, but one of them may overflow where the other does not. A
file with such weights, or that computes such values, may come out differently; others may not.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np

from convc import onnx_io
from convc.feeds import made_up
from convc.graph import Graph
from convc.ir import is_real
from convc.limits import limits_of
from convc.model_files import load
from convc.runtime import Session, Settings

LARGEST = 1e30
"""Magnitude from which a product with another weight or value soon leaves float32."""


def is_extreme(path: Path) -> bool:
    """Whether weights of a model, what it computes, or data, go beyond `LARGEST` or are not finite.

    Found in a process of its own, as the model may do harm.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        try:
            os.write(writer, str(int(_is_extreme(path))).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        found = stream.read()
    os.waitpid(pid, 0)
    return found == b"1"


def _is_extreme(path: Path) -> bool:
    if path.suffix in (".npy", ".npz"):
        given = np.load(path)
        return any(map(_far, given.values() if path.suffix == ".npz" else [given]))
    graph = load(path)
    return _weights(graph) or _results(graph)


def _weights(graph: Graph) -> bool:
    values = (value for op in graph.ops() for value in op.results)
    return any(_far(value.array) for value in values if value.array is not None)


def _results(graph: Graph) -> bool:
    settings = Settings(threads=1, optimised=False, limits=limits_of(graph))
    session = Session(onnx_io.to_bytes(graph), settings)
    cases = made_up(graph, graph.sizes, 0)
    return any(_far(array) for case in cases for array in session.run(case.feeds))


def _far(array: object) -> bool:
    values = np.asarray(array)
    if not is_real(values.dtype):
        return False
    with np.errstate(invalid="ignore"):
        return not (np.abs(values.astype(np.float64)) < LARGEST).all()
