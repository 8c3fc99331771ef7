"""What models are fed when they are compared or timed: made up to hurt, or the user's own data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from convc.errors import UsageError
from convc.files import no_such_file
from convc.graph import Graph
from convc.ir import Array, TensorType, Value, is_real
from convc.memory import free_memory
from convc.onnx_io.shapes import UNNAMED
from convc.samples.images import IMAGE_SUFFIXES, is_image, load_images
from convc.samples.preprocess import Plan, parse_preprocess, plan

Feeds: TypeAlias = Mapping[str, Array]
Data: TypeAlias = str | Path | Feeds | Sequence[Feeds] | None
"""Inputs as a caller gives them: a path, arrays by input name, or a list of these."""

Make: TypeAlias = Callable[[tuple[int, ...]], Any]
"""Makes numbers of a shape."""


LARGEST_UNPACKED, MOST_PACKED = 2**27, 100
"""Bytes that any array of a compressed file may have, and how many times its packed ones a larger
one: numbers that were measured are packed to a half, zeros to a thousandth."""


NPY = b"\x93NUMPY"
_SIZELESS = re.compile(rb"[SUVa]0*['\"]")

MADE_UP = 24
"""Bytes that making up a number takes: random, in double precision, and with what masks it."""


class CannotFeedError(UsageError):
    """No input can be made up for the model: the message says which and asks for data."""


@dataclass(frozen=True, slots=True)
class Case:
    """One set of inputs and the name under which reports speak of it.

    Attributes:
        name: for reports.
        feeds: arrays by input name.
        varied: False where all values of a channel are one number: the errors there are one number
            too, and no statistic.
        source: what it is a piece of (an image, say), "" where it stands for itself. Pieces of one
            source are alike, so one of them does not judge what was fitted to another.
    """

    name: str
    feeds: Feeds
    varied: bool = True
    source: str = ""


def required(graph: Graph) -> list[Value]:
    """The inputs that have to be fed: those without a default."""
    return [value for value in graph.inputs if value.op.default is None]


def made_up(
    graph: Graph, sizes: Mapping[str, int], seed: int, count: int | None = None
) -> list[Case]:
    """Inputs on which a wrong rewrite shows.

    Signed noise; spikes on the borders and in the corners of an empty image; noise a hundred times
    as large; constants for each channel, with a step; noise in [0, 1) as images are. All ones alone
    would prove nothing. Integer inputs get ones (a size, a rate, an index that nearly always
    exists) or, where they pick rows of a table, random ones, images of bytes random bytes; inputs
    with a default keep it.

    Args:
        graph: whose inputs to make.
        sizes: size of each named dim.
        seed: of the random numbers.
        count: how many to make, in this order; None: all.
    """
    rng = np.random.default_rng(seed)
    kinds: dict[str, Make] = {
        "noise": rng.standard_normal,
        "borders": lambda shape: _borders(shape, rng),
        "large": lambda shape: 100.0 * rng.standard_normal(shape),
        "constants": lambda shape: _constants(shape, rng),
        "image": rng.random,
    }
    return [
        Case(name, _fill(graph, sizes, make, rng), name != "constants")
        for name, make in islice(kinds.items(), count)
    ]


def noise(graph: Graph, sizes: Mapping[str, int] | None = None, seed: int = 0) -> Feeds:
    """Signed noise for every floating input, at the graph's sizes unless others are given."""
    rng = np.random.default_rng(seed)
    return _fill(graph, graph.sizes if sizes is None else sizes, rng.standard_normal, rng)


def as_cases(data: Data, graph: Graph, preprocess: str = "") -> list[Case]:
    """The caller's inputs as cases.

    Args:
        data: see `Data`; a path as for `load_data`.
        graph: the model that is fed.
        preprocess: how images become inputs, see `convc.samples.preprocess.Preprocess`.

    Raises UsageError, in one line, where they do not fit the model's inputs.
    """
    if isinstance(data, str | Path):
        return load_data(Path(data), graph, preprocess)
    if preprocess:
        raise UsageError("--preprocess: is for images: give --data an image or a folder of images")
    if data is None:
        return []
    listed = [data] if isinstance(data, Mapping) else list(data)
    return [
        case
        for i, feeds in enumerate(listed)
        for case in _cases(f"data {i}", feeds, graph, f"data {i}")
    ]


