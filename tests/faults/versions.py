"""Two versions of one output, told apart by their weights, and who looks which one is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from convc.errors import ConvcError
from convc.graph import Graph
from convc.instruments import Dump
from convc.ir import Header, TensorType
from convc.model_files import load, save
from convc.pipeline import PassReport, Pipeline
from convc.rewrite import Size, Stats

FLOAT = np.dtype(np.float32)
LAYERS = 4
"""Weights of a version: a file that is half one and half the other is neither."""

Write = Callable[[Graph, Path], None]


def version(number: int, elements: int) -> Graph:
    """A row of products by matrices of ``elements`` equal values each: the version's number."""
    side = round(elements**0.5)
    graph = Graph(Header())
    type_ = TensorType(FLOAT, (1, side))
    value = graph.add_input("x", type_)
    for layer in range(LAYERS):
        weight = graph.add_constant(np.full((side, side), number, FLOAT), f"w{layer}")
        value = graph.add("MatMul", [value, weight], types=[type_], names=[f"v{layer}"]).result
    graph.set_outputs([value], ["y"])
    return graph


def number_of(path: Path) -> int:
    """Which version lies there; raises ConvcError where it cannot be read, ValueError where it is
    none, or some of one and some of another."""
    arrays = [op.array for op in load(path).ops() if op.array is not None]
    numbers = np.unique(np.concatenate([np.unique(array) for array in arrays]))
    if len(arrays) != LAYERS or len(numbers) != 1:
        raise ValueError(f"{len(arrays)} weights with the values {numbers.tolist()}")
    return int(numbers[0])


def look(path: Path, allowed: set[int]) -> str:
    """Empty where one of the ``allowed`` versions lies there, else what is wrong."""
    try:
        number = number_of(path)
    except (ConvcError, ValueError) as error:
        return str(error)
    return "" if number in allowed else f"version {number}, not one of {sorted(allowed)}"


def _dump(graph: Graph, path: Path) -> None:
    """The file that ``--dump`` writes after the first pass, under its own name."""
    size = Size(0, 0, 0)
    report = PassReport("", Stats(), size, size, changed=True)
    (item,) = Pipeline.parse("simplify").passes
    Dump(path.parent).after_pass(0, item, graph, report)


WRITERS: Mapping[str, tuple[str, Write]] = MappingProxyType(
    {
        "model": ("net.onnx", save),
        "model and data": ("net.onnx", lambda graph, path: save(graph, path, external_data=True)),
        "mlir": ("net.mlir", save),
    }
)
"""By what they write: the file's name, and how it is written."""


def is_left_over(path: Path) -> bool:
    """Whether a file is one that a writer had not finished."""
    return path.name.startswith(".convc.") and path.name.endswith(".tmp")


def left_overs(folder: Path) -> list[Path]:
    """The files that writers had not finished."""
    return [path for path in folder.iterdir() if is_left_over(path)]
