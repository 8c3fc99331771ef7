"""Where the boxes of a graph stand: layers from top to bottom, few crossings (Sugiyama, igraph).

igraph 1.0 is given one connected part at a time: on graphs of several it was seen to corrupt its
memory, on connected ones never.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

import networkx as nx

COLUMN, ROW = 166, 70
"""Distance of neighbouring boxes from middle to middle, in the drawing's own units."""

BEND = 8
"""Room beside an edge that passes a row of boxes."""

SWEEPS = 40
"""Sweeps over the layers that sort them for few crossings."""

Point = tuple[int, int]
Edge = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing's places, the upper left corner of all boxes at (0, 0).

    Attributes:
        places: the middle of each box.
        routes: for each edge the points that it bends at, from its first box to its last.
        width: of the drawing.
        height: of the drawing.
    """

    places: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: int
    height: int


def lay_out(count: int, edges: Sequence[Edge]) -> Layout:
    """Places ``count`` boxes; ``edges`` lead from lower numbers to higher ones, each once."""
    places: dict[int, Point] = {}
    routes: dict[Edge, list[Point]] = {}
    width, height = 0, ROW
    for boxes, own in _parts(count, edges):
        parted, bends = _lay_out_connected(len(boxes), own)
        corners = [*parted, *(point for route in bends for point in route)]
        shift = width + COLUMN // 2 - min(x for x, _ in corners)
        places |= zip(boxes, _moved(parted, shift), strict=True)
        for (start, end), route in zip(own, bends, strict=True):
            routes[boxes[start], boxes[end]] = _moved(route, shift)
        width = max(x for x, _ in corners) + shift + COLUMN // 2
        height = max(height, max(y for _, y in corners) + ROW)
    return Layout(
        tuple(places[box] for box in range(count)),
        tuple(tuple(routes[edge]) for edge in edges),
        max(width, COLUMN),
        height,
    )


def _parts(count: int, edges: Sequence[Edge]) -> Iterable[tuple[list[int], list[Edge]]]:
    """The connected parts: their boxes, and their edges by the positions among these."""
    together = nx.Graph()
    together.add_nodes_from(range(count))
    together.add_edges_from(edges)
    parts = [sorted(part) for part in nx.connected_components(together)]
    part_of = {box: number for number, part in enumerate(parts) for box in part}
    position = {box: i for part in parts for i, box in enumerate(part)}
    own: list[list[Edge]] = [[] for _ in parts]
    for start, end in edges:
        own[part_of[start]].append((position[start], position[end]))
    return zip(parts, own, strict=True)


def _lay_out_connected(count: int, edges: Sequence[Edge]) -> tuple[list[Point], list[list[Point]]]:
    """Places of the boxes and bends of the edges of one connected part."""
    import igraph  # noqa: PLC0415  # an optional extra

    top = ROW // 2
    if count == 1:
        return [(0, top)], []
    graph = igraph.Graph(n=count, edges=list(edges), directed=True)
    layers = _layers(count, edges)
    drawn = graph.layout_sugiyama(layers=layers, hgap=COLUMN, vgap=ROW, maxiter=SWEEPS)
    places = [(round(x), round(y) + top) for x, y in drawn.coords]
    routes = [[(round(x), round(y) + top) for x, y in points] for points in drawn.edge_routing]
    _move_apart(places, routes)
    return places, routes


def _moved(points: Iterable[Point], shift: int) -> list[Point]:
    return [(x + shift, y) for x, y in points]


def _move_apart(places: list[Point], routes: list[list[Point]]) -> None:
    """Moves to the right what would lie on its neighbour: igraph lets that happen now and then."""
    rows: dict[int, list[tuple[int, list[Point], int]]] = {}
    for points in (places, *routes):
        for i, (x, y) in enumerate(points):
            rows.setdefault(y, []).append((x, points, i))
    for y, row in rows.items():
        row.sort(key=lambda entry: entry[0])
        edge: float = -inf
        for x, points, i in row:
            half = COLUMN // 2 if points is places else BEND
            moved = max(x, int(edge) + half) if edge > -inf else x
            points[i] = moved, y
            edge = moved + half


def _layers(count: int, edges: Sequence[Edge]) -> list[int]:
    """The longest way from a box that nothing feeds; these stand just above the first they feed."""
    layers = [0] * count
    fed = [False] * count
    for start, end in sorted(edges):
        layers[end] = max(layers[end], layers[start] + 1)
        fed[end] = True
    nearest: dict[int, int] = {}
    for start, end in edges:
        nearest[start] = min(nearest.get(start, layers[end]), layers[end])
    return [
        layers[box] if fed[box] or box not in nearest else nearest[box] - 1 for box in range(count)
    ]
