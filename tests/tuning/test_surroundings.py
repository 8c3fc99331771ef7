"""Places that take the same time look alike, and others do not."""

from __future__ import annotations

import numpy as np
import pytest

from convc.algebra.geometry import ConvGeometry
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.tuning.surroundings import RADIUS, surroundings
from tests.tuning_helpers import chain


def convs(*weights: np.ndarray, pads: int = 1) -> Graph:  # type: ignore[type-arg]
    """Convs far enough from each other and from the ends to look alike."""
    graph = Graph()
    build = Builder(graph)
    value = graph.add_input("x", TensorType(np.dtype(np.float32), (1, 4, 8, 8)))
    geometry = ConvGeometry((3, 3), (1, 1), (1, 1), (pads, pads), (pads, pads), 1)
    for weight in weights:
        for _ in range(RADIUS + 1):
            value = build.op("Relu", (value,))
        value = build.conv(value, build.constant(weight.astype(np.float32)), None, geometry)
    for _ in range(RADIUS + 1):
        value = build.op("Relu", (value,))
    graph.set_outputs((value,), ("y",))
    return graph


def weight(seed: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).standard_normal((4, 4, 3, 3))


def looks(graph: Graph) -> list[str]:
    found = surroundings(graph)
    return [found[op] for op in graph.ops() if op.kind == "Conv"]


def test_weights_do_not_matter_but_subnormal_ones_do() -> None:
    first, second = looks(convs(weight(0), weight(1)))
    assert first == second
    slow = weight(1)
    slow[0, 0, 0, 0] = 1e-40
    first, second = looks(convs(weight(0), slow))
    assert first != second
    first, second = looks(convs(weight(0), np.zeros((4, 4, 3, 3))))
    assert first != second


def test_attributes_and_shapes_matter() -> None:
    first, second = looks(convs(weight(0), weight(1), pads=0))
    assert first != second  # 8×8 → 6×6 → 4×4


@pytest.mark.parametrize("distance", range(RADIUS + 2))
def test_neighbours_count_up_to_the_radius(distance: int) -> None:
    def middle(kind: str) -> str:
        around = ["Relu"] * (2 * RADIUS + 3)
        around[RADIUS + 1] = "Neg"
        if distance:
            around[RADIUS + 1 + distance] = kind
        graph = chain(*around)
        op: Op = next(op for op in graph.ops() if op.kind == "Neg")
        return surroundings(graph)[op]

    assert (middle("Relu") == middle("Abs")) is (distance == 0 or distance > RADIUS)


def test_integers_in_constants_matter() -> None:
    def look(axis: int) -> str:
        graph = Graph()
        build = Builder(graph)
        value = graph.add_input("x", TensorType(np.dtype(np.float32), (1, 4, 8, 8)))
        result = build.slice(value, (1,), (axis,), (5,))
        graph.set_outputs((result,), ("y",))
        return next(v for op, v in surroundings(graph).items() if op.kind == "Slice")

    assert look(2) != look(3)
    assert look(2) == look(2)
