"""Models whose last layers skip positions, drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from onnx import NodeProto

from convc.graph import Graph
from tests.layout_strategies import OPSETS, Draw, Writer, binary, unary


@st.composite
def strided(draw: Draw) -> Graph:
    """Layers, elementwise ops, sums and Concats, and layers of one tap with strides behind."""
    opset = draw(st.sampled_from(OPSETS))
    writer = Writer(opset, np.random.default_rng(draw(st.integers(0, 999))))
    ndim = draw(st.sampled_from([1, 2, 2, 3]))
    sizes = [draw(st.integers(7, 11 if ndim < 3 else 8)) for _ in range(ndim)]
    x = writer.feed((draw(st.integers(1, 2)), 4, *sizes))
    layers = ["Conv", "Conv", "Conv", "MaxPool", "AveragePool", *(["Slice"] * (opset >= 10))]
    first = draw(st.sampled_from(layers))
    name = layer(draw, writer, first, x)
    if draw(st.integers(0, 3)) == 0:  # a second branch of the same size
        twin = node_like(writer, name)
        name = join(draw, writer, name, twin)
    for _ in range(draw(st.integers(0, 3))):
        name = between(draw, writer, name)
    strides = [draw(st.sampled_from([1, 2, 2, 3])) for _ in range(ndim)]
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        last = draw(st.sampled_from(layers))
        result = last_layer(draw, writer, last, name, strides)
        writer.outputs.append(result)
    if not draw(st.integers(0, 9)):
        writer.outputs.append(writer.op("Relu", name, writer.shapes[name]))
    return writer.graph()


def layer(draw: Draw, writer: Writer, kind: str, name: str) -> str:
    """A Conv, pool or Slice of any geometry that leaves at least one position."""
    shape = writer.shapes[name]
    ndim = len(shape) - 2
    if kind == "Slice":
        starts = [draw(st.integers(0, 2)) for _ in range(ndim)]
        ends = [draw(st.sampled_from([-1, 5, 99])) for _ in range(ndim)]
        steps = [draw(st.integers(1, 2)) for _ in range(ndim)]
        return sliced(writer, name, starts, ends, steps)
    kernel = [draw(st.integers(1, 3)) for _ in range(ndim)]
    strides = [draw(st.sampled_from([1, 1, 2])) for _ in range(ndim)]
    how: dict[str, Any] = {"kernel_shape": kernel, "strides": strides}
    dilations = [1] * ndim
    auto = draw(st.sampled_from(["", "", "", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if kind == "Conv" and "SAME" not in auto and draw(st.booleans()):
        dilations = how["dilations"] = [draw(st.integers(1, 2)) for _ in range(ndim)]
    pads = [draw(st.integers(0, k - 1)) for k in kernel * 2]
    if auto:
        how["auto_pad"] = auto
    else:
        how["pads"] = pads
    if kind == "AveragePool":
        how["count_include_pad"] = draw(st.integers(0, 1))
    result = []
    for axis, size in enumerate(shape[2:]):
        extent = dilations[axis] * (kernel[axis] - 1) + 1
        total = 0 if auto == "VALID" else pads[axis] + pads[axis + ndim]
        out = (size + total - extent) // strides[axis] + 1
        result.append(-(-size // strides[axis]) if auto.startswith("SAME") else out)
    if kind != "Conv":
        return writer.op(kind, name, (*shape[:2], *result), **how)
    group = draw(st.sampled_from([1, 2, 4]))
    weight = writer.noise((4, shape[1] // group, *kernel))
    operands = (
        f"{name} {weight} {writer.noise((4,))}" if draw(st.booleans()) else f"{name} {weight}"
    )
    return writer.op("Conv", operands, (shape[0], 4, *result), group=group, **how)


def node_like(writer: Writer, name: str) -> str:
    """The same layer once more, with other weights if it has any."""
    made = next(n for n in writer.nodes if name in n.output)
    operands = list(made.input)
    if made.op_type == "Conv":
        operands[1] = writer.noise(writer.weights[operands[1]].shape)
    copy = NodeProto()
    copy.CopyFrom(made)
    twin = writer.fresh(writer.shapes[name])
    copy.input[:] = operands
    copy.output[:] = [twin]
    writer.nodes.append(copy)
    return twin


def join(draw: Draw, writer: Writer, one: str, other: str) -> str:
    """A residual sum, or a Concat of channels."""
    shape = writer.shapes[one]
    if draw(st.booleans()):
        return writer.op("Add", f"{one} {other}", shape)
    axis = draw(st.sampled_from([1, 1 - len(shape)]))
    return writer.op("Concat", f"{one} {other}", (shape[0], 2 * shape[1], *shape[2:]), axis=axis)


def between(draw: Draw, writer: Writer, name: str) -> str:
    """An elementwise op: unary, with a constant of any broadcast, or a normalisation."""
    shape = writer.shapes[name]
    form = draw(st.sampled_from(["unary", "binary", "norm"]))
    if form == "unary":
        return unary(draw, writer, name)[0]
    if form == "binary":
        return binary(draw, writer, name)[0]
    scale, bias, mean = (writer.noise((shape[1],)) for _ in range(3))
    var = writer.weight(np.asarray(writer.rng.uniform(0.5, 2, shape[1]), np.float32))
    return writer.op("BatchNormalization", f"{name} {scale} {bias} {mean} {var}", shape)


def last_layer(draw: Draw, writer: Writer, kind: str, name: str, strides: Sequence[int]) -> str:
    """A layer with ``strides`` and, along most axes, one tap."""
    shape = writer.shapes[name]
    ndim = len(shape) - 2
    strides = [s * draw(st.sampled_from([1, 1, 1, 2])) for s in strides]
    if kind == "Slice":
        starts = [draw(st.sampled_from([0, 0, 0, 1])) if d > 1 else 0 for d in shape[2:]]
        return sliced(writer, name, starts, [2**31 - 1] * ndim, strides)
    kernel = [draw(st.sampled_from([1, 1, 1, min(2, d)])) for d in shape[2:]]
    result = [(d - k) // s + 1 for d, k, s in zip(shape[2:], kernel, strides, strict=True)]
    how = {"kernel_shape": kernel, "strides": strides}
    if kind != "Conv":
        return writer.op(kind, name, (*shape[:2], *result), **how)
    weight = writer.noise((3, shape[1], *kernel))
    return writer.op("Conv", f"{name} {weight}", (shape[0], 3, *result), **how)


def sliced(
    writer: Writer, name: str, starts: Sequence[int], ends: Sequence[int], steps: Sequence[int]
) -> str:
    """A Slice of the spatial axes."""
    shape = writer.shapes[name]
    spans = zip(starts, ends, steps, strict=True)
    result = [len(range(d)[a:b:c]) for d, (a, b, c) in zip(shape[2:], spans, strict=True)]
    axes = range(2, len(shape))
    given = " ".join(writer.ints(values) for values in (starts, ends, list(axes), steps))
    return writer.op("Slice", f"{name} {given}", (*shape[:2], *result))