def load_data(path: Path, graph: Graph, preprocess: str = "") -> list[Case]:
    """The user's inputs: arrays or images.

    Arrays are an .npz by input name, an .npy for a single input, or a folder of these; where the
    model takes a fixed number of samples at once and a file holds several times as many, it is
    several cases. Images are for models with a single input: an image or a folder of images, of
    which at most `convc.samples.images.MOST_IMAGES` are read.

    Raises UsageError, in one line, where a file does not fit the model's inputs.
    """
    wanted = parse_preprocess(preprocess)
    files = data_files(path)
    if is_image(files[0]):
        value = _image_input(graph, path)
        samples = load_images(files, plan(wanted, value, graph))
        return [Case(s.name, {value.name: s.array}, source=s.source) for s in samples]
    if preprocess:
        raise UsageError(f"--preprocess: is for images, and --data {path} holds arrays")
    return [
        case
        for file in files
        for case in _cases(file.name, _load_file(file, graph), graph, f"--data {file}")
    ]


def data_files(path: Path) -> list[Path]:
    """The files that ``--data PATH`` stands for, all arrays or all images, never none."""
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
    except PermissionError as error:
        raise UsageError(f"--data {path}: may not be read: permission denied") from error
    if not path.is_dir():
        return files
    arrays = [file for file in files if file.suffix in (".npz", ".npy")]
    images = [file for file in files if is_image(file)]
    if arrays and images:
        raise UsageError(
            f"--data {path}: the folder holds arrays ({arrays[0].name}) and images "
            f"({images[0].name}): give a folder of one kind"
        )
    if not arrays and not images:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise UsageError(
            f"--data {path}: the folder holds no .npz or .npy file and no image ({known})"
        )
    return arrays or images


def image_plan(graph: Graph, preprocess: str = "") -> Plan:
    """What is done with images for a model, all defaults decided; raises UsageError as above."""
    return plan(parse_preprocess(preprocess), _image_input(graph, "images"), graph)


def as_samples(cases: Sequence[Case], graph: Graph) -> list[Case]:
    """The cases, those that hold many samples split into cases of one.

    Samples lie along the first axis of every fed input. That is known where the first axis is the
    only open one, or the first of four or more; else the case stays whole, as it does where the
    inputs do not agree on the number of samples.
    """
    values = [value for value in graph.inputs if any(value.name in c.feeds for c in cases)]
    if not values or not all(_has_open_batch(value) for value in values):
        return list(cases)
    return [sample for case in cases for sample in _split(case)]


def _has_open_batch(value: Value) -> bool:
    first, *rest = value.shape or (0,)
    return isinstance(first, str) and (
        len(rest) >= 3 or (len(rest) > 0 and all(isinstance(dim, int) for dim in rest))
    )


def _split(case: Case, size: int = 1) -> list[Case]:
    """The case in pieces of ``size`` along the first axes; itself where these do not allow it."""
    counts = {array.shape[0] if array.ndim else 0 for array in case.feeds.values()}
    count = counts.pop() if len(counts) == 1 else 0
    if count <= size or count % size:
        return [case]
    return [
        Case(
            f"{case.name}[{i // size}]",
            {name: array[i : i + size] for name, array in case.feeds.items()},
            case.varied,
            case.source,
        )
        for i in range(0, count, size)
    ]


def _cases(name: str, arrays: Feeds, graph: Graph, where: str) -> list[Case]:
    """One case, or several where the arrays hold several times the batch that the model takes."""
    values = [value for value in graph.inputs if value.name in arrays]
    batches = {value.shape[0] if value.shape else None for value in values}
    size = batches.pop() if len(batches) == 1 else None
    _check_present(arrays, graph, where)
    whole = Case(name, {v.name: np.asarray(arrays[v.name]) for v in values})
    pieces = _split(whole, size) if isinstance(size, int) and size > 0 else [whole]
    return [
        Case(piece.name, _fit_all(piece.feeds, graph, where), source=piece.source)
        for piece in pieces
    ]


def _image_input(graph: Graph, where: object) -> Value:
    values = required(graph)
    if len(values) == 1:
        return values[0]
    names = ", ".join(value.name for value in values) or "none"
    raise UsageError(
        f"--data {where}: images are for one input, the model has {names}: give an .npz"
    )


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
    if not file.is_file() and file.exists():
        raise UsageError(f"{where}: is no regular file")
    try:
        with file.open("rb") as stream:
            _check_header(stream)
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {names[0]: loaded} if len(names) == 1 else {}
        else:
            with loaded:
                _check_members(loaded, where)
                arrays = {name: loaded[name] for name in loaded.files}
    except FileNotFoundError as error:
        raise UsageError(f"{where}: {no_such_file(file)}") from error
    except PermissionError as error:
        raise UsageError(f"{where}: may not be read: permission denied") from error
    except MemoryError as error:
        raise UsageError(f"{where}: its arrays do not fit into memory") from error
    except UsageError:
        raise
    except Exception as error:  # of a broken header numpy raises whatever Python's parser does
        raise UsageError(f"{where}: not a file of numpy arrays (.npz or .npy) or image") from error
    if isinstance(loaded, np.ndarray) and len(names) != 1:
        listed = ", ".join(names)
        raise UsageError(f"{where}: the model has inputs {listed}; give an .npz with these")
    return arrays


