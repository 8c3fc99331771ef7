"""Image files as --data: what arrives at the model, and what is refused in one line."""

from __future__ import annotations

import builtins
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from PIL import Image

from convc.errors import UsageError
from convc.feeds import as_cases, load_data
from convc.samples.describe import describe
from convc.samples.images import MOST_IMAGES, spread
from tests.samples.test_preprocess import image_model
from tests.tiny import FLOAT, graph_of, model, node

RGB = np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)


def save(path: Path, pixels: Any, mode: str | None = None) -> Path:
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path)
    return path


def only(path: Path, preprocess: str = "", **shape: Any) -> Any:
    """The one array that a file becomes."""
    (case,) = load_data(path, image_model(shape.get("shape", (1, 3, 12, 10))), preprocess)
    return case.feeds["x"]


def test_an_image_as_it_is(tmp_path: Path) -> None:
    array = only(save(tmp_path / "a.png", RGB))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array[0], (RGB / 255).transpose(2, 0, 1).astype(np.float32))
    last = only(tmp_path / "a.png", shape=("n", 12, 10, 3))
    np.testing.assert_array_equal(last[0], (RGB / 255).astype(np.float32))


def test_mean_std_scale_and_bgr_act_in_the_order_stated(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB)
    array = only(tmp_path / "a.png", "bgr scale=1 mean=10,20,30 std=2,4,8")
    wanted = (RGB[..., ::-1].astype(float) - [10, 20, 30]) / [2, 4, 8]
    np.testing.assert_array_equal(array[0], wanted.transpose(2, 0, 1).astype(np.float32))


def test_luma_is_bt_601_with_footroom(tmp_path: Path) -> None:
    shades = np.zeros((12, 10, 3), np.uint8)
    shades[:6] = 255
    save(tmp_path / "a.png", shades)
    array = only(tmp_path / "a.png", shape=(1, 1, 12, 10))
    np.testing.assert_allclose(255 * array[0, 0, :6], 235, rtol=1e-6)
    np.testing.assert_allclose(255 * array[0, 0, 6:], 16, rtol=1e-6)
    full = only(tmp_path / "a.png", "gray", shape=(1, 1, 12, 10))
    assert (full.min(), full.max()) == (0, 1)
    red = np.full((12, 10, 3), (255, 0, 0), np.uint8)
    array = only(save(tmp_path / "red.png", red), "scale=1", shape=(1, 1, 12, 10))
    np.testing.assert_allclose(array, 16 + 65.481, rtol=1e-6)


def test_bytes_stay_bytes(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB)
    graph = image_model((1, 12, 10, 3), TensorProto.UINT8)
    (case,) = load_data(tmp_path / "a.png", graph)
    np.testing.assert_array_equal(case.feeds["x"][0], RGB)
    assert case.feeds["x"].dtype == np.uint8
    # What falls between two bytes is rounded, and what falls outside is the nearest one.
    for text, wanted in (
        ("scale=0.4", 0.4 * RGB),
        ("mean=100", RGB - 100.0),
        ("scale=2", 2.0 * RGB),
    ):
        (case,) = load_data(tmp_path / "a.png", graph, text)
        np.testing.assert_array_equal(case.feeds["x"][0], np.rint(np.clip(wanted, 0, 255)))


def wide(height: int, width: int) -> Any:
    """Every pixel another colour."""
    places = np.arange(height * width).reshape(height, width)
    return np.stack([places >> 8, places & 255, 0 * places], -1).astype(np.uint8)


def test_crops_do_not_overlap_and_are_at_most_four(tmp_path: Path) -> None:
    graph = image_model((1, 3, 12, 10))
    save(tmp_path / "a.png", wide(40, 35))
    cases = load_data(tmp_path / "a.png", graph, "scale=1")
    assert [case.name for case in cases] == [f"a.png[{i}]" for i in range(4)]
    assert {case.source for case in cases} == {"a.png"}
    places = [case.feeds["x"][0, 0] * 256 + case.feeds["x"][0, 1] for case in cases]
    assert len(set(np.concatenate([p.ravel() for p in places]))) == 4 * 12 * 10
    # The corners first and last: crops are spread over the whole image.
    assert places[0][0, 0] == 0
    assert places[-1][-1, -1] == 40 * 35 - 1


def test_one_crop_is_the_middle(tmp_path: Path) -> None:
    save(tmp_path / "a.png", wide(16, 18))
    array = only(tmp_path / "a.png", "scale=1")
    np.testing.assert_array_equal(array[0, 1] + 256 * array[0, 0], wide_places(16, 18)[2:14, 4:14])


def wide_places(height: int, width: int) -> Any:
    return np.arange(height * width).reshape(height, width)


