"""models/psnr.py: scales, models of fixed size, the range of luma, distances to an original."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from models import psnr
from tests.onnx_helpers import info, model, weight

SCALE = 3
Size = tuple[int | str, int | str]


def tripler(path: Path, size: Size, *, bias: float = 0.0, shift: int = 0) -> Path:
    """A model that repeats each pixel SCALE times both ways, plus `bias`.

    With a `shift` of 1 it repeats the pixel's neighbour to the lower right, 0 beyond the plane.
    """
    large = [SCALE * side if isinstance(side, int) else None for side in size]
    kernel = np.zeros((1, 1, 3, 3))
    kernel[..., 1 + shift, 1 + shift] = 1
    weights = {"kernel": kernel, "bias": [bias], "scales": [1, 1, SCALE, SCALE]}
    nodes = [
        helper.make_node("Conv", ["x", "kernel", "bias"], ["small"], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["small", "", "scales"], ["y"], mode="nearest"),
    ]
    made = model(
        nodes,
        [info("x", [1, 1, *size])],
        [info("y", [1, 1, *large])],
        [weight(name, np.array(array, np.float32)) for name, array in weights.items()],
    )
    onnx.save(made, path)
    return path


def repeated(plane: psnr.Plane) -> psnr.Plane:
    return plane.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def noise(height: int, width: int) -> psnr.Plane:
    return np.random.default_rng(0).random((height, width), dtype=np.float32)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two noisy images: one of 70x100 pixels and one of 31x40."""
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(1)
    for name, shape in {"large": (70, 100, 3), "small": (31, 40, 3)}.items():
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize("size", [("height", "width"), (20, 24), (20, "width")])
def test_answer_is_that_of_the_plane_alone(size: Size, tmp_path: Path) -> None:
    plane = noise(13, 24)
    tripled = psnr.Model(tripler(tmp_path / "m.onnx", size))
    assert tripled.limit == tuple(side if isinstance(side, int) else math.inf for side in size)
    np.testing.assert_array_equal(tripled(plane), repeated(plane))


@pytest.mark.parametrize(("size", "mode"), [((20, 24), "edge"), (("h", "w"), "constant")])
def test_fixed_size_sees_the_edge_repeated(size: Size, mode: str, tmp_path: Path) -> None:
    plane = noise(13, 9)
    neighbours = np.pad(plane, ((0, 1), (0, 1)), mode)[1:, 1:]  # type: ignore[call-overload]
    tripled = psnr.Model(tripler(tmp_path / "m.onnx", size, shift=1))
    np.testing.assert_array_equal(tripled(plane), repeated(neighbours))


@pytest.mark.parametrize("size", [(21, 24), (20, 25)])
def test_larger_plane_than_the_model_takes(size: tuple[int, int], tmp_path: Path) -> None:
    tripled = psnr.Model(tripler(tmp_path / "m.onnx", (20, 24)))
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]} is more than the model takes"):
        tripled(noise(*size))


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (psnr.ANY_SIZE, {"large": (23, 33), "small": (10, 13)}),
        ((20, 24), {"large": (20, 24), "small": (10, 13)}),
        ((math.inf, 12), {"large": (23, 12), "small": (10, 12)}),
    ],
)
def test_pairs_are_cut_to_what_the_model_takes(
    limit: tuple[float, float], sizes: dict[str, tuple[int, int]], images: Path
) -> None:
    pairs = psnr.load_pairs(images, SCALE, limit=limit)
    assert {name: small.shape for name, (small, _) in pairs.items()} == sizes
    for name, (_, large) in pairs.items():
        height, width = (SCALE * side for side in sizes[name])
        whole = psnr.luma(Image.open(images / f"{name}.png"))
        np.testing.assert_array_equal(large, whole[:height, :width])


def test_range_of_luma() -> None:
    ends = Image.fromarray(np.array([[[0] * 3, [255] * 3]], np.uint8))
    np.testing.assert_allclose(psnr.luma(ends), [[16 / 255, 235 / 255]], rtol=1e-6)
    np.testing.assert_allclose(psnr.luma(ends, full_range=True), [[0, 1]], rtol=1e-6)


