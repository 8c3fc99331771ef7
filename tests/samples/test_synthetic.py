"""Synthetic inputs: deterministic, in range, and with the statistics they are meant to have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from convc.feeds import CannotFeedError
from convc.samples.describe import describe
from convc.samples.synthetic import (
    FEWEST,
    LONGEST,
    dead_leaves,
    discs,
    pink_image,
    pink_noise,
    synthetic,
)
from tests.samples.test_preprocess import image_model
from tests.tiny import FLOAT, INT64, STRING, graph_of, model, node


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def first(shape: tuple[int | str | None, ...], type_: int = FLOAT, count: int = 1) -> Any:
    graph = image_model(shape, type_)
    return synthetic(graph, graph.sizes, count, 0)[-1].feeds["x"]


def test_samples_depend_on_the_seed_and_on_nothing_else() -> None:
    graph = image_model((1, 3, 20, 24))
    some, more, other = (synthetic(graph, {}, n, seed) for n, seed in ((4, 1), (6, 1), (4, 2)))
    kinds = ["pink noise"] * 3 + ["dead leaves"] * 3
    assert [case.name for case in more] == [f"{kind} {i}" for i, kind in enumerate(kinds)]
    for a, b, c in zip(some, more, other, strict=False):
        np.testing.assert_array_equal(a.feeds["x"], b.feeds["x"])
        assert (a.feeds["x"] != c.feeds["x"]).mean() > 0.5
    assert len({case.source for case in more}) == 6
    assert (some[0].feeds["x"] != some[2].feeds["x"]).mean() > 0.5


@pytest.mark.parametrize("shape", [(1, 3, 40, 56), (2, 40, 56, 3), (1, 1, 40, 56)])
def test_images_fill_their_range(shape: tuple[int, ...]) -> None:
    graph = image_model(shape)
    for case in synthetic(graph, {}, 6, 0):
        array = case.feeds["x"]
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.min() >= 0
        assert array.max() <= 1
        assert 0.05 < array.std() < 0.4
    pixels = first(shape, TensorProto.UINT8, 4)
    assert pixels.dtype == np.uint8
    assert pixels.max() > 200
    assert 10 < pixels.std() < 100


def power(field: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Frequency and power of all but the constant part."""
    frequencies = np.meshgrid(*(np.fft.fftfreq(field.shape[a]) for a in axes), indexing="ij")
    radius = np.sqrt(sum(np.square(f) for f in frequencies)).ravel()[1:]
    return radius, np.square(np.abs(np.fft.fftn(field, axes=axes))).ravel()[1:]


def slope(field: Any) -> float:
    """Exponent of the power of a field as a function of frequency: the fit of a line."""
    radius, energy = power(field, tuple(range(field.ndim)))
    return float(np.polyfit(np.log(radius), np.log(energy), 1)[0])


@pytest.mark.parametrize("shape", [(4096,), (64, 65), (16, 17, 18)])
def test_pink_noise_has_the_same_energy_in_every_octave(shape: tuple[int, ...]) -> None:
    field = pink_noise(shape, rng())
    assert abs(field.mean()) < 1e-9
    assert abs(field.std() - 1) < 1e-9
    # log of an exponential variable has variance π²/6; the slope's is that over the spread of the
    # n/2 independent log frequencies, whose variance is at least 0.1 here.
    error = np.sqrt(np.pi**2 / 6 / 0.1 / (field.size / 2))
    assert abs(slope(field) + len(shape)) < 4 * error


def test_dead_leaves_have_edges_and_flat_regions() -> None:
    """The differences of neighbours: many small and a few large ones, as Gaussians never have."""

    def kurtosis(image: Any) -> float:
        differences = np.diff(image, axis=-1).ravel()
        return float(np.mean(differences**4) / np.mean(differences**2) ** 2)

    leaves, pink = (make((1, 128, 128), rng(1)) for make in (dead_leaves, pink_image))
    assert kurtosis(leaves) > 9
    assert kurtosis(pink) < 6
    assert -3 < slope(leaves[0]) < -1.5


def test_the_discs_cover_all_but_a_little_and_are_of_all_sizes() -> None:
    labels = discs(256, 256, rng())
    # e⁻⁴ is 1.8 %; near the border, where discs stand out of the image, it is more.
    assert 0.005 < (labels == 0).mean() < 0.06
    assert labels.max() > 300
    largest, median = np.quantile(np.unique(labels, return_counts=True)[1], (1, 0.5))
    assert largest > 20 * median


