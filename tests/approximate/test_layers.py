"""Layers read, their patches and responses, and new weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.approximate.layers import patches, places, read_layer, responses, with_weights
from convc.build import Builder
from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Array, Op, TensorType
from convc.reference import evaluate
from convc.rewrite import NoMatch, apply

F32 = np.dtype(np.float32)


def conv_graph(shape: tuple[int, ...], weight: Array, **attributes: object) -> tuple[Graph, Op]:
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, shape))
    y = build.op("Conv", (x, build.constant(weight)), attributes)  # type: ignore[arg-type]
    graph.set_outputs((y,), ("y",))
    return graph, y.op


@given(
    group=st.sampled_from([1, 2, 4]),
    kernel=st.sampled_from([(3,), (1, 1), (3, 2), (2, 3, 2)]),
    spread=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    pads=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    batch=st.integers(1, 3),
)
def test_kernel_times_patches_are_the_responses(
    group: int, kernel: tuple[int, ...], spread: tuple[int, int], pads: tuple[int, int], batch: int
) -> None:
    (stride, dilation), (begin, end) = spread, pads
    rng = np.random.default_rng(0)
    rank = len(kernel)
    weight = rng.standard_normal((8, 4 // group, *kernel)).astype(np.float32)
    graph, op = conv_graph(
        (batch, 4, *(9,) * rank), weight, group=group, strides=(stride,) * rank,
        dilations=(dilation,) * rank, pads=(begin,) * rank + (end,) * rank,
    )  # fmt: skip
    x = rng.standard_normal((batch, 4, *(9,) * rank))
    (y,) = evaluate(graph, {"x": x})
    layer = read_layer(op)
    where = rng.choice(places(layer, y.shape), 5)
    read = patches(layer, x, y.shape, where)
    assert read.shape == (group, 5, layer.width)
    given_ = np.einsum("gnd,gkd->ngk", read, layer.kernel.reshape(group, -1, layer.width))
    np.testing.assert_allclose(given_.reshape(5, 8), responses(layer, y, where), atol=1e-9)


@given(
    group=st.sampled_from([1, 2]),
    kernel=st.sampled_from([(3,), (2, 2), (4, 3)]),
    spread=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    pads=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    extra=st.booleans(),
)
def test_transposed_convs_read_their_data_with_zeros_between(
    group: int, kernel: tuple[int, ...], spread: tuple[int, int], pads: tuple[int, int], extra: bool
) -> None:
    (stride, dilation), (begin, end) = spread, pads
    rng = np.random.default_rng(0)
    rank = len(kernel)
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, (2, 4, *(5,) * rank)))
    weight = rng.standard_normal((4, 6 // group, *kernel)).astype(np.float32)
    attributes = {
        "group": group, "strides": (stride,) * rank, "dilations": (dilation,) * rank,
        "pads": (begin,) * rank + (end,) * rank,
        "output_padding": (int(extra and stride > 1),) * rank,
    }  # fmt: skip
    y = build.op("ConvTranspose", (x, build.constant(weight)), attributes)
    graph.set_outputs((y,), ("y",))
    data = rng.standard_normal((2, 4, *(5,) * rank))
    (before,) = evaluate(graph, {"x": data})
    layer = read_layer(y.op)
    where = rng.choice(places(layer, before.shape), 9)
    read = patches(layer, data, before.shape, where)
    found = np.einsum("gnd,gkd->ngk", read, layer.kernel.reshape(group, -1, layer.width))
    np.testing.assert_allclose(found.reshape(9, 6), responses(layer, before, where), atol=1e-9)
    apply(graph, with_weights(graph, layer, 2 * layer.kernel, np.ones(6)))
    (after,) = evaluate(graph, {"x": data})
    np.testing.assert_allclose(after, 2 * before + 1, atol=1e-5)


@pytest.mark.parametrize(("kind", "turned"), [("Gemm", 0), ("Gemm", 1), ("MatMul", 0)])
def test_products_are_layers(kind: str, turned: int) -> None:
    rng = np.random.default_rng(1)
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, (5, 3)))
    weight = rng.standard_normal((4, 3) if turned else (3, 4)).astype(np.float32)
    operands = [x, build.constant(weight)]
    attributes = {}
    if kind == "Gemm":
        operands.append(build.constant(rng.standard_normal(4).astype(np.float32)))
        attributes = {"alpha": 0.5, "beta": 2.0, "transB": turned}
    y = build.op(kind, operands, attributes)
    graph.set_outputs((y,), ("y",))
    data = rng.standard_normal((5, 3))
    (before,) = evaluate(graph, {"x": data})
    layer = read_layer(y.op)
    bias = np.zeros(4) if layer.bias is None else layer.bias
    where = np.array([0, 4])
    (read,) = patches(layer, data, before.shape, where)
    np.testing.assert_allclose(
        read @ layer.kernel.T + bias, responses(layer, before, where), atol=1e-9
    )
    apply(graph, with_weights(graph, layer, layer.kernel, bias))
    (after,) = evaluate(graph, {"x": data})
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_new_weights_of_a_conv_keep_its_name_and_geometry() -> None:
    weight = np.ones((2, 3, 3, 3), np.float32)
    graph, op = conv_graph((1, 3, 8, 8), weight, strides=(2, 1), pads=(1, 0, 1, 2))
    op.result.name = "features"
    layer = read_layer(op)
    apply(graph, with_weights(graph, layer, 2 * layer.kernel, np.array([1.0, -1.0])))
    (result,) = graph.outputs
    assert result.name == "features"
    assert conv_geometry(result.op) == conv_geometry(op)
    (y,) = evaluate(graph, {"x": np.ones((1, 3, 8, 8))})
    assert y[0, :, 1, 1].tolist() == [2 * 27 + 1, 2 * 27 - 1]


def test_what_is_no_layer_says_why() -> None:
    graph = Graph()
    build = Builder(graph)
    x = graph.add_input("x", TensorType(F32, (1, 3, 8, 8)))
    w = graph.add_input("w", TensorType(F32, (2, 3, 3, 3)))
    y = build.op("Conv", (x, w))
    with pytest.raises(NoMatch, match="the weights are not constant"):
        read_layer(y.op)
    with pytest.raises(NoMatch):
        read_layer(build.op("Relu", (x,)).op)


def test_a_conv_that_crops_is_not_observed() -> None:
    graph, op = conv_graph((1, 3, 8, 8), np.ones((2, 3, 3, 3), np.float32), pads=(-1, 0, 0, 0))
    with pytest.raises(NoMatch, match="the conv crops its data"):
        patches(read_layer(op), np.ones((1, 3, 8, 8)), (1, 2, 5, 6), np.array([0]))
    assert len(graph) > 0
