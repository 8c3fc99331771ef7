"""Linear ops between chains of scales and shifts, drawn by Hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, Dim, Value
from tests.algebra.strategies import (
    conv_geometries,
    kernel_for,
    ndims,
    smallest_size,
    transpose_geometries,
)
from tests.strategies import finished, layer, new_graph, seeds

LINKS = ("Mul", "Add", "Sub", "Div", "From", "Norm")
"""Scales and shifts to draw chains from; ``From`` is a constant less the value."""
CONVS = ("Conv", "ConvTranspose")
PRODUCTS = ("Gemm", "MatMul", "LeftMatMul")
OPSETS = (6, 7, 9, 13, 17, 21)


@dataclass(frozen=True)
class Sandwich:
    """A linear op with chains of scales and shifts before and after it.

    ``runs``: onnxruntime's CPU has these kernels in this opset and dtype.
    """

    graph: Graph
    kind: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    runs: bool


def spread(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Numbers of either sign between 0.5 and 2: fit to be divided by, too."""
    return rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)


def add_link(
    build: Builder, data: Value, link: str, values: np.ndarray, axis: int, *, short: bool = False
) -> Value:
    """One op of `LINKS`.

    Args:
        build: where to add it.
        data: of known rank.
        link: which; a Norm is of axis 1 whatever ``axis`` says.
        values: one for each channel, or a single one where it is no Norm.
        axis: of the channels, negative.
        short: leave the leading axes of the constant out.
    """
    assert data.shape is not None
    rank, name = len(data.shape), f"{link}{len(build.graph)}"
    if link == "Norm":
        parts = (values, values[::-1] / 2, values / 3, np.abs(values))
        operands = [data, *(build.constant(part.astype(data.dtype)) for part in parts)]
        test: dict[str, Attribute] = {"is_test": 1} if build.opset < 7 else {}
        return build.op("BatchNormalization", operands, {"epsilon": 2.0**-10, **test}, name=name)
    attributes: dict[str, Attribute] = {}
    shape = (values.size, *(1,) * (-axis - 1)) if values.size > 1 else ()
    if not short:
        shape = (1,) * (rank - len(shape)) + shape
    if build.opset < 7:
        link = "Sub" if link == "From" else link
        shape, attributes = (values.size,), {"broadcast": 1}
        if values.size > 1:
            attributes["axis"] = rank + axis
    constant = build.constant(values.reshape(shape).astype(data.dtype))
    operands = [constant, data] if link == "From" else [data, constant]
    kind = "Sub" if link == "From" else link
    return build.op(kind, operands, attributes, type_=data.type, name=name)


@st.composite
def chains(draw: st.DrawFn, length: tuple[int, int], norm: bool) -> tuple[str, ...]:
    """Links; Norms only where they fit."""
    links = st.sampled_from(LINKS if norm else LINKS[:-1])
    return tuple(draw(st.lists(links, min_size=length[0], max_size=length[1])))


def add_chain(
    draw: st.DrawFn,
    build: Builder,
    value: Value,
    links: Sequence[str],
    *,
    axis: int,
    rng: np.random.Generator,
) -> Value:
    """The chain behind ``value``, its channels at ``axis``; constants are short or per channel."""
    assert value.shape is not None
    count = value.shape[axis]
    assert isinstance(count, int)
    for link in links:
        size = count if link == "Norm" or draw(st.booleans()) else 1
        value = add_link(build, value, link, spread(rng, (size,)), axis, short=draw(st.booleans()))
    return value


