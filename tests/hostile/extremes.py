"""Files that may come out differently: of numbers beyond float32, or that never run.

``(x·a)·b`` and ``x·(a·b)`` are the same, but one of them may overflow where the other does not:
float32 ends at 3.4e38. And a model that loads but runs on no input says nothing of what a result
should be; where that no longer loads, convc says so and writes nothing. Others may not differ.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np

from convc.feeds import made_up
from convc.graph import Graph
from convc.ir import is_real
from convc.limits import limits_of
from convc.model_files import load, runnable
from convc.runtime import RunError, Session, Settings

LARGEST = 1e30
"""Magnitude from which a product with another weight or value soon leaves float32."""


def is_extreme(path: Path) -> bool:
    """Whether numbers of a model or of data go beyond `LARGEST`, are not finite, or are none.

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
    return _weights(graph) or _results(path, graph)


def _weights(graph: Graph) -> bool:
    values = (value for op in graph.ops() for value in op.results)
    return any(_far(value.array) for value in values if value.array is not None)


def _results(path: Path, graph: Graph) -> bool:
    settings = Settings(threads=1, optimised=False, limits=limits_of(graph))
    session = Session(runnable(path), settings)
    ran = False
    for case in made_up(graph, graph.sizes, 0):
        try:
            results = session.run(case.feeds)
        except RunError:
            continue
        ran = True
        if any(map(_far, results)):
            return True
    return not ran


def _far(array: object) -> bool:
    values = np.asarray(array)
    if not is_real(values.dtype):
        return False
    with np.errstate(invalid="ignore"):
        return not (np.abs(values.astype(np.float64)) < LARGEST).all()
