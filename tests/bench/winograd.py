"""Errors of tiled convs in onnxruntime against their bounds, on random layers.

    python -m tests.bench.winograd [--layers 500] [--seed 0]

Every layer has a kernel of 2 to 7 taps, a tile of 2 to 6 outputs, a form, channels, sizes, strides,
a bias or none and data of one of three kinds, all of them drawn. Prints, for each kind and tile,
how far the largest error is from the worst-case and from the probable bound.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, get_args

import numpy as np

from convc.algebra import geometry_of
from convc.algebra.winograd_error import probable_error, worst_error
from convc.graph import Graph
from convc.reference import evaluate
from passes.lower_to_winograd import Form, LowerToWinograd
from passes.lower_to_winograd.tiling import Tiling, read_tiling
from tests.helpers import UNIT, run_onnx
from tests.strategies import finished, layer, new_graph

DATA = ("noise", "positive", "smooth")
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sample:
    """One layer: its largest error and its bounds, all relative to the largest output."""

    data: str
    form: str
    tile: int
    kernel: tuple[int, ...]
    channels: int
    before: float
    error: float
    probable: float
    worst: float


def samples(count: int, seed: int = 0) -> Iterator[Sample]:
    """``count`` random layers that tiles compute, whatever the error."""
    rng = np.random.default_rng(seed)
    found = 0
    while found < count:
        sample = _sample(rng, DATA[found % len(DATA)])
        if sample is not None:
            found += 1
            yield sample


def _sample(rng: np.random.Generator, data: str) -> Sample | None:
    """One layer, None where its tiles save nothing."""
    ndim = int(rng.choice([1, 2, 2, 2]))
    kernel = tuple(int(k) for k in rng.integers(2, 8, ndim))
    channels, outputs = (int(2 ** rng.uniform(1, 7)) for _ in range(2))
    tile, form = int(rng.choice([2, 3, 4, 6])), str(rng.choice(get_args(Form)))
    size = tuple(int(k + s) for k, s in zip(kernel, rng.integers(tile, 24, ndim), strict=True))
    weights = rng.standard_normal((outputs, channels, *kernel)) / np.sqrt(channels)
    geometry = geometry_of(
        weights, strides=int(rng.choice([1, 1, 1, 2])), pads=int(rng.integers(0, 3))
    )
    build, x = new_graph((int(rng.integers(1, 3)), channels, *size))
    bias = rng.standard_normal(outputs) if rng.integers(2) else None
    graph = finished(build, layer(build, x, geometry, weights, bias))
    after = graph.clone()
    if not LowerToWinograd((form,), (tile,), np.inf).run(after).applied:
        return None
    feeds = {"x": _data(data, tuple(int(d) for d in x.shape or ()), rng)}
    tiling = read_tiling(graph.outputs[0].op, tile, np.inf, rows=form.startswith("rows"))
    return _measured(
        graph, after, feeds, tiling, Sample(data, form, tile, kernel, channels, 0, 0, 0, 0)
    )


def _measured(
    graph: Graph, after: Graph, feeds: dict[str, Array], tiling: Tiling, kind: Sample
) -> Sample:
    (exact,) = evaluate(graph, feeds)
    scale = np.abs(exact).max()
    before, error = (np.abs(run_onnx(g, feeds)[0] - exact).max() / scale for g in (graph, after))
    bias = 0.0 if tiling.layer.bias is None else float(np.abs(tiling.layer.bias).max())
    largest = float(np.abs(feeds["x"]).max())
    worst = worst_error(tiling.filters, tiling.axes, UNIT, largest, bias) / scale
    probable = probable_error(tiling.taps, tiling.axes, UNIT, exact.size)
    return Sample(
        kind.data, kind.form, kind.tile, kind.kernel, kind.channels, before, error, probable, worst
    )


def _data(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    noise = rng.standard_normal(shape)
    if kind == "positive":  # as behind a Relu
        noise = np.maximum(noise, 0)
    if kind == "smooth":  # neighbours correlated, with a mean, as an image's
        for axis in range(2, len(shape)):
            noise = np.cumsum(noise, axis) * 0.1
        noise = noise + 1
    return noise.astype(np.float32)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = list(samples(arguments.layers, arguments.seed))
    print("error: largest of a layer, relative to its largest output; /conv: over the conv's own;")
    print("probable, worst: the bounds over the error")
    print(
        "data      tile layers   error, median  most   /conv |  probable, least median most |"
        "  worst, least"
    )
    groups = [(data, tile) for data in DATA for tile in (2, 3, 4, 6)]
    for data, tile in [*groups, ("all", 0)]:
        part = [s for s in found if (data, tile) == ("all", 0) or (s.data, s.tile) == (data, tile)]
        ratios = [s.probable / s.error for s in part]
        print(
            f"{data:9} {tile or '':4} {len(part):6}   {median(s.error for s in part):13.1e}"
            f" {max(s.error for s in part):5.0e} {median(s.error / s.before for s in part):7.1f} |"
            f" {min(ratios):18.1f} {median(ratios):6.1f} {max(ratios):4.0f} |"
            f" {min(s.worst / s.error for s in part):13.0f}"
        )


if __name__ == "__main__":
    main()
