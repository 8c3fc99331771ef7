"""Graphs to rewrite, drawn by Hypothesis. Bare arrays are drawn in tests/algebra/strategies.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from convc.algebra import ConvGeometry, TransposeGeometry, geometry_of
from convc.algebra.geometry import Geometry
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Dim, Header, TensorType, Value
from tests.algebra.strategies import (
    Pair,
    conv_geometries,
    kernel_for,
    ndims,
    smallest_size,
    transpose_geometries,
)

OPSETS = (6, 7, 9, 11, 13, 17, 21)
COPIES = ("Identity", "Dropout", "Cast")


def seeds() -> st.SearchStrategy[np.random.Generator]:
    """Generators of weights and inputs, which are not worth shrinking."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def pairs(draw: st.DrawFn, first: str = "Conv", second: str = "Conv") -> Pair:
    """Two layers that onnxruntime runs, over the whole attribute space.

    Half of them have what makes the border ring zero: no padding in the second layer, or one tap
    or full padding in the first. Beside a transposed conv most strides of a conv are one, since
    other strides hardly ever compose.
    """
    ndim = draw(ndims())
    group = st.sampled_from([1, 1, 2, 3, 4])
    groups = draw(st.one_of(st.tuples(group, group), group.map(lambda g: (g, g))))
    stride = st.sampled_from([1, 1, 1, 3]) if "ConvTranspose" in (first, second) else st.just(3)
    one, two = (
        draw(conv_geometries(ndim, g, 0, draw(stride)) if kind == "Conv" else _strided(ndim, g))
        for kind, g in zip((first, second), groups, strict=True)
    )
    none = (0,) * ndim
    shape = draw(st.sampled_from(["any", "any", "any", "unpadded", "pointwise", "full"]))
    if shape == "unpadded":
        two = replace(two, pads_begin=none, pads_end=none)
    if shape == "pointwise":
        one = replace(one, kernel=(1,) * ndim)
    if first == "ConvTranspose" and shape == "full":
        one = replace(one, pads_begin=none, pads_end=none)
    if isinstance(one, ConvGeometry) and shape == "full":
        pads = tuple(e + s for e, s in zip(one.extent, one.strides, strict=True))
        one = replace(one, pads_begin=pads, pads_end=pads)
    return draw(filled(one, two))


@st.composite
def _strided(draw: st.DrawFn, ndim: int, group: int) -> TransposeGeometry:
    """A ConvTranspose, three of four with a stride of 2 or more: stride 1 is a Conv."""
    geometry = draw(transpose_geometries(ndim, group))
    least = draw(st.sampled_from([1, 2, 2, 3]))
    strides = tuple(max(least, stride) for stride in geometry.strides)
    return replace(geometry, strides=strides)


@st.composite
def filled(draw: st.DrawFn, first: Geometry, second: Geometry) -> Pair:
    """Two geometries with weights, biases and an input."""
    rng = draw(seeds())
    inputs = first.group * draw(st.integers(1, 2))
    between = math.lcm(first.group, second.group) * draw(st.integers(1, 2))
    outputs = second.group * draw(st.integers(1, 2))
    room = st.integers(0, 14 if first.ndim < 3 else 6)
    size = [smallest_size(first, second, axis) + draw(room) for axis in range(first.ndim)]
    return Pair(
        first=first,
        second=second,
        w1=kernel_for(first, inputs, between, rng),
        w2=kernel_for(second, between, outputs, rng),
        b1=rng.standard_normal(between) if draw(st.booleans()) else None,
        b2=rng.standard_normal(outputs) if draw(st.booleans()) else None,
        x=rng.standard_normal((draw(st.integers(1, 2)), inputs, *size)),
    )


def header(opset: int = 17) -> Header:
    """Of a model with nothing but ONNX's own operators."""
    return Header(ir_version=3 if opset < 9 else 8, opsets={"": opset})


def new_graph(
    shape: Sequence[Dim],
    opset: int = 17,
    dtype: type = np.float32,
    sizes: dict[str, int] | None = None,
) -> tuple[Builder, Value]:
    """An empty graph with one input, and that input."""
    build = Builder(Graph(header(opset), sizes))
    return build, build.graph.add_input("x", TensorType(np.dtype(dtype), tuple(shape)))


def finished(build: Builder, *results: Value) -> Graph:
    """The graph with its results named y0, y1, ..."""
    build.graph.set_outputs(results, [f"y{i}" for i in range(len(results))])
    return build.graph


def layer(
    build: Builder,
    data: Value,
    geometry: Geometry,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    name: str = "",
) -> Value:
    """A Conv or ConvTranspose with weights in the dtype of ``data``."""
    weight = build.constant(kernel.astype(data.dtype), name=f"{name}.weight")
    offset = None if bias is None else build.constant(bias.astype(data.dtype), name=f"{name}.bias")
    add = build.conv if isinstance(geometry, ConvGeometry) else build.conv_transpose
    return add(data, weight, offset, geometry, name=name)


