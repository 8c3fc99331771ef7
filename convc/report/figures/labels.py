"""Names beside marks, placed where they hide neither each other nor many marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convc.ir import Array
from convc.report.figures.style import INK
from convc.report.figures.svg import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GLYPH = 0.64
"""Width of a letter on the average, in sizes of the font: that of a wide one such as Verdana."""

GAP = 7.0
"""From a mark to its name."""

OFFSETS = tuple(
    (x * reach, y * reach)
    for reach in (1.0, 2.0, 3.0, 4.0)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
)
"""Places tried, in gaps from the mark: the nearest first."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in units of the plot."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """True where they have a point in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def holds(self, points: Array) -> int:
        """How many of the points, (n, 2), lie inside."""
        x, y = points[:, 0], points[:, 1]
        return int(
            np.count_nonzero(
                (self.left < x) & (x < self.right) & (self.bottom < y) & (y < self.top)
            )
        )

    def inside(self, other: Box) -> bool:
        """True where it lies wholly in the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )


def text_width(text: str, size: float = SMALL) -> float:
    """About how wide a text is."""
    return GLYPH * size * len(text)


def place_labels(
    axes: Axes,
    anchors: Sequence[tuple[float, float, str]],
    marks: Sequence[tuple[float, float]] = (),
    taken: Sequence[Box] = (),
) -> list[Box]:
    """Writes a name beside each anchor; one for which there is no room is left out.

    Args:
        axes: where; their limits and scales are set already.
        anchors: places in data and their names, the most important first.
        marks: places in data that are better not hidden.
        taken: where there is text already.

    Returns the boxes of all text, ``taken`` included.
    """
    room = _room(axes)
    points = _pixels(axes, [*marks, *((x, y) for x, y, _ in anchors)])
    boxes = list(taken)
    for (x, y, text), (across, up) in zip(anchors, points[len(marks) :], strict=True):
        tried = [(_box(across, up, offset, text), offset) for offset in OFFSETS]
        free = [
            (box, offset)
            for box, offset in tried
            if box.inside(room) and not any(_hides(box, across, up, other) for other in boxes)
        ]
        if not free:
            continue
        # The nearest of the places that hide the fewest marks.
        box, (right, above) = min(free, key=lambda entry: entry[0].holds(points))
        boxes.append(box)
        far = max(abs(right), abs(above)) > 1
        axes.annotate(
            text,
            (x, y),
            xytext=(box.left - across, (box.bottom + box.top) / 2 - up),
            textcoords="offset pixels",
            fontsize=SMALL,
            color=INK,
            ha="left",
            va="center",
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.6, "shrinkB": 3}
            if far
            else None,
        )
    return boxes


def _hides(box: Box, across: float, up: float, other: Box) -> bool:
    """True where a name, or the line from it to its mark, would cross another."""
    x, y = (box.left + box.right) / 2, (box.bottom + box.top) / 2
    steps = np.linspace(0.1, 0.8, 6)
    line = np.stack([across + (x - across) * steps, up + (y - up) * steps], axis=1)
    return box.overlaps(other) or other.holds(line) > 0


def _room(axes: Axes) -> Box:
    box = axes.bbox
    # Names may reach a little beyond the axes, where there is nothing else.
    return Box(box.x0, box.y0, box.x1 + 8, box.y1 + 2)


def _pixels(axes: Axes, points: Sequence[tuple[float, float]]) -> Array:
    if not points:
        return np.zeros((0, 2))
    return np.asarray(axes.transData.transform(np.asarray(points, np.float64)))


def _box(across: float, up: float, offset: tuple[float, float], text: str) -> Box:
    width, height = text_width(text), 1.25 * SMALL
    x, y = across + GAP * offset[0], up + 1.3 * GAP * offset[1]
    left = x if offset[0] > 0 else x - width if offset[0] < 0 else x - width / 2
    return Box(left, y - height / 2, left + width, y + height / 2)
