"""One random layer: what its rewrite is bounded by, and what onnxruntime makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.onnx_io import to_bytes
from convc.reference import evaluate
from convc.rewrite import Exactness, Rewrite, apply
from convc.rounding import bounds, compared
from convc.runtime import Session, Settings
from tests.rounding.drawing import COMMON, HARD, MODEL, WEIGHTS, Draw, data
from tests.rounding.kinds import COMMON_KINDS, KINDS

COMMON_SHARE = 25
"""One of so many layers has a common size."""


@dataclass(frozen=True)
class Limits:
    """Bounds of an error, absolute.

    Attributes:
        worst: for inputs of that magnitude.
        probable: where the data are such as it speaks of, else None.
    """

    worst: float
    probable: float | None

    def holds(self, error: float) -> bool:
        """Whether the worst-case bound does."""
        return error <= self.worst

    def exceeded(self, error: float) -> bool:
        """Whether the probable bound is; its confidence allows for a few."""
        return self.probable is not None and error > self.probable


@dataclass(frozen=True)
class Seen:
    """One layer: its rewrite's errors and bounds, absolute, on one kind of data.

    Attributes:
        kind, note: what was rewritten to what.
        data: kind of the inputs.
        weights: kind of the weights.
        common: channels of a layer of common size, else 0.
        length: products that are summed for an output at the most.
        optimised: onnxruntime's optimisations are on.
        error: the largest.
        any_order, runs: the bounds in any order of the sums, and with runs as onnxruntime has them.
        scale: largest output.
        ratio: the probable bound over that of the original region; 0 where that is not known.
    """

    kind: str
    note: str
    data: str
    weights: str
    common: int
    length: int
    optimised: bool
    error: float
    any_order: Limits
    runs: Limits
    scale: float
    ratio: float


@dataclass(frozen=True)
class Layer:
    """A random graph and a rewrite of all of it."""

    kind: str
    weights: str
    common: int
    graph: Graph
    rewrite: Rewrite


def layers(count: int, seed: int = 0, start: int = 0) -> Iterator[Layer]:
    """``count`` random layers; each has a generator of its own, so that one can be drawn again."""
    for number in range(start, start + count):
        yield drawn(seed, number)


def drawn(seed: int, number: int) -> Layer:
    """Layer ``number``: drawn until a pass rewrites all of it."""
    rng = np.random.default_rng([seed, number])
    common = int(rng.choice(COMMON)) if number % COMMON_SHARE == 0 else 0
    names = COMMON_KINDS if common else tuple(KINDS)
    kind = names[number // (COMMON_SHARE if common else 1) % len(names)]
    weights = "noise" if common else str(rng.choice(WEIGHTS))
    while True:
        layer = _drawn(kind, Draw(rng, common, weights))
        if layer is not None:
            return layer


def _drawn(kind: str, draw: Draw) -> Layer | None:
    graph, pass_ = KINDS[kind](draw)
    whole = [
        rewrite
        for rewrite in pass_.propose(graph)
        if rewrite.outputs == graph.outputs
        and set(rewrite.inputs) == set(graph.inputs)
        and rewrite.exactness is not Exactness.APPROXIMATE
    ]
    if not whole:
        return None
    chosen = whole[int(draw.rng.integers(len(whole)))]
    return Layer(kind, draw.weights, draw.common, graph, chosen)


def seen(layer: Layer, rng: np.random.Generator) -> list[Seen]:
    """The layer on one kind of data that the probable bound speaks of, and on one of the others."""
    graph, rewrite = layer.graph, layer.rewrite
    sides = compared(graph, rewrite)
    if sides.after is None:
        raise AssertionError(f"{layer.kind}, {rewrite.note}: no bound: {sides.reason}")
    after = rewritten(graph, rewrite)
    model = to_bytes(after)
    sessions = {on: Session(model, Settings(optimised=on, threads=1)) for on in (False, True)}
    ratio = 0.0
    if sides.before is not None and sides.before.probable > 0:
        ratio = sides.after.probable / sides.before.probable
    found: list[Seen] = []
    magnitude = float(np.exp(rng.normal(0, 2)))
    for kind in (MODEL[int(rng.integers(len(MODEL)))], HARD[int(rng.integers(len(HARD)))]):
        feeds = fed(graph, kind, magnitude, rng)
        exact = evaluate(graph, feeds)
        limits = {runs: allowed(layer, kind, feeds, magnitude, runs=runs) for runs in (False, True)}
        for optimised, session in sessions.items():
            error = largest_error(session.run(feeds), exact)
            found.append(
                Seen(
                    layer.kind,
                    rewrite.note,
                    kind,
                    layer.weights,
                    layer.common,
                    length(rewrite.after),
                    optimised,
                    error,
                    limits[False],
                    limits[True],
                    max(float(np.abs(array).max(initial=0.0)) for array in exact),
                    ratio,
                )
            )
    return found


def rewritten(graph: Graph, rewrite: Rewrite) -> Graph:
    """A copy of the graph with the rewrite applied."""
    copies: dict[Value, Value] = {}
    after = graph.extract(graph.inputs, graph.outputs, graph.output_names, copies=copies)
    moved = replace(
        rewrite,
        outputs=tuple(copies[value] for value in rewrite.outputs),
        inputs=tuple(copies[value] for value in rewrite.inputs),
        frontier=None,
    )
    apply(after, moved)
    return after


def fed(graph: Graph, kind: str, magnitude: float, rng: np.random.Generator) -> dict[str, Array]:
    """Data of one kind for every input."""
    weights = _first_weights(graph)
    shapes = {value.name: [int(str(d)) for d in value.shape or ()] for value in graph.inputs}
    return {
        name: (magnitude * data(kind, shape, rng, weights)).astype(np.float32)
        for name, shape in shapes.items()
    }


def _first_weights(graph: Graph) -> Array | None:
    """(C, taps) of the first filter of the first conv of one group."""
    for op in graph.ops():
        array = op.operands[1].array if op.kind == "Conv" and op.operands[1] is not None else None
        if array is not None:
            return np.asarray(array[0].reshape(array.shape[1], -1))
    return None


def largest_error(results: Sequence[Array], exact: Sequence[Array]) -> float:
    """The largest difference from float64 over all outputs."""
    pairs = zip(results, exact, strict=True)
    return max(float(np.abs(a.astype(np.float64) - b).max(initial=0.0)) for a, b in pairs)


def allowed(
    layer: Layer, kind: str, feeds: Mapping[str, Array], magnitude: float, *, runs: bool
) -> Limits:
    """The worst-case bound for these inputs, and the probable one for inputs of this deviation."""
    largest = max(float(np.abs(array).max(initial=0.0)) for array in feeds.values())
    worst = bounds(layer.graph, layer.rewrite, largest, runs=runs)
    probable = bounds(layer.graph, layer.rewrite, magnitude, runs=runs)
    assert worst is not None
    assert probable is not None
    expected = probable.probable * max(probable.rms)
    return Limits(worst.worst * max(worst.largest), expected if kind in MODEL else None)


def length(graph: Graph) -> int:
    """Products in the longest sum."""
    return max((_terms(op) for op in graph.ops()), default=1)


def _terms(op: Op) -> int:
    weight = op.operand(1)
    if op.kind not in ("Conv", "ConvTranspose", "Gemm", "MatMul") or weight is None:
        return 1
    sizes = [d for d in weight.shape or () if isinstance(d, int)]
    if op.kind == "Conv":
        return int(np.prod(sizes[1:]))
    if op.kind == "ConvTranspose":
        return int(sizes[0] * np.prod(sizes[2:]))
    data_, other = op.operands[0], op.operands[1]
    constant = other if other is not None and other.array is not None else data_
    shape = () if constant is None else constant.shape or ()
    axis = -1 if constant is data_ or op.attributes.get("transB") else -2
    return int(str(shape[axis])) if len(shape) > 1 else 1
