"""PSNR of super-resolution models on luma, beside bicubic's, and to another model's output.

    python models/psnr.py MODEL [MODEL...] --images DIR [--scale S] [--full-range]
                          [--against ORIGINAL]

The usual protocol: an image is cropped to sides that S divides (2 unless given) and reduced by S
with Pillow's bicubic filter, in 8-bit RGB; the model sees the luma of the small image and its
answer, clipped to [0, 1], is compared with the luma of the large one, S pixels at each border left
out. Luma is the Y of ITU-R BT.601 with its footroom and headroom (16 to 235 for 8-bit RGB), divided
by 255; with `--full-range` it is JPEG's, 0 to 255. Nothing is rounded on the way out, so that a
difference of 0.001 dB between two models shows.

A model takes luma (N, 1, H, W), float32, and gives (N, 1, S H, S W). One of fixed H and W gets
smaller planes with their last row and column repeated, its answer cropped; of larger images all
models get the upper left part that fits.

`--against` adds a second table, how far each model's answers are from ORIGINAL's: neither clipped
nor cropped, for each image and over the pixels of all of them together.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image

Plane = npt.NDArray[np.float32]
Upscaler = Callable[[Plane], Plane]
Pairs = dict[str, tuple[Plane, Plane]]
Table = Mapping[str, Mapping[str, float]]

SCALE = 2
ANY_SIZE = (math.inf, math.inf)


def luma(image: Image.Image, full_range: bool = False) -> Plane:
    """BT.601 luma of an image as (H, W), in [16/255, 235/255] or, if asked, in [0, 1]."""
    rgb = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    if full_range:
        return (rgb @ (0.299, 0.587, 0.114)).astype(np.float32)
    return ((16 + rgb @ (65.481, 128.553, 24.966)) / 255).astype(np.float32)


def degrade(
    image: Image.Image,
    scale: int = SCALE,
    full_range: bool = False,
    limit: tuple[float, float] = ANY_SIZE,
) -> tuple[Plane, Plane]:
    """Luma of the image reduced by `scale`, (h, w), and of itself, (scale h, scale w).

    What is more than a multiple of `scale`, or leads to more than `limit` (h, w), is cut off at the
    right and at the bottom.
    """
    height, width = (
        int(min(side // scale, most))
        for side, most in zip((image.height, image.width), limit, strict=True)
    )
    large = image.convert("RGB").crop((0, 0, width * scale, height * scale))
    small = large.resize((width, height), Image.Resampling.BICUBIC)
    return luma(small, full_range), luma(large, full_range)


def load_pairs(
    folder: Path,
    scale: int = SCALE,
    full_range: bool = False,
    limit: tuple[float, float] = ANY_SIZE,
) -> Pairs:
    """The pairs of `degrade` for every PNG of a folder, by name. FileNotFoundError if none."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise FileNotFoundError(f"no PNG in {folder}")
    return {path.stem: degrade(Image.open(path), scale, full_range, limit) for path in paths}


def bicubic(small: Plane, scale: int = SCALE) -> Plane:
    """A plane (H, W) enlarged to (scale H, scale W) by Pillow's bicubic filter, not rounded."""
    height, width = small.shape
    large = Image.fromarray(small).resize((width * scale, height * scale), Image.Resampling.BICUBIC)
    return np.asarray(large, dtype=np.float32)


class Model:
    """The model at `path` in onnxruntime as a function of one plane, (H, W) to (S H, S W).

    `limit` is the largest (H, W) it takes, infinite where open.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        entry = self.session.get_inputs()[0]
        if len(entry.shape) != 4:
            raise ValueError(f"{path}: input {entry.name!r} is no luma (N, 1, H, W)")
        self.name = entry.name
        height, width = (dim if isinstance(dim, int) else math.inf for dim in entry.shape[2:])
        self.limit = (height, width)

    def __call__(self, small: Plane) -> Plane:
        """The plane's enlargement; ValueError if it exceeds `limit`."""
        height, width = small.shape
        if height > self.limit[0] or width > self.limit[1]:
            raise ValueError(f"a plane of {height}x{width} is more than the model takes")
        room = [
            (0, 0 if math.isinf(most) else int(most) - side)
            for side, most in zip(small.shape, self.limit, strict=True)
        ]
        padded = np.pad(small, room, mode="edge")
        result = self.session.run(None, {self.name: padded[None, None]})[0]
        large = np.asarray(np.squeeze(result, (0, 1)), dtype=np.float32)
        scale = len(large) // len(padded)
        return large[: scale * height, : scale * width]