def _check_header(stream: IO[bytes]) -> None:
    """Raises ValueError for an .npy of elements without a size: numpy would count them one by one.

    What is no .npy passes: numpy says what it is.
    """
    if stream.read(len(NPY)) != NPY:
        return
    wide = stream.read(2)[:1] > b"\x01"
    size = int.from_bytes(stream.read(4 if wide else 2), "little")
    if _SIZELESS.search(stream.read(min(size, 2**16))):
        raise ValueError("its elements have no size")


def _check_members(archive: Any, where: str) -> None:
    """Raises UsageError for what unpacks to far more than it is packed: zeros, made to harm."""
    for entry in archive.zip.infolist():
        with archive.zip.open(entry) as stream:
            _check_header(stream)
        if entry.file_size > max(LARGEST_UNPACKED, MOST_PACKED * entry.compress_size):
            raise UsageError(
                f"{where}: {entry.filename!r} unpacks to {entry.file_size / 1e9:.1f} GB from "
                f"{entry.compress_size / 1e6:.1f} MB: refused; save it without compression"
            )


def _check_present(arrays: Feeds, graph: Graph, where: str) -> None:
    """Raises UsageError where an input that the model needs is not among the arrays."""
    missing = [value.name for value in required(graph) if value.name not in arrays]
    if missing:
        has = ", ".join(arrays) or "nothing"
        raise UsageError(f"{where}: input {missing[0]!r} is missing; given: {has}")


def _fit_all(arrays: Feeds, graph: Graph, where: str) -> Feeds:
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


def input_shape(value: Value, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape to feed an input at these sizes; raises CannotFeedError where it is not known."""
    type_ = value.type
    if not isinstance(type_, TensorType) or type_.shape is None:
        raise CannotFeedError(f"input {value.name!r} is no tensor of known rank: give --data")
    dims = [sizes.get(d) if isinstance(d, str) else d for d in type_.shape]
    shape = tuple(size for size in dims if size is not None)
    if len(shape) < len(dims) or type_.dtype == np.dtype(object):
        raise CannotFeedError(f"input {value.name!r} cannot be made up: give --data")
    free = free_memory()
    if free is not None and MADE_UP * prod(shape) > free:
        raise CannotFeedError(
            f"input {value.name!r} of {MADE_UP * prod(shape) / 1e9:.3g} GB with what makes it up "
            "does not fit into the memory that is free: give smaller sizes with --dim"
        )
    return shape


def make_input(
    value: Value, sizes: Mapping[str, int], make: Make, rng: np.random.Generator
) -> Array:
    """An array for one input: floating ones by ``make``, integers as `made_up` says."""
    shape = input_shape(value, sizes)
    dtype = value.dtype
    assert dtype is not None
    if dtype.itemsize == 1 and dtype.kind in "iu" and len(shape) > 2:
        return np.frombuffer(rng.bytes(prod(shape)), dtype).reshape(shape)
    if dtype.kind in "iub":
        return np.ones(shape, dtype)
    if not prod(shape):
        return np.empty(shape, dtype)  # its other axes may be of any length
    return np.asarray(make(shape)).astype(dtype)


def _fill(graph: Graph, sizes: Mapping[str, int], make: Make, rng: np.random.Generator) -> Feeds:
    feeds = {value.name: make_input(value, sizes, make, rng) for value in required(graph)}
    for value in required(graph):
        rows = _rows(graph, value)
        if rows:
            like = feeds[value.name]
            feeds[value.name] = rng.integers(0, rows, like.shape).astype(like.dtype)
    return feeds


def _rows(graph: Graph, value: Value) -> int:
    """How many rows the tables have that an input picks from; 0 where it is for anything else."""
    found: list[int] = []
    for op, index in graph.uses(value):
        shape = op.inputs[0].shape if op.kind == "Gather" and op.inputs[0] is not None else None
        axis = op.attributes.get("axis", 0)
        if op.domain or index != 1 or not shape or not isinstance(axis, int):
            return 0
        rows = shape[axis]
        found.append(rows if isinstance(rows, int) else 0)
    return min(found, default=0)


def _borders(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Zero but for the first and last two positions of each spatial axis, at random places."""
    spikes = rng.standard_normal(shape) * (rng.random(shape) < 0.5)
    edge = np.zeros(shape, bool)
    for axis in range(2 if len(shape) > 2 else 0, len(shape)):
        index: list[Any] = [slice(None)] * len(shape)
        size = shape[axis]
        for position in {i for i in (0, 1, size - 2, size - 1) if 0 <= i < size}:
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
