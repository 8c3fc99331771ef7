"""Input, outputs and their difference side by side, as PNGs within the page."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from math import floor, isfinite, log10

import numpy as np

from convc.ir import Array
from convc.report.figures.style import note
from convc.report.measures.images import ImagePair, Images

LONGEST_SIDE = 256
"""Pixels of a side of what is shown; the pixels of larger images are averaged."""


@dataclass(frozen=True, slots=True)
class Shades:
    """The values that are shown as black and as white."""

    black: float
    white: float


def image_pairs(images: Images, *, name: str = "image-pairs") -> str:
    """Each input, both outputs and their difference, enlarged so that it can be seen.

    "" where no output is an image: there is nothing that a reader would miss.
    """
    if not images.pairs:
        return ""
    if find_spec("PIL") is None:
        text = "Images are not shown: they need Pillow: pip install 'convc[images]'"
        return note(text, name)
    made_up = (
        "<p>No data were given: these inputs are made up (pink noise, dead leaves).</p>\n"
        if images.made_up
        else ""
    )
    shown = "\n".join(_pair(pair) for pair in images.pairs)
    return f'<div class="convc-figure" id="{name}">\n{made_up}{shown}\n</div>\n'


def _pair(pair: ImagePair) -> str:
    shades = shades_of(pair.original)
    difference = _difference(pair)
    gain = gain_of(difference, shades)
    amplified = pixels(difference, Shades(0, (shades.white - shades.black) / (gain or 1)))
    title = f"{pair.output} for {pair.case}"
    cells = (
        (pixels(pair.source, shades_of(pair.source)), "input", f"input, {pair.case}"),
        (pixels(pair.original, shades), "before", f"{title}, the original model"),
        (pixels(pair.rewritten, shades), "after", f"{title}, the rewritten model"),
        (
            amplified,
            f"difference × {gain:,.0f}" if gain else "difference: none",
            f"{title}, absolute difference"
            + (f", amplified {gain:,.0f} times" if gain else ": none"),
        ),
    )
    grid = "\n".join(
        f'<figure><img src="{png(array)}" alt="{escape(alt)}"/>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for array, caption, alt in cells
    )
    height, width = pair.original.shape[:2]
    told = f"{title}, {width} × {height} pixels: {_psnr(pair.psnr)}."
    return f'<p>{escape(told)}</p>\n<div class="convc-images">\n{grid}\n</div>'


def shades_of(image: Array) -> Shades:
    """The range of an image's values, by what is usual: bytes, 0 to 1, −1 to 1, else its own."""
    if image.dtype == np.uint8:
        return Shades(0.0, 255.0)
    values = image[np.isfinite(image)].astype(np.float64)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    for black, white in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        room = 0.1 * (white - black)
        fills = high - low > 0.2 * (white - black)
        if black - room <= low and high <= white + room and fills:
            return Shades(black, white)
    return Shades(low, high if high > low else low + 1)


def gain_of(difference: Array, shades: Shades) -> float:
    """1, 2, 5, 10, …: the factor that shows most of a difference; 0 where there is none."""
    # The brightest few pixels may saturate: one of them alone would hide all others.
    finite = difference[np.isfinite(difference)]
    high = float(np.quantile(finite, 0.999)) or float(finite.max()) if finite.size else 0.0
    if high == 0:
        return 1.0 if finite.size < difference.size else 0.0
    wanted = (shades.white - shades.black) / high
    if wanted <= 1:
        return 1.0
    power = 10.0 ** floor(log10(wanted))
    return max(step * power for step in (1, 2, 5) if step * power <= wanted)


def pixels(image: Array, shades: Shades) -> Array:
    """An image as bytes, (H, W, C); NaN is black."""
    known = np.nan_to_num(image.astype(np.float64), posinf=shades.white, neginf=shades.black)
    shares = (known - shades.black) / (shades.white - shades.black)
    return np.asarray(np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8))


def png(image: Array) -> str:
    """Bytes (H, W, C) as the URI of a PNG."""
    from PIL import Image  # noqa: PLC0415  # an optional extra

    made = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    made.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    made.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + b64encode(file.getvalue()).decode()


def _difference(pair: ImagePair) -> Array:
    """|after − before|, (H, W, C); where either is not finite and the other differs, infinite."""
    before, after = (x.astype(np.float64) for x in (pair.original, pair.rewritten))
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    with np.errstate(invalid="ignore"):
        distance = np.abs(after - before)
    return np.where(same, 0.0, np.where(np.isfinite(distance), distance, np.inf))


def _psnr(value: float) -> str:
    if isfinite(value):
        return f"PSNR {value:.1f} dB"
    return "equal in every value" if value > 0 else "not comparable: NaN or infinity"
