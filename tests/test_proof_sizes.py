"""At which sizes a proof tries a region with open dims: never large, and every border."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import pytest

from convc.errors import CannotProveError, ProofError
from convc.graph import Graph
from convc.ir import Array, TensorType
from convc.onnx_io import from_bytes
from convc.proof import LARGEST_TRIED, LARGEST_VARIED, prove
from convc.reference import evaluate
from convc.rewrite import Replacement, Rewrite
from tests.tiny import FLOAT, kernel, model, node

VOLUME = ("n", 32, "d", "h", "w")


def pooled(shape: tuple[int | str, ...], *layers: Mapping[str, Any]) -> Graph:
    """Average pools one after the other: as large a region as convs make, and cheap."""
    names = ["x", *(f"v{i}" for i in range(len(layers) - 1)), "y"]
    nodes = [
        node("AveragePool", a, b, **layer)
        for layer, a, b in zip(layers, names, names[1:], strict=False)
    ]
    sizes = {"n": 4, "d": 256, "h": 256, "w": 256}
    return from_bytes(model(nodes, inputs={"x": (FLOAT, shape)}), sizes)


def again(graph: Graph, *, shifted: bool = False) -> Rewrite:
    """The region of `pooled` once more, or the first pool with a pad moved to its other end."""
    made = Replacement(graph)
    x = made.take(graph.inputs[0])
    for i, op in enumerate(op for op in graph.ops() if op.kind == "AveragePool"):
        attributes = dict(op.attributes)
        if shifted and i == 0:
            attributes["pads"] = (1, 1, 0, 1, 1, 2)
        x = made.op("AveragePool", (x,), attributes)
    return made.rewrite({graph.outputs[0]: x})


def watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of all that is fed to evaluations, which grows as they are made."""
    fed: list[tuple[int, ...]] = []

    def spy(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
        fed.extend(array.shape for array in feeds.values())
        return evaluate(graph, feeds)

    monkeypatch.setattr("convc.proof.evaluate", spy)
    return fed


def test_no_trial_is_large_and_yet_every_axis_sees_every_border(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fed = watch(monkeypatch)
    wide = {"kernel_shape": [5, 5, 5], "strides": [2, 2, 2], "pads": [2] * 6}
    narrow = {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2], "pads": [1] * 6}
    graph = pooled(VOLUME, wide, narrow, narrow)
    assert prove(graph, again(graph)) == 0.0
    assert max(prod(shape) for shape in fed) <= LARGEST_VARIED
    # As many as there are residues of the stride 8, starts, pairs of sizes and dims; twice each.
    assert len(fed) <= 2 * 8 * 3 * 4 * 4
    assert {shape[0] for shape in fed} >= {1, 2}
    # The receptive field is 5 + 2·2 + 2·4 = 17.
    for axis in (2, 3, 4):
        assert {shape[axis] % 8 for shape in fed if shape[axis] >= 17} == set(range(8))
        assert min(shape[axis] for shape in fed) == 1
    differ = [shape[i] - shape[j] for shape in fed for i, j in ((2, 3), (3, 4))]
    assert {difference % 2 for difference in differ} == {0, 1}


def test_one_axis_of_a_large_volume_is_enough_to_be_wrong() -> None:
    graph = pooled(VOLUME, {"kernel_shape": [3, 3, 3], "pads": [1] * 6}, {"kernel_shape": [1] * 3})
    assert prove(graph, again(graph)) == 0.0
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, again(graph, shifted=True))


def test_what_runs_at_no_small_size_is_tried_at_larger_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A window of 33 on each axis without padding: 8 · 33³ elements are the fewest."""
    fed = watch(monkeypatch)
    graph = pooled(VOLUME, {"kernel_shape": [5] * 3, "strides": [4] * 3}, {"kernel_shape": [8] * 3})
    assert prove(graph, again(graph)) == 0.0
    assert LARGEST_VARIED < 8 * 33**3 <= max(prod(shape) for shape in fed) <= LARGEST_TRIED


def test_what_runs_at_no_size_that_is_allowed_is_not_proved() -> None:
    """A window of 81 without padding over 8 channels; empty results are no evidence."""
    graph = pooled(("n", 8, "d", "h", "w"), {"kernel_shape": [81] * 3})
    with pytest.raises(CannotProveError, match="region cannot be evaluated"):
        prove(graph, again(graph))


def test_what_an_op_shrinks_counts_as_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of 64 without padding runs at the graph's own size only.

    100,000 samples go in and 1024 · 391 come out, not 1024 · 100,000.
    """
    fed = watch(monkeypatch)
    nodes = [
        node("Conv", "x w", "v", strides=[256]),
        node("AveragePool", "v", "y", kernel_shape=[1]),
    ]
    weights = {"w": kernel(0, 1024, 1, 64)}
    inputs = {"x": (FLOAT, ("n", 1, "t"))}
    graph = from_bytes(model(nodes, weights, inputs=inputs), {"t": 100_000})
    made = Replacement(graph)
    conv, pool = (op for op in graph.ops() if op.kind in ("Conv", "AveragePool"))
    w = conv.operand(1)
    assert w is not None
    value = made.op("Conv", (made.take(graph.inputs[0]), made.take(w)), conv.attributes)
    assert prove(graph, made.rewrite({pool.result: value})) == 0.0
    assert any(shape[2] == 100_000 for shape in fed)