def test_small_images_are_continued_by_their_mirror_image(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB[:5, :4])
    array = only(tmp_path / "a.png", "scale=1")
    wanted = np.pad(RGB[:5, :4], [(0, 7), (0, 6), (0, 0)], mode="symmetric")
    np.testing.assert_array_equal(array[0], wanted.transpose(2, 0, 1))


def test_resize_and_cover(tmp_path: Path) -> None:
    # Left half black, right half white: squeezed, half stays black; covered, the middle is kept.
    pixels = np.zeros((20, 80, 3), np.uint8)
    pixels[:, 40:] = 255
    save(tmp_path / "a.png", pixels)
    squeezed = only(tmp_path / "a.png", "resize", shape=(1, 3, 20, 20))
    covered = only(tmp_path / "a.png", "cover", shape=(1, 3, 20, 20))
    for array in (squeezed, covered):
        assert array.shape == (1, 3, 20, 20)
        assert not array[..., :8].any()
        assert (array[..., 12:] == 1).all()
    gradient = np.broadcast_to(np.linspace(0, 255, 80)[None, :, None], (20, 80, 3))
    save(tmp_path / "b.png", gradient.astype(np.uint8))
    squeezed = only(tmp_path / "b.png", "resize", shape=(1, 3, 20, 20))
    covered = only(tmp_path / "b.png", "cover", shape=(1, 3, 20, 20))
    assert np.ptp(squeezed) > 0.9
    assert np.ptp(covered) < 0.3


def test_open_sizes_keep_the_image_s_own_size_or_its_proportions(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB)
    assert only(tmp_path / "a.png", shape=("n", 3, "h", "w")).shape == (1, 3, 12, 10)
    assert only(tmp_path / "a.png", "cover", shape=(1, 3, 6, "w")).shape == (1, 3, 6, 5)
    assert only(tmp_path / "a.png", "resize", shape=(1, 3, "h", 20)).shape == (1, 3, 24, 20)
    cases = load_data(tmp_path / "a.png", image_model((1, 3, 6, "w")), "crop")
    assert [case.feeds["x"].shape for case in cases] == [(1, 3, 6, 10)] * 2


