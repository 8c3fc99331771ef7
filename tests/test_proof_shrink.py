"""Regions of large fixed sizes are proved at smaller ones, which show every border behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from convc.errors import CannotProveError, ProofError
from convc.graph import Graph
from convc.ir import Array
from convc.proof import TOLERANCE, prove
from convc.proof.shrink import SMALL, shrunk
from convc.reference import evaluate
from convc.rewrite import Replacement, Rewrite
from tests.shrink_strategies import (
    PHOTO,
    Layer,
    both,
    chain,
    ints,
    says_the_same,
    two_chains,
    two_necks,
)
from tests.test_proof import composed, pair
from tests.tiny import FLOAT, INT64, graph_of, kernel, model, node


def one(kind: str, shape: Sequence[int] = PHOTO, **attributes: Any) -> Graph:
    """A single op of one operand."""
    inputs = {"x": (FLOAT, tuple(shape))}
    return graph_of(model([node(kind, "x", "y", **attributes)], inputs=inputs, opset=18))


def instead(graph: Graph, other: Graph) -> Rewrite:
    """Proposes that ``other`` computes what ``graph`` does."""
    return Rewrite(graph.outputs, graph.inputs, other.clone())


def largest(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Elements of what is fed to evaluations, which grows as they are made."""
    fed: list[int] = []

    def spy(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
        fed.extend(array.size for array in feeds.values())
        return evaluate(graph, feeds)

    monkeypatch.setattr("convc.proof.evaluate", spy)
    return fed


def small_pair(graph: Graph, other: Graph) -> tuple[Graph, Graph]:
    region = graph.extract(graph.inputs, (*graph.inputs, *graph.outputs))
    found = shrunk(region, other)
    assert found is not None
    return found[0].extract(found[0].inputs, found[0].outputs[1:]), found[1]


W = kernel(1, 8, 4, 3, 3)


def test_a_photograph_is_proved_at_a_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    fed = largest(monkeypatch)
    shape = (1, 4, 1080, 1920)
    layers = [("Conv", {"pads": [1] * 4, "strides": [2, 2]}, {"w": W}), ("Relu", {}, {})]
    graph, other = chain(*layers, shape=shape), chain(*layers, shape=shape)
    assert prove(graph, instead(graph, other)) == 0.0
    assert 1000 * max(fed) < prod(shape)


# -- what is wrong at one kind of place only ------------------------------------------------------

POOL = {"kernel_shape": [3, 3]}


WRONG: dict[str, tuple[Layer, Layer]] = {
    "at the begin": (
        ("Pad", {"mode": "edge"}, {"p": ints(0, 0, 1, 0, 0, 0, 0, 0)}),
        ("Pad", {"mode": "constant"}, {"p": ints(0, 0, 1, 0, 0, 0, 0, 0)}),
    ),
    "at the end": (
        ("Pad", {"mode": "edge"}, {"p": ints(0, 0, 0, 0, 0, 0, 0, 1)}),
        ("Pad", {"mode": "constant"}, {"p": ints(0, 0, 0, 0, 0, 0, 0, 1)}),
    ),
    "at both ends": (
        ("AveragePool", {**POOL, "pads": [1] * 4, "count_include_pad": 1}, {}),
        ("AveragePool", {**POOL, "pads": [1] * 4, "count_include_pad": 0}, {}),
    ),
    "deep behind the border": (
        ("Pad", {"mode": "reflect"}, {"p": ints(0, 0, 40, 0, 0, 0, 0, 0)}),
        ("Pad", {"mode": "edge"}, {"p": ints(0, 0, 40, 0, 0, 0, 0, 0)}),
    ),
    # 301 and 432 are 1 and 0 modulo 4: the last window hangs over in one axis only.
    "in the last, partial window": (
        ("AveragePool", {**POOL, "strides": [4, 4], "ceil_mode": 1, "count_include_pad": 0}, {}),
        ("Conv", {"strides": [4, 4], "pads": [0, 0, 2, 1], "group": 4},
         {"w": np.full((4, 1, 3, 3), 1 / 9, np.float32)}),
    ),
    "in one phase of four": (
        ("ConvTranspose", {"strides": [4, 4]}, {"w": kernel(2, 4, 2, 4, 4)}),
        ("ConvTranspose", {"strides": [4, 4]},
         {"w": kernel(2, 4, 2, 4, 4) * (np.arange(4) != 2).astype(np.float32)}),
    ),
    "in the phase of an enlargement": (
        ("Resize", {"mode": "nearest", "nearest_mode": "floor",
                    "coordinate_transformation_mode": "asymmetric"},
         {"-": ints(), "s": np.array([1, 1, 2, 2], np.float32)}),
        ("Resize", {"mode": "nearest", "nearest_mode": "ceil",
                    "coordinate_transformation_mode": "asymmetric"},
         {"-": ints(), "s": np.array([1, 1, 2, 2], np.float32)}),
    ),
    "by one position": (
        ("Slice", {}, {"b": ints(2), "e": ints(-3), "a": ints(3)}),
        ("Slice", {}, {"b": ints(3), "e": ints(-2), "a": ints(3)}),
    ),
    "in one tap": (("Conv", {}, {"w": W}), ("Conv", {}, {"w": W + 1e-6 * (np.arange(3) == 1)})),
}  # fmt: skip


@pytest.mark.parametrize("place", WRONG)
def test_what_is_wrong_somewhere_is_wrong_at_the_small_size(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = (chain(layer) for layer in WRONG[place])
    assert both(right, wrong) > TOLERANCE
    small, other = small_pair(right, wrong)
    shapes = [[int(size or 0) for size in g.inputs[0].shape or ()] for g in (small, right)]
    assert prod(shapes[0]) < prod(shapes[1]) / 4
    assert both(small, other) > TOLERANCE
    with pytest.raises(ProofError, match="differs by"):
        prove(right, instead(right, wrong))
    fed = largest(monkeypatch)
    assert prove(right, instead(right, right)) == 0.0
    assert max(fed) < prod(PHOTO) / 4


def test_the_residue_of_the_size_is_kept() -> None:
    """With stride 2 the ring of two padded convs is zero for odd sizes only."""
    first: dict[str, object] = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    second: dict[str, object] = {"pads": [1] * 4}
    odd = pair((1, 1, 301, 433), first, second)
    assert prove(odd, composed(odd, (3, 3))) < TOLERANCE
    even = pair((1, 1, 301, 432), first, second)
    with pytest.raises(ProofError, match="differs by"):
        prove(even, composed(even, (3, 3)))


# -- any two graphs: the small size says what the large one says -----------------------------------


@settings(max_examples=60)
@given(chains=two_chains())
def test_of_chains(chains: tuple[Graph, Graph]) -> None:
    graph, other = chains
    assert says_the_same(graph, other) in (True, None)
    found = shrunk(graph.extract(graph.inputs, (*graph.inputs, *graph.outputs)), other)
    if found is None:
        return
    small = found[0].extract(found[0].inputs, found[0].outputs[1:])
    # Both shrink by as much as was planned.
    assert shrinkage(graph, small, declared) == shrinkage(graph, small, computed)


@settings(max_examples=20)
@given(necks=two_necks())
def test_of_branches_that_join(necks: tuple[Graph, Graph]) -> None:
    assert says_the_same(*necks) is True


def declared(graph: Graph) -> list[int]:
    """The sizes of the output by its type; onnx's inference and runtimes differ on ceil_mode."""
    return [int(size or 0) for size in graph.outputs[0].shape or ()]


def computed(graph: Graph) -> list[int]:
    x = np.zeros([int(size or 0) for size in graph.inputs[0].shape or ()])
    return list(evaluate(graph, {graph.inputs[0].name: x})[0].shape)


def shrinkage(graph: Graph, small: Graph, sizes: Callable[[Graph], list[int]]) -> list[int]:
    return [a - b for a, b in zip(sizes(graph), sizes(small), strict=True)]


# -- what cannot be shrunk ------------------------------------------------------------------------

FIXED: dict[str, tuple[Layer, ...]] = {
    "a Reshape to sizes": (("Reshape", {}, {"s": ints(1, 4, 432, 301)}),),
    "a constant like the image": (("Add", {}, {"b": kernel(0, 1, 1, 301, 432)}),),
    "a mean over all positions": (("GlobalAveragePool", {}, {}),),
    "a position from the begin on": (
        ("Slice", {}, {"b": ints(0, 0), "e": ints(250, 400), "a": ints(2, 3)}),
    ),
    "positions up to the end": (
        ("Slice", {}, {"b": ints(-200, -300), "e": ints(9999, 9999), "a": ints(2, 3)}),
    ),
    "corners that are aligned": (
        ("Resize", {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
         {"-": ints(), "s": np.array([1, 1, 2, 2], np.float32)}),
    ),
    "a window as large as the image": (("AveragePool", {"kernel_shape": [150, 216]}, {}),),
    "a softmax over positions": (("Softmax", {"axis": 3}, {}), ("Softmax", {"axis": 2}, {})),
}  # fmt: skip


@pytest.mark.parametrize("what", FIXED)
def test_what_depends_on_the_size_is_proved_at_that_size(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (1, 8, 301, 432)
    kept: Layer = ("Conv", {}, {"w": kernel(3, 4, 8, 1, 1)})  # which fixes the channels
    graph = chain(kept, *FIXED[what], shape=shape)
    fed = largest(monkeypatch)
    assert prove(graph, instead(graph, graph)) == 0.0
    assert prod(shape) in fed


def test_what_is_right_at_its_own_size_alone_is_proved_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Slice of the first 301 rows does nothing to 301 rows; of another number it would."""
    fed = largest(monkeypatch)
    nothing = chain(("Identity", {}, {}))
    cut = chain(("Slice", {}, {"b": ints(0), "e": ints(301), "a": ints(2)}))
    assert prove(nothing, instead(nothing, cut)) == 0.0
    # A constant mean over windows of fixed count is right nowhere else.
    graph = chain(("GlobalAveragePool", {}, {}))
    made = Replacement(graph)
    total = made.op("ReduceSum", (made.take(graph.inputs[0]), made.ints([2, 3])))
    mean = made.op("Mul", (total, made.constant(np.array(1 / (301 * 432)))))
    assert prove(graph, made.rewrite({graph.outputs[0]: mean})) < TOLERANCE
    assert max(fed) == prod(PHOTO)


def test_inputs_of_two_resolutions_shrink_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neck: what comes from below is enlarged and joins what has twice its size."""
    nodes = [
        node("Resize", "low - s", "up", mode="nearest"),
        node("Concat", "up high", "both", axis=1),
        node("Conv", "both w", "y"),
    ]
    weights = {"s": np.array([1, 1, 2, 2], np.float32), "w": kernel(1, 8, 12, 1, 1)}
    inputs = {"low": (FLOAT, (1, 4, 90, 160)), "high": (FLOAT, (1, 8, 180, 320))}
    graph = graph_of(model(nodes, weights, inputs=inputs))
    fed = largest(monkeypatch)
    assert prove(graph, instead(graph, graph)) == 0.0
    assert max(fed) < prod((1, 8, 180, 320)) / 50
    assert min(fed) == max(fed) / 8  # a quarter of the positions, half of the channels


def test_a_region_beside_open_dims_shrinks_too() -> None:
    """A batch that is open and a photograph that is not: too large to be tried as it is."""
    weights = {"w": kernel(1, 64, 64, 3, 3)}
    inputs = {"x": (FLOAT, ("batch", 64, 540, 960))}

    def conv(**attributes: Any) -> Graph:
        return graph_of(model([node("Conv", "x w", "y", **attributes)], weights, inputs=inputs))

    graph = conv(auto_pad="SAME_UPPER")
    assert prove(graph, instead(graph, conv(pads=[1, 1, 1, 1]))) == 0.0
    # What is wrong is left alone, and the reason is given.
    with pytest.raises(CannotProveError, match=r"at smaller sizes .* differs by"):
        prove(graph, instead(graph, conv(pads=[2, 1, 0, 1])))


def test_scales_of_axes_in_another_order_are_not_followed() -> None:
    """Twice as wide, four times as high: 433 columns end in half a window, 432 in none."""
    shape = (1, 2, 301, 433)
    linear = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    resize: Layer = (
        "Resize", {**linear, "axes": [0, 1, 3, 2]},
        {"-": ints(), "s": np.array([1, 1, 2, 4], np.float32)},
    )  # fmt: skip
    pool = {"kernel_shape": [4, 4], "strides": [4, 4], "ceil_mode": 1}
    graph = chain(resize, ("AveragePool", {**pool, "count_include_pad": 0}, {}), shape=shape)
    padded = {**pool, "pads": [0, 0, 0, 2], "count_include_pad": 1}
    other = chain(resize, ("AveragePool", padded, {}), shape=shape)
    assert both(graph, other) > TOLERANCE
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, instead(graph, other))


@pytest.mark.parametrize("seed", range(5))
def test_few_values_leave_no_gap(seed: int) -> None:
    """256 values of deviation 1, of mean 0 and of mean 8, hardly ever fall between 3.5 and 4.5."""

    def without(low: float, high: float) -> Graph:
        """Zero between the two, else the identity."""
        nodes = [
            node("Greater", "x low", "above"),
            node("Less", "x high", "below"),
            node("And", "above below", "between"),
            node("Where", "between zero x", "y"),
        ]
        bounds = {"low": np.float32(low), "high": np.float32(high), "zero": np.float32(0)}
        return graph_of(model(nodes, bounds, inputs={"x": (FLOAT, (1, 4, 64, 65))}))

    graph, other = without(3.5, 3.5), without(3.5, 4.5)
    assert small_pair(graph, other)[0].inputs[0].shape == (1, 4, 8, 8)
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, instead(graph, other), seed)


def test_small_regions_are_left_as_they_are() -> None:
    side = int(SMALL**0.5) // 4
    graph = one("Relu", (1, 1, side, side))
    assert shrunk(graph, graph.clone()) is None


def test_indices_are_no_elements() -> None:
    """Positions of a maximum are numbered over the whole image."""
    nodes = [node("MaxPool", "x", "y i", kernel_shape=[2, 2], strides=[2, 2])]
    inputs = {"x": (FLOAT, PHOTO)}
    graph = graph_of(model(nodes, inputs=inputs, outputs={"y": FLOAT, "i": INT64}))
    region = graph.extract(graph.inputs, (*graph.inputs, *graph.outputs))
    found = shrunk(region, graph.clone())
    assert found is None