@pytest.mark.parametrize("make", [pink_image, dead_leaves])
def test_colours_are_correlated_as_in_natural_images(make: Any) -> None:
    images = [make((3, 64, 64), rng(seed)).reshape(3, -1) for seed in range(8)]
    between = np.corrcoef(np.concatenate(images, 1))
    assert between[np.triu_indices(3, 1)].min() > 0.6
    assert between[np.triu_indices(3, 1)].max() < 0.99


def test_large_fields_are_continued_by_their_mirror_image() -> None:
    long = LONGEST[1] + 100
    signal = pink_noise((long,), rng())
    np.testing.assert_array_equal(signal[LONGEST[1] :], signal[LONGEST[1] - 1 : -201 : -1])


def test_feature_maps_are_not_negative_and_have_scales_of_their_own() -> None:
    maps = first((2, 16, 24, 20))
    assert maps.shape == (2, 16, 24, 20)
    assert maps.min() == 0
    assert (maps > 0).mean() > 0.2
    # The largest value of a channel, whose logarithm varies by the scale's 0.5 and more.
    assert np.log(maps.max((2, 3))).std() > 0.35
    # Smooth: neighbours are alike, where white noise has 0 within 0.01.
    assert np.corrcoef(maps[..., :-1].ravel(), maps[..., 1:].ravel())[0, 1] > 0.5


def test_volumes_and_signals_and_numbers() -> None:
    volume = first((1, 1, 12, 13, 14))
    assert volume.shape == (1, 1, 12, 13, 14)
    assert (volume.min() >= 0) & (volume.max() <= 1)
    for shape, axis in (((2, 3000), 1), ((1, 3000, 1), 1), ((1, 4, 3000), 2)):
        signal = first(shape)
        assert signal.shape == shape
        assert signal.min() < 0 < signal.max()
        assert 0.05 < signal.std() < 0.2
        along = np.moveaxis(signal, axis, -1)
        assert np.corrcoef(along[..., :-1].ravel(), along[..., 1:].ravel())[0, 1] > 0.5
    for shape in ((), (4,)):
        numbers = first(shape)
        assert numbers.shape == shape
        assert ((numbers >= 0) & (numbers < 1)).all()


@pytest.mark.parametrize(
    "shape",
    [(0, 3, 4, 4), (1, 3, 0, 4), (1, 3, 1, 1), (1, 5, 1, 1), (1, 1), (2, 0), (1, 1, 1, 1, 1)],
)
def test_small_and_empty_shapes(shape: tuple[int, ...]) -> None:
    for count in (1, 4):
        assert first(shape, count=count).shape == shape
        assert np.isfinite(first(shape, count=count)).all()


def test_integers_are_ones_and_open_sizes_are_the_graph_s() -> None:
    assert (first((2, 3), INT64) == 1).all()
    assert first((1, 4, 9, 9), TensorProto.INT8).std() > 30
    assert first(("n", 3, "h", 7)).shape == (1, 3, 224, 7)


def test_fewer_samples_where_they_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = image_model((1, 3, 10, 10))
    monkeypatch.setattr("convc.samples.synthetic.MOST_BYTES", 4 * 300 * 6)
    assert len(synthetic(graph, {}, 20, 0)) == 6
    monkeypatch.setattr("convc.samples.synthetic.MOST_BYTES", 1)
    assert len(synthetic(graph, {}, 20, 0)) == FEWEST
    assert len(synthetic(graph, {}, 2, 0)) == 2


def test_what_cannot_be_made_up_is_said() -> None:
    for shape, type_ in (((3,), STRING), (("n",), FLOAT)):
        graph = image_model(shape, type_)
        graph.sizes.clear()
        with pytest.raises(CannotFeedError, match="--data"):
            synthetic(graph, graph.sizes, 4, 0)


def test_several_inputs_and_the_line_that_says_so() -> None:
    nodes = [node("Add", "x z", "y")]
    inputs = {"x": (FLOAT, (1, 8, 6, 6)), "z": (FLOAT, (1, 8, 1, 1))}
    graph = graph_of(model(nodes, inputs=inputs))
    cases = synthetic(graph, {}, 4, 0)
    assert all(set(case.feeds) == {"x", "z"} for case in cases)
    assert describe(cases, graph) == (
        "no data: 4 synthetic samples of x 1×8×6×6, z 1×8×1×1 (pink noise); "
        "give --data to be judged on yours"
    )
    images = image_model((1, 3, 6, 6))
    assert "(pink noise, dead leaves)" in describe(synthetic(images, {}, 4, 0), images)
