"""Graphs of linear branches, drawn by Hypothesis: sums, siblings, parts and concatenations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, TensorType, Value
from tests.algebra.strategies import ndims
from tests.strategies import finished, layer, new_graph, seeds

OPSETS = (9, 11, 13, 17, 21)
F32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Window:
    """What branches that are added share: channels, stride, and p_end − d(k − 1) + p per axis."""

    inputs: int
    outputs: int
    strides: tuple[int, ...]
    overhang: tuple[int, ...]
    rng: np.random.Generator

    @property
    def ndim(self) -> int:
        return len(self.strides)

    @property
    def keeps(self) -> bool:
        """Whether the identity is such a branch."""
        same = set(self.strides) == {1} and not any(self.overhang)
        return same and self.inputs == self.outputs


@st.composite
def geometries(draw: st.DrawFn, window: Window) -> ConvGeometry:
    """A conv that fits ``window``, of any kernel, dilation, pads and, where it divides, group."""
    kernel, dilations, begin, end = [], [], [], []
    for overhang in window.overhang:
        k, d = draw(st.integers(1, 4 if window.ndim < 3 else 2)), draw(st.integers(1, 3))
        while d * (k - 1) + overhang < 0:
            k += 1
        total = d * (k - 1) + overhang
        pad = draw(st.integers(0, total))
        kernel.append(k)
        dilations.append(d)
        begin.append(pad)
        end.append(total - pad)
    groups = [g for g in (1, 2, 3, 4) if window.inputs % g == 0 and window.outputs % g == 0]
    return ConvGeometry(
        tuple(kernel),
        window.strides,
        tuple(dilations),
        tuple(begin),
        tuple(end),
        draw(st.sampled_from([1, *groups])),
    )


def weighted(  # noqa: PLR0917  # what a conv is made of
    draw: st.DrawFn,
    build: Builder,
    x: Value,
    geometry: ConvGeometry,
    outputs: int,
    rng: np.random.Generator,
) -> Value:
    """A Conv of ``geometry`` with random weights and, half of the time, a bias."""
    assert x.shape is not None
    assert isinstance(x.shape[1], int)
    kernel = rng.standard_normal((outputs, x.shape[1] // geometry.group, *geometry.kernel))
    kernel /= np.sqrt(prod(kernel.shape[1:]))
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    return layer(build, x, geometry, kernel, bias, name=f"conv{len(build.graph)}")


def norm(build: Builder, x: Value, rng: np.random.Generator, *, shift: bool = True) -> Value:
    """A BatchNormalization in inference form, without a shift if asked."""
    assert x.shape is not None
    count = x.shape[1]
    scale, bias, mean = (rng.standard_normal(count) for _ in range(3))
    arrays = [scale, bias * shift, mean * shift, rng.uniform(0.3, 2, count)]
    operands = [x, *(build.constant(array.astype(x.dtype)) for array in arrays)]
    return build.op("BatchNormalization", operands, {"epsilon": 1e-3}, type_=x.type)


def scaled(draw: st.DrawFn, build: Builder, x: Value, rng: np.random.Generator) -> Value:
    """One op per channel: a normalisation, Mul, Add, Sub, Div by a constant, Neg, a copy."""
    assert x.shape is not None
    kind = draw(st.sampled_from(["norm", "Mul", "Add", "Sub", "Div", "Neg", "Identity"]))
    if kind == "norm":
        return norm(build, x, rng, shift=draw(st.booleans()))
    if kind in ("Neg", "Identity"):
        return build.op(kind, (x,), type_=x.type)
    count = draw(st.sampled_from([1, x.shape[1]]))
    array = rng.uniform(0.5, 2, (count, *(1,) * (len(x.shape) - 2))).astype(x.dtype)
    pair = [x, build.constant(array)]
    if kind != "Div" and draw(st.booleans()):
        pair.reverse()
    return build.op(kind, pair, type_=x.type)


def average(build: Builder, x: Value, geometry: ConvGeometry, type_: TensorType | None) -> Value:
    """An AveragePool that counts its padding."""
    attributes: dict[str, Attribute] = {
        "kernel_shape": geometry.kernel,
        "strides": geometry.strides,
        "pads": geometry.pads,
        "count_include_pad": 1,
    }
    if max(geometry.dilations) > 1:
        attributes["dilations"] = geometry.dilations
    return build.op("AveragePool", (x,), attributes, type_=type_)


def branch(draw: st.DrawFn, build: Builder, x: Value, window: Window) -> Value:
    """One branch from ``x``: a conv, a sequence of two, a pool, a norm or ``x`` itself."""
    rng = window.rng
    kinds = ["conv", "conv", "sequence", "auto"]
    kinds += ["pool"] * (window.inputs == window.outputs) + [
        "identity",
        "scale",
        "scale",
    ] * window.keeps
    kind = draw(st.sampled_from(kinds))
    geometry = draw(geometries(window))
    if kind == "identity":
        return x
    if kind == "scale":
        return scaled(draw, build, x, rng)
    if kind == "pool":
        if build.opset < 19:
            ones = (1,) * window.ndim
            totals = [max(o, 0) for o in window.overhang]
            kernel = tuple(1 + t - o for t, o in zip(totals, window.overhang, strict=True))
            geometry = replace(geometry, kernel=kernel, dilations=ones)
            begin = tuple(
                draw(st.integers(0, min(t, k - 1))) for t, k in zip(totals, kernel, strict=True)
            )
            ends = tuple(t - b for t, b in zip(totals, begin, strict=True))
            geometry = replace(geometry, pads_begin=begin, pads_end=ends)
        # onnxruntime wants the padding of a pool below its kernel.
        if all(max(pair) < k for *pair, k in zip(*_pads(geometry), geometry.kernel, strict=True)):
            return average(build, x, geometry, None)
        kind = "conv"
    if kind == "auto" and window.keeps:
        k = draw(st.integers(1, 3))
        weight = rng.standard_normal((window.outputs, window.inputs, *(k,) * window.ndim)) / 4
        mode = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
        operands = (x, build.constant(weight.astype(x.dtype)))
        return build.op("Conv", operands, {"auto_pad": mode})
    if kind == "sequence":
        return _sequence(draw, build, x, geometry, window)
    if draw(st.integers(0, 3)) == 0:
        x = norm(build, x, rng, shift=draw(st.integers(0, 2)) == 0)
    value = weighted(draw, build, x, geometry, window.outputs, rng)
    for _ in range(draw(st.integers(0, 2))):
        value = scaled(draw, build, value, rng)
    return value


def _sequence(
    draw: st.DrawFn, build: Builder, x: Value, geometry: ConvGeometry, window: Window
) -> Value:
    """1×1 and then k×k; the padding comes first, or last, where a bias between meets it."""
    ones, zeros = (1,) * window.ndim, (0,) * window.ndim
    first = ConvGeometry(ones, ones, ones, zeros, zeros, 1)
    second = replace(geometry, group=1)
    if draw(st.booleans()):
        first = replace(first, pads_begin=second.pads_begin, pads_end=second.pads_end)
        second = replace(second, pads_begin=zeros, pads_end=zeros)
    value = weighted(draw, build, x, first, draw(st.integers(1, 4)), window.rng)
    if draw(st.booleans()):
        value = norm(build, value, window.rng, shift=draw(st.booleans()))
    return weighted(draw, build, value, second, window.outputs, window.rng)


def _pads(geometry: ConvGeometry) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return geometry.pads_begin, geometry.pads_end


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """Half of them keep the size and the channels."""
    ndim, rng = draw(ndims()), draw(seeds())
    inputs = draw(st.sampled_from([1, 2, 3, 4, 6]))
    if draw(st.booleans()):
        return Window(inputs, inputs, (1,) * ndim, (0,) * ndim, rng)
    outputs = draw(st.sampled_from([1, 2, 3, 4, 6]))
    strides = tuple(draw(st.integers(1, 3 if ndim < 3 else 2)) for _ in range(ndim))
    overhang = tuple(draw(st.integers(-2, 2)) for _ in range(ndim))
    return Window(inputs, outputs, strides, overhang, rng)


def start(draw: st.DrawFn, channels: int, ndim: int) -> tuple[Builder, Value]:
    """A graph with one input, of fixed or open sizes.

    Few are open on two axes and none on three: a proof tries a hundred sizes of them.
    """
    room = st.integers(10, 14 if ndim < 3 else 11)
    sizes = [draw(room) for _ in range(ndim)]
    batch, opset = draw(st.integers(1, 2)), draw(st.sampled_from(OPSETS))
    if ndim > 2 or draw(st.integers(0, 2 if ndim < 2 else 9)):
        return new_graph((batch, channels, *sizes), opset)
    names = ["n", *(f"d{axis}" for axis in range(ndim))]
    open_sizes = dict(zip(names, (batch, *sizes), strict=True))
    return new_graph(("n", channels, *names[1:]), opset, sizes=open_sizes)


@st.composite
def sum_graphs(draw: st.DrawFn) -> Graph:
    """Two to four branches of one input, added in any nesting, with a constant or without."""
    window = draw(windows())
    build, x = start(draw, window.inputs, window.ndim)
    terms = [branch(draw, build, x, window) for _ in range(draw(st.integers(2, 4)))]
    if draw(st.integers(0, 3)) == 0:
        shape = (window.outputs, *(1,) * window.ndim)
        terms.append(build.constant(window.rng.standard_normal(shape).astype(F32)))
    type_ = next(term.type for term in terms if term.array is None)
    while len(terms) > 1:
        kind = draw(st.sampled_from(["Add", "Add", "Sub", "Sum"]))
        count = draw(st.integers(2, len(terms))) if kind == "Sum" else 2
        at = draw(st.integers(0, len(terms) - count))
        added = build.op(kind, terms[at : at + count], type_=type_)
        terms[at : at + count] = [added]
    return finished(build, terms[0])


@st.composite
def join_graphs(draw: st.DrawFn) -> Graph:
    """Convs of one geometry, each of an input of its own, added, perhaps to one of the inputs."""
    window = draw(windows())
    build, x = start(draw, window.inputs, window.ndim)
    geometry = replace(draw(geometries(window)), group=1)
    assert isinstance(x.type, TensorType)
    assert x.shape is not None
    values = []
    for i in range(draw(st.integers(2, 4))):
        shape = (x.shape[0], draw(st.integers(1, 4)), *x.shape[2:])
        data = x if not i else build.graph.add_input(f"x{i}", TensorType(F32, shape))
        value = weighted(draw, build, data, geometry, window.outputs, window.rng)
        values.append(scaled(draw, build, value, window.rng) if draw(st.booleans()) else value)
    if window.keeps and draw(st.booleans()):
        values.append(build.op("Relu", (x,)))
    total = values[0]
    for value in values[1:]:
        total = build.op("Add", (total, value), type_=values[0].type)
    return finished(build, total)


@st.composite
def sibling_graphs(draw: st.DrawFn) -> Graph:
    """Convs of one input, most of one geometry, each with a use of its own."""
    window = draw(windows())
    build, x = start(draw, window.inputs, window.ndim)
    common = replace(draw(geometries(window)), group=1)
    results = []
    for _ in range(draw(st.integers(2, 4))):
        geometry = draw(st.sampled_from([common, common, draw(geometries(window))]))
        value = weighted(draw, build, x, geometry, window.outputs, window.rng)
        results.append(build.op("Relu", (value,)) if draw(st.booleans()) else value)
    return finished(build, *results)


@st.composite
def concat_graphs(draw: st.DrawFn) -> Graph:
    """Convs of one input before a Concat, most of one geometry, with others among them."""
    window = draw(windows())
    build, x = start(draw, window.inputs, window.ndim)
    common = replace(draw(geometries(window)), group=1)
    values = []
    for _ in range(draw(st.integers(2, 5))):
        geometry = draw(st.sampled_from([common, common, common, draw(geometries(window))]))
        outputs = draw(st.integers(1, 4)) * geometry.group
        value = weighted(draw, build, x, geometry, outputs, window.rng)
        values.append(scaled(draw, build, value, window.rng) if draw(st.booleans()) else value)
    if draw(st.integers(0, 3)) == 0:
        values.append(build.op("Relu", (values[0],)))
    return finished(build, concat(draw, build, values))


@st.composite
def part_graphs(draw: st.DrawFn) -> Graph:
    """The parts of an input, from a Split or from Slices, each through a conv, and joined again."""
    window = draw(windows())
    parts = draw(st.integers(2, 4))
    build, x = start(draw, window.inputs * parts, window.ndim)
    geometry = draw(geometries(window))
    values = [
        weighted(draw, build, part, geometry, window.outputs, window.rng)
        for part in cut(draw, build, x, [window.inputs] * parts)
    ]
    if draw(st.integers(0, 5)) == 0:
        values.reverse()
    return finished(build, concat(draw, build, values))


def cut(draw: st.DrawFn, build: Builder, x: Value, counts: Sequence[int]) -> Sequence[Value]:
    """The channels of ``x`` in parts, by a Split or by Slices."""
    assert x.shape is not None
    axis = draw(st.sampled_from([1, 1 - len(x.shape)]))
    if draw(st.booleans()):
        stops = np.cumsum(counts)
        ranges = zip(stops - counts, stops, strict=True)
        pairs = [(int(start), int(stop)) for start, stop in ranges]
        return [build.slice(x, [axis], [start], [stop]) for start, stop in pairs]
    attributes: dict[str, Attribute] = {"axis": axis}
    operands = [x]
    if build.opset < 13:
        attributes["split"] = tuple(counts)
    elif build.opset < 18 or draw(st.booleans()):
        operands.append(build.ints(counts))
    else:
        attributes["num_outputs"] = len(counts)
    types = [TensorType(F32, (x.shape[0], count, *x.shape[2:])) for count in counts]
    return build.graph.add("Split", operands, attributes, types=types).results


def concat(draw: st.DrawFn, build: Builder, values: Sequence[Value]) -> Value:
    """The values joined along the channels, counted from either end."""
    shape = values[0].shape
    assert shape is not None
    axis = draw(st.sampled_from([1, 1 - len(shape)]))
    total = sum(value.shape[1] for value in values if value.shape)
    type_ = TensorType(F32, (shape[0], total, *shape[2:]))
    return build.op("Concat", values, {"axis": axis}, type_=type_)
