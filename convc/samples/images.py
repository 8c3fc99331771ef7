"""Image files as inputs of a model. Pillow, which reads them, is an optional extra."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from convc.errors import UsageError
from convc.files import no_such_file
from convc.ir import Array
from convc.samples.preprocess import Plan

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)

MOST_IMAGES = 48
"""Images read from a folder; of more, evenly spread ones."""

CROPS = 4
"""Pieces taken of one image at most."""

MOST_BYTES = 2**30
"""Bytes that all samples may take together."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """One input made of an image: its name, the image's, and the array with its batch axis."""

    name: str
    source: str
    array: Array


def is_image(path: Path) -> bool:
    """True where a file's name says that it is an image convc reads."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most ``count`` of the items, in their order, evenly spread from the first to the last."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


def load_images(files: Sequence[Path], plan: Plan) -> list[Sample]:
    """Samples of at most `MOST_IMAGES` of the files.

    Raises UsageError, in one line, where a file is no image that can be read, where the samples
    are too large to hold, or where Pillow is not installed.
    """
    samples: list[Sample] = []
    held = 0
    for file in spread(files, MOST_IMAGES):
        pieces = list(_pieces(_read(file), plan))
        for i, piece in enumerate(pieces):
            name = f"{file.name}[{i}]" if len(pieces) > 1 else file.name
            samples.append(Sample(name, file.name, as_input(piece, plan)))
            held += samples[-1].array.nbytes
        if held > MOST_BYTES:
            raise UsageError(
                f"--data {file.parent}: the samples take more than {MOST_BYTES >> 30} GiB: "
                "give fewer images, or a size with --preprocess size=HxW"
            )
    return samples


def as_input(image: Image.Image, plan: Plan) -> Array:
    """An 8-bit RGB image of the right size as the model takes it, with a batch axis of 1."""
    pixels = np.asarray(image, np.float64)
    if plan.colour == "luma":
        pixels = 16 + pixels @ np.array([[65.481], [128.553], [24.966]]) / 255
    elif plan.colour == "gray":
        pixels = pixels @ np.array([[0.299], [0.587], [0.114]])
    elif plan.colour == "bgr":
        pixels = pixels[..., ::-1]
    values = (pixels * plan.scale - np.array(plan.mean)) / np.array(plan.std)
    if plan.dtype.kind in "iu":
        limits = np.iinfo(plan.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    if plan.layout == "nchw":
        values = np.moveaxis(values, -1, 0)
    return np.ascontiguousarray(values[None], plan.dtype)


def _read(file: Path) -> Image.Image:
    """An image file in 8-bit RGB, upright, without its transparency; the first of several."""
    try:
        from PIL import Image, ImageOps  # noqa: PLC0415  # an optional extra
    except ImportError as error:
        raise UsageError(
            f"--data {file}: images need Pillow: pip install 'convc[images]'"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file) as opened:
                image = ImageOps.exif_transpose(opened)
                return _as_rgb(image, file)
    except FileNotFoundError as error:
        raise UsageError(f"--data {file}: {no_such_file(file)}") from error
    except PermissionError as error:
        raise UsageError(f"--data {file}: may not be read: permission denied") from error
    except UsageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UsageError(f"--data {file}: too large an image: reduce it first") from error
    except Exception as error:  # Pillow's readers raise nearly anything on a broken file
        raise UsageError(f"--data {file}: not an image that can be read (broken?)") from error


def _as_rgb(image: Image.Image, file: Path) -> Image.Image:
    from PIL import Image  # noqa: PLC0415  # an optional extra

    if image.mode == "F" or image.mode.startswith("I"):
        # Pillow would clip 16 bits to 8 instead of scaling them.
        deep = np.asarray(image)
        if image.mode == "F" or deep.max() > 65535:
            raise UsageError(f"--data {file}: no image of 8 or 16 bits: give an .npy instead")
        image = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    return image.convert("RGB")


def _pieces(image: Image.Image, plan: Plan) -> Iterator[Image.Image]:
    """The image reduced and brought to the plan's size, as one piece or as several."""
    from PIL import Image, ImageOps  # noqa: PLC0415  # an optional extra

    if plan.reduce > 1:
        image = _reduced(image, plan.reduce)
    if plan.height is None and plan.width is None:
        yield image
        return
    if plan.fit == "crop":
        yield from _crops(image, plan.height or image.height, plan.width or image.width)
        return
    # Where the model takes any height or any width, the image keeps its proportions.
    width = plan.width or max(1, round((plan.height or 1) * image.width / image.height))
    height = plan.height or max(1, round(width * image.height / image.width))
    if plan.fit == "resize":
        yield image.resize((width, height), Image.Resampling.BICUBIC)
    else:
        yield ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """The image, its sides cut to multiples of the factor, divided by it with bicubic weights."""
    from PIL import Image  # noqa: PLC0415  # an optional extra

    width, height = (max(1, side // factor) for side in image.size)
    cut = image.crop((0, 0, width * factor, height * factor))
    return cut.resize((width, height), Image.Resampling.BICUBIC)


def _crops(image: Image.Image, height: int, width: int) -> Iterator[Image.Image]:
    """Up to `CROPS` pieces that do not overlap, spread over the image.

    A smaller image is continued by its mirror image: enlarged, it would lose the finest detail,
    on which networks for images depend.
    """
    from PIL import Image  # noqa: PLC0415  # an optional extra

    pixels = np.asarray(image)
    missing = [max(0, side - has) for side, has in zip((height, width), pixels.shape, strict=False)]
    pixels = np.pad(pixels, [*((0, n) for n in missing), (0, 0)], mode="symmetric")
    tops = _starts(pixels.shape[0], height)
    lefts = _starts(pixels.shape[1], width)
    for top, left in spread([(top, left) for top in tops for left in lefts], CROPS):
        yield Image.fromarray(pixels[top : top + height, left : left + width])


def _starts(side: int, size: int) -> list[int]:
    """Where along a side as many pieces start as fit without overlap, evenly spread over it."""
    count = side // size
    if count == 1:
        return [(side - size) // 2]
    return [round(start) for start in np.linspace(0, side - size, count)]
