"""The memory of activations over a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convc.console import shorten_end
from convc.report.figures.labels import place_labels
from convc.report.figures.legend import show_legend
from convc.report.figures.style import AFTER, BEFORE, counted, figure, quantity
from convc.report.figures.svg import inline, missing, new_axes
from convc.report.measures.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_STEPS = 800
"""Steps drawn: more than a screen has room for. Of each group of ops its largest is."""

POINTS = 120
"""Places on a line that are looked at before a name is put somewhere."""

LONGEST = 28
"""Letters of the name of a peak."""


def memory_over_time(
    before: Timeline, after: Timeline | None = None, *, name: str = "memory-plot"
) -> str:
    """Bytes of activations alive while each op runs, with the peaks.

    Args:
        before: the model as it came.
        after: what was made of it; None where there is one model only.
        name: with which all ids begin.
    """
    instead = missing(name)
    if instead:
        return instead
    axes = new_axes()
    models: list[tuple[Timeline, str, str, Any]] = [
        (before, BEFORE, "o", "-" if after is None else "--")
    ]
    if after is not None:
        models.append((after, AFTER, "^", "-"))
        show_legend(axes, lines=True)
    given = [timeline for timeline, *_ in models]
    peak = max(timeline.peak for timeline in given)
    size, unit = _unit(peak)
    longest = max(len(timeline.alive) for timeline in given)
    axes.set_xlim(0, longest)
    axes.set_ylim(0, 1.25 * peak / size if peak else 1)
    _whole_ticks(axes, longest)
    line: list[tuple[float, float]] = []
    for timeline, colour, marker, style in models:
        edges, alive = thinned(timeline.alive, MOST_STEPS)
        heights = [bytes_ / size for bytes_ in alive]
        line += _points(timeline, size)
        axes.stairs(heights, edges, color=colour, lw=1.5, linestyle=style, baseline=None)
        if colour == AFTER or after is None:
            axes.stairs(heights, edges, color=colour, fill=True, alpha=0.18, lw=0)
        axes.plot(
            [timeline.peak_index + 0.5], [timeline.peak / size], marker=marker, markersize=7,
            color=colour, markerfacecolor="none" if colour == BEFORE else colour,
            markeredgewidth=1.5, linestyle="none", clip_on=False,
        )  # fmt: skip
    # What both have in common is named once.
    peaks = {place[-1]: place for place in (_peak(timeline, size) for timeline in given)}
    # The peaks themselves must not be hidden at all.
    marks = line + POINTS * [_peak(timeline, size)[:2] for timeline in given]
    place_labels(axes, list(peaks.values()), marks)
    axes.set_xlabel("ops, in the order of the file")
    axes.set_ylabel(f"activations, {unit}")
    caption = _caption(before, after)
    drawn = inline(axes, name=name, title="Memory over time", description=caption)
    return figure(drawn, caption, name=f"{name}-figure")


def thinned(alive: Sequence[int], most: int) -> tuple[list[int], list[int]]:
    """At most ``most`` steps: their edges, and of each the largest of the ops in it."""
    group = -(-len(alive) // most)
    starts = range(0, len(alive), group)
    return [*starts, len(alive)], [max(alive[start : start + group]) for start in starts]


def _points(timeline: Timeline, size: float) -> list[tuple[float, float]]:
    """Places on the line, evenly spread: names hide as few as they can."""
    count = len(timeline.alive)
    places = [count * (i + 0.5) / POINTS for i in range(POINTS)]
    return [(x, timeline.alive[int(x)] / size) for x in places]


def _peak(timeline: Timeline, size: float) -> tuple[float, float, str]:
    text = f"{quantity(timeline.peak, 'B')}, {shorten_end(timeline.peak_name, LONGEST)}"
    return timeline.peak_index + 0.5, timeline.peak / size, text


def _unit(peak: int) -> tuple[float, str]:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if peak >= size:
            return size, unit
    return 1.0, "bytes"


def _whole_ticks(axes: Axes, longest: int) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  # an optional extra

    axes.xaxis.set_major_locator(MaxNLocator(nbins=min(6, max(longest, 1)), integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")


def _caption(before: Timeline, after: Timeline | None) -> str:
    told = [_told("Before: at" if after is not None else "At", before)]
    if after is not None:
        told.append(_told("After: at", after))
    return "\n".join(told)


def _told(begin: str, timeline: Timeline) -> str:
    largest = ", ".join(f"{name} with {quantity(n, 'B')}" for name, n in timeline.largest[:2])
    held = f" (the largest: {largest})" if largest and timeline.peak else ""
    lost = counted(timeline.unknown, "value") + " of unknown size counted as nothing"
    return (
        f"{begin} most {quantity(timeline.peak, 'B')} at once, at {timeline.peak_name}, "
        f"{_place(timeline)}{held}" + (f"; {lost}." if timeline.unknown else ".")
    )


def _place(timeline: Timeline) -> str:
    return f"op {timeline.peak_index + 1:,} of {len(timeline.alive):,}"
