"""Convs of few filters, drawn by Hypothesis."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from convc.graph import Graph
from tests.algebra.strategies import conv_geometries, kernel_for
from tests.lower_strategies import OPSETS, opened, smallest
from tests.strategies import finished, layer, new_graph, seeds

FEW = (1, 1, 2, 3, 3, 4, 4, 5, 8, 8, 9, 24)
BEHIND = ("Relu", "Sigmoid", "LeakyRelu", "Tanh")


@st.composite
def narrow_convs(draw: st.DrawFn) -> Graph:
    """A Conv of few filters over all attributes, one of four with ``auto_pad``, activations behind.

    Half of them have stride and dilation 1, as those have that are worth it.
    """
    geometry = draw(conv_geometries(2, 1, 0))
    geometry = replace(
        geometry, kernel=tuple(max(k, draw(st.sampled_from([1, 3, 5, 6]))) for k in geometry.kernel)
    )
    if draw(st.booleans()):
        geometry = replace(geometry, strides=(1, 1))
    if draw(st.booleans()):
        geometry = replace(geometry, dilations=(1, 1))
    inputs, outputs = draw(st.integers(1, 3)), draw(st.sampled_from(FEW))
    size = [smallest(geometry, axis) + draw(st.integers(2, 11)) for axis in range(2)]
    dims, sizes = opened(draw, [draw(st.integers(1, 2)), inputs, *size], [0, 2, 3])
    build, x = new_graph(dims, draw(st.sampled_from(OPSETS)), sizes=sizes)
    rng = draw(seeds())
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    y = layer(build, x, geometry, kernel_for(geometry, inputs, outputs, rng), bias)
    # onnxruntime refuses auto_pad with a dilation.
    if max(geometry.dilations) == 1 and not sizes and draw(st.integers(0, 3)) == 0:
        mode = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        kept = {k: v for k, v in y.op.attributes.items() if k != "pads"}
        if mode != "VALID" or all(n >= e for n, e in zip(size, geometry.extent, strict=True)):
            again = build.op("Conv", y.op.operands, {**kept, "auto_pad": mode})
            build.graph.erase(y.op)
            y = again
    for _ in range(draw(st.integers(0, 2))):
        y = build.op(draw(st.sampled_from(BEHIND)), (y,), type_=y.type)
    return finished(build, y)
