"""The roofline by hand, and each reason where it holds and where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from convc.costs.roofline import OVERHEAD, bandwidth, bound, reasons
from convc.graph import Graph
from convc.ir import Array, Op, TensorType
from tests.tiny import FLOAT, graph_of, kernel, model, node


@dataclass(frozen=True)
class Slow:
    """A machine for mental arithmetic."""

    macs_per_second: float = 1000.0
    bandwidths: tuple[tuple[int, float], ...] = ((100, 400.0), (1000, 200.0), (10_000, 50.0))


def test_the_bound_by_hand() -> None:
    # 8000 operations are 4000 multiply-adds: 4 s. 600 bytes at 400 a second: 1.5 s.
    found = bound(8000, 600, Slow())
    assert (found.compute, found.memory, found.seconds, found.side) == (4.0, 1.5, 4.0, "compute")
    found = bound(2000, 600, Slow())
    assert (found.compute, found.memory, found.seconds, found.side) == (1.0, 1.5, 1.5, "memory")
    assert bound(0, 0, Slow()).seconds == 0
    assert bound(2 * 10**30, 0, Slow()).seconds == pytest.approx(1e27)


@pytest.mark.parametrize(
    ("moved", "speed"),
    [(0, 400), (99, 400), (100, 400), (999, 400), (1000, 200), (9999, 200), (10**12, 50)],
)
def test_the_bandwidth_is_that_of_the_next_smaller_working_set(moved: int, speed: float) -> None:
    assert bandwidth(moved, Slow()) == speed


def test_a_larger_working_set_that_was_faster_counts() -> None:
    odd = Slow(bandwidths=((100, 300.0), (1000, 500.0), (10_000, 50.0)))
    assert bandwidth(100, odd) == 500
    assert bandwidth(10_000, odd) == 50


def conv(
    outputs: int,
    inputs: int,
    group: int = 1,
    *,
    size: int = 40,
    spatial: int = 2,
    kind: str = "Conv",
    weight: Array | None = None,
    **attributes: Any,
) -> tuple[Graph, Op]:
    """A conv on (1, inputs, size, ...) with 3×3 kernels."""
    lead = (outputs, inputs // group) if kind == "Conv" else (inputs, outputs // group)
    w = kernel(1, *lead, *(3,) * spatial) if weight is None else weight
    data = model(
        [node(kind, "x w", "y", group=group, **attributes)],
        {"w": w},
        inputs={"x": (FLOAT, (1, inputs, *(size,) * spatial))},
    )
    return with_op(graph_of(data), kind)


def with_op(graph: Graph, kind: str) -> tuple[Graph, Op]:
    (op,) = [op for op in graph.ops() if op.kind == kind]
    return graph, op


@pytest.mark.parametrize(
    ("channels", "lanes", "wanted"),
    [
        # outputs, inputs, group
        ((64, 64, 1), 16, []),
        ((16, 3, 1), 16, []),
        ((16, 15, 1), 16, []),
        ((16, 17, 1), 16, ["17 input channels: no multiple of 4"]),
        ((64, 259, 1), 16, ["259 input channels: no multiple of 4"]),
        ((32, 20, 1), 16, ["20 input channels: computed as 32"]),
        ((32, 24, 1), 8, []),
        ((24, 32, 1), 16, ["24 output channels: computed as 32"]),
        ((24, 32, 1), 8, []),
        ((1, 16, 1), 16, ["1 output channel: computed as 16"]),
        ((64, 64, 2), 16, []),
        ((64, 64, 4), 16, []),
        ((64, 64, 16), 16, ["groups of 4 channels, below the block of 16"]),
        ((64, 64, 8), 16, ["groups of 8 channels, below the block of 16"]),
        ((64, 64, 8), 8, []),
        ((64, 64, 8), 4, []),
        ((64, 64, 16), 8, ["groups of 4 channels, below the block of 8"]),
        ((32, 64, 4), 16, ["groups of 8 channels, below the block of 16"]),
        ((48, 48, 2), 16, ["groups of 24 channels: no multiple of 16"]),
        ((64, 40, 2), 16, ["groups of 20 channels: no multiple of 16"]),
        ((16, 16, 16), 16, []),
        ((24, 24, 24), 16, ["24 channels: computed as 32"]),
        ((32, 16, 16), 16, ["depthwise multiplier 2"]),
    ],
)
def test_channels(channels: tuple[int, int, int], lanes: int, wanted: list[str]) -> None:
    graph, op = conv(*channels)
    assert reasons(graph, op, lanes) == wanted


@pytest.mark.parametrize(("spatial", "wanted"), [(1, ["1-D conv"]), (2, []), (3, ["3-D conv"])])
def test_other_than_two_spatial_dims(spatial: int, wanted: list[str]) -> None:
    graph, op = conv(16, 16, spatial=spatial, size=20 if spatial == 3 else 400)
    assert reasons(graph, op) == wanted


@pytest.mark.parametrize(("spatial", "more"), [(1, ["1-D conv"]), (2, [])])
def test_transposed(spatial: int, more: list[str]) -> None:
    graph, op = conv(16, 16, spatial=spatial, kind="ConvTranspose")
    assert reasons(graph, op) == ["transposed conv", *more]


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        # 64·64·9 = 36864 weights against 64·(size² + (size − 2)²) activations.
        (3, ["1 output position: weights dominate"]),
        (17, ["225 output positions: weights dominate"]),
        (18, []),
        (40, []),
    ],
)
def test_few_output_positions(size: int, wanted: list[str]) -> None:
    assert 64 * (17**2 + 15**2) < 36864 <= 64 * (18**2 + 16**2)
    graph, op = conv(64, 64, size=size)
    assert reasons(graph, op) == wanted


def subnormal(dtype: Any, *values: float) -> Array:
    array = np.ones((16, 16, 3, 3), dtype)
    array.reshape(-1)[: len(values)] = values
    return array


def test_subnormal_weights() -> None:
    tiny = float(np.finfo(np.float32).tiny)
    graph, op = conv(16, 16, weight=subnormal(np.float32, tiny / 2, -tiny / 4, 0.0, tiny, -tiny))
    assert reasons(graph, op) == ["2 subnormal weights"]
    graph, op = conv(16, 16, weight=subnormal(np.float32, tiny / 2))
    assert reasons(graph, op) == ["1 subnormal weight"]
    graph, op = conv(16, 16, weight=subnormal(np.float32, 0.0, tiny))
    assert reasons(graph, op) == []
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w", "y")]
    weight = np.full((480, 2), tiny / 8, np.float32)
    graph, op = with_op(graph_of(model(nodes, {"w": weight})), "Gemm")
    assert reasons(graph, op) == ["960 subnormal weights"]
    # Elementwise ops meet each weight once.
    nodes = [node("Mul", "x w", "y")]
    graph, op = with_op(graph_of(model(nodes, {"w": np.full(10, tiny / 8, np.float32)})), "Mul")
    assert reasons(graph, op) == []


def test_half_precision_has_subnormals_that_cost_nothing() -> None:
    weight = np.full((4, 4, 1, 1), 1e-6, np.float16)
    data = model(
        [node("Conv", "x w", "y")], {"w": weight},
        inputs={"x": (TensorProto.FLOAT16, (1, 4, 40, 40))}, outputs={"y": TensorProto.FLOAT16},
    )  # fmt: skip
    assert not any("subnormal" in reason for reason in reasons(*with_op(graph_of(data), "Conv")))


def test_weights_that_are_not_constant() -> None:
    inputs = {"x": (FLOAT, (1, 16, 40, 40)), "w": (FLOAT, (16, 16, 3, 3))}
    fed = [node("Conv", "x w", "y")]
    assert reasons(*with_op(graph_of(model(fed, inputs=inputs)), "Conv")) == [
        "weights are a graph input"
    ]
    made = [node("Neg", "w", "n"), node("Conv", "x n", "y")]
    assert reasons(*with_op(graph_of(model(made, inputs=inputs)), "Conv")) == [
        "weights are computed"
    ]
    # From constants alone: folded before the first run.
    folded = model(made, {"w": kernel(1, 16, 16, 3, 3)}, inputs={"x": inputs["x"]})
    assert reasons(*with_op(graph_of(folded), "Conv")) == []


@pytest.mark.parametrize(
    ("kind", "attributes", "wanted"),
    [
        ("Transpose", {"perm": [0, 2, 3, 1]}, ["moves values in pieces"]),
        ("MaxPool", {"kernel_shape": [2, 2]}, ["reads each window value by value"]),
        ("Exp", {}, ["functions such as exp: many operations each"]),
        ("ReduceMax", {"axes": [1]}, ["reduces values that lie apart"]),
        ("ReduceMax", {"axes": [3]}, []),
        ("Relu", {}, []),
    ],
)
def test_what_lies_in_the_nature_of_a_kind(
    kind: str, attributes: dict[str, Any], wanted: list[str]
) -> None:
    graph = graph_of(model([node(kind, "x", "y", **attributes)]))
    assert reasons(*with_op(graph, kind)) == wanted


def test_a_special_reason_takes_the_place_of_the_nature() -> None:
    graph = graph_of(model([node("Transpose", "x", "y", perm=[0, 2, 3, 1])]))
    assert reasons(*with_op(graph, "Transpose"), seconds=OVERHEAD / 2) == [
        "small: the call costs as much as the work"
    ]


PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("reflect", ["reflect Pad between convs: leaves the blocked layout"]),
        ("edge", ["edge Pad between convs: leaves the blocked layout"]),
        ("constant", ["moves values in pieces"]),
    ],
)
def test_pads_that_leave_the_blocked_layout(mode: str, wanted: list[str]) -> None:
    nodes = [
        node("Conv", "x w", "a"),
        node("Pad", "a p", "b", mode=mode),
        node("Conv", "b v", "y"),
    ]
    weights = {"w": kernel(1, 16, 4, 3, 3), "p": PADS, "v": kernel(2, 16, 16, 3, 3)}
    graph = graph_of(model(nodes, weights))
    assert reasons(*with_op(graph, "Pad")) == wanted


@pytest.mark.parametrize(
    ("mode", "wanted"), [("cubic", ["cubic resize"]), ("linear", ["interpolates value by value"])]
)
def test_cubic_resize(mode: str, wanted: list[str]) -> None:
    nodes = [node("Resize", "x - s", "y", mode=mode)]
    graph = graph_of(model(nodes, {"s": np.array([1, 1, 2, 2], np.float32)}))
    assert reasons(*with_op(graph, "Resize")) == wanted


def test_small_ops() -> None:
    graph, op = conv(16, 16)
    small = ["small: the call costs as much as the work"]
    assert reasons(graph, op, seconds=0.9 * OVERHEAD) == small
    assert reasons(graph, op, seconds=OVERHEAD) == []


def test_of_unknown_sizes_and_foreign_ops_there_is_nothing_to_say() -> None:
    data = model(
        [node("Conv", "x w", "c"), node("Mystery", "c", "y", domain="nowhere")],
        {"w": kernel(1, 16, 4, 3, 3)},
        inputs={"x": (FLOAT, None)}, domains=["nowhere"],
    )  # fmt: skip
    graph = graph_of(data)
    assert [reasons(graph, op) for op in graph.ops()] == [[] for _ in graph.ops()]


def test_weights_of_unknown_shape() -> None:
    graph = Graph()
    float32 = np.dtype(np.float32)
    x = graph.add_input("x", TensorType(float32, (1, 4, "h", "w")))
    w = graph.add_input("w", TensorType(float32, None))
    op = graph.add("Conv", (x, w))
    graph.set_outputs((op.result,), ("y",))
    assert reasons(graph, op) == ["weights are a graph input"]
    empty = np.zeros((0, 4, 3, 3), np.float32)
    graph, op = conv(0, 4, weight=empty)
    assert reasons(graph, op) == []