def random_conv(
    build: Builder,
    x: Value,
    outputs: int,
    kernel: tuple[int, ...],
    *,
    bias: bool = True,
    **geometry: int,
) -> Value:
    """A Conv with random weights on all channels of ``x``; the rest as for `geometry_of`."""
    assert x.shape is not None
    assert isinstance(x.shape[1], int)
    rng = np.random.default_rng(len(build.graph))
    w = rng.standard_normal((outputs, x.shape[1] // geometry.get("group", 1), *kernel))
    b = rng.standard_normal(outputs) if bias else None
    return layer(build, x, geometry_of(w, **geometry), w, b, name=f"conv{len(build.graph)}")


def copied(build: Builder, data: Value, kinds: Sequence[str]) -> Value:
    """``data`` through ops that change nothing. onnxruntime has no Dropout before opset 7."""
    for kind in kinds:
        name = "Identity" if kind == "Dropout" and build.opset < 7 else kind
        attributes = {"to": 1} if kind == "Cast" else {}
        data = build.op(name, (data,), attributes, type_=data.type)
    return data


def pair_graph(
    pair: Pair, opset: int = 17, dynamic: bool = False, between: Sequence[str] = ()
) -> Graph:
    """The two layers of a pair as a graph; ``dynamic`` leaves batch and sizes open."""
    shape: Sequence[Dim] = pair.x.shape
    names = [f"d{axis}" for axis in range(len(shape))]
    sizes = dict(zip(names, pair.x.shape, strict=True)) if dynamic else {}
    if dynamic:
        shape = [names[0], shape[1], *names[2:]]
    build, x = new_graph(shape, opset, sizes=sizes)
    value = copied(build, layer(build, x, pair.first, pair.w1, pair.b1, name="first"), between)
    return finished(build, layer(build, value, pair.second, pair.w2, pair.b2, name="second"))


def pair_graphs(first: str = "Conv", second: str = "Conv") -> st.SearchStrategy[Graph]:
    """Two layers in sequence, at every opset and with fixed or open sizes."""
    return st.builds(
        pair_graph,
        pairs(first, second),
        opset=st.sampled_from(OPSETS),
        dynamic=st.sampled_from([False, False, False, True]),
        between=st.lists(st.sampled_from(COPIES), max_size=2),
    )


@st.composite
def dense_graphs(draw: st.DrawFn) -> Graph:
    """Two to four products in sequence: Gemm in every attribute, MatMul, MatMul and Add."""
    rng = draw(seeds())
    kinds = draw(st.lists(st.sampled_from(["Gemm", "MatMul", "Add"]), min_size=2, max_size=4))
    opset = draw(st.sampled_from([7, 9, 11, 13, 17, 21]))
    rank = 2 if "Gemm" in kinds else draw(st.integers(1, 4))
    width = draw(st.integers(1, 5))
    shape: list[Dim] = [draw(st.integers(1, 4)) for _ in range(rank - 1)] + [width]
    sizes = {}
    if rank > 1 and draw(st.booleans()):
        shape[0], sizes = "batch", {"batch": draw(st.integers(1, 4))}
    turned = kinds[0] == "Gemm" and draw(st.booleans())
    build, value = new_graph(shape[::-1] if turned else shape, opset, sizes=sizes)
    for i, kind in enumerate(kinds):
        value = copied(build, value, draw(st.lists(st.sampled_from(COPIES), max_size=1)))
        outputs = draw(st.integers(1, 5))
        matrix = rng.standard_normal((width, outputs))
        if kind == "Gemm":
            value = _gemm(draw, build, value, matrix, rng, turned=turned and i == 0)
        else:
            value = build.op("MatMul", (value, build.constant(matrix.astype(np.float32))))
        if kind == "Add":
            row = rng.standard_normal(draw(st.sampled_from([1, outputs]))).astype(np.float32)
            if rank > 1 and draw(st.booleans()):
                row = row[np.newaxis]
            pair = [value, build.constant(row)]
            type_ = value.type
            value = build.op("Add", pair[:: draw(st.sampled_from([1, -1]))], type_=type_)
        width = outputs
    return finished(build, value)


def _gemm(
    draw: st.DrawFn,
    build: Builder,
    data: Value,
    matrix: np.ndarray,
    rng: np.random.Generator,
    *,
    turned: bool = False,
) -> Value:
    flipped = draw(st.booleans())
    outputs = matrix.shape[1]
    operands = [data, build.constant((matrix.T if flipped else matrix).astype(np.float32))]
    if build.opset < 11 or draw(st.booleans()):
        shape = draw(st.sampled_from([(outputs,), (1, outputs), (1,), ()]))
        operands.append(build.constant(rng.standard_normal(shape).astype(np.float32)))
    attributes: dict[str, int | float] = {"transB": int(flipped), "transA": int(turned)}
    if draw(st.booleans()):
        attributes |= {"alpha": 0.5, "beta": -2.0}
    return build.op("Gemm", operands, attributes)


@st.composite
def flattened_conv_graphs(draw: st.DrawFn) -> Graph:
    """A conv, its whole output flattened in one way or another, and a product."""
    pair = draw(pairs())
    rng = draw(seeds())
    opset = draw(st.sampled_from([7, 9, 11, 13, 17, 21]))
    batch: Dim = "batch" if draw(st.booleans()) else pair.x.shape[0]
    sizes = {"batch": pair.x.shape[0]} if batch == "batch" else {}
    build, x = new_graph([batch, *pair.x.shape[1:]], opset, sizes=sizes)
    value = layer(build, x, pair.first, pair.w1, pair.b1)
    count = math.prod(int(d) for d in (value.shape or ())[1:])
    if draw(st.booleans()):
        value = build.op(
            "Flatten",
            (value,),
            {"axis": draw(st.sampled_from([1, 1, -len(pair.size) - 1])) if opset >= 11 else 1},
        )
    else:
        target = [0, -1] if draw(st.booleans()) else [-1, count]
        value = build.op(
            "Reshape",
            (value, build.ints(target)),
            type_=TensorType(np.dtype(np.float32), (batch, count)),
        )
    matrix = rng.standard_normal((count, draw(st.integers(1, 4))))
    if draw(st.booleans()):
        return finished(build, _gemm(draw, build, value, matrix, rng))
    value = build.op("MatMul", (value, build.constant(matrix.astype(np.float32))))
    if draw(st.booleans()):
        row = rng.standard_normal(matrix.shape[1]).astype(np.float32)
        value = build.add(value, build.constant(row))
    return finished(build, value)
