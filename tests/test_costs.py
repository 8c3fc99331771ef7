"""Costs, counted by hand."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from convc.costs import summarise
from tests.tiny import FLOAT, IMAGE, graph_of, kernel, model, node


def test_a_conv_counted_by_hand() -> None:
    nodes = [
        node("Conv", "x w b", "c", pads=[1] * 4, strides=[2, 2], group=2),
        node("Relu", "c", "y"),
    ]
    graph = graph_of(model(nodes, {"w": kernel(1, 6, 2, 3, 3), "b": kernel(2, 6)}))
    found = summarise(graph)
    assert (found.ops, found.convs, found.unknown) == (2, 1, 0)
    # Output 6 × 6 × 5 with 2·3·3 products each, padded zeros counted.
    assert found.macs == 6 * 6 * 5 * 2 * 9
    assert found.params == 6 * 2 * 9 + 6
    assert found.weight_bytes == 4 * found.params
    # The caller holds x all along; y is the caller's too, so it is not written over c.
    x, c = 4 * 12 * 10 * 4, 6 * 6 * 5 * 4
    assert found.peak_activation_bytes == x + 2 * c


def test_transposed_convs_and_products() -> None:
    nodes = [
        node("ConvTranspose", "x w", "c", strides=[2, 2]),
        node("Flatten", "c", "f"),
        node("Gemm", "f g", "y"),
    ]
    weights = {"w": kernel(1, 4, 3, 2, 2), "g": kernel(2, 3 * 24 * 20, 7)}
    found = summarise(graph_of(model(nodes, weights)))
    assert found.convs == 1
    assert found.macs == 4 * 12 * 10 * 3 * 4 + 3 * 24 * 20 * 7


def test_integers_are_weights_but_no_params() -> None:
    nodes = [node("Mul", "x h", "m"), node("Reshape", "m s", "y")]
    half = np.ones((1, 4, 1, 1), ml_dtypes.bfloat16)
    graph = graph_of(
        model(nodes, {"h": half, "s": np.array([1, -1])}, inputs={"x": (16, IMAGE)},
              outputs={"y": 16})
    )  # fmt: skip
    found = summarise(graph)
    assert found.params == 4
    assert found.weight_bytes == 4 * 2 + 2 * 8


def test_open_sizes_count_at_the_graphs_own() -> None:
    data = model(
        [node("Conv", "x w", "y")], {"w": kernel(1, 2, 4, 1, 1)},
        inputs={"x": (FLOAT, ("n", 4, "h", "w"))},
    )  # fmt: skip
    graph = graph_of(data)
    assert summarise(graph).macs == 224 * 224 * 2 * 4
    graph.sizes.clear()
    found = summarise(graph)
    assert (found.macs, found.unknown) == (0, 1)


def test_json() -> None:
    found = summarise(graph_of(model([node("Relu", "x", "y")]))).as_json()
    wanted = {
        "ops",
        "convs",
        "macs",
        "params",
        "weight_bytes",
        "peak_activation_bytes",
        "latency_ms",
    }
    assert wanted <= set(found)
    assert found["latency_ms"] is None