def decibels(mean_square: float) -> float:
    """PSNR in dB for a peak of 1; infinite where there is no error."""
    return -10 * math.log10(mean_square) if mean_square else math.inf


def mean_square(one: Plane, other: Plane, border: int = 0) -> float:
    """Mean squared difference within the border; ValueError where the sizes differ."""
    if one.shape != other.shape:
        sizes = " and ".join(f"{height}x{width}" for height, width in (one.shape, other.shape))
        raise ValueError(f"planes of {sizes}: is --scale the model's?")
    inside = (slice(border, -border or None),) * 2
    return float(np.mean((one[inside].astype(np.float64) - other[inside].astype(np.float64)) ** 2))


def psnr(large: Plane, restored: Plane, border: int = SCALE) -> float:
    """PSNR in dB for a peak of 1, borders cropped; the estimate is clipped to [0, 1] first."""
    return decibels(mean_square(large, np.clip(restored, 0, 1), border))


def evaluate(upscale: Upscaler, pairs: Pairs) -> dict[str, float]:
    """PSNR in dB of one upscaler on each pair, by image name."""
    return {
        name: psnr(large, upscale(small), border=len(large) // len(small))
        for name, (small, large) in pairs.items()
    }


def distances(upscale: Upscaler, original: Upscaler, pairs: Pairs) -> dict[str, float]:
    """PSNR in dB of one upscaler's answer to another's, by image name, and "pooled" over all."""
    errors, pixels = {}, {}
    for name, (small, large) in pairs.items():
        errors[name], pixels[name] = mean_square(original(small), upscale(small)), large.size
    total = sum(errors[name] * pixels[name] for name in pairs) / sum(pixels.values())
    return {name: decibels(error) for name, error in errors.items()} | {"pooled": decibels(total)}


def mean(scores: dict[str, float]) -> float:
    """Mean over the images, in dB."""
    return sum(scores.values()) / len(scores)


def table(scores: Table, heading: str) -> Iterable[str]:
    """The lines of a table: a column for each model, a row for each image."""
    widths = {column: max(len(column), 9) for column in scores}
    yield " ".join([f"{heading:16}", *(f"{column:>{widths[column]}}" for column in scores)])
    for row in next(iter(scores.values())):
        cells = (f"{scores[column][row]:{widths[column]}.4f}" for column in scores)
        yield " ".join([f"{row:16}", *cells])


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR")
    parser.add_argument("--scale", type=int, default=SCALE, help="how much larger (default: 2)")
    parser.add_argument("--full-range", action="store_true", help="luma from 0 to 1, as JPEG's")
    parser.add_argument("--against", type=Path, metavar="ORIGINAL", help="PSNR to its output too")
    options = parser.parse_args(arguments)
    if options.scale < 1:
        parser.error("--scale must be 1 or more")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        models = {str(path): Model(path) for path in options.models}
        original = Model(options.against) if options.against else None
        takers = [*models.values(), *([original] if original else [])]
        height, width = (min(sides) for sides in zip(*(m.limit for m in takers), strict=True))
        pairs = load_pairs(options.images, options.scale, options.full_range, (height, width))
        columns = {"bicubic": partial(bicubic, scale=options.scale)} | models
        scores = {name: evaluate(upscale, pairs) for name, upscale in columns.items()}
        apart = {
            name: distances(model, original, pairs) for name, model in models.items() if original
        }
    except Exception as error:  # onnxruntime raises a class of its own for each kind of bad file
        print(f"psnr: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2

    with_mean = {name: score | {"mean": mean(score)} for name, score in scores.items()}
    print(*table(with_mean, "image"), sep="\n")
    if apart:
        print("", *table(apart, "to the original"), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
