"""A model and its data as a caller gives them: the graph at sizes at which it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from convc.errors import InvalidModelError, UsageError
from convc.feeds import Case, Data, as_cases, as_samples, data_sizes
from convc.graph import Graph
from convc.model_files import TEXT, load
from convc.onnx_io import LARGEST_FILE, to_bytes, weight_bytes
from convc.runtime import Model, newest_opset, version
from convc.sizes import load_runnable


def read_runnable(
    model: str | Path | Graph,
    data: Data,
    sizes: Mapping[str, int],
    *,
    preprocess: str = "",
    apart: bool = False,
    keep_initializer_inputs: bool = False,
) -> tuple[Graph, list[Case]]:
    """The graph at sizes at which it runs (the user's, the data's, or found), and the data.

    Args:
        model: path of a file, or a graph.
        data: as for `convc.feeds.as_cases`.
        sizes: of open dims, by name.
        preprocess: how images become inputs.
        apart: split what holds many samples into cases of one.
        keep_initializer_inputs: keep weights that are also graph inputs as inputs.

    Raises InvalidModelError and UsageError for bad input.
    """
    if isinstance(model, Graph):
        if sizes:
            raise UsageError("sizes are set when a model is loaded: convc.load(path, sizes)")
        return model, _cases(data, model, preprocess, apart)
    if data is None and not preprocess:
        path = Path(model)
        return load_runnable(path, sizes, keep_initializer_inputs=keep_initializer_inputs), []
    graph = load(model, sizes, keep_initializer_inputs=keep_initializer_inputs)
    cases = _cases(data, graph, preprocess, apart)
    sizes = {**data_sizes(cases, graph), **sizes}
    return load(model, sizes, keep_initializer_inputs=keep_initializer_inputs), cases


def check_opset(graph: Graph) -> None:
    """Raises InvalidModelError where the installed onnxruntime does not know the opset."""
    newest = newest_opset()
    if graph.header.opset > newest:
        raise InvalidModelError(
            f"opset {graph.header.opset} is newer than what onnxruntime {version()} runs "
            f"({newest}): upgrade onnxruntime, or export with an older opset"
        )


def source_of(model: str | Path | Graph, graph: Graph) -> Model:
    """What onnxruntime runs as the original: the file itself, if it is one that it reads."""
    if isinstance(model, Graph) or Path(model).suffix == TEXT:
        return serialised(graph)
    return model


def serialised(graph: Graph) -> bytes:
    """The graph as a file in memory; raises InvalidModelError where it does not fit into one."""
    if weight_bytes(graph) > LARGEST_FILE:
        raise InvalidModelError(
            "weights above 2 GB cannot be verified in memory: use --verify off, then convc verify"
        )
    return to_bytes(graph)


def _cases(data: Data, graph: Graph, preprocess: str, apart: bool) -> list[Case]:
    cases = as_cases(data, graph, preprocess)
    return as_samples(cases, graph) if apart else cases
