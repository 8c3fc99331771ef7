"""Sizes for a model's open dims at which it really runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from convc.errors import UsageError
from convc.feeds import noise
from convc.graph import Graph
from convc.model_files import load, runnable
from convc.onnx_io.shapes import BATCH
from convc.runtime import RunError, Session, Settings

CANDIDATES = (256, 160, 128, 64, 512, 32, 576, 320, 416, 640, 1024)
"""Tried in turn for the open dims that are no batch, where the default sizes do not run."""


def load_runnable(
    path: Path, sizes: Mapping[str, int], *, keep_initializer_inputs: bool = False
) -> Graph:
    """Reads a model at sizes at which onnxruntime runs it; as `convc.load` otherwise.

    Sizes the caller gives are never changed. Where nothing runs, the default sizes stay.
    """
    graph = load(path, sizes, keep_initializer_inputs=keep_initializer_inputs)
    free = [d for d in open_dims(graph) if d not in sizes and d.lstrip("?") not in sizes]
    movable = [d for d in free if graph.sizes[d] != BATCH]
    if not movable:
        return graph
    try:
        session = Session(runnable(path), Settings(optimised=False))
    except RunError:
        return graph
    for size in (None, *CANDIDATES):
        wanted = {} if size is None else dict.fromkeys(movable, size)
        try:
            session.run(noise(graph, {**graph.sizes, **wanted}))
        except (RunError, UsageError):
            continue
        if size is None:
            return graph
        return load(path, {**sizes, **wanted}, keep_initializer_inputs=keep_initializer_inputs)
    return graph


def open_dims(graph: Graph) -> list[str]:
    """The named dims of the inputs, in the file's order."""
    dims = (dim for value in graph.inputs for dim in value.shape or ())
    return list(dict.fromkeys(dim for dim in dims if isinstance(dim, str)))
