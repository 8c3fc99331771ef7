"""What tells the two models apart, above a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convc.report.figures.style import AFTER, BEFORE, INK
from convc.report.figures.svg import TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def show_legend(axes: Axes, *, lines: bool = False) -> None:
    """Before hollow and round, dashed where it is a line; after filled and pointed, solid."""
    from matplotlib.lines import Line2D  # noqa: PLC0415  # slow to import, and an optional extra

    sides: tuple[tuple[str, str, str, Any], ...] = (
        ("before", BEFORE, "o", "--"),
        ("after", AFTER, "^", "-"),
    )
    entries = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=6, label=text, markeredgewidth=1.3,
            markerfacecolor="none" if text == "before" else colour,
            linestyle=style if lines else "none",
        )
        for text, colour, marker, style in sides
    ]  # fmt: skip
    axes.legend(
        handles=entries, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False,
        fontsize=TEXT, labelcolor=INK, borderaxespad=0, borderpad=0.2, columnspacing=1.5,
    )  # fmt: skip
