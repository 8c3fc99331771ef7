"""How images become the input of a model: what the user says, and what follows from the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, TypeAlias

import numpy as np

from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import Dim, TensorType, Value, is_real

LAYOUTS = ("nchw", "nhwc")
COLOURS = ("rgb", "bgr", "luma", "gray")
FITS = ("crop", "resize", "cover")

Numbers: TypeAlias = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What the user says of images, ``--preprocess TEXT``; None and 1 say nothing.

    The text is ``key=value`` words, separated by spaces or commas: ``size=224x224 mean=0.5,0.4,0.4
    scale=1/255 luma``. A number after a comma belongs to the list before it. The values of layout,
    colour and fit may stand alone. `str` gives text that parses to the same.

    In order: the image, in 8-bit RGB, is reduced, brought to the size, turned into the colour
    (values 0 to 255), and a value v of channel c becomes (v·scale − mean_c) / std_c.

    Attributes:
        size: (H, W) of a sample.
        fit: how an image comes to that size. ``crop``: pieces of it, at its own scale. ``resize``:
            all of it, squeezed. ``cover``: scaled until it covers the size, its middle kept.
        layout: ``nchw`` or ``nhwc``.
        colour: ``rgb``, ``bgr``, ``luma`` (Y of ITU-R BT.601, 16 to 235) or ``gray`` (the same
            weights, 0 to 255).
        scale: factor of the values.
        mean: subtracted after scaling, one number or one for each of the model's channels.
        std: divided by after that, likewise.
        reduce: divides the image's sides, before all else, by Pillow's bicubic filter: for
            networks that enlarge, whose inputs are small images and not pieces of large ones.
    """

    size: tuple[int, int] | None = None
    fit: str | None = None
    layout: str | None = None
    colour: str | None = None
    scale: float | None = None
    mean: Numbers = ()
    std: Numbers = ()
    reduce: int = 1

    def __str__(self) -> str:
        said = ((f.name, getattr(self, f.name), f.default) for f in fields(self))
        return " ".join(f"{key}={shown(value)}" for key, value, silent in said if value != silent)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a `Preprocess` means for one model's input. Fields as there, all decided.

    ``height`` and ``width`` are None where the model takes any and the user says none.
    """

    height: int | None
    width: int | None
    fit: str
    layout: str
    colour: str
    channels: int
    scale: float
    mean: Numbers
    std: Numbers
    reduce: int
    dtype: np.dtype[Any]


def parse_preprocess(text: str) -> Preprocess:
    """What ``--preprocess TEXT`` says; raises UsageError, in one line, for what it cannot say."""
    said: dict[str, Any] = {}
    for key, value in _entries(text):
        if key in said:
            raise _error(f"{key} is given twice")
        said[key] = _convert(key, value)
    return Preprocess(**said)


def image_layout(type_: object) -> str | None:
    """The layout of an input that takes images, else None.

    An image is rank 4 with one or three channels: in the second place, in the last, or, where the
    model leaves its channels open, in the second.
    """
    if not isinstance(type_, TensorType) or type_.shape is None or len(type_.shape) != 4:
        return None
    _, second, third, last = type_.shape
    if second in (1, 3):
        return "nchw"
    # (N, C, 1, 1) holds one number for each channel, and is no image one pixel wide.
    if last in (1, 3) and third != 1:
        return "nhwc"
    return None if isinstance(second, int) else "nchw"


def plan(preprocess: Preprocess, value: Value, graph: Graph) -> Plan:
    """Decides what is left open, from the model's input.

    The size is the model's own where fixed. Pieces (``crop``) serve a model that answers with an
    image at least as large; one that sees a whole scene gets it (``cover``). One channel is luma,
    three are RGB. Values are scaled by 1/255 for floating inputs, as they are for bytes.

    Raises UsageError where the input takes no images, or the user says what it does not take.
    """
    type_ = value.type
    found = image_layout(type_)
    if found is None or not isinstance(type_, TensorType) or type_.shape is None:
        raise UsageError(
            f"--data: input {value.name!r} of {_shape_text(value.shape)} takes no images "
            "(4 axes, 1 or 3 channels): give an .npz or .npy"
        )
    if not is_real(type_.dtype) and type_.dtype != np.uint8:
        raise UsageError(f"--data: input {value.name!r} takes {type_.dtype}, no images: give .npy")
    layout = preprocess.layout or found
    at = (1, 2, 3) if layout == "nchw" else (3, 1, 2)
    channels, height, width = (type_.shape[axis] for axis in at)
    batch = type_.shape[0]
    if isinstance(batch, int) and batch != 1:
        raise UsageError(
            f"--data: input {value.name!r} takes {batch} at once: give an .npz or .npy"
        )
    colour = preprocess.colour or ("luma" if channels == 1 else "rgb")
    given = 1 if colour in ("luma", "gray") else 3
    if isinstance(channels, int) and channels != given:
        raise _error(
            f"{layout} {colour} images have {given} channels, "
            f"input {value.name!r} of {_shape_text(type_.shape)} has {channels}"
        )
    for key in ("mean", "std"):
        count = len(getattr(preprocess, key))
        if count not in (0, 1, given):
            raise _error(f"{key} is one number or {given}, not {count}")
    wanted = preprocess.size or (None, None)
    return Plan(
        height=_side("height", height, wanted[0], value),
        width=_side("width", width, wanted[1], value),
        fit=preprocess.fit or ("crop" if _answers_with_images(graph, height, width) else "cover"),
        layout=layout,
        colour=colour,
        channels=given,
        scale=preprocess.scale or (1 / 255 if is_real(type_.dtype) else 1.0),
        mean=preprocess.mean or (0.0,),
        std=preprocess.std or (1.0,),
        reduce=preprocess.reduce,
        dtype=type_.dtype,
    )


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """The (key, value) pairs of a text; a word that stands alone gets the key it belongs to."""
    alone = {
        word: key
        for key, words in (("layout", LAYOUTS), ("colour", COLOURS), ("fit", FITS))
        for word in words
    }
    for word in text.split():
        entries: list[tuple[str, str]] = []
        for part in word.split(","):
            key, equals, value = part.partition("=")
            if equals:
                entries.append((key, value))
            elif part in alone:
                entries.append((alone[part], part))
            elif entries and entries[-1][0] in ("mean", "std"):
                entries[-1] = (entries[-1][0], f"{entries[-1][1]},{part}")
            else:
                raise _error(f"{part!r} is neither key=value nor one of {', '.join(alone)}")
        yield from entries


def _convert(key: str, text: str) -> Any:
    choices = {"layout": LAYOUTS, "colour": COLOURS, "fit": FITS}
    if key in choices:
        if text not in choices[key]:
            raise _error(f"{key} is one of {', '.join(choices[key])}, not {text!r}")
        return text
    if key == "size":
        sides = tuple(map(_whole, text.lower().split("x")))
        if len(sides) != 2 or min(sides) < 1:
            raise _error(f"size is HxW, as in 224x224, not {text!r}")
        return sides
    if key == "reduce":
        factor = _whole(text)
        if factor < 1:
            raise _error(f"reduce is a whole number from 1, not {text!r}")
        return factor
    if key in ("mean", "std", "scale"):
        return _numbers(key, text)
    raise _error(f"no key {key!r}; it has {', '.join(f.name for f in fields(Preprocess))}")


def _numbers(key: str, text: str) -> float | Numbers:
    try:
        numbers = tuple(_number(part) for part in text.split(","))
    except ValueError as error:
        raise _error(f"{key} takes numbers such as 0.5 or 1/255, not {text!r}") from error
    if key in ("std", "scale") and 0 in numbers:
        raise _error(f"{key} is never 0")
    if key != "scale":
        return numbers
    if len(numbers) > 1:
        raise _error(f"scale is one number, not {text!r}; std takes one for each channel")
    return numbers[0]


def _number(text: str) -> float:
    above, slash, below = text.partition("/")
    divisor = float(below) if slash else 1.0
    number = float(above) / divisor if divisor else float("nan")
    if not isfinite(number):
        raise ValueError(text)
    return number


def _whole(text: str) -> int:
    """A positive number in ASCII digits, else 0."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def shown(value: Any) -> str:
    """A value as the text that parses to it."""
    if isinstance(value, tuple):
        sides = len(value) == 2 and all(isinstance(side, int) for side in value)
        return "x".join(map(str, value)) if sides else ",".join(map(shown, value))
    if not isinstance(value, float):
        return str(value)
    inverse = round(1 / value) if 1e-6 < abs(value) < 1 else 0
    as_fraction = f"1/{inverse}"
    short = repr(value)
    return as_fraction if inverse > 1 and 1 / inverse == value and len(short) > 8 else short


def _side(which: str, dim: Dim, wanted: int | None, value: Value) -> int | None:
    if isinstance(dim, int) and wanted not in (None, dim):
        raise _error(f"size: input {value.name!r} has a fixed {which} of {dim}, not {wanted}")
    return dim if isinstance(dim, int) else wanted


def _answers_with_images(graph: Graph, height: Dim, width: Dim) -> bool:
    """True where some output has two neighbouring axes at least as large as the input's."""
    sides = [graph.sizes.get(d) if isinstance(d, str) else d for d in (height, width)]
    for output in graph.outputs:
        shape = output.shape or ()
        if len(shape) != 4:
            continue
        sizes = [graph.sizes.get(d, 0) if isinstance(d, str) else d or 0 for d in shape]
        pairs = (sizes[2:4], sizes[1:3])
        if any(all(a >= (b or 1) for a, b in zip(pair, sides, strict=True)) for pair in pairs):
            return True
    return False


def _shape_text(shape: tuple[Dim, ...] | None) -> str:
    if shape is None:
        return "unknown rank"
    return "x".join(str(d) if isinstance(d, int) else "?" for d in shape) or "no axes"


def _error(message: str) -> UsageError:
    return UsageError(f"--preprocess: {message}")