def test_reduce_is_pillow_s_bicubic_on_whole_multiples(tmp_path: Path) -> None:
    save(tmp_path / "a.png", wide(26, 31))
    array = only(tmp_path / "a.png", "reduce=3 scale=1", shape=("n", 3, "h", "w"))
    cut = Image.fromarray(wide(26, 31)[:24, :30])
    wanted = np.asarray(cut.resize((10, 8), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(array[0], wanted.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["a.png", "A.PNG", "a.bmp", "a.ppm", "a.tif", "a.tiff", "a.webp"])
def test_lossless_formats(name: str, tmp_path: Path) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(RGB).save(tmp_path / name, **options)
    array = only(tmp_path / name, "scale=1")
    np.testing.assert_array_equal(array[0], RGB.transpose(2, 0, 1))


def test_jpegs(tmp_path: Path) -> None:
    flat = np.full((12, 10, 3), 100, np.uint8)
    for name in ("a.jpg", "b.jpeg"):
        array = only(save(tmp_path / name, flat), "scale=1")
        assert np.abs(array - 100).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK", "I;16", "I"])
def test_other_kinds_of_pixels(mode: str, tmp_path: Path) -> None:
    """All become RGB: gray is three times the same, transparency is left out."""
    levels = np.repeat(np.linspace(0, 255, 12).round()[:, None], 10, 1).astype(np.uint8)
    file = tmp_path / ("a.tif" if mode in ("CMYK", "I") else "a.png")
    if mode.startswith("I"):
        deep = levels.astype(np.uint16) * 257
        Image.fromarray(deep if mode == "I;16" else deep.astype(np.int32)).save(file)
    elif mode in ("LA", "RGBA"):
        image = Image.fromarray(levels).convert(mode)
        image.putalpha(Image.fromarray(RGB[..., 0]))
        image.save(file)
    else:
        image = Image.fromarray(levels).convert("RGB" if mode in ("P", "CMYK") else mode)
        (image.quantize(64) if mode == "P" else image.convert(mode)).save(file)
    array = only(file, "scale=1")
    assert array.shape == (1, 3, 12, 10)
    assert (array == array[:, :1]).all()
    if mode == "1":
        assert set(np.unique(array)) == {0, 255}
    else:
        np.testing.assert_allclose(array[0, 0], levels, atol=1)


def test_images_are_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    array = only(tmp_path / "a.png", "scale=1", shape=(1, 3, 10, 12))
    np.testing.assert_array_equal(array[0], np.rot90(RGB, -1).transpose(2, 0, 1))


def test_a_folder_of_images_in_order_without_what_is_no_image(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.jpg"):
        save(tmp_path / name, RGB)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._a.png").write_bytes(b"what a Mac leaves behind")
    (tmp_path / "more").mkdir()
    cases = as_cases(str(tmp_path), image_model((1, 3, 12, 10)))
    assert [case.source for case in cases] == ["a.png", "b.png", "c.jpg"]


def test_of_many_images_evenly_spread_ones_are_read(tmp_path: Path) -> None:
    for i in range(MOST_IMAGES + 7):
        save(tmp_path / f"{i:03}.ppm", RGB)
    graph = image_model((1, 3, 12, 10))
    cases = load_data(tmp_path, graph)
    assert len(cases) == MOST_IMAGES
    assert (cases[0].name, cases[-1].name) == ("000.ppm", f"{MOST_IMAGES + 6:03}.ppm")
    assert describe(cases, graph, tmp_path).startswith("48 of 55 images → 48 samples")


def test_spread() -> None:
    assert spread([1, 2, 3], 5) == [1, 2, 3]
    assert spread(list(range(101)), 5) == [0, 25, 50, 75, 100]
    assert spread(list(range(9)), 8)[-1] == 8


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(50), "cut", "bomb"])
def test_files_that_are_no_images(
    content: bytes | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    save(file, RGB)
    wanted = "not an image that can be read"
    if content == "bomb":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        wanted = "too large an image"
    else:
        file.write_bytes(file.read_bytes()[:200] if isinstance(content, str) else content)
    for path in (file, tmp_path):
        with pytest.raises(UsageError) as caught:
            load_data(path, image_model((1, 3, 12, 10)))
        assert str(caught.value).startswith(f"--data {file}: {wanted}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_of_no_known_range_are_refused(dtype: Any, tmp_path: Path) -> None:
    file = save(tmp_path / "a.tif", RGB[..., 0].astype(dtype) * 1000)
    with pytest.raises(UsageError, match=r"no image of 8 or 16 bits: give an .npy"):
        only(file)


def test_missing_files_and_folders_without_data(tmp_path: Path) -> None:
    graph = image_model((1, 3, 12, 10))
    with pytest.raises(UsageError, match=r"a\.png: no such file"):
        load_data(tmp_path / "a.png", graph)
    with pytest.raises(UsageError, match=r"no such file"):
        load_data(tmp_path / "nowhere", graph)
    with pytest.raises(UsageError, match=r"holds no .npz or .npy file and no image \(\.bmp, "):
        load_data(tmp_path, graph)


def test_a_folder_of_both_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB)
    np.save(tmp_path / "b.npy", RGB)
    with pytest.raises(UsageError, match=r"holds arrays \(b.npy\) and images \(a.png\)"):
        load_data(tmp_path, image_model((1, 3, 12, 10)))


def refuse(path: object, *_: object, **__: object) -> Any:
    raise PermissionError(13, "Permission denied", str(path))


@pytest.mark.parametrize("name", ["a.png", "a.npy", ""])
def test_what_may_not_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system refuses it: tests that run as root may read everything."""
    graph = image_model((1, 3, 12, 10))
    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr(io, "open", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UsageError, match="may not be read: permission denied"):
        load_data(tmp_path / name, graph)


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "a.png", RGB)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match=r"images need Pillow: pip install 'convc\[images\]'"):
        only(tmp_path / "a.png")


def test_images_for_models_with_two_inputs_and_preprocess_for_arrays(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB)
    two = graph_of(
        model(
            [node("Add", "x z", "y")],
            inputs={"x": (FLOAT, (1, 3, 12, 10)), "z": (FLOAT, (1, 3, 1, 1))},
        )
    )
    with pytest.raises(UsageError, match="images are for one input, the model has x, z"):
        load_data(tmp_path, two)
    np.save(tmp_path / "x.npy", RGB)
    graph = image_model((1, 3, 12, 10))
    with pytest.raises(UsageError, match=r"is for images, and --data .* holds arrays"):
        load_data(tmp_path / "x.npy", graph, "luma")
    for data in (None, {"x": RGB}):
        with pytest.raises(UsageError, match="is for images: give --data"):
            as_cases(data, graph, "luma")


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convc.samples.images.MOST_BYTES", 4 * RGB.size)
    save(tmp_path / "a.png", RGB)
    only(tmp_path / "a.png")
    save(tmp_path / "b.png", RGB)
    with pytest.raises(UsageError, match="give fewer images, or a size"):
        load_data(tmp_path, image_model((1, 3, 12, 10)))
