"""merge-branches: convs of the parts of a value become one only if these are all parts in order."""

from __future__ import annotations

import numpy as np
import pytest

from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from passes.merge_branches import MergeBranches
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv

RNG = np.random.default_rng(9)
F32 = np.dtype(np.float32)
PARTS = MergeBranches(kinds=("parts",))
WHY = "the convs of the parts differ in geometry, or the parts in channels or order"


def of_parts(order: tuple[int, ...], kind: str) -> Graph:
    """Convs of thirds of six channels, joined in an ``order`` of these."""
    build, x = new_graph((1, 6, 7, 7))
    third = TensorType(F32, (1, 2, 7, 7))
    if kind == "Split":
        split = build.graph.add("Split", (x, build.ints([2, 2, 2])), {"axis": 1}, types=[third] * 3)
        parts: list[Value] = list(split.results)
    else:
        parts = [build.slice(x, [1], [i], [i + 2]) for i in (0, 2, 4)]
    convs = [random_conv(build, parts[i], 4, (3, 3), pads=1) for i in order]
    return finished(build, build.concat(convs, 1))


@pytest.mark.parametrize("kind", ["Split", "Slice"])
def test_all_parts_in_order_become_one(kind: str) -> None:
    stats, after = check_pass(PARTS, of_parts((0, 1, 2), kind), RNG)
    assert stats.notes == {"3 grouped 3×3 → one": 1}
    assert sum(op.kind == "Conv" for op in after.ops()) == 1


@pytest.mark.parametrize("kind", ["Split", "Slice"])
@pytest.mark.parametrize(
    "order", [(0, 2), (0, 1), (1, 2), (0, 2, 1), (1, 0, 2), (0, 0, 2), (2, 1, 0)]
)
def test_a_part_left_out_or_out_of_order_is_not_merged(kind: str, order: tuple[int, ...]) -> None:
    graph = of_parts(order, kind)
    stats = PARTS.run(graph, Context(prove=prove))
    assert (stats.applied, stats.declined) == (0, {WHY: 1})


@pytest.mark.parametrize("order", [(0, 0, 1, 2), (0, 1, 2, 2), (2, 0, 1, 2), (0, 1, 2, 0, 1, 2)])
def test_runs_begin_and_end_with_the_value(order: tuple[int, ...]) -> None:
    stats, after = check_pass(PARTS, of_parts(order, "Split"), RNG)
    runs = len(order) // 3
    assert stats.notes == {"; ".join(["3 grouped 3×3 → one"] * runs): 1}
    assert sum(op.kind == "Conv" for op in after.ops()) == len(order) - 2 * runs
