"""Sizes for a model's open dims at which it really runs."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

from convc.errors import UsageError
from convc.feeds import noise
from convc.graph import Graph
from convc.limits import limits_of, too_large
from convc.model_files import load, runnable
from convc.onnx_io.shapes import BATCH
from convc.runtime import RunError, Session, Settings, StoppedError

CANDIDATES = (256, 160, 128, 64, 512, 32, 576, 320, 416, 640, 1024)
"""Tried in turn for the open dims that are no batch, where the default sizes do not run."""

LARGEST = 2**25
"""Elements of the inputs up to which a candidate is tried: where a file leaves channels or a third
spatial axis open as well, those that are usual for images are far too many."""


def load_runnable(
    path: Path, sizes: Mapping[str, int], *, keep_initializer_inputs: bool = False
) -> Graph:
    """Reads a model at sizes at which onnxruntime runs it; as `convc.load` otherwise.

    Sizes the caller gives are never changed. Where nothing runs, the default sizes stay.
    """
    graph = load(path, sizes, keep_initializer_inputs=keep_initializer_inputs)
    free = [d for d in open_dims(graph) if d not in sizes and d.lstrip("?") not in sizes]
    movable = [d for d in free if graph.sizes.get(d) != BATCH]
    if not movable or too_large(graph):
        return graph
    try:
        settings = Settings(optimised=False, limits=limits_of(graph))
        session = Session(runnable(path), settings)
    except RunError:
        return graph
    for size in (None, *CANDIDATES):
        wanted = {} if size is None else dict.fromkeys(movable, size)
        if size is not None and _elements(graph, {**graph.sizes, **wanted}) > LARGEST:
            continue
        try:
            session.run(noise(graph, {**graph.sizes, **wanted}))
        except StoppedError:
            return graph
        except (RunError, UsageError):
            continue
        if size is None:
            return graph
        return load(path, {**sizes, **wanted}, keep_initializer_inputs=keep_initializer_inputs)
    return graph


def _elements(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Of all inputs at these sizes; a dim that is in none of them counts as one."""
    shapes = (value.shape or () for value in graph.inputs)
    return sum(prod(sizes.get(d, 1) if isinstance(d, str) else d or 1 for d in s) for s in shapes)


def open_dims(graph: Graph) -> list[str]:
    """The named dims of the inputs, in the file's order."""
    dims = (dim for value in graph.inputs for dim in value.shape or ())
    return list(dict.fromkeys(dim for dim in dims if isinstance(dim, str)))
