"""The forms of factor-kernels under an error budget, fitted to data."""

from __future__ import annotations

import numpy as np
import pytest

from convc.algebra import geometry_of
from convc.algebra.moments import Gathering, Moments, white
from convc.approximate.layers import patches, read_layer, responses
from convc.conv import conv_geometry
from convc.forms import Form
from convc.graph import Graph
from convc.ir import Array, Op, TensorType
from convc.opset import macs
from convc.proof import difference
from convc.reference import evaluate
from convc.rewrite import Exactness, NoMatch, apply
from passes.factor_kernels import FactorKernels
from passes.factor_kernels.chain import Chain
from tests.helpers import random_feeds
from tests.strategies import finished, layer, new_graph

RNG = np.random.default_rng(3)


def conv(
    outputs: int, inputs: int, taps: tuple[int, ...] = (3, 3), group: int = 1, **geometry: object
) -> Graph:
    size = (14, 15, 9)[: len(taps)]
    build, x = new_graph((2, inputs * group, *size))
    kernel = RNG.standard_normal((outputs, inputs, *taps))
    where = geometry_of(kernel, group=group, **geometry)
    y = layer(build, x, where, kernel, RNG.standard_normal(outputs), name="conv")
    return finished(build, y)


def the_conv(graph: Graph) -> Op:
    return next(op for op in graph.ops() if op.kind == "Conv")


def forms(graph: Graph, **options: object) -> list[Form]:
    return list(FactorKernels(**options).approximations(graph, the_conv(graph)))


def names(graph: Graph, **options: object) -> list[str]:
    return [form.name for form in forms(graph, **options)]


def correlated(graph: Graph, rng: np.random.Generator) -> Array:
    """Data for the graph's input whose channels and neighbours go with each other."""
    data = random_feeds(graph, rng)["x"].astype(np.float64)
    mix = rng.standard_normal((data.shape[1],) * 2) * 0.7 ** np.arange(data.shape[1])
    data = np.einsum("cd,nd...->nc...", mix, data)
    for axis in range(2, data.ndim):
        data = data + np.roll(data, 1, axis)
    return (data + 0.5).astype(np.float32)


def gathered(graph: Graph, data: Array) -> Moments:
    """The moments of all positions of the graph's Conv."""
    op = the_conv(graph)
    conv_layer = read_layer(op)
    (response,) = evaluate(graph, {"x": data})
    where = np.arange(response.shape[0] * np.prod(response.shape[2:]))
    gathering = Gathering(conv_layer.group, conv_layer.width, conv_layer.outputs)
    gathering.add(
        patches(conv_layer, data, response.shape, where), responses(conv_layer, response, where)
    )
    return gathering.moments()


def total(graph: Graph) -> int:
    return sum(macs(graph, op) or 0 for op in graph.ops())


def chain_of(graph: Graph) -> tuple[Array, Array]:
    """The composed kernel of a graph's convs, and the last one's bias."""
    convs = [op for op in graph.ops() if op.kind == "Conv"]
    assert all(op.operand(2) is None for op in convs[:-1])
    kernels = tuple(np.asarray(op.operand(1).array, np.float64) for op in convs)
    geometries = tuple(conv_geometry(op) for op in convs)
    return Chain(kernels, geometries).kernel(), np.asarray(convs[-1].operand(2).array, np.float64)


CASES = {
    "dense": lambda: conv(16, 16, pads=1),
    "wide": lambda: conv(24, 12, (5, 3), pads=(2, 0, 1, 1)),
    "strided": lambda: conv(16, 16, strides=(2, 1), dilations=(1, 2), pads=2),
    "line": lambda: conv(16, 16, (5,), pads=2),
    "volume": lambda: conv(16, 16, (3, 3, 3), pads=1),
    "pointwise": lambda: conv(32, 32, (1, 1), strides=2),
    "depthwise": lambda: conv(6, 1, (5, 5), 6, pads=2),
    "filters": lambda: conv(6, 1, (5, 7), 3, pads=2),
}


