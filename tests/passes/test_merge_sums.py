"""merge-branches: kernel and padding of a sum of unlike branches, and what they cost together."""

from __future__ import annotations

import numpy as np
import pytest

from convc.graph import Graph
from convc.ir import Attribute
from passes.merge_branches import MergeBranches
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv

RNG = np.random.default_rng(8)

Shape = tuple[int, tuple[int, int]]
"""Kernel, and padding at begin and end, on either axis."""


def summed(size: int, stride: int, *branches: Shape) -> Graph:
    build, x = new_graph((1, 3, size, size))
    parts = [
        random_conv(build, x, 4, (kernel, kernel), pads=(begin, begin, end, end), strides=stride)
        for kernel, (begin, end) in branches
    ]
    total = parts[0]
    for part in parts[1:]:
        total = build.add(total, part)
    return finished(build, total)


@pytest.mark.parametrize(
    ("size", "stride", "branches", "kernel", "pads"),
    [
        # Taps at −1, 0, 1 and at 0: the larger kernel says where to pad.
        (9, 1, [(3, (1, 1)), (1, (0, 0))], 3, (1, 1)),
        (9, 1, [(1, (0, 0)), (3, (1, 1))], 3, (1, 1)),
        # At −2, −1, 0 and at 0, 1: the begin of the one and the end of the other.
        (9, 1, [(3, (2, 0)), (2, (0, 1))], 4, (2, 1)),
        # Both give 5 of 9: the stride rounds off a second sample of padding, which is not needed.
        (9, 2, [(3, (1, 2)), (1, (0, 0))], 3, (1, 1)),
        (9, 2, [(1, (0, 0)), (3, (1, 2))], 3, (1, 1)),
        (9, 2, [(1, (0, 1)), (3, (1, 1))], 3, (1, 1)),
        # At −1, ..., 3 and at 0: 4 of 10 at a stride of 3, with ends that are 0 and 2 too many.
        (10, 3, [(5, (1, 3)), (1, (0, 2))], 5, (1, 3)),
        (10, 3, [(5, (1, 5)), (1, (0, 1))], 5, (1, 4)),
    ],
)
def test_no_more_is_padded_than_the_outputs_need(
    size: int, stride: int, branches: list[Shape], kernel: int, pads: tuple[int, int]
) -> None:
    stats, after = check_pass(MergeBranches(), summed(size, stride, *branches), RNG)
    assert stats.applied == 1
    (conv,) = (op for op in after.ops() if op.kind == "Conv")
    begin, end = pads
    assert conv.attributes["kernel_shape"] == (kernel, kernel)
    assert conv.attributes["pads"] == (begin, begin, end, end)


def test_what_a_stride_throws_away_counts_for_the_whole_sum() -> None:
    """A branch that is dearer as one conv, in a sum that is cheaper as one.

    Products per output: 9·8·1 at four times as many positions and 1·8 are 296, with 3·8·8 twice
    680; together 9·8·8 = 576. Without the four they would seem to be 464.
    """
    build, x = new_graph((1, 8, 9, 9))
    thin = random_conv(build, x, 1, (3, 3), pads=1)
    total = random_conv(build, thin, 8, (1, 1), strides=2)
    for kernel, pads in (((1, 3), (0, 1, 0, 1)), ((3, 1), (1, 0, 1, 0))):
        total = build.add(total, random_conv(build, x, 8, kernel, pads=pads, strides=2))
    stats, after = check_pass(MergeBranches(kinds=("sums",)), finished(build, total), RNG)
    assert stats.notes == {"1×1 ∘ 3×3 + 1×3 + 3×1 → 3×3": 1}
    assert sum(op.kind == "Conv" for op in after.ops()) == 1


@pytest.mark.parametrize(("behind", "applied"), [("Neg", 1), ("AveragePool", 0)])
def test_convs_of_several_inputs_take_in_scales_and_no_pools(behind: str, applied: int) -> None:
    """An average pool would spread the kernels: more products, and nothing is saved."""
    build, x = new_graph((1, 3, 9, 9))
    parts = []
    for data in (x, build.op("Relu", (x,))):
        attributes: dict[str, Attribute] = {"kernel_shape": (2, 2)} if behind != "Neg" else {}
        conv = random_conv(build, data, 4, (3, 3))
        parts.append(build.op(behind, (conv,), attributes))
    graph = finished(build, build.add(*parts))
    stats, _ = check_pass(MergeBranches(kinds=("inputs",)), graph, RNG)
    assert stats.applied == applied
