"""Graphs for the pass lower-to-conv2d, drawn by Hypothesis."""

# ruff: noqa: ARG001  # the steps of a chain share one signature

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from convc.algebra import ConvGeometry, TransposeGeometry
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Dim, Value
from passes.lower_to_conv2d import LowerToConv2d
from tests.algebra.strategies import conv_geometries, kernel_for, ndims, transpose_geometries
from tests.strategies import finished, layer, new_graph, seeds

OPSETS = (9, 11, 13, 17, 21)
UNARY = ("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "Neg", "Abs")


def smallest(geometry: ConvGeometry | TransposeGeometry, axis: int) -> int:
    """The smallest size that has an output."""
    return next(size for size in range(1, 99) if geometry.axis_output(axis, size) > 0)


def opened(draw: st.DrawFn, shape: Sequence[int], axes: Sequence[int]) -> tuple[list[Dim], dict]:
    """``shape`` with each of ``axes`` left open or not, and the sizes of what is open."""
    dims: list[Dim] = list(shape)
    sizes = {}
    for axis in axes:
        if draw(st.integers(0, 3)) == 0:
            dims[axis] = f"d{axis}"
            sizes[f"d{axis}"] = shape[axis]
    return dims, sizes


@st.composite
def transposed_convs(draw: st.DrawFn, max_stride: int = 3) -> Graph:
    """A ConvTranspose over all of its attributes, one of four with ``auto_pad``."""
    ndim, group = draw(ndims()), draw(st.sampled_from([1, 1, 2, 3]))
    geometry = draw(transpose_geometries(ndim, group, max_stride=max_stride))
    if max_stride > 1 and max(geometry.strides) == 1:
        geometry = replace(geometry, strides=(2,) * ndim)
    if draw(st.booleans()):
        geometry = replace(geometry, dilations=(1,) * ndim)
    if max_stride > 1 and draw(st.booleans()):
        least = max(*geometry.strides, *geometry.output_padding, 1)
        geometry = replace(geometry, strides=(least,) * ndim)
    inputs, outputs = (group * draw(st.integers(1, 3)) for _ in range(2))
    room = st.integers(0, 4 if ndim < 3 else 2)
    size = [smallest(geometry, axis) + draw(room) for axis in range(ndim)]
    shape = [draw(st.integers(1, 2)), inputs, *size]
    dims, sizes = opened(draw, shape, [0, *range(2, ndim + 2)])
    build, x = new_graph(dims, draw(st.sampled_from(OPSETS)), sizes=sizes)
    rng = draw(seeds())
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    y = layer(build, x, geometry, kernel_for(geometry, inputs, outputs, rng), bias)
    if max(geometry.extent) > 1 and not sizes and draw(st.integers(0, 3)) == 0:
        _with_auto_pad(draw, y)
        again = build.op("ConvTranspose", y.op.operands, y.op.attributes)
        build.graph.erase(y.op)
        y = again
    return finished(build, build.op("Relu", (y,)) if draw(st.booleans()) else y)


def _with_auto_pad(draw: st.DrawFn, y: Value) -> None:
    mode = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    kept = {k: v for k, v in y.op.attributes.items() if k not in ("pads", "output_padding")}
    y.op.attributes = {**kept, "auto_pad": mode}


@st.composite
def lines(draw: st.DrawFn) -> Graph:
    """Convs over one axis with what lies between them in networks, in a graph with branches."""
    opset = draw(st.sampled_from(OPSETS))
    rng = draw(seeds())
    channels = draw(st.sampled_from([2, 4, 6]))
    shape = [draw(st.integers(1, 2)), channels, draw(st.integers(24, 30))]
    dims, sizes = opened(draw, shape, [0, 2])
    build, x = new_graph(dims, opset, sizes=sizes)
    values = [_line_conv(draw, build, x, rng)]
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["Conv", "Conv", *LINE_STEPS]))
        step = LINE_STEPS.get(kind, _line_conv)
        values.append(step(draw, build, draw(st.sampled_from(values[-2:])), rng))
    if draw(st.booleans()):
        values.append(_line_conv(draw, build, values[-1], rng))
    return _ended(draw, build, values)


def _ended(draw: st.DrawFn, build: Builder, values: list[Value]) -> Graph:
    """The graph with the last value and perhaps another one as results."""
    graph = finished(build, *dict.fromkeys([values[-1], draw(st.sampled_from(values))]))
    graph.erase_dead(graph.ops())
    return graph


