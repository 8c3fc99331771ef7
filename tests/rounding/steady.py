"""The worst case provoked: sums that grow steadily, of numbers that are all the same or alike.

Noise is far from the worst case: errors cancel, and the sums stay small. Where all products have
one sign the sum grows to the largest that it can be, and where they are equal the rounding goes the
same way from one power of two to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convc.algebra import geometry_of
from convc.ir import Array
from convc.onnx_io import to_bytes
from convc.reference import evaluate
from convc.rounding import region_bounds
from convc.runtime import Session, Settings
from tests.rounding.checking import largest_error
from tests.strategies import finished, layer, new_graph

CHANNELS = (16, 32, 64, 128, 256)
"""Of 3×3 convs of common size."""


@dataclass(frozen=True)
class Steady:
    """The worst seen on convs of one size: the bounds over the largest error.

    Attributes:
        length: products in a sum.
        any_order, runs: of the worst-case bound, in any order and with onnxruntime's runs.
    """

    length: int
    any_order: float
    runs: float


def steady(channels: int, trials: int, seed: int = 0) -> Steady:
    """3×3 convs on 8×8 places, weights and data constant or positive noise."""
    rng = np.random.default_rng([seed, channels])
    found = [_ratios(channels, trial, rng) for trial in range(trials)]
    return Steady(9 * channels, min(a for a, _ in found), min(b for _, b in found))


def _ratios(channels: int, trial: int, rng: np.random.Generator) -> tuple[float, float]:
    """The worst-case bounds of one layer over its error."""
    weights = _positive((16, channels, 3, 3), rng, same=trial % 3 > 0)
    feeds = {"x": _positive((1, channels, 8, 8), rng, same=trial % 2 > 0).astype(np.float32)}
    build, x = new_graph((1, channels, 8, 8))
    graph = finished(build, layer(build, x, geometry_of(weights), weights))
    exact, largest = evaluate(graph, feeds), float(feeds["x"].max())
    results = [
        Session(to_bytes(graph), Settings(optimised=on, threads=1)).run(feeds)
        for on in (False, True)
    ]
    error = max(largest_error(result, exact) for result in results)
    limits = []
    for runs in (False, True):
        found = region_bounds(graph, graph.outputs, graph.inputs, largest, runs=runs)
        assert found is not None
        limits.append(found.worst * found.largest[0] / error)
    return limits[0], limits[1]


def _positive(shape: tuple[int, ...], rng: np.random.Generator, *, same: bool) -> Array:
    """Numbers of one magnitude for each entry of the first axis, or of all magnitudes."""
    if same:
        return np.broadcast_to(rng.uniform(0.5, 1, (shape[0], 1, 1, 1)), shape)
    return rng.uniform(0, 1, shape)