@pytest.mark.parametrize("case", CASES)
def test_every_form_is_fitted(case: str) -> None:
    graph = CASES[case]()
    data = correlated(graph, np.random.default_rng(1))
    moments = gathered(graph, data)
    (wanted,) = evaluate(graph, {"x": data})
    found = forms(graph, block=4)
    assert len(found) > 1
    for form in found:
        made = graph.clone()
        op = the_conv(made)
        rewrite = form.function(made, op, lambda asked, op=op: moments if asked is op else None)
        assert rewrite.exactness is Exactness.APPROXIMATE
        assert form.name in rewrite.note
        apply(made, rewrite)
        made.verify()
        assert total(made) < 0.95 * total(graph)
        kernel, bias = chain_of(made)
        # The kernel and bias that the chain is, are at every border what the chain gives.
        whole = graph.clone()
        weight, offset = (the_conv(whole).operand(i) for i in (1, 2))
        for index, array, like in ((1, kernel, weight), (2, bias, offset)):
            new = whole.add_constant(array, like.name, like.dtype)
            whole.set_operand(the_conv(whole), index, new)
        (one,), (other,) = (evaluate(g, {"x": data}) for g in (whole, made))
        assert difference(one, other) <= 1e-9
        # What it misses is what the moments say, and with their bias the mean is right.
        missed = np.square(other - wanted).sum() / np.square(centred(wanted)).sum()
        assert missed == pytest.approx(moments.loss(kernel), rel=1e-3, abs=1e-9)
        axes = (0, *range(2, wanted.ndim))
        assert np.abs((other - wanted).mean(axis=axes)).max() <= 1e-5 * np.abs(wanted).max()
        assert moments.loss(kernel) < 0.9
        # Data helps: the same form for white noise, on this data.
        apart = graph.clone()
        blind = white(np.asarray(read_layer(the_conv(apart)).kernel), moments.group)
        apply(apart, form.function(apart, the_conv(apart), lambda _op, blind=blind: blind))
        assert moments.loss(kernel) <= moments.loss(chain_of(apart)[0]) + 1e-9


def centred(response: Array) -> Array:
    axes = (0, *range(2, response.ndim))
    return response - response.mean(axis=axes, keepdims=True)


def test_the_forms_of_a_layer() -> None:
    assert names(conv(64, 64, pads=1)) == [
        "low-rank-out 48",
        "tucker 48,48",
        "separable 64",
        "low-rank-out 32",
        "low-rank-in 32",
        "separable 48",
        "tucker 32,32",
        "separable 32",
        "low-rank-out 16",
        "low-rank-in 16",
        "separable 16",
        "tucker 16,16",
    ]
    assert names(conv(64, 64, (1, 1))) == ["low-rank-out 16", "low-rank-out 8"]
    # 48 of 64 channels would take 0.84 of the MACs, and two convs instead of one.
    assert names(conv(512, 64, (1, 1))) == ["low-rank-out 32", "low-rank-out 16"]
    assert names(conv(8, 1, (7, 7), 8)) == ["terms 2", "terms 1"]


def test_kinds_and_block_choose() -> None:
    graph = conv(64, 64)
    assert names(graph, kinds=("tucker",)) == ["tucker 48,48", "tucker 32,32", "tucker 16,16"]
    assert names(graph, kinds=("cp", "composed", "terms")) == []
    ranks = [int(name.split()[1]) for name in names(graph, kinds=("separable",), block=8)]
    assert len(ranks) == 5
    assert all(rank % 8 == 0 for rank in ranks)
    # Half a block is the least.
    assert names(conv(16, 16), kinds=("separable",)) == ["separable 16", "separable 8"]


def test_the_cheaper_axis_comes_first() -> None:
    graph = conv(16, 16, strides=(1, 2))
    form = forms(graph, kinds=("separable",))[0]
    kernel = np.asarray(the_conv(graph).operand(1).array, np.float64)
    apply(graph, form.function(graph, the_conv(graph), lambda _op: white(kernel)))
    assert the_conv(graph).attributes["kernel_shape"] == (1, 3)
    assert the_conv(graph).attributes["strides"] == (1, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: conv(7, 16),
        lambda: conv(16, 7),
        lambda: conv(16, 8, group=2),
        lambda: conv(8, 1, (3, 3), 8),
        lambda: conv(8, 1, (9, 1), 8),
        lambda: conv(16, 16, (1, 1), group=2),
    ],
)
def test_layers_without_forms(make: object) -> None:
    assert names(make()) == []


def test_what_is_no_layer_has_no_forms() -> None:
    build, x = new_graph((1, 16, 9, 9))
    weight = build.graph.add_input("weight", TensorType(np.dtype(np.float32), (16, 16, 3, 3)))
    y = build.op("Conv", (x, weight))
    z = build.op("Relu", (y,), type_=y.type)
    graph = finished(build, z)
    for op in graph.ops():
        assert list(FactorKernels().approximations(graph, op)) == []


def test_a_form_declines_where_there_are_no_moments() -> None:
    graph = conv(16, 16)

    def observe(_op: Op) -> Moments:
        raise NoMatch("the biases are not constant")

    with pytest.raises(NoMatch, match="the biases are not constant"):
        forms(graph)[0].function(graph, the_conv(graph), observe)
    kernel = np.full((16, 16, 3, 3), np.nan)
    with pytest.raises(NoMatch, match="not finite"):
        forms(graph)[0].function(graph, the_conv(graph), lambda _op: white(kernel))


def test_forms_name_what_replaces_the_layer() -> None:
    graph = conv(16, 16)
    form = forms(graph)[-1]
    the_conv(graph).result.name = "layer"
    kernel = np.asarray(the_conv(graph).operand(1).array, np.float64)
    apply(graph, form.function(graph, the_conv(graph), lambda _op: white(kernel)))
    convs = [op for op in graph.ops() if op.kind == "Conv"]
    assert [op.result.name for op in convs] == [""] * (len(convs) - 1) + ["layer"]