def _line_conv(draw: st.DrawFn, build: Builder, x: Value, rng: np.random.Generator) -> Value:
    channels = _channels(x)
    group = draw(st.sampled_from([g for g in (1, 1, 2, channels) if channels % g == 0]))
    outputs = group * draw(st.sampled_from([1, 2]))
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    if draw(st.integers(0, 3)) == 0:
        geometry = draw(transpose_geometries(1, group))
        geometry = replace(geometry, pads_begin=(0,), pads_end=(0,))
        return layer(build, x, geometry, kernel_for(geometry, channels, outputs, rng), bias)
    conv = draw(conv_geometries(1, group, 0, 2))
    conv = replace(conv, pads_begin=(max(conv.pads_begin[0], conv.extent[0] // 2),))
    y = layer(build, x, conv, kernel_for(conv, channels, outputs, rng), bias)
    # onnxruntime refuses auto_pad with a dilation.
    if conv.dilations == (1,) and draw(st.booleans()):
        kept = {k: v for k, v in y.op.attributes.items() if k != "pads"}
        attributes = {**kept, "auto_pad": "SAME_UPPER"}
        if isinstance(x.shape[2], int) or conv.strides == (1,):
            again = build.op("Conv", y.op.operands, attributes)
            build.graph.erase(y.op)
            return again
    return y


def _unary(draw: st.DrawFn, build: Builder, x: Value, rng: np.random.Generator) -> Value:
    return build.op(draw(st.sampled_from(UNARY)), (x,), type_=x.type)


def _norm(draw: st.DrawFn, build: Builder, x: Value, rng: np.random.Generator) -> Value:
    shape = (_channels(x),)
    arrays = [rng.standard_normal(shape) for _ in range(3)] + [rng.uniform(0.5, 2, shape)]
    operands = [build.constant(array.astype(np.float32)) for array in arrays]
    return build.op("BatchNormalization", (x, *operands), type_=x.type)


def _pool(draw: st.DrawFn, build: Builder, x: Value, rng: np.random.Generator) -> Value:
    kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    attributes: dict[str, object] = {
        "kernel_shape": (3,),
        "strides": (draw(st.integers(1, 2)),),
        "pads": (draw(st.integers(0, 1)), 1),
    }
    if kind == "AveragePool" and draw(st.booleans()):
        attributes["count_include_pad"] = 1
    return build.op(kind, (x,), attributes)


def _constant(draw: st.DrawFn, build: Builder, x: Value, rng: np.random.Generator) -> Value:
    kind = draw(st.sampled_from(["Add", "Mul", "Sub", "PRelu"]))
    channels = _channels(x)
    shape = draw(st.sampled_from([(), (1,), (channels, 1), (1, channels, 1)]))
    operands = [x, build.constant(rng.standard_normal(shape).astype(np.float32))]
    if kind != "PRelu" and draw(st.booleans()):
        operands.reverse()
    return build.op(kind, operands, type_=x.type)


def _with_itself(draw: st.DrawFn, build: Builder, x: Value, rng: np.random.Generator) -> Value:
    if draw(st.booleans()):
        return build.concat([x, build.op("Relu", (x,))], draw(st.sampled_from([1, 2])))
    return build.add(x, build.op("Sigmoid", (x,), type_=x.type))


LINE_STEPS = {
    "unary": _unary,
    "norm": _norm,
    "pool": _pool,
    "constant": _constant,
    "itself": _with_itself,
}


@st.composite
def volumes(draw: st.DrawFn) -> Graph:
    """Convs over three axes with elementwise ops and batch norms between, at most one size open."""
    opset = draw(st.sampled_from(OPSETS))
    rng = draw(seeds())
    shape = [draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 4])), 5, 6, 4]
    dims: list[Dim] = list(shape)
    sizes = {}
    if draw(st.booleans()):
        axis = draw(st.sampled_from([0, 3, 4]))
        dims[axis], sizes["open"] = "open", shape[axis]
    build, x = new_graph(dims, opset, sizes=sizes)
    values = [volume_conv(draw, build, x, rng)]
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(["conv", "conv", "unary", "norm", "constant", "residual"]))
        last = values[-1]
        if kind == "conv":
            values.append(volume_conv(draw, build, last, rng))
        elif kind == "unary":
            values.append(_unary(draw, build, last, rng))
        elif kind == "norm":
            values.append(_norm(draw, build, last, rng))
        elif kind == "residual":
            other = build.op("Relu", (last,), type_=last.type)
            values.append(build.op("Add", (other, last), type_=last.type))
        else:
            count = _channels(last)
            where = draw(st.sampled_from([(), (1,), (count, 1, 1, 1), (1, count, 1, 1, 1)]))
            array = rng.standard_normal(where).astype(np.float32)
            values.append(build.op("Mul", (last, build.constant(array)), type_=last.type))
    return _ended(draw, build, values)


