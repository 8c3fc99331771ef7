"""Convs for the pass lower-to-winograd, drawn by Hypothesis."""

from __future__ import annotations

from math import prod

from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Dim, Value
from tests.algebra.strategies import kernel_for
from tests.lower_strategies import OPSETS, smallest
from tests.strategies import finished, layer, new_graph, seeds


@st.composite
def tiled_geometries(draw: st.DrawFn, group: int = 1) -> ConvGeometry:
    """Kernels of up to 7 taps an axis, on one of them more than one; pads up to the kernel."""
    ndim = draw(st.sampled_from([1, 2, 2, 2, 2, 3]))
    most = {1: 7, 2: 5, 3: 3}[ndim]
    kernel = [draw(st.integers(1, most)) for _ in range(ndim)]
    if max(kernel) == 1:
        kernel[draw(st.integers(0, ndim - 1))] = draw(st.integers(2, most))
    strides = [draw(st.sampled_from([1, 1, 1, 1, 2, 3] if k > 2 else [1])) for k in kernel]
    begin, end = (tuple(draw(st.integers(0, k)) for k in kernel) for _ in range(2))
    return ConvGeometry(tuple(kernel), tuple(strides), (1,) * ndim, begin, end, group)


@st.composite
def tiled_convs(draw: st.DrawFn) -> Graph:
    """A conv of known size in every other attribute, perhaps with a Relu behind it."""
    batch: Dim = draw(st.sampled_from([1, "n", 2, 3]))
    group = draw(st.sampled_from([1, 1, 1, 1, 2, 3]))
    geometry = draw(tiled_geometries(group))
    inputs, outputs = group * draw(st.integers(2, 4)), group * draw(st.integers(1, 4))
    room = {1: 9, 2: 6, 3: 4}[geometry.ndim]
    more = [s * draw(st.integers(2, room)) + draw(st.integers(0, s - 1)) for s in geometry.strides]
    size = [smallest(geometry, i) + extra for i, extra in enumerate(more)]
    sizes = {"n": draw(st.integers(1, 3))} if batch == "n" else {}
    build, x = new_graph([batch, inputs, *size], draw(st.sampled_from(OPSETS)), sizes=sizes)
    rng = draw(seeds())
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    kernel = kernel_for(geometry, inputs, outputs, rng) / prod(geometry.kernel) ** 0.5
    y = layer(build, x, geometry, kernel, bias)
    if draw(st.integers(0, 4)) == 0:
        y = _with_auto_pad(build, y, draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"])))
    return finished(build, build.op("Relu", (y,)) if draw(st.booleans()) else y)


def _with_auto_pad(build: Builder, y: Value, mode: str) -> Value:
    """``y`` with its pads left to ``auto_pad``, unless nothing would be left."""
    kept = {name: value for name, value in y.op.attributes.items() if name != "pads"}
    again = build.op("Conv", y.op.operands, {**kept, "auto_pad": mode})
    worse = min(d for d in again.shape or () if isinstance(d, int)) < 1
    build.graph.erase(again.op if worse else y.op)
    return y if worse else again
