"""Bytes counted by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.graph import Graph
from convc.ir import Opaque, TensorType
from convc.opset.traffic import VIEWS, traffic
from convc.opset.work import WORK
from convc.opset.work.sweep import Sweep
from tests.conftest import sample_models
from tests.opset.counted import F32, Operand, one_op


def bytes_of(
    kind: str,
    operands: Sequence[Operand],
    result: Any,
    attributes: dict[str, Any] | None = None,
    **more: Any,
) -> tuple[int, int] | None:
    return traffic(*one_op(kind, operands, result, attributes, **more))


def test_all_operands_and_the_result() -> None:
    # Two float32 and one bool operand.
    assert bytes_of("Add", [(3, 4), (4,)], (3, 4)) == (4 * (12 + 4), 4 * 12)
    chosen = bytes_of("Where", [np.zeros((3, 1), bool), (3, 4), (3, 4)], (3, 4))
    assert chosen == (3 + 4 * 24, 4 * 12)
    assert bytes_of("Relu", [(3, 4)], (3, 4), dtype=np.dtype(np.float16)) == (24, 24)
    assert bytes_of("Relu", [()], ()) == (4, 4)
    assert bytes_of("Relu", [(0, 7)], (0, 7)) == (0, 0)


def test_omitted_operands_are_nothing_and_repeated_ones_read_once() -> None:
    assert bytes_of("Clip", [(6,), None, ()], (6,)) == (4 * 7, 24)
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (5,)))
    twice = graph.add("Mul", [x, x], types=[x.type], names=("y",))
    assert traffic(graph, twice) == (20, 20)


def test_an_omitted_result_is_not_written() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (7, 2, 5)))
    w = graph.add_constant(np.zeros((1, 9, 5), np.float32))
    r = graph.add_constant(np.zeros((1, 9, 3), np.float32))
    last = TensorType(F32, (1, 2, 3))
    gru = graph.add("GRU", [x, w, r], types=[None, last], names=["", "h"])
    assert traffic(graph, gru) == (4 * (70 + 45 + 27), 4 * 6)


def test_views_move_nothing() -> None:
    for kind in VIEWS:
        assert bytes_of(kind, [(3, 4), (1,)], (12,)) == (0, 0)


def test_kinds_that_read_a_part() -> None:
    indices = np.array([1, 1])
    # 2 rows of 4 of (30, 4), and two int64.
    assert bytes_of("Gather", [(30, 4), indices], (2, 4)) == (2 * 16 + 16, 2 * 16)
    # 5 rows are made of 3: there is no more to read than there is.
    many = np.zeros(5, np.int64)
    assert bytes_of("Gather", [(3, 4), many], (5, 4)) == (3 * 16 + 40, 5 * 16)
    assert bytes_of("GatherElements", [(30, 4), indices[:, None]], (2, 1)) == (2 * 4 + 16, 8)
    assert bytes_of("GatherND", [(30, 4), indices[:, None]], (2, 4)) == (2 * 16 + 16, 32)
    bounds = [np.array([0]), np.array([3]), np.array([1])]
    assert bytes_of("Slice", [(5, 4), *bounds], (5, 3)) == (4 * 15 + 24, 4 * 15)
    old = {"starts": (0,), "ends": (3,), "axes": (1,)}
    assert bytes_of("Slice", [(5, 4)], (5, 3), old, opset=9) == (4 * 15, 4 * 15)
    assert bytes_of("Shape", [(5, 4)], (2,), dtype=np.dtype(np.int64)) == (0, 16)
    assert bytes_of("EyeLike", [(5, 4)], (5, 4)) == (0, 80)
    assert bytes_of("ConstantOfShape", [np.array([5, 4])], (5, 4)) == (16, 80)


def test_a_stride_beyond_the_kernel_skips_samples() -> None:
    # Every other sample of each axis: 4 by 4 of 8 by 8.
    weights = np.zeros((5, 3, 1, 1), np.float32)
    pointwise = bytes_of("Conv", [(1, 3, 8, 8), weights], (1, 5, 4, 4), {"strides": (2, 2)})
    assert pointwise == (4 * (3 * 16 + 15), 4 * 5 * 16)
    # Windows of 2 every 3 of 8: positions 0, 1, 3, 4, 6, 7.
    pool = {"kernel_shape": (2,), "strides": (3,)}
    assert bytes_of("MaxPool", [(1, 3, 8)], (1, 3, 3), pool) == (4 * 3 * 6, 4 * 9)
    # Windows that overlap read each sample once, and padding not at all.
    padded = {"kernel_shape": (3,), "pads": (1, 1)}
    assert bytes_of("AveragePool", [(1, 3, 8)], (1, 3, 8), padded) == (4 * 24, 4 * 24)


def test_a_pad_that_crops_reads_what_is_left() -> None:
    # Of 5 by 8 a row is cropped at the begin and 2 columns at the end.
    pads = np.array([-1, 0, 0, -2])
    assert bytes_of("Pad", [(5, 8), pads], (4, 6)) == (4 * 4 * 6 + 32, 4 * 24)
    assert bytes_of("Pad", [(5, 8)], (4, 6), {"pads": (-1, 0, 0, -2)}, opset=10) == (96, 96)
    assert bytes_of("Pad", [(5, 8)], (7, 8), {"pads": (1, 0, 1, 0)}, opset=10) == (160, 224)
    assert bytes_of("Pad", [(5, 8), pads[2:], None, np.array([1])], (5, 6)) == (160 + 16 + 8, 120)


def test_a_resize_that_shrinks_reads_what_it_keeps() -> None:
    small: list[Operand] = [(1, 2, 8, 9), None, np.ones(4, np.float32)]
    # 4 of the 8 rows, all 9 columns.
    assert bytes_of("Resize", small, (1, 2, 4, 9)) == (4 * 2 * 4 * 9 + 16, 4 * 2 * 36)
    # Two rows for each of 2; of a larger result all there is.
    linear = {"mode": "linear"}
    assert bytes_of("Resize", small, (1, 2, 2, 9), linear) == (4 * 2 * 4 * 9 + 16, 4 * 36)
    assert bytes_of("Resize", small, (1, 2, 16, 18), linear) == (4 * 2 * 72 + 16, 4 * 2 * 288)
    smooth = {"mode": "linear", "antialias": 1}
    assert bytes_of("Resize", small, (1, 2, 2, 9), smooth) == (4 * 2 * 72 + 16, 4 * 36)


@settings(max_examples=300)
@given(
    st.builds(
        Sweep,
        windows=st.integers(0, 7),
        taps=st.integers(0, 5),
        stride=st.integers(1, 5),
        dilation=st.integers(1, 4),
        begin=st.integers(-4, 9),
        size=st.integers(0, 12),
    )
)
def test_a_sweep_counts_what_is_there(sweep: Sweep) -> None:
    inside = [
        (o, position)
        for o, t in itertools.product(range(sweep.windows), range(sweep.taps))
        if 0 <= (position := sweep.stride * o + sweep.dilation * t - sweep.begin) < sweep.size
    ]
    assert sweep.hits == len(inside)
    assert sweep.hit_windows == len({o for o, _ in inside})
    assert sweep.hit_positions == len({position for _, position in inside})


@pytest.mark.parametrize("kind", ["Relu", "Gather", "Slice", "Conv", "MaxPool", "Resize"])
def test_a_size_that_is_missing(kind: str) -> None:
    options = {"kernel_shape": (1,)} if kind == "MaxPool" else {}
    operands: list[Operand] = [(1, 3, "n")]
    if kind == "Conv":
        operands.append((3, 3, 1))
    known = bytes_of(kind, operands, (1, 3, "n"), options, sizes={"n": 8})
    # As much again for the weights of the conv, 9 of them.
    assert known == (96 + 36 * (kind == "Conv"), 96)
    assert bytes_of(kind, operands, (1, 3, "n"), options) is None
    assert bytes_of(kind, operands, None, options) is None


def test_what_has_no_bytes_of_its_own() -> None:
    strings = np.dtype(object)
    assert bytes_of("Where", [(3,), (3,), (3,)], (3,), dtype=strings) is None
    assert bytes_of("Gather", [(3,), np.array([1])], (1,), dtype=strings) is None
    graph, op = one_op("If", [()], (3,), {"then_branch": Opaque(b"")})
    assert traffic(graph, op) is None
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (5,)))
    assert traffic(graph, graph.add("Mul", [x], types=[x.type], domain="own")) is None


def test_the_sample_models_are_known() -> None:
    from convc.onnx_io import load

    counted = 0
    for path in sample_models():
        graph = load(path)
        for op in graph.ops():
            if op.is_boundary or op.array is not None:
                continue
            assert op.kind in WORK
            moved = traffic(graph, op)
            assert moved is not None, op
            assert min(moved) >= 0
            counted += 1
    assert counted > 100
