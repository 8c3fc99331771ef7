"""Graphs for the pass block-diagonal, drawn by Hypothesis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from convc.conv import geometry_attributes, transpose_attributes
from convc.graph import Graph
from convc.ir import TensorType
from tests.algebra.strategies import conv_geometries, kernel_for, ndims, transpose_geometries
from tests.lower_strategies import OPSETS, opened, smallest
from tests.strategies import finished, new_graph, seeds


@st.composite
def grouped(draw: st.DrawFn, depthwise: bool = False) -> Graph:
    """A Conv or ConvTranspose in groups over all of its attributes, with what reads it.

    The bias is a constant, an input or not there; one of four has ``auto_pad``.
    """
    kind, ndim = draw(st.sampled_from(["Conv", "ConvTranspose"])), draw(ndims())
    group = draw(st.sampled_from([2, 3, 4, 6, 8]))
    inputs = outputs = 1
    if not depthwise:
        inputs, outputs = draw(st.integers(1, 5)), draw(st.integers(2, 5))
    conv = kind == "Conv"
    geometry = draw(conv_geometries(ndim, group, 0) if conv else transpose_geometries(ndim, group))
    automatic = draw(st.integers(0, 3)) == 0 and max(geometry.dilations) == 1
    if automatic:
        geometry = replace(geometry, pads_begin=(0,) * ndim, pads_end=(0,) * ndim)
    size = [smallest(geometry, axis) + draw(st.integers(0, 4)) for axis in range(ndim)]
    shape = [draw(st.integers(1, 2)), group * inputs, *size]
    dims, sizes = opened(draw, shape, [] if automatic else [0, *range(2, ndim + 2)])
    build, x = new_graph(dims, draw(st.sampled_from(OPSETS)), sizes=sizes)
    rng = draw(seeds())
    kernel = kernel_for(geometry, group * inputs, group * outputs, rng).astype(np.float32)
    operands = [x, build.constant(kernel, name="weight")]
    bias = draw(st.sampled_from(["constant", "input", "none"]))
    if bias == "constant":
        operands.append(build.constant(rng.standard_normal(group * outputs).astype(np.float32)))
    if bias == "input":
        type_ = TensorType(np.dtype(np.float32), (group * outputs,))
        operands.append(build.graph.add_input("bias", type_))
    attributes = (geometry_attributes if conv else transpose_attributes)(geometry)
    if automatic:
        attributes = {k: v for k, v in attributes.items() if k not in ("pads", "output_padding")}
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    y = build.op(kind, operands, attributes, name="conv")
    results = [build.op("Relu", (y,), type_=y.type) if draw(st.booleans()) else y]
    if draw(st.integers(0, 3)) == 0:
        results.append(y)
    return finished(build, *dict.fromkeys(results))
