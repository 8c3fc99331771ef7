"""Regions laid out anew that are left and entered by conversions of their own values."""

from __future__ import annotations

import numpy as np

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Op, TensorType, Value
from convc.rewrite import Stats
from tests.helpers import check_pass
from tests.layout_strategies import Layouts
from tests.strategies import finished, new_graph

NHWC, NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
SWAP = (0, 2, 1)


def start(*shape: int | str) -> tuple[Builder, Value]:
    return new_graph(shape or (2, 3, 4, 5), sizes={"h": 4})


def applied(graph: Graph) -> tuple[Stats, Graph]:
    """Proved, and compared in the runtime."""
    return check_pass(Layouts(), graph, np.random.default_rng(0), ({}, {"h": 7}))


def of_kind(graph: Graph, kind: str) -> list[Op]:
    return [op for op in graph.ops() if op.kind == kind]


def test_a_region_that_is_left_and_entered_again() -> None:
    build, x = start()
    y = build.transpose(x, NHWC)
    inside = build.op("Mul", (build.op("Sigmoid", (y,)), build.constant(np.ones(3, np.float32))))
    again = build.transpose(build.transpose(inside, NCHW), NHWC)
    graph = finished(build, build.transpose(build.op("Max", (y, again)), NCHW))
    stats, after = applied(graph)
    assert dict(stats.notes) == {"Transpose: 3 ops laid out anew": 1}
    assert not of_kind(after, "Transpose")


def gathered(build: Builder, x: Value, picks: list[int], axis: int) -> Value:
    assert x.shape is not None
    assert x.dtype is not None
    type_ = TensorType(x.dtype, (*x.shape[:axis], len(picks), *x.shape[axis + 1 :]))
    return build.op("Gather", (x, build.ints(picks)), {"axis": axis}, type_=type_)


def test_a_value_that_is_read_in_two_layouts_is_computed_once() -> None:
    build, x = start(2, 4, 4)
    y = gathered(build, x, [0, 1], 0)
    z = build.transpose(y, SWAP)
    mean = build.op("ReduceMean", (z,), {"axes": (2,), "keepdims": 0})
    mean.type = TensorType(np.dtype(np.float32), (2, 4))
    graph = finished(build, mean, build.transpose(build.concat([y, z], 2), SWAP))
    stats, after = applied(graph)
    assert stats.applied
    assert len(of_kind(after, "Gather")) == 1


def test_a_value_and_its_transpose_both_go_in() -> None:
    build, x = start(1, "h", 2)
    y = gathered(build, x, [0, 1], 2)
    z = build.transpose(y, SWAP)
    part = gathered(build, gathered(build, build.transpose(z, SWAP), [0], 0), [2, 2], 1)
    joined = build.concat([part, z, part], 2)
    stats, _ = applied(finished(build, build.transpose(joined, SWAP)))
    assert stats.applied


def test_an_op_that_nobody_needs_is_not_laid_out() -> None:
    build, x = start()
    y = build.transpose(x, NHWC)
    unused = build.op("Sigmoid", (y,))
    graph = finished(build, build.transpose(build.op("Relu", (y,)), NCHW))
    stats, after = applied(graph)
    assert dict(stats.notes) == {"Transpose: 1 op laid out anew": 1}
    assert len(of_kind(after, unused.op.kind)) == 1