def volume_conv(draw: st.DrawFn, build: Builder, x: Value, rng: np.random.Generator) -> Value:
    channels = _channels(x)
    group = draw(st.sampled_from([g for g in (1, 1, 2, channels) if channels % g == 0]))
    outputs = group * draw(st.sampled_from([1, 2, 15]))
    geometry = draw(conv_geometries(3, group, 0, 2))
    enough = tuple(
        max(p, e // 2) for p, e in zip(geometry.pads_begin, geometry.extent, strict=True)
    )
    more = tuple(e // 2 for e in geometry.extent)
    begin = draw(st.sampled_from([enough, enough, more]))
    geometry = replace(geometry, pads_begin=begin, pads_end=more)
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    return layer(build, x, geometry, kernel_for(geometry, channels, outputs, rng), bias)


def _channels(value: Value) -> int:
    assert value.shape is not None
    assert isinstance(value.shape[1], int)
    return value.shape[1]


@st.composite
def multiplied(draw: st.DrawFn) -> Graph:
    """A depthwise Conv of several filters a channel, with or without a Conv to take its order."""
    ndim, group = draw(ndims()), draw(st.integers(2, 4))
    geometry = draw(conv_geometries(ndim, group, 0))
    outputs = group * draw(st.integers(2, 3))
    rng = draw(seeds())
    room = st.integers(0, 3)
    size = [smallest(geometry, axis) + draw(room) for axis in range(ndim)]
    dims, sizes = opened(draw, [draw(st.integers(1, 2)), group, *size], [0, *range(2, ndim + 2)])
    build, x = new_graph(dims, draw(st.sampled_from(OPSETS)), sizes=sizes)
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    y = layer(build, x, geometry, kernel_for(geometry, group, outputs, rng), bias)
    values = [y]
    for kind in draw(st.lists(st.sampled_from([_unary, _norm]), max_size=2)):
        values.append(kind(draw, build, values[-1], rng))
    if draw(st.booleans()):
        last = ConvGeometry(*((1,) * ndim,) * 3, (0,) * ndim, (0,) * ndim)
        values.append(layer(build, values[-1], last, kernel_for(last, outputs, 3, rng)))
    results = [values[-1]]
    if draw(st.integers(0, 4)) == 0:
        results.append(draw(st.sampled_from(values)))
    return finished(build, *dict.fromkeys(results))


@st.composite
def average_pools(draw: st.DrawFn) -> Graph:
    """An AveragePool over all of its attributes."""
    ndim = draw(ndims())
    geometry = draw(conv_geometries(ndim, 1, 0))
    kernel = geometry.kernel
    opset = draw(st.sampled_from(OPSETS))
    # onnxruntime wants pads smaller than the kernel.
    begin, end = (
        tuple(min(p, k - 1) for p, k in zip(pads, kernel, strict=True))
        for pads in (geometry.pads_begin, geometry.pads_end)
    )
    if draw(st.integers(0, 2)) == 0:
        begin = end = (0,) * ndim
    attributes: dict[str, object] = {
        "kernel_shape": kernel,
        "strides": geometry.strides,
        "pads": (*begin, *end),
        "count_include_pad": int(draw(st.integers(0, 3)) > 0),
        "ceil_mode": int(opset >= 11 and draw(st.integers(0, 4)) == 0),
    }
    dilations = geometry.dilations if opset >= 19 else (1,) * ndim
    if opset >= 19:
        attributes["dilations"] = dilations
    if opset < 11:
        del attributes["ceil_mode"]
    size = [
        d * (k - 1) + 1 + draw(st.integers(0, 5)) for d, k in zip(dilations, kernel, strict=True)
    ]
    dims, sizes = opened(draw, [draw(st.integers(1, 2)), 3, *size], [0, *range(2, ndim + 2)])
    build, x = new_graph(dims, opset, sizes=sizes)
    return finished(build, build.op("AveragePool", (x,), attributes))


NOT_WIDE = tuple(form for form in LowerToConv2d().forms if not form.startswith("wide"))
"""The forms that leave a 2-D conv of few filters, as most convs of the tests are, as it is."""