@pytest.mark.parametrize(("wrong", "share"), [(SCALE - 1, 0.0), (SCALE, 1 / 6)])
def test_border_as_wide_as_the_scale_does_not_count(wrong: int, share: float) -> None:
    """One of twelve rows is wrong by 0.1: of the six inside the border, or of those outside."""
    large = np.zeros((12, 15), np.float32)
    restored = large.copy()
    restored[wrong] = 0.1
    scores = psnr.evaluate(lambda _: restored, {"x": (noise(4, 5), large)})
    assert scores["x"] == pytest.approx(psnr.decibels(0.01 * share), abs=1e-4)


def test_distance_to_the_original_is_pooled_over_pixels(tmp_path: Path) -> None:
    original = psnr.Model(tripler(tmp_path / "a.onnx", ("h", "w")))
    brighter = psnr.Model(tripler(tmp_path / "b.onnx", ("h", "w"), bias=0.1))
    planes = {"first": noise(10, 10), "second": noise(20, 15)}
    pairs = {name: (plane, repeated(plane)) for name, plane in planes.items()}
    assert set(psnr.distances(original, original, pairs).values()) == {math.inf}
    apart = psnr.distances(brighter, original, pairs)
    assert apart == pytest.approx({"first": 20.0, "second": 20.0, "pooled": 20.0}, abs=1e-4)

    def only_first(small: psnr.Plane) -> psnr.Plane:
        return brighter(small) if small.shape == (10, 10) else original(small)

    apart = psnr.distances(only_first, original, pairs)
    # A fourth of the 400 pixels is 0.1 off.
    assert apart["pooled"] == pytest.approx(20.0 + 10 * math.log10(4), abs=1e-4)
    assert apart["second"] == math.inf


def test_command_prints_both_tables(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = str(tripler(tmp_path / "a.onnx", (20, 24)))
    other = str(tripler(tmp_path / "b.onnx", (16, "w"), bias=1e-3))
    arguments = [one, other, "--images", str(images), "--scale", "3", "--full-range"]
    assert psnr.main([*arguments, "--against", one]) == 0
    first, second = capsys.readouterr().out.strip().split("\n\n")
    rows = [line.split() for line in first.splitlines()]
    assert [row[0] for row in rows] == ["image", "large", "small", "mean"]
    assert rows[0][1:] == ["bicubic", one, other]

    pairs = psnr.load_pairs(images, SCALE, full_range=True, limit=(16, 24))
    upscalers = (partial(psnr.bicubic, scale=SCALE), repeated)
    expected = [psnr.evaluate(upscale, pairs)["large"] for upscale in upscalers]
    assert [float(cell) for cell in rows[1][1:3]] == pytest.approx(expected, abs=1e-4)
    distances = [[float(cell) for cell in line.split()[-2:]] for line in second.splitlines()[1:]]
    # The sum is rounded to 2^-24, which is up to 6e-5 of the bias: 5e-4 dB.
    assert distances == [[math.inf, pytest.approx(60.0, abs=5e-4)]] * 3


def test_wrong_scale_is_said(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tripler(tmp_path / "m.onnx", ("h", "w"))
    assert psnr.main([str(path), "--images", str(images)]) == 2
    assert "is --scale the model's?" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        psnr.main([str(path), "--images", str(images), "--scale", "0"])


@pytest.mark.parametrize(("full_range", "gain"), [(False, 0.20), (True, 0.24)])
def test_espcn_wants_the_full_range(full_range: bool, gain: float, shared: Path) -> None:
    espcn = psnr.Model(shared / "models" / "sr_espcn_cvtools.onnx")
    pairs = psnr.load_pairs(shared / "images" / "Set5", SCALE, full_range, espcn.limit)
    bicubic = partial(psnr.bicubic, scale=SCALE)
    scores = [psnr.mean(psnr.evaluate(upscale, pairs)) for upscale in (espcn, bicubic)]
    assert scores[0] - scores[1] == pytest.approx(gain, abs=0.005)
