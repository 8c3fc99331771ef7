"""What models are fed when they are compared or timed: made up to hurt, or the user's own data."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np

from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import Array, TensorType, Value, is_real
from convc.onnx_io.shapes import UNNAMED

Feeds: TypeAlias = Mapping[str, Array]
Data: TypeAlias = str | Path | Feeds | Sequence[Feeds] | None
"""Inputs as a caller gives them: a path, arrays by input name, or a list of these."""


class CannotFeedError(UsageError):
    """No input can be made up for the model: the message says which and asks for data."""


@dataclass(frozen=True, slots=True)
class Case:
    """One set of inputs and the name under which reports speak of it.

    ``varied`` is False where all values of a channel are one number: the errors there are one
    number too, and no statistic.
    """

    name: str
    feeds: Feeds
    varied: bool = True


def required(graph: Graph) -> list[Value]:
    """The inputs that have to be fed: those without a default."""
    return [value for value in graph.inputs if value.op.default is None]


def made_up(graph: Graph, sizes: Mapping[str, int], seed: int) -> list[Case]:
    """Inputs on which a wrong rewrite shows.

    Signed noise; spikes on the borders and in the corners of an empty image; noise a hundred times
    as large; constants for each channel, with a step; noise in [0, 1) as images are. All ones alone
    would prove nothing. Integer inputs get ones (a size, a rate, an index that nearly always
    exists), images of bytes random ones; inputs with a default keep it.

    Args:
        graph: whose inputs to make.
        sizes: size of each named dim.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    kinds = {
        "noise": rng.standard_normal,
        "borders": lambda shape: _borders(shape, rng),
        "large": lambda shape: 100.0 * rng.standard_normal(shape),
        "constants": lambda shape: _constants(shape, rng),
        "image": rng.random,
    }
    return [
        Case(name, _fill(graph, sizes, make, rng), name != "constants")
        for name, make in kinds.items()
    ]


def noise(graph: Graph, sizes: Mapping[str, int] | None = None, seed: int = 0) -> Feeds:
    """Signed noise for every floating input, at the graph's sizes unless others are given."""
    rng = np.random.default_rng(seed)
    return _fill(graph, graph.sizes if sizes is None else sizes, rng.standard_normal, rng)


def as_cases(data: Data, graph: Graph) -> list[Case]:
    """The caller's inputs as cases; raises UsageError where they do not fit the model's inputs."""
    if data is None:
        return []
    if isinstance(data, str | Path):
        return load_data(Path(data), graph)
    listed = [data] if isinstance(data, Mapping) else list(data)
    return [
        Case(f"data {i}", _fit_all(feeds, graph, f"data {i}")) for i, feeds in enumerate(listed)
    ]


def load_data(path: Path, graph: Graph) -> list[Case]:
    """The user's inputs: an .npz by input name, an .npy for a single input, or a folder of these.

    Raises UsageError, in one line, where a file does not fit the model's inputs.
    """
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".npz", ".npy"))
    if not files:
        raise UsageError(f"--data {path}: the folder holds no .npz or .npy file")
    return [Case(file.name, _load_file(file, graph)) for file in files]


def data_sizes(cases: list[Case], graph: Graph) -> dict[str, int]:
    """The sizes that the first case gives to the open dims of the inputs."""
    sizes: dict[str, int] = {}
    for value in required(graph) if cases else ():
        array = cases[0].feeds[value.name]
        for dim, size in zip(value.shape or (), array.shape, strict=False):
            if isinstance(dim, str):
                sizes[dim] = int(size)
    return sizes


def _load_file(file: Path, graph: Graph) -> Feeds:
    where = f"--data {file}"
    names = [value.name for value in required(graph)]
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {names[0]: loaded} if len(names) == 1 else {}
        else:
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except FileNotFoundError as error:
        raise UsageError(f"{where}: no such file") from error
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UsageError(f"{where}: not a file of numpy arrays (.npz or .npy)") from error
    if isinstance(loaded, np.ndarray) and len(names) != 1:
        listed = ", ".join(names)
        raise UsageError(f"{where}: the model has inputs {listed}; give an .npz with these")
    return _fit_all(arrays, graph, where)


