"""Which rewrites pay: by counts, and by what is known of the runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from convc.choose import Objective, by_count
from convc.costs.estimate import CALL, PEAK, estimate
from convc.graph import Graph
from convc.ir import Op
from convc.pipeline import Choose, Context, Pass
from convc.rewrite import Replacement, Rewrite, Rule, rule
from tests.tiny import FLOAT, graph_of, kernel, model, node

BIG = (1, 64, 56, 56)


def network(kind: str, weight: tuple[int, ...], shape: tuple[int, ...] = BIG, **more: Any) -> Graph:
    """One op with weights, large enough for its time to be that of its products."""
    data = model(
        [node(kind, "x w", "y", **more)], {"w": kernel(1, *weight)}, inputs={"x": (FLOAT, shape)}
    )
    return graph_of(data)


def seconds(graph: Graph) -> float:
    ops = [op for op in graph.ops() if not op.is_boundary and op.array is None]
    times = [estimate(graph, op) for op in ops]
    assert None not in times
    return sum(time or 0.0 for time in times)


def per_mac(graph: Graph, macs: int) -> float:
    """Part of the peak that the estimate grants."""
    return macs / PEAK / (seconds(graph) - CALL)


POSITIONS = 56 * 56


@pytest.mark.parametrize(
    ("weight", "group", "part"),
    [
        ((64, 64, 3, 3), 1, 1.0),
        ((64, 16, 3, 3), 4, 1.0),
        ((64, 8, 3, 3), 8, 0.22),
        ((64, 4, 3, 3), 16, 0.15),
        ((64, 2, 3, 3), 32, 0.08),
        ((40, 64, 3, 3), 1, 40 / 48),
    ],
)
def test_a_conv_by_its_channels(weight: tuple[int, ...], group: int, part: float) -> None:
    graph = network("Conv", weight, pads=[1] * 4, group=group)
    assert per_mac(graph, POSITIONS * int(np.prod(weight))) == pytest.approx(part)


def test_input_channels_that_fill_no_blocks() -> None:
    graph = network("Conv", (64, 63, 3, 3), (1, 63, 56, 56), pads=[1] * 4)
    assert per_mac(graph, POSITIONS * 64 * 63 * 9) == pytest.approx(0.65)


def test_one_and_three_dims_are_slower_than_two() -> None:
    one = network("Conv", (64, 64, 9), (1, 64, 4096), pads=[4, 4])
    assert per_mac(one, 4096 * 64 * 64 * 9) == pytest.approx(0.75)
    three = network("Conv", (64, 64, 3, 3, 3), (1, 64, 16, 16, 16), pads=[1] * 6)
    # A product of matrices, and the columns it is made of: see tests/costs/test_estimate_blocks.py.
    assert per_mac(three, 16**3 * 64 * 64 * 27) == pytest.approx(0.4648, abs=1e-3)


def test_a_transposed_conv_writes_its_columns() -> None:
    plain = network("Conv", (64, 16, 7, 7), (1, 16, 64, 64), pads=[3] * 4)
    turned = network("ConvTranspose", (16, 64, 7, 7), (1, 16, 64, 64), pads=[3] * 4)
    assert seconds(turned) > 2 * seconds(plain)


def test_views_and_fused_activations_take_nothing() -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Flatten", "r", "y")]
    graph = graph_of(model(nodes, {"w": kernel(1, 4, 4, 1, 1)}))
    conv = next(op for op in graph.ops() if op.kind == "Conv")
    assert seconds(graph) == estimate(graph, conv)
    nodes.append(node("Neg", "c", "z"))
    shared = graph_of(model(nodes, {"w": kernel(1, 4, 4, 1, 1)}, outputs={"y": FLOAT, "z": FLOAT}))
    relu = next(op for op in shared.ops() if op.kind == "Relu")
    assert (estimate(shared, relu) or 0.0) > 0


def test_what_is_not_known_has_no_estimate() -> None:
    graph = graph_of(
        model([node("Mystery", "x", "y", domain="com.example")], domains=["com.example"])
    )
    (op,) = (op for op in graph.ops() if op.domain)
    assert estimate(graph, op) is None


# -- choosing --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regroup(Pass):
    """Groups of 4 channels become groups of 16, mostly zeros: 4 times the MACs."""

    name: ClassVar[str] = "regroup"

    def rules(self) -> list[Rule]:
        return [rule(regroup, "Conv")]


def regroup(graph: Graph, op: Op) -> Rewrite:
    data, weight = op.operand(0), op.operand(1)
    assert data is not None
    assert weight is not None
    assert weight.array is not None
    build = Replacement(graph)
    wide = np.zeros((weight.array.shape[0], 16, *weight.array.shape[2:]))
    new = build.op(
        "Conv",
        (build.take(data), build.weight(wide, like=weight)),
        {**op.attributes, "group": weight.array.shape[0] // 16},
    )
    return build.rewrite({op.result: new}, note="regrouped")


@pytest.mark.parametrize(("objective", "applied"), [("macs", 1), ("params", 0)])
def test_more_macs_in_a_faster_form(objective: Objective, applied: int) -> None:
    graph = network("Conv", (64, 4, 3, 3), pads=[1] * 4, group=16)
    stats = Choose((Regroup(),)).run(graph, Context(objective))
    assert stats.applied == applied


def test_more_macs_are_not_bought_with_fewer_calls() -> None:
    """Two tiny convs as one with more MACs: only the call is saved."""
    graph = network("Conv", (16, 4, 3, 3), (1, 16, 3, 3), group=4)
    select = by_count("macs")
    op = next(op for op in graph.ops() if op.kind == "Conv")
    assert select(graph, [regroup(graph, op)]) is None


def test_unknown_sizes_do_not_pay() -> None:
    data = model(
        [node("Conv", "x w", "y", group=16, pads=[1] * 4)],
        {"w": kernel(1, 64, 4, 3, 3)},
        inputs={"x": (FLOAT, (1, 64, "h", 56))},
    )
    graph = graph_of(data)
    graph.sizes.clear()
    assert Choose((Regroup(),)).run(graph).applied == 0
