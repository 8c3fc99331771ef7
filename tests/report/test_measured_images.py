"""Which outputs are images, and what both models make of the same input."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from convc.feeds import Case
from convc.graph import Graph
from convc.ir import Array
from convc.report import measures
from convc.report.measures.images import is_image_output
from tests.tiny import FLOAT, graph_of, kernel, model, node

IMAGE = (1, 1, 24, 32)


@pytest.mark.parametrize(
    ("shape", "sides", "layout"),
    [
        ((1, 3, 64, 48), (32, 24), "nchw"),
        ((1, 64, 48, 3), (64, 48), "nhwc"),
        ((1, 1, 16, 16), (32, 32), "nchw"),
        ((1, 1, 16, 15), (16, 15), ""),
        ((1, 1, 20, 20), (64, 64), ""),
        ((1, 2, 64, 64), (64, 64), ""),
        ((1, 1000), (224, 224), ""),
        ((3, 64, 64), (64, 64), ""),
        ((0, 3, 64, 64), (64, 64), ""),
        ((1, 3, 1, 1), (64, 64), ""),
    ],
)
def test_which_outputs_are_images(
    shape: tuple[int, ...], sides: tuple[int, int], layout: str
) -> None:
    assert is_image_output(shape, sides) == layout


def filtered(weight: Array, shape: tuple[int, ...] = IMAGE) -> Graph:
    nodes = [node("Conv", "x w", "y", pads=[1, 1, 1, 1])]
    return graph_of(model(nodes, {"w": weight}, inputs={"x": (FLOAT, shape)}))


def test_both_models_run_on_the_same_images() -> None:
    weight = kernel(1, 1, 1, 3, 3)
    one, other = filtered(weight), filtered(weight * np.float32(1.01))
    cases = measures.image_cases(one)
    assert len(cases) == 4
    found = measures.image_outputs(one, other, cases, made_up=True)
    assert (found.reason, found.made_up, len(found.pairs)) == ("", True, 2)
    for pair, case in zip(found.pairs, (cases[0], cases[-1]), strict=True):
        assert pair.case == case.name
        assert pair.source.shape == pair.original.shape == pair.rewritten.shape == (24, 32, 1)
        assert np.array_equal(pair.source[..., 0], case.feeds["x"][0, 0])
        assert np.allclose(pair.rewritten, 1.01 * pair.original, rtol=1e-5, atol=1e-6)
        # The error is a hundredth of the output.
        spread = pair.original.max() - pair.original.min()
        size = 0.01 * np.sqrt(np.mean(np.square(pair.original, dtype=np.float64)))
        assert pair.psnr == pytest.approx(20 * math.log10(spread / size), abs=1e-3)
    same = measures.image_outputs(one, one, cases, most=1)
    assert [pair.psnr for pair in same.pairs] == [math.inf]


def test_channels_last_are_images_too() -> None:
    nodes = [node("Neg", "x", "y")]
    graph = graph_of(model(nodes, inputs={"x": (FLOAT, (1, 20, 24, 3))}))
    ramp = np.linspace(0, 1, 20 * 24 * 3, dtype=np.float32).reshape(1, 20, 24, 3)
    found = measures.image_outputs(graph, graph, [Case("ramp", {"x": ramp})])
    assert np.array_equal(found.pairs[0].original, -ramp[0])


def test_another_input_that_is_no_image_is_made_up() -> None:
    inputs = {"x": (FLOAT, IMAGE), "k": (FLOAT, (1,))}
    graph = graph_of(model([node("Mul", "x k", "y")], inputs=inputs))
    (case, *_) = measures.image_cases(graph)
    found = measures.image_outputs(graph, graph, [case])
    expected = case.feeds["x"] * case.feeds["k"]
    assert np.array_equal(found.pairs[0].original[..., 0], expected[0, 0])
    assert np.array_equal(found.pairs[0].source[..., 0], case.feeds["x"][0, 0])
    both = graph_of(model([node("Mul", "x k", "y")], inputs=inputs | {"k": (FLOAT, IMAGE)}))
    assert measures.image_cases(both) == []


def test_models_without_images_say_so() -> None:
    signal = graph_of(model([node("Relu", "x", "y")], inputs={"x": (FLOAT, (1, 4, 100))}))
    assert measures.image_cases(signal) == []
    assert measures.image_outputs(signal, signal, []).reason == "the model takes no images"
    pooled = graph_of(
        model([node("GlobalAveragePool", "x", "y")], inputs={"x": (FLOAT, (1, 3, 32, 32))})
    )
    found = measures.image_outputs(pooled, pooled, measures.image_cases(pooled))
    assert (found.pairs, found.reason) == ((), "no output is an image")


def test_an_empty_batch_has_no_images() -> None:
    graph = graph_of(model([node("Relu", "x", "y")], inputs={"x": (FLOAT, (0, 3, 32, 32))}))
    found = measures.image_outputs(graph, graph, measures.image_cases(graph))
    assert (found.pairs, found.reason) == ((), "no output is an image")


def test_a_model_that_cannot_run_is_no_error() -> None:
    graph = graph_of(
        model([node("Mystery", "x", "y", "own")], inputs={"x": (FLOAT, IMAGE)}, domains=["own"])
    )
    found = measures.image_outputs(graph, graph, measures.image_cases(graph))
    assert found.pairs == ()
    assert found.reason.startswith("the models could not be run")


def test_data_of_the_user_are_taken(tmp_path: Path) -> None:
    graph = filtered(kernel(1, 1, 1, 3, 3))
    image = np.full(IMAGE, 0.5, np.float32)
    path = tmp_path / "one.npy"
    np.save(path, image)
    (case,) = measures.image_cases(graph, path)
    assert np.array_equal(case.feeds["x"], image)