@st.composite
def conv_sandwiches(
    draw: st.DrawFn,
    before: tuple[int, int] = (0, 0),
    after: tuple[int, int] = (0, 0),
    dynamic: bool = False,
) -> Sandwich:
    """Conv and ConvTranspose in every attribute, opset and dtype."""
    kind, ndim, group = draw(st.sampled_from(CONVS)), draw(ndims()), draw(st.integers(1, 3))
    rng, opset, dtype = draw(seeds()), draw(st.sampled_from(OPSETS)), draw(_dtypes())
    geometry = draw(
        conv_geometries(ndim, group, 0) if kind == "Conv" else transpose_geometries(ndim, group)
    )
    inputs, outputs = (group * draw(st.integers(1, 3)) for _ in range(2))
    mode = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    automatic = mode != "NOTSET" and kind == "Conv"
    if automatic and dynamic and mode != "VALID":  # strided, the pads would depend on the size
        geometry = replace(geometry, strides=(1,) * ndim)
    none = (0,) * ndim
    bare = replace(geometry, pads_begin=none, pads_end=none) if automatic else geometry
    size = [smallest_size(bare, bare, axis) + draw(st.integers(0, 3)) for axis in range(ndim)]
    shape: list[Dim] = [draw(st.integers(1, 2)), inputs, *size]
    names = [f"d{i}" if dynamic and i != 1 else dim for i, dim in enumerate(shape)]
    sizes = dict(zip(names, shape, strict=True)) if dynamic else {}
    build, x = new_graph(names, opset, dtype, {k: v for k, v in sizes.items() if k != v})
    links = draw(chains(before, norm=True)), draw(chains(after, norm=True))
    fed = add_chain(draw, build, x, links[0], axis=-ndim - 1, rng=rng)
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    value = layer(
        build, fed, geometry, kernel_for(geometry, inputs, outputs, rng), bias, name="layer"
    )
    if automatic:
        explicit = value.op
        attributes = {k: v for k, v in explicit.attributes.items() if k != "pads"}
        value = build.op("Conv", explicit.operands, {**attributes, "auto_pad": mode}, name="auto")
        build.graph.erase(explicit)
    graph = finished(build, add_chain(draw, build, value, links[1], axis=-ndim - 1, rng=rng))
    # onnxruntime refuses dilation beside SAME, and its CPU has no convs of doubles.
    dilated = automatic and mode != "VALID" and max(geometry.dilations) > 1
    runs = opset >= 7 and dtype is not np.float64 and not dilated
    return Sandwich(graph, kind, *links, runs)


@st.composite
def product_sandwiches(
    draw: st.DrawFn,
    kinds: Sequence[str] = PRODUCTS,
    before: tuple[int, int] = (0, 0),
    after: tuple[int, int] = (0, 0),
) -> Sandwich:
    """Gemm, ``x @ W`` and ``W @ x`` in every attribute, opset and dtype."""
    kind = draw(st.sampled_from(kinds))
    rng, opset, dtype = draw(seeds()), draw(st.sampled_from(OPSETS)), draw(_dtypes())
    rows, inner, columns = (draw(st.integers(1, 5)) for _ in range(3))
    batch = draw(st.lists(st.integers(1, 3), max_size=2)) if kind != "Gemm" else []
    turned = kind == "LeftMatMul" or (kind == "Gemm" and draw(st.booleans()))
    shape = [*batch, inner, rows] if turned else [*batch, rows, inner]
    build, x = new_graph(shape, opset, dtype)
    axis = -2 if kind == "LeftMatMul" else -1
    links = (
        draw(chains(before, norm=not turned and not batch)),
        draw(chains(after, norm=len(shape) + axis == 1)),
    )
    fed = add_chain(draw, build, x, links[0], axis=-2 if turned else -1, rng=rng)
    weight = rng.standard_normal((inner, columns)).astype(dtype)
    if kind == "MatMul":
        value = build.op("MatMul", (fed, build.constant(weight)), name="product")
    elif kind == "LeftMatMul":
        value = build.op("MatMul", (build.constant(weight.T), fed), name="product")
    else:
        value = _gemm(draw, build, fed, weight, turned=turned, rng=rng)
    graph = finished(build, add_chain(draw, build, value, links[1], axis=axis, rng=rng))
    # Half precision products exist from opset 9 on in onnxruntime's CPU.
    return Sandwich(graph, kind, *links, runs=opset >= (9 if dtype is np.float16 else 7))


def _gemm(
    draw: st.DrawFn,
    build: Builder,
    data: Value,
    weight: np.ndarray,
    *,
    turned: bool,
    rng: np.random.Generator,
) -> Value:
    assert data.shape is not None
    rows, columns = data.shape[1 if turned else 0], weight.shape[1]
    assert isinstance(rows, int)
    attributes: dict[str, Attribute] = {
        "alpha": draw(st.sampled_from([1.0, 0.5])),
        "beta": draw(st.sampled_from([1.0, 2.0, 0.0])),
        "transA": int(turned),
        "transB": draw(st.integers(0, 1)),
    }
    operands = [data, build.constant(np.array(weight.T if attributes["transB"] else weight))]
    if build.opset < 7:
        attributes["broadcast"] = 1
    shapes = [(columns,), (1, columns), (rows, columns), ()]
    if build.opset < 11 or draw(st.booleans()):
        bias = rng.standard_normal(draw(st.sampled_from(shapes)))
        operands.append(build.constant(np.asarray(bias).astype(weight.dtype)))
    return build.op("Gemm", operands, attributes, name="product")


def _dtypes() -> st.SearchStrategy[type]:
    return st.sampled_from([np.float32, np.float32, np.float16, np.float64])