def _fit_all(arrays: Feeds, graph: Graph, where: str) -> Feeds:
    missing = [value.name for value in required(graph) if value.name not in arrays]
    if missing:
        has = ", ".join(arrays) or "nothing"
        raise UsageError(f"{where}: input {missing[0]!r} is missing; given: {has}")
    return {
        value.name: _fitted(np.asarray(arrays[value.name]), value, where)
        for value in graph.inputs
        if value.name in arrays
    }


def _fitted(array: Array, value: Value, where: str) -> Array:
    type_ = value.type
    if not isinstance(type_, TensorType):
        return array
    what = f"{where}: input {value.name!r}"
    if array.dtype != type_.dtype:
        if not (is_real(array.dtype) and is_real(type_.dtype)):
            raise UsageError(f"{what} must be {type_.dtype}, given {array.dtype}")
        array = array.astype(type_.dtype)
    shape = type_.shape
    if shape is not None and (
        len(shape) != array.ndim
        or any(isinstance(d, int) and d != n for d, n in zip(shape, array.shape, strict=True))
    ):
        names = ("" if d is None else str(d) for d in shape)
        wanted = "x".join("?" if not d or d.startswith(UNNAMED) else d for d in names)
        given = "x".join(map(str, array.shape))
        raise UsageError(f"{what} must be {wanted}, given {given}")
    if is_real(array.dtype) and not np.isfinite(array.astype(np.float64)).all():
        raise UsageError(f"{what} holds NaN or infinity")
    return array


def _fill(graph: Graph, sizes: Mapping[str, int], make: Any, rng: np.random.Generator) -> Feeds:
    return {value.name: _make(value, sizes, make, rng) for value in required(graph)}


def _make(value: Value, sizes: Mapping[str, int], make: Any, rng: np.random.Generator) -> Array:
    type_ = value.type
    if not isinstance(type_, TensorType) or type_.shape is None:
        raise CannotFeedError(f"input {value.name!r} is no tensor of known rank: give --data")
    dims = [sizes.get(d) if isinstance(d, str) else d for d in type_.shape]
    shape = tuple(size for size in dims if size is not None)
    if len(shape) < len(dims) or type_.dtype == np.dtype(object):
        raise CannotFeedError(f"input {value.name!r} cannot be made up: give --data")
    if type_.dtype.itemsize == 1 and type_.dtype.kind in "iu" and len(shape) > 2:
        bits = np.frombuffer(rng.bytes(prod(shape)), type_.dtype)
        return bits.reshape(shape)
    if type_.dtype.kind in "iub":
        return np.ones(shape, type_.dtype)
    made: Array = np.asarray(make(shape)).astype(type_.dtype)
    return made


def _borders(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Zero but for the first and last two positions of each spatial axis, at random places."""
    spikes = rng.standard_normal(shape) * (rng.random(shape) < 0.5)
    edge = np.zeros(shape, bool)
    for axis in range(2 if len(shape) > 2 else 0, len(shape)):
        index: list[Any] = [slice(None)] * len(shape)
        for position in {0, 1, shape[axis] - 2, shape[axis] - 1} & set(range(shape[axis])):
            index[axis] = position
            edge[tuple(index)] = True
    return np.asarray(np.where(edge, spikes, 0.0))


def _constants(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Two signed constants for each index of the first two axes: a step along the last axis.

    Without the step an edge filter would answer nothing but its own rounding.
    """
    if len(shape) < 3:
        return np.broadcast_to(rng.standard_normal((*shape[:1], *(1,) * (len(shape) - 1))), shape)
    left, right = rng.standard_normal((2, *shape[:2], *(1,) * (len(shape) - 2)))
    step = np.where(np.arange(shape[-1]) < shape[-1] // 2, left, right)
    return np.broadcast_to(step, shape)
