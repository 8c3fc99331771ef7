"""Strides moved up: every rewrite proved, run, and with fewer MACs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.opset import macs
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import Stats
from tests.helpers import check_pass
from tests.layout_strategies import Layouts
from tests.strategies import finished, new_graph
from tests.stride_strategies import strided


def work(graph: Graph) -> int:
    return sum(macs(graph, op) or 0 for op in graph.ops())


def test_chains() -> None:
    fired = 0

    @settings(max_examples=300)
    @given(strided())
    def run(graph: Graph) -> None:
        nonlocal fired
        stats, after = check_pass(Layouts(), graph, np.random.default_rng(0))
        assert work(after) <= work(graph)
        fired += sum(n for note, n in stats.notes.items() if note.startswith("stride"))

    run()
    assert fired >= 100, fired


NEEDS_ALL = "the value before the stride has a user that needs all of it"


def start(*shape: int | str | None, opset: int = 17, dtype: type = np.float32) -> tuple[Any, Value]:
    return new_graph(shape or (2, 4, 9, 8), opset, dtype, sizes={"n": 2, "h": 9, "w": 8})


def conv(
    build: Builder, x: Value, kernel: tuple[int, int] = (1, 1), strides: tuple[int, int] = (1, 1),
    **how: Any,
) -> Value:  # fmt: skip
    """A conv of four channels in the dtype of its input."""
    array = np.random.default_rng(3).standard_normal((4, 4, *kernel))
    weight = build.constant(array.astype(x.dtype))
    return build.op("Conv", (x, weight), {"strides": strides, "kernel_shape": kernel, **how})


def strides_of(graph: Graph) -> list[tuple[int, ...]]:
    return [op.attributes["strides"] for op in graph.ops() if op.kind == "Conv"]


def checked(graph: Graph) -> tuple[Stats, Graph]:
    sizes = ({}, {"h": 12, "w": 7}) if graph.sizes else ({},)
    return check_pass(Layouts(), graph, np.random.default_rng(0), sizes)


@pytest.mark.parametrize("opset", [9, 13, 21])
@pytest.mark.parametrize("dims", [(2, 4, 9, 8), ("n", 4, "h", "w")])
def test_a_kernel_takes_the_stride(dims: tuple[int | str, ...], opset: int) -> None:
    build, x = start(*dims, opset=opset)
    y = build.op("Relu", (conv(build, x, (3, 3), pads=(1, 1, 1, 1)),))
    graph = finished(build, conv(build, y, strides=(2, 3)))
    stats, after = checked(graph)
    assert dict(stats.notes) == {"stride 2×3 of Conv: into Conv before": 1}
    assert strides_of(after) == [(2, 3), (1, 1)]
    assert after.outputs[0].shape == graph.outputs[0].shape
    assert work(after) < work(graph)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_dtypes_stay(dtype: type) -> None:
    build, x = start(dtype=dtype)
    y = build.op("Add", (conv(build, x), build.constant(np.ones((4, 9, 8), dtype))))
    graph = finished(build, conv(build, y, strides=(2, 2)))
    stats = Layouts().run(graph, Context(prove=prove))
    graph.verify()
    assert stats.applied == 1
    (add,) = (op for op in graph.ops() if op.kind == "Add")
    assert add.operands[1].shape == (4, 5, 4)
    assert add.operands[1].dtype == graph.outputs[0].dtype == dtype


def test_axes_with_taps_keep_their_stride() -> None:
    build, x = start()
    graph = finished(build, conv(build, conv(build, x), (1, 3), (2, 2)))
    stats, after = checked(graph)
    assert stats.applied == 1
    assert strides_of(after) == [(2, 1), (1, 2)]


def test_shortcut_and_main_path_of_a_residual_block() -> None:
    build, x = start()
    total = build.add(conv(build, x), conv(build, x, (3, 3), pads=(1, 1, 1, 1)))
    y = build.op("Relu", (total,))
    graph = finished(build, conv(build, y, strides=(2, 2)), conv(build, y, strides=(2, 2)))
    stats, after = checked(graph)
    assert stats.applied == 1
    assert strides_of(after) == [(2, 2), (2, 2), (1, 1), (1, 1)]


def test_of_two_strides_the_common_one_moves() -> None:
    build, x = start()
    y = conv(build, x)
    graph = finished(build, conv(build, y, strides=(2, 2)), conv(build, y, strides=(4, 2)))
    stats, after = checked(graph)
    assert stats.applied == 1
    assert strides_of(after) == [(2, 2), (1, 1), (2, 1)]


def test_a_stride_moves_on_from_conv_to_conv() -> None:
    build, x = start()
    graph = finished(build, conv(build, conv(build, conv(build, x, (3, 3))), strides=(2, 2)))
    stats, after = checked(graph)
    assert stats.applied == 2
    assert strides_of(after) == [(2, 2), (1, 1), (1, 1)]


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_a_pool_of_one_tap_goes(kind: str) -> None:
    build, x = start()
    how = {"kernel_shape": (1, 1), "strides": (2, 2)}
    stats, after = checked(finished(build, build.op(kind, (conv(build, x),), how)))
    assert stats.applied == 1
    assert strides_of(after) == [(2, 2)]
    assert not any(op.kind == kind for op in after.ops())


def test_a_gate_of_one_position_stays() -> None:
    build, x = start()
    gate = build.graph.add_input("gate", TensorType(np.dtype(np.float32), (2, 4, 1, 1)))
    y = build.op("Mul", (conv(build, x), build.op("Sigmoid", (gate,))))
    stats, after = checked(finished(build, conv(build, y, strides=(2, 2))))
    assert stats.applied == 1
    assert strides_of(after) == [(2, 2), (1, 1)]


def is_output() -> Graph:
    build, x = start()
    y = conv(build, x)
    return finished(build, conv(build, y, strides=(2, 2)), y)


def needed_whole() -> Graph:
    build, x = start()
    y = build.op("Relu", (conv(build, x),))
    return finished(build, conv(build, y, strides=(2, 2)), conv(build, y, (3, 3), (2, 2)))


def used_at_another_stride() -> Graph:
    build, x = start()
    y = conv(build, x)
    return finished(build, conv(build, y, strides=(2, 2)), conv(build, y, strides=(3, 3)))


def needed_by_nobody() -> Graph:
    build, x = start()
    y = conv(build, x)
    build.op("Relu", (y,))
    return finished(build, conv(build, y, strides=(2, 2)))


def input_before() -> Graph:
    build, x = start()
    return finished(build, conv(build, build.op("Relu", (x,)), strides=(2, 2)))


def one_branch_only() -> Graph:
    build, x = start()
    return finished(build, conv(build, build.add(conv(build, x), x), strides=(2, 2)))


def transposed_before() -> Graph:
    build, x = start()
    weight = build.constant(np.ones((4, 4, 2, 2), np.float32))
    return finished(build, conv(build, build.op("ConvTranspose", (x, weight)), strides=(2, 2)))


def ceil_mode_before() -> Graph:
    build, x = start()
    how = {"kernel_shape": (2, 2), "ceil_mode": 1}
    type_ = TensorType(np.dtype(np.float32), (2, 4, 8, 7))
    y = build.op("MaxPool", (x,), how, type_=type_)
    return finished(build, conv(build, y, strides=(2, 2)))


def positions_joined() -> Graph:
    build, x = start()
    y = conv(build, x)
    return finished(build, conv(build, build.concat([y, y], 2), strides=(2, 2)))


def statistics_over_positions() -> Graph:
    build, x = start()
    ones = build.constant(np.ones(4, np.float32))
    y = conv(build, x)
    z = build.op("InstanceNormalization", (y, ones, ones), type_=y.type)
    return finished(build, conv(build, z, strides=(2, 2)))


def elements_normalised() -> Graph:
    build, x = start(opset=8)
    parameters = [build.constant(np.ones((4, 9, 8), np.float32)) for _ in range(4)]
    y = build.op("BatchNormalization", (conv(build, x), *parameters), {"spatial": 0})
    return finished(build, conv(build, y, strides=(2, 2)))


def size_dependent_pads() -> Graph:
    build, x = start("n", 4, "h", "w")
    type_ = TensorType(np.dtype(np.float32), ("n", 4, "a", "b"))
    y = conv(build, x, (3, 3), (2, 2), auto_pad="SAME_UPPER")
    y.type = type_
    return finished(build, conv(build, y, strides=(2, 2)))


def sums_of_open_sizes() -> Graph:
    build, x = start("n", 4, None, None)
    y = conv(build, x)
    return finished(build, conv(build, build.add(y, conv(build, x)), strides=(2, 2)))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (is_output, "the value before the stride is a graph output"),
        (needed_whole, NEEDS_ALL),
        (used_at_another_stride, NEEDS_ALL),
        (needed_by_nobody, "the value before the stride has a user that nobody needs"),
        (input_before, "the stride meets the Input before, which cannot take it"),
        (one_branch_only, "the stride meets the Input before, which cannot take it"),
        (transposed_before, "the stride meets the ConvTranspose before, which cannot take it"),
        (ceil_mode_before, "the stride meets the MaxPool before, which cannot take it"),
        (positions_joined, "the stride meets a Concat of positions, which cannot take it"),
        (
            statistics_over_positions,
            "the stride meets the InstanceNormalization before, which cannot take it",
        ),
        (
            elements_normalised,
            "the stride meets the BatchNormalization before, which cannot take it",
        ),
        (size_dependent_pads, "the stride meets the Conv before, which cannot take it"),
        (sums_of_open_sizes, "the size is not known"),
    ],
)
def test_declines(make: Callable[[], Graph], reason: str) -> None:
    graph = make()
    stats = Layouts().run(graph)
    assert not stats.applied
    assert reason in stats.declined


@pytest.mark.parametrize(
    "how",
    [
        {"kernel": (3, 3), "strides": (2, 2)},
        {"strides": (2, 2), "pads": (1, 1, 1, 1)},
        {"strides": (2, 2), "pads": (0, 0, 1, 1)},
        {},
    ],
)
def test_a_window_that_reads_more_keeps_its_stride(how: dict[str, Any]) -> None:
    build, x = start()
    stats = Layouts().run(finished(build, conv(build, conv(build, x), **how)))
    assert not stats.applied


def test_a_slice_from_a_later_start_keeps_its_steps() -> None:
    build, x = start()
    operands = [build.ints(values) for values in ([1], [9], [2], [2])]
    y = build.op("Slice", (conv(build, x), *operands))
    assert not Layouts().run(finished(build, y)).applied


def test_other_domains_are_left_alone() -> None:
    build, x = start()
    y = conv(build, x)
    op = build.graph.add("Relu", (y,), types=(y.type,), domain="custom")
    stats = Layouts().run(finished(build, conv(build, op.result, strides=(2, 2))))
    assert not stats.applied


def test_values_of_unknown_type() -> None:
    """Behind an op that onnx does not know not even ranks are known."""
    build, x = start()
    y = conv(build, x, (3, 3), pads=(1, 1, 1, 1))
    graph = finished(build, conv(build, y, strides=(2, 3)))
    y.type = None
    stats = Layouts().run(graph, Context(prove=prove))
    assert dict(stats.notes) == {"stride 2×3 of Conv: into Conv before": 1}
    assert strides_of(graph) == [(2, 3), (1, 1)]
