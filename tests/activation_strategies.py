"""Graphs for the pass lower-activations, drawn by Hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from convc.algebra import geometry_of
from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from tests.lower_strategies import opened
from tests.strategies import finished, layer, new_graph, seeds

OPSETS = (7, 8, 9, 11, 13, 17, 18, 21)
MIXED, RISING, AT_MOST_ONE, STEEP = (-1.5, 1.5), (0.01, 0.99), (-2.0, 0.99), (1.0, 3.0)
ANY = (MIXED, RISING, AT_MOST_ONE, STEEP)
SUITED = {
    "leaky": ANY,
    "depthwise": ANY,
    "depthwise-relu": ANY,
    "depthwise-sum": (*(RISING,) * 14, MIXED),
    "max": (*(RISING, AT_MOST_ONE) * 5, MIXED),
    "split": ANY,
}
"""Ranges of slopes, most of which a form takes."""


def slopes(
    draw: st.DrawFn, rng: np.random.Generator, count: int, rank: int, form: str
) -> np.ndarray:
    """Slopes in every shape that a PRelu by channel comes with, some of them equal or zero."""
    values = rng.uniform(*draw(st.sampled_from(SUITED[form])), count)
    if draw(st.integers(0, 19)) < (18 if form == "leaky" else 1):
        values[:] = draw(st.sampled_from([0.0, 0.25, -1.0, 1.0, values[0]]))
        if draw(st.booleans()):
            return values[:1].reshape(draw(st.sampled_from([(), (1,), (1, 1)])))
    if draw(st.integers(0, 19)) == 0:
        values[draw(st.integers(0, count - 1))] = 0.0
    leading = (1,) if draw(st.booleans()) else ()
    return values.reshape(*leading, count, *(1,) * (rank - 2))


@st.composite
def prelus(draw: st.DrawFn, form: str = "split") -> Graph:
    """A PRelu that ``form`` mostly takes, on data of any rank, alone or between Convs.

    Its input and its output may have other users or be looked at.
    """
    images = form.startswith("depthwise")
    rng, rank = draw(seeds()), draw(st.sampled_from([*[4] * 14, 3, 5] if images else [2, 3, 4, 5]))
    shape = [draw(st.integers(1, 2)), draw(st.integers(1, 6))]
    shape += [draw(st.integers(1, 5)) for _ in range(rank - 2)]
    axes = [0, *range(2, rank)]
    if draw(st.integers(0, 9)) == 0:
        axes.append(1)
    dims, sizes = opened(draw, shape, axes)
    build, x = new_graph(dims, draw(st.sampled_from(OPSETS)), sizes=sizes)
    between = rank > 2 and isinstance(dims[1], int) and draw(st.booleans())
    before = _pointwise(build, x, shape[1], rng) if between else x
    slope = build.constant(
        slopes(draw, rng, shape[1], rank, form).astype(np.float32), name="slopes"
    )
    if not sizes and build.opset >= 8 and draw(st.integers(0, 2)) == 0:
        type_ = TensorType(np.dtype(np.float32), tuple(shape))
        slope = build.op("Expand", (slope, build.ints(shape)), type_=type_)
    y = build.op("PRelu", (before, slope), type_=before.type)
    results = [_pointwise(build, y, 3, rng) if between else y]
    extra = draw(st.sampled_from(["", "", "input", "output", "both"]))
    if extra in ("input", "both"):
        results.append(build.op("Neg", (before,), type_=before.type))
    if extra in ("output", "both"):
        results.append(y)
    return finished(build, *dict.fromkeys(results))


def _pointwise(build: Builder, x: Value, outputs: int, rng: np.random.Generator) -> Value:
    assert x.shape is not None
    w = rng.standard_normal((outputs, x.shape[1], *(1,) * (len(x.shape) - 2)))
    return layer(build, x, geometry_of(w), w, rng.standard_normal(outputs))


@st.composite
def softmaxes(draw: st.DrawFn) -> Graph:
    """A Softmax over any axis, half of them behind a Transpose, which may have other users."""
    rank, turned = draw(st.integers(2, 5)), draw(st.integers(0, 4)) < 3
    opset = draw(st.sampled_from(OPSETS if turned else (11, 13, 17, 18, 21)))
    shape = [draw(st.integers(1, 5)) for _ in range(rank)]
    dims, sizes = opened(draw, shape, draw(st.permutations(range(rank)))[:2])
    build, x = new_graph(dims, opset, sizes=sizes)
    value = build.op("Mul", (x, build.constant(np.array(5, np.float32))), type_=x.type)
    if turned:
        order = draw(st.permutations(range(rank)))
        attributes = {} if draw(st.integers(0, 4)) == 0 else {"perm": tuple(order)}
        value = build.op("Transpose", (value,), attributes)
    axis = rank - 1 if turned or opset < 13 else draw(st.integers(0, rank - 2))
    if opset < 13 and draw(st.integers(0, 4)) == 0:
        axis = draw(st.integers(0, rank - 1))
    # Negative axes exist from opset 11 on.
    given = axis - rank if opset >= 11 and draw(st.booleans()) else axis
    attributes = {"axis": given}
    if given == (-1 if opset >= 13 else 1) and draw(st.booleans()):
        attributes = {}
    y = build.op("Softmax", (value,), attributes, type_=value.type)
    results = [build.op("Neg", (y,), type_=y.type) if draw(st.booleans()) else y]
    if draw(st.integers(0, 5)) == 0:
        results.append(draw(st.sampled_from([value, y])))
    return finished(build, *dict.fromkeys(results))
