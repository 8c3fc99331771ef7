"""Where boxes stand, and which ops share one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.report.layout import BEND, COLUMN, ROW, lay_out
from convc.report.side import boxes_of

pytest.importorskip("igraph", reason="the extra report is not installed")


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(0, 24))
    pairs = st.tuples(st.integers(0, max(count - 1, 0)), st.integers(0, max(count - 1, 0)))
    edges = {(min(p), max(p)) for p in draw(st.lists(pairs, max_size=40)) if p[0] != p[1]}
    return count, sorted(edges)


@settings(max_examples=60)
@given(graphs())
def test_edges_lead_down_and_boxes_lie_apart(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    drawn = lay_out(count, edges)
    assert len(drawn.places) == count
    assert len(drawn.routes) == len(edges)
    for (start, end), route in zip(edges, drawn.routes, strict=True):
        heights = [drawn.places[start][1], *(y for _, y in route), drawn.places[end][1]]
        assert heights == sorted(set(heights))
        assert all(b - a == ROW for a, b in pairwise(heights))
    rows: dict[int, list[tuple[int, int]]] = {}
    for x, y in drawn.places:
        rows.setdefault(y, []).append((x, COLUMN // 2))
    for x, y in (point for route in drawn.routes for point in route):
        rows.setdefault(y, []).append((x, BEND))
    for row in rows.values():
        row.sort()
        for (x, half), (right, other) in pairwise(row):
            assert right - x >= half + other
    for x, y in drawn.places:
        assert COLUMN // 2 <= x <= drawn.width - COLUMN // 2
        assert ROW // 2 <= y <= drawn.height - ROW // 2


def test_it_repeats() -> None:
    edges = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (3, 4)]
    assert lay_out(5, edges) == lay_out(5, edges)


def test_what_nothing_feeds_stands_beside_what_it_feeds() -> None:
    drawn = lay_out(5, [(0, 1), (1, 2), (2, 4), (3, 4)])
    assert drawn.places[3][1] == drawn.places[2][1]


@given(st.lists(st.booleans(), max_size=200), st.integers(4, 40))
def test_boxes_hold_every_op_once_and_in_order(changed: list[bool], most: int) -> None:
    boxes = boxes_of(len(changed), changed, most)
    assert [i for box in boxes for i in box] == list(range(len(changed)))
    assert all(len(box) > 0 for box in boxes)
    assert len(boxes) <= most
    if len(changed) <= most:
        assert all(len(box) == 1 for box in boxes)
    elif 3 * sum(changed) <= most:
        assert all(len(box) == 1 for box in boxes if any(changed[i] for i in box))
