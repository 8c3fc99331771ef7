"""The pass computes the same, fires where it should, and says why where it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from split_pools import SplitMaxPools

import convc
from convc.build import Builder
from convc.ir import TensorType
from convc.mlir import parse_graph, print_graph
from convc.proof import prove
from convc.rewrite import Stats


def pool(**attributes: object) -> convc.Graph:
    """A max pool on two channels of 17×15."""
    graph = convc.Graph()
    x = graph.add_input("x", TensorType(np.dtype(np.float32), (1, 2, 17, 15)))
    y = Builder(graph).op("MaxPool", (x,), attributes, name="pool")  # type: ignore[arg-type]
    graph.set_outputs([y], ["y"])
    return graph


def run(graph: convc.Graph, pass_: SplitMaxPools) -> tuple[convc.Graph, Stats]:
    """A copy that the pass ran on; every rewrite is proved before it is applied."""
    after = graph.clone()
    stats = pass_.run(after, convc.Context(prove=prove))
    after.verify()
    return after, stats


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": (5, 5), "pads": (2, 2, 2, 2)},
        {"kernel_shape": (5, 7), "strides": (2, 3), "pads": (0, 3, 1, 2)},
        {"kernel_shape": (5, 5), "dilations": (3, 2)},
    ],
)
def test_outputs_agree(attributes: dict[str, tuple[int, ...]]) -> None:
    graph = pool(**attributes)
    after, stats = run(graph, SplitMaxPools())
    assert stats.applied == 1
    comparison = convc.verify(graph, after)
    assert comparison.verdict in (convc.Verdict.IDENTICAL, convc.Verdict.EQUAL)
    assert comparison.max_abs == 0  # no rounding; the sign of a zero may differ


def test_it_fires() -> None:
    after, stats = run(pool(kernel_shape=(5, 7)), SplitMaxPools())
    assert dict(stats.notes) == {"MaxPool 5×7 → 5×1, 1×7": 1}
    kernels = [op.attributes["kernel_shape"] for op in after.ops() if op.kind == "MaxPool"]
    assert kernels == [(5, 1), (1, 7)]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"kernel_shape": (3, 5)}, "the pool has fewer than 5 taps on an axis"),
        ({"kernel_shape": (5, 5), "ceil_mode": 1}, "the pool rounds its size up: ceil_mode"),
        (
            {"kernel_shape": (5, 5), "auto_pad": "SAME_UPPER"},
            "the pads are not explicit: put simplify before this pass",
        ),
    ],
)
def test_it_declines(attributes: dict[str, object], reason: str) -> None:
    graph = pool(**attributes)
    before = graph.version
    stats = SplitMaxPools().run(graph)
    assert graph.version == before
    assert dict(stats.declined) == {reason: 1}


def test_golden() -> None:
    text = Path(__file__).with_name("pool.mlir").read_text(encoding="utf-8")
    before, after = text.split("// -----\n")
    graph, _ = run(parse_graph(before), SplitMaxPools())
    assert print_graph(graph, weights=True).strip() == after.strip()