def test_what_an_op_enlarges_counts_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    fed = watch(monkeypatch)
    weights = {"s": np.array([1, 1, 9, 9, 9], np.float32)}
    nodes = [node("Resize", "x - s", "v", mode="nearest"), node("Relu", "v", "y")]
    sizes = {"n": 1, "d": 8, "h": 8, "w": 8}
    graph = from_bytes(model(nodes, weights, inputs={"x": (FLOAT, VOLUME)}), sizes)
    resize, relu = (op for op in graph.ops() if op.kind in ("Resize", "Relu"))
    made = Replacement(graph)
    value = made.op("Relu", (made.take(graph.inputs[0]),))
    scales = resize.operand(2)
    assert scales is not None
    value = made.op("Resize", (value, None, made.take(scales)), resize.attributes)
    assert prove(graph, made.rewrite({relu.result: value})) == 0.0
    # All trials but those at the graph's own size, which are three for a nonlinear region.
    varied = [shape for shape in fed if shape != (1, 32, 8, 8, 8)]
    assert varied
    assert 9**3 * max(prod(shape) for shape in varied) <= LARGEST_VARIED


FARTHER = {
    "a cut": (
        node("Slice", "x b e a", "y"), node("Identity", "x", "y"),
        {"b": np.array([0]), "e": np.array([300]), "a": np.array([2])},
    ),
    "a cut measured from the end": (
        node("Slice", "x b e a", "y"), node("Identity", "x", "y"),
        {"b": np.array([-300]), "e": np.array([2**40]), "a": np.array([2])},
    ),
    "a dilation": (
        node("Conv", "x w", "y", dilations=[230, 230], pads=[230] * 4),
        node("Conv", "x c", "y", pads=[0] * 4),
        {"w": kernel(0, 4, 4, 3, 3), "c": kernel(0, 4, 4, 3, 3)[:, :, 1:2, 1:2]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FARTHER)
def test_what_shows_beyond_the_usual_size_is_seen(what: str) -> None:
    """Up to 224 rows, which is what open dims are taken for, the two compute the same."""
    *nodes, weights = FARTHER[what]
    inputs = {"x": (FLOAT, ("n", 4, "h", "w"))}
    graph, other = (from_bytes(model([n], weights, inputs=inputs)) for n in nodes)
    for region, replacement in ((graph, other), (other, graph)):
        rewrite = Rewrite(region.outputs, region.inputs, replacement.clone())
        with pytest.raises(ProofError, match="differs by"):
            prove(region, rewrite)


def test_a_size_that_comes_of_another_goes_with_it() -> None:
    """Two slices a volume, one after the other in the batch: never as many as there are volumes."""
    graph = Graph(sizes={"n": 1, "?0": 2})
    real = np.dtype(np.float32)
    slices = graph.add_input("s", TensorType(real, ("?0", 3)))
    volumes = graph.add_input("v", TensorType(real, ("n", 2, 3)))
    made = Replacement(graph)
    apart = graph.add_constant(np.array([-1, 3]))
    flat = graph.add("Reshape", [volumes, apart], types=[slices.type]).result
    added = graph.add("Add", [flat, slices], types=[slices.type]).result
    together = graph.add_constant(np.array([-1, 2, 3]))
    result = graph.add("Reshape", [added, together], types=[volumes.type]).result
    graph.set_outputs([result], ["y"])
    target = made.graph.add_constant(np.array([-1, 2, 3]))
    reshaped = made.op("Reshape", (made.take(slices), target), type_=volumes.type)
    after = made.op("Add", (made.take(volumes), reshaped), type_=volumes.type)
    assert prove(graph, made.rewrite({result: after})) <= 1e-12


def test_sizes_that_are_equal_by_chance_are_tried_apart() -> None:
    """Behind what the first has or behind what the second has: the same for two of one size."""

    def behind(of: str) -> Graph:
        nodes = [
            node("Concat", "p q", "both", axis=2),
            node("Shape", of, "start", start=2, end=3),
            node("Slice", "both start end axis", "y"),
        ]
        weights = {"end": np.array([2**40]), "axis": np.array([2])}
        inputs = {name: (FLOAT, (1, 4, dim, 5)) for name, dim in (("p", "g"), ("q", "h"))}
        graph = from_bytes(model(nodes, weights, inputs=inputs))
        graph.inputs[0].type = TensorType(np.dtype(np.float32), (1, 4, "?g", 5))
        graph.sizes["?g"] = graph.sizes["h"]
        return graph

    graph, other = behind("p"), behind("q")
    with pytest.raises(ProofError, match="differs by"):
        prove(graph, Rewrite(graph.outputs, graph.inputs, other))
