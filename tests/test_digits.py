"""The digit classifiers: what models/README.md says of them, and that exact rewrites keep it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import convc
from convc.onnx_io import to_bytes
from models import digits
from tests.conftest import ROOT

NAMES = ("digits_vgg", "digits_resnet")


def path_of(name: str) -> Path:
    return ROOT / "models" / f"{name}.onnx"


def test_no_digit_is_in_both_halves() -> None:
    train, test = digits.load("train"), digits.load("test")
    assert (len(train.images), len(test.images)) == (899, 898)
    together = np.concatenate([train.images, test.images]).reshape(-1, 64)
    assert len(np.unique(together, axis=0)) == len(together)


@pytest.mark.parametrize("half", ["train", "test"])
def test_a_half_holds_every_digit_scaled_to_one(half: str) -> None:
    images, labels = digits.load(half)
    assert images.dtype == np.float32
    assert images.shape[1:] == (1, 8, 8)
    assert (images.min(), images.max()) == (0, 1)
    assert set(labels) == set(range(10))


@pytest.mark.parametrize("name", NAMES)
def test_knows_the_held_out_digits(name: str) -> None:
    assert digits.accuracy(path_of(name), digits.load("test")) > 0.99


def test_a_shuffled_answer_knows_nothing() -> None:
    images, labels = digits.load("test")
    wrong = digits.Digits(images, (labels + 1) % 10)
    assert digits.accuracy(path_of("digits_vgg"), wrong) < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_exact_rewrites_keep_every_answer(name: str) -> None:
    result = convc.optimize(path_of(name), objective="macs")
    assert result.verdict in (convc.Verdict.EQUAL, convc.Verdict.IDENTICAL)
    images = digits.load("test").images
    before = digits.scores(path_of(name), images)
    after = digits.scores(to_bytes(result.graph), images)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))


@pytest.mark.parametrize("name", NAMES)
def test_batch_is_free(name: str) -> None:
    images = digits.load("test").images[:7]
    together = digits.scores(path_of(name), images)
    assert together.shape == (7, 10)
    for image, expected in zip(images, together, strict=True):
        found = digits.scores(path_of(name), image[None])[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_feeds_are_the_training_half_under_the_input_s_name(tmp_path: Path) -> None:
    assert digits.main(["--feeds", str(tmp_path / "feeds.npz")]) == 0
    model = onnx.load(path_of("digits_vgg"))
    with np.load(tmp_path / "feeds.npz") as feeds:
        assert feeds.files == [model.graph.input[0].name]
        np.testing.assert_array_equal(feeds["image"], digits.load("train").images)


def test_command_prints_what_the_readme_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert digits.main([str(path_of(name)) for name in NAMES]) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    readme = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    assert [name for name, _ in printed] == list(NAMES)
    for name, share in printed:
        assert f"| `{name}` | {share.removesuffix('%')} % |" in readme


def test_command_needs_something_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        digits.main([])
    assert "--feeds" in capsys.readouterr().err
