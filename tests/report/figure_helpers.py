"""What the tests of the report's figures share."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from convc.ir import Array
from convc.report.measures import Amount, ImagePair, Layer, Load

NASTY = 'Conv <b onclick="x">&amp; "äöü" \u4e2d</b>'


def pair(before: Array, after: Array, psnr: float = 40.0, case: str = "cat.png") -> ImagePair:
    return ImagePair(case, "y", before, before, after, psnr)


def gray(seed: int = 0, side: int = 20) -> Array:
    return np.asarray(np.random.default_rng(seed).random((side, side, 1)), np.float32)


def parsed(html: str) -> ElementTree.Element:
    """The fragment as XML; raises where a tag is not closed or a name not escaped."""
    return ElementTree.fromstring(f"<body>{html}</body>")


def texts(html: str) -> str:
    return " ".join(parsed(html).itertext())


def layer(name: str, before: float, after: float | None, *, missing: int = 0) -> Layer:
    new = Load() if after is None else Load(Amount(after, 0, 1), Amount(8 * after, 0, 1))
    return Layer(name, Load(Amount(before, missing, 1), Amount(8 * before, 0, 1)), new)
