"""Images in the report: what the PNGs show."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pytest

from convc.ir import Array
from convc.report import figures
from convc.report.figures.images import Shades, gain_of, pixels, png, shades_of
from convc.report.measures import Images
from tests.report.figure_helpers import NASTY, gray, pair, parsed, texts

Image = pytest.importorskip("PIL.Image", reason="the extra report is not installed")


def decoded(uri: str) -> Array:
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)))


def test_images_show_what_was_computed() -> None:
    before = gray()
    after = before.copy()
    after[3, 4, 0] += np.float32(0.05)
    html = figures.image_pairs(Images((pair(before, after, 60.0),)))
    shown = [decoded(e.get("src", "")) for e in parsed(html).iter("img")]
    assert [e.text for e in parsed(html).iter("figcaption")] == [
        "input",
        "before",
        "after",
        "difference × 20",
    ]
    assert np.array_equal(shown[1], np.rint(255 * before[..., 0].astype(np.float64)))
    lit = np.argwhere(shown[3])
    assert lit.tolist() == [[3, 4]]
    assert shown[3][3, 4] == pytest.approx(255, abs=1)
    assert "PSNR 60.0 dB" in texts(html)
    alts = [e.get("alt", "") for e in parsed(html).iter("img")]
    assert alts[3] == "y for cat.png, absolute difference, amplified 20 times"


def test_equal_images_differ_in_nothing() -> None:
    html = figures.image_pairs(Images((pair(gray(), gray(), math.inf),), made_up=True))
    assert not decoded([e.get("src", "") for e in parsed(html).iter("img")][3]).any()
    assert "equal in every value" in texts(html)
    assert "difference: none" in texts(html)
    assert "made up" in texts(html)


def test_nan_and_infinity_are_shown_as_different() -> None:
    broken = gray()
    broken[2, 2, 0], broken[5, 5, 0] = math.nan, math.inf
    html = figures.image_pairs(Images((pair(gray(), broken, -math.inf, NASTY),)))
    shown = decoded([e.get("src", "") for e in parsed(html).iter("img")][3])
    assert np.argwhere(shown == 255).tolist() == [[2, 2], [5, 5]]
    assert "not comparable" in texts(html)
    assert NASTY in texts(html)
    both = figures.image_pairs(Images((pair(broken, broken, math.inf),)))
    assert "difference: none" in texts(both)


@pytest.mark.parametrize(
    ("values", "shades"),
    [
        ([0.02, 0.97], (0, 1)),
        ([-0.9, 0.8], (-1, 1)),
        ([3.0, 250.0], (0, 255)),
        ([-2.1, 2.6], (-2.1, 2.6)),
        ([0.0, 0.001], (0, 0.001)),
        ([4.0, 4.0], (4, 5)),
        ([math.nan], (0, 1)),
    ],
)
def test_shades(values: list[float], shades: tuple[float, float]) -> None:
    found = shades_of(np.array(values, np.float64).reshape(-1, 1, 1))
    assert (found.black, found.white) == pytest.approx(shades)
    assert shades_of(np.zeros((2, 2, 1), np.uint8)) == Shades(0, 255)


@pytest.mark.parametrize(
    ("difference", "gain"),
    [(0.0, 0), (1.0, 1), (7.0, 1), (0.3, 2), (0.049, 20), (1e-7, 1e7), (math.inf, 1)],
)
def test_the_gain_is_a_round_number(difference: float, gain: float) -> None:
    assert gain_of(np.full((4, 4, 1), difference), Shades(0, 1)) == pytest.approx(gain)


def test_large_images_are_made_smaller_and_colours_kept() -> None:
    red = np.zeros((1000, 500, 3), np.uint8)
    red[..., 0] = 200
    shown = decoded(png(red))
    assert shown.shape[:2] == (256, 128)
    assert (shown == [200, 0, 0]).all()
    assert pixels(np.array([[[math.nan], [-9.0], [9.0]]]), Shades(0, 1)).ravel().tolist() == [
        0,
        0,
        255,
    ]
