"""Moments gathered in onnxruntime, against those of all patches."""

from __future__ import annotations

import numpy as np
import pytest

from convc.approximate.observing import Observer, layers_of
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.rewrite import NoMatch
from convc.runtime import Settings

F32 = np.dtype(np.float32)
ONE = Settings(threads=1)


def two_convs(seed: int = 0, scale: float = 1.0) -> tuple[Graph, Op, Op]:
    """3×3 to 4 channels, Relu, 1×1 to 2; the first one's weights times ``scale``."""
    rng = np.random.default_rng(seed)
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, (1, 3, 6, 7)))
    first = scale * rng.standard_normal((4, 3, 3, 3))
    second = rng.standard_normal((2, 4, 1, 1))
    a = build.op("Conv", (x, build.constant(first.astype(np.float32))), {"pads": (1, 1, 1, 1)})
    b = build.op("Relu", (a,))
    c = build.op("Conv", (b, build.constant(second.astype(np.float32))))
    a.name, c.name = "a", "c"
    graph.set_outputs((c,), ("c",))
    return graph, a.op, c.op


def samples(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [{"x": rng.standard_normal((1, 3, 6, 7)).astype(np.float32)} for _ in range(count)]


def test_patches_are_the_new_models_and_responses_the_originals() -> None:
    original, _, _ = two_convs()
    changed, a, c = two_convs(scale=0.5)
    observer = Observer(original, samples(3), ONE)
    moments = observer.moments(changed, c, {})
    assert moments.count == 3 * 6 * 7
    # The second conv reads half of what it read, and should give what it gave.
    twice = 2 * np.asarray(c.inputs[1].array, np.float64)  # type: ignore[union-attr]
    assert moments.loss(twice) < 1e-10
    assert moments.loss(twice / 2) == pytest.approx(0.25, rel=1e-3)
    first = observer.moments(changed, a, {})
    assert first.xx.shape == (1, 27, 27)
    assert first.loss(np.asarray(a.inputs[1].array)) == pytest.approx(0.25, rel=1e-3)  # type: ignore[union-attr]


def test_channels_that_are_left_are_the_ones_wanted() -> None:
    original, a, _ = two_convs()
    observer = Observer(original, samples(2), ONE)
    every = observer.wanted(a, {})
    some = observer.wanted(a, {"a": np.array([2, 0])})
    np.testing.assert_array_equal(some[0], every[0][:, [2, 0]])
    with pytest.raises(NoMatch, match="other channels than the original"):
        observer.moments(original, a, {"a": np.array([2, 0])})


def test_what_a_layer_gives_is_seen_at_the_same_positions() -> None:
    original, a, c = two_convs()
    observer = Observer(original, samples(2), ONE)
    for op in (a, c):
        for given, wanted in zip(
            observer.given(original, op), observer.wanted(op, {}), strict=True
        ):
            np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_a_layer_that_the_original_does_not_have_is_not_observed() -> None:
    original, _, _ = two_convs()
    changed, a, _ = two_convs()
    a.result.name = "new"
    with pytest.raises(NoMatch, match="not in the original"):
        Observer(original, samples(1), ONE).moments(changed, a, {})


def test_layers_are_found_in_order() -> None:
    graph, a, c = two_convs()
    assert [layer.op for layer in layers_of(graph)] == [a, c]
