"""What the walk says of values, against values: magnitudes, deviations, mean squares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.algebra import TransposeGeometry, geometry_of
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, TensorType, Value
from convc.reference import evaluate
from convc.rounding.state import variance
from convc.rounding.walk import inputs_of, walked
from tests.strategies import finished, layer, new_graph

SIZE = (1, 6, 24, 24)
Make = Callable[[Builder, Value, np.random.Generator], Value]


def conv(outputs: int, kernel: tuple[int, int], *, biased: bool = True, **geometry: int) -> Make:
    def make(build: Builder, x: Value, rng: np.random.Generator) -> Value:
        assert x.shape is not None
        inputs = int(str(x.shape[1])) // geometry.get("group", 1)
        weights = rng.standard_normal((outputs, inputs, *kernel))
        bias = rng.standard_normal(outputs) if biased else None
        return layer(build, x, geometry_of(weights, **geometry), weights, bias)

    return make


def transposed(build: Builder, x: Value, rng: np.random.Generator) -> Value:
    geometry = TransposeGeometry((4, 3), (2, 2), (1, 1), (1, 0), (0, 1), (0, 0), 2)
    return layer(build, x, geometry, rng.standard_normal((6, 4, 4, 3)), rng.standard_normal(8))


def op(kind: str, **attributes: Attribute) -> Make:
    def make(build: Builder, x: Value, _: np.random.Generator) -> Value:
        return build.op(kind, (x,), attributes, type_=None)

    return make


def of_shape(kind: str, shape: tuple[int, ...], *operands: object, **attributes: Attribute) -> Make:
    def make(build: Builder, x: Value, _: np.random.Generator) -> Value:
        constants = [None if o is None else build.constant(np.asarray(o)) for o in operands]
        type_ = TensorType(np.dtype(np.float32), shape)
        return build.op(kind, (x, *constants), attributes, type_=type_)

    return make


def with_constant(kind: str) -> Make:
    def make(build: Builder, x: Value, rng: np.random.Generator) -> Value:
        array = rng.uniform(0.5, 2, (6, 1, 1)).astype(np.float32)
        return build.op(kind, (x, build.constant(array)))

    return make


def columns(build: Builder, x: Value, rng: np.random.Generator) -> Value:
    """A product from the left, as tiles have them: (6, 5, 4) times (6, 4, 144)."""
    y = build.reshape(x, (6, 4, 144))
    return build.op("MatMul", (build.constant(rng.standard_normal((6, 5, 4)).astype("f4")), y))


def rows(build: Builder, x: Value, rng: np.random.Generator) -> Value:
    y = build.transpose(x, (0, 2, 3, 1))
    y = build.op("MatMul", (y, build.constant(rng.standard_normal((6, 7)).astype("f4"))))
    return build.transpose(y, (0, 3, 1, 2))


def beside(build: Builder, x: Value, rng: np.random.Generator) -> Value:
    parts = [conv(count, (1, 1))(build, x, rng) for count in (2, 3)]
    return build.concat([*parts, build.slice(x, (1,), (2,), (5,))], 1)


def sum_of_two(build: Builder, x: Value, rng: np.random.Generator) -> Value:
    return build.add(conv(6, (3, 3), pads=1)(build, x, rng), x)


def chained(*makes: Make) -> Make:
    def make(build: Builder, x: Value, rng: np.random.Generator) -> Value:
        for one in makes:
            x = one(build, x, rng)
        return x

    return make


def normalised(build: Builder, x: Value, rng: np.random.Generator) -> Value:
    stats = [build.constant(rng.uniform(0.5, 2, 6).astype(np.float32)) for _ in range(4)]
    return build.op("BatchNormalization", (x, *stats), type_=x.type)


def sloped(build: Builder, x: Value, rng: np.random.Generator) -> Value:
    slope = build.constant(rng.standard_normal((6, 1, 1)).astype(np.float32))
    return build.op("PRelu", (x, slope), type_=x.type)


POOL = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
EXACT: dict[str, Make] = {
    "conv": conv(8, (3, 5), pads=1),
    "strided, dilated conv": conv(8, (3, 3), strides=2, dilations=3, pads=3),
    "grouped conv": conv(9, (3, 3), group=3),
    "depthwise conv": conv(12, (3, 3), group=6, pads=2),
    "transposed conv": transposed,
    "depthwise, pointwise": chained(
        conv(6, (2, 2), biased=False, group=6, strides=2), conv(5, (1, 1))
    ),
    "average pool": op("AveragePool", **POOL, count_include_pad=1),
    "average pool, no pads": op("AveragePool", kernel_shape=(2, 3), strides=(2, 1)),
    "global average pool": op("GlobalAveragePool"),
    "pad": of_shape("Pad", (1, 6, 30, 26), np.array([0, 0, 2, 1, 0, 0, 4, 1]), mode="constant"),
    "times constants": with_constant("Mul"),
    "over constants": with_constant("Div"),
    "plus constants": with_constant("Add"),
    "nearest": of_shape(
        "Resize", (1, 6, 48, 48), None, np.array([1, 1, 2, 2], np.float32),
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    ),
    "space to depth": of_shape("SpaceToDepth", (1, 24, 12, 12), blocksize=2),
    "product from the left": columns,
    "product from the right": rows,
    "conv, depth to space": chained(
        conv(8, (3, 3)), of_shape("DepthToSpace", (1, 2, 44, 44), blocksize=2)
    ),
    "batch norm": normalised,
}  # fmt: skip
BOUNDED: dict[str, Make] = {
    "conv, conv": chained(conv(8, (3, 3)), conv(6, (3, 3), pads=1)),
    "conv, average": chained(conv(8, (3, 3)), op("AveragePool", kernel_shape=(2, 2))),
    "conv, relu": chained(conv(6, (3, 3)), op("Relu")),
    "conv, sigmoid": chained(conv(6, (3, 3)), op("Sigmoid")),
    "conv, relu, conv": chained(conv(6, (3, 3)), op("Relu"), conv(6, (1, 1))),
    "conv, hard swish, conv": chained(conv(6, (3, 3)), op("HardSwish"), conv(6, (1, 1))),
    "max pool": op("MaxPool", **POOL),
    "slope": sloped,
    "beside each other": beside,
    "sum of two": sum_of_two,
    "average pool, pads left out": op("AveragePool", **POOL),
}


def graph_of(make: Make, seed: int) -> Graph:
    build, x = new_graph(SIZE)
    return finished(build, make(build, x, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", [*EXACT, *BOUNDED])
def test_no_value_exceeds_what_is_said_of_it(name: str) -> None:
    graph = graph_of({**EXACT, **BOUNDED}[name], 0)
    (state,) = walked(graph, inputs_of(graph, 1.0))
    assert state is not None
    rng = np.random.default_rng(1)
    # At worst: inputs of magnitude 1.
    for _ in range(20):
        (value,) = evaluate(graph, {"x": rng.choice([-1.0, 1.0], SIZE)})
        assert value.shape == tuple(state.shape)
        assert (np.abs(value) <= state.high * (1 + 1e-12)).all()
    # Probably: the deviations and the means of each entry over many random inputs.
    samples = np.stack([evaluate(graph, {"x": rng.standard_normal(SIZE)})[0] for _ in range(300)])
    slack = 1 + 5 / np.sqrt(2 * 300)
    assert (samples.std(axis=0) <= np.sqrt(variance(state.signal)) * slack).all()
    spread = samples.std(axis=0) * 5 / np.sqrt(300) + 1e-12
    assert (np.abs(samples.mean(axis=0)) <= state.mean + spread).all()


@pytest.mark.parametrize("name", EXACT)
def test_the_power_of_one_linear_layer_is_exact(name: str) -> None:
    """The mean square over all channels and places, borders included."""
    graph = graph_of(EXACT[name], 2)
    (state,) = walked(graph, inputs_of(graph, 1.0))
    assert state is not None
    assert state.known
    rng = np.random.default_rng(3)
    found = [(evaluate(graph, {"x": rng.standard_normal(SIZE)})[0] ** 2).mean() for _ in range(400)]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - np.mean(state.power)) <= 5 * error + 1e-9


@pytest.mark.parametrize("name", BOUNDED)
def test_the_power_of_more_is_called_an_estimate(name: str) -> None:
    graph = graph_of(BOUNDED[name], 2)
    (state,) = walked(graph, inputs_of(graph, 1.0))
    assert state is not None
    assert not state.known or name == "beside each other"
