"""The roofline plot."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, ceil, degrees, floor, log10
from typing import TYPE_CHECKING, TypeAlias

from convc.console import duration, shorten
from convc.report.figures.labels import Box, place_labels, text_width
from convc.report.figures.legend import show_legend
from convc.report.figures.style import (
    AFTER,
    BEFORE,
    INK,
    counted,
    figure,
    note,
    percent,
    quantity,
)
from convc.report.figures.svg import SMALL, inline, missing, new_axes
from convc.report.measures.roofline import Mark, Roofline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place: TypeAlias = tuple[float, float]
"""Operations per byte and GFLOP/s."""

SLANTED = 8
"""Boxes that cover a slanted text."""

LABELLED = 3
"""Ops that are named, of each model."""

LONGEST = 24
"""Letters of a name."""

APART = 1.3
"""Ratio of two bandwidths from which both are drawn."""

STEPS = 60
"""Points on a roof, of which names hide as few as they can."""

UNIT = 1e9
"""The unit of speed: GFLOP/s."""


def roofline_plot(
    before: Roofline | None, after: Roofline | None = None, *, name: str = "roofline-plot"
) -> str:
    """Operations per byte against operations per second, under the machine's roofs.

    Args:
        before: the model as it came; None where the machine was not asked.
        after: what was made of it; None where there is one model only.
        name: with which all ids begin.
    """
    given = [model for model in (before, after) if model is not None]
    if not any(model.marks for model in given):
        why = (
            "no op both computes and moves known amounts" if given else "the machine was not asked"
        )
        return note(f"No roofline: {why}.", name)
    instead = missing(name)
    if instead:
        return instead
    axes = new_axes()
    axes.set_xscale("log")
    axes.set_yscale("log")
    _set_limits(axes, given)
    places = [(m.intensity, m.speed / UNIT) for model in given for m in model.marks]
    boxes, roofs = _draw_roofs(axes, given[0], places)
    tips: dict[str, list[str]] = {}
    anchors: dict[str, tuple[float, float, str]] = {}
    for model, gid, marker, colour in (
        (before, "before", "o", BEFORE),
        (after, "after", "^", AFTER),
    ):
        if model is None:
            continue
        # The heaviest come last, on top.
        shown = model.marks[::-1]
        axes.scatter(
            [mark.intensity for mark in shown],
            [mark.speed / UNIT for mark in shown],
            s=46 if gid == "before" else 26,
            marker=marker,
            facecolors="none" if gid == "before" else colour,
            edgecolors=colour,
            linewidths=1.3,
            alpha=0.85,
            gid=gid,
            zorder=3,
        )
        tips[gid] = [_tip(mark, model, gid if after is not None else "") for mark in shown]
        # What is among the heaviest of both is named once, where it is after.
        anchors |= _anchors(model)
    if after is not None and before is not None:
        show_legend(axes)
    place_labels(axes, list(anchors.values()), places + roofs, boxes)
    axes.set_xlabel("operations per byte")
    axes.set_ylabel("GFLOP/s")
    caption = _caption(before, after)
    drawn = inline(axes, name=name, title="Roofline", description=caption, tips=tips)
    return figure(drawn, caption, name=f"{name}-figure")


def _set_limits(axes: Axes, models: Sequence[Roofline]) -> None:
    marks = [mark for model in models for mark in model.marks]
    peak = max(model.peak for model in models)
    # So far beside the ridges that the slopes have room for their names.
    ridges = [0.1 * models[0].peak / models[0].fastest, 3 * models[0].peak / models[0].slowest]
    axes.set_xlim(*_decades([mark.intensity for mark in marks] + ridges))
    axes.set_ylim(*_decades([mark.speed / UNIT for mark in marks] + [3 * peak / UNIT]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: _tick(value))


def _tick(value: float) -> str:
    """A power of ten in at most six characters."""
    if 1e-4 <= value < 1e4:
        return f"{value:,g}"
    return quantity(value, "").replace(" ", "") if 1e4 <= value < 1e15 else f"{value:.0e}"


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Powers of ten around the values, and a little room: no mark lies on an axis."""
    low, high = 10.0 ** floor(log10(min(values) / 1.15)), 10.0 ** ceil(log10(max(values) * 1.15))
    return low, high


def _draw_roofs(
    axes: Axes, model: Roofline, marks: Sequence[Place]
) -> tuple[list[Box], list[Place]]:
    """The lines that no op can be above; returns where their names are, and points on them."""
    left, right = axes.get_xlim()
    roofs = [(model.fastest, "cache"), (model.slowest, "memory")]
    if model.fastest < APART * model.slowest:
        roofs = [(model.fastest, "bandwidth")]
    points: list[Place] = []
    for speed, _ in roofs:
        line = [
            (x, min(x * speed, model.peak) / UNIT)
            for x in (left * (right / left) ** (i / STEPS) for i in range(STEPS + 1))
        ]
        ridge = model.peak / speed
        axes.plot(
            [left, ridge, right], [left * speed / UNIT, *[model.peak / UNIT] * 2], color=INK, lw=1
        )
        points += line
    text = f"{quantity(model.peak, 'FLOP/s')}"
    boxes = [_write(axes, right, model.peak / UNIT, text)]
    for (speed, what), below in zip(roofs, (False, True), strict=False):
        text = f"{what} {quantity(speed, 'B/s')}"
        boxes += _write_along(axes, speed, text, marks, below=below)
    return boxes, points


def _write(axes: Axes, x: float, y: float, text: str) -> Box:
    axes.annotate(
        text, (x, y), xytext=(0, 3), textcoords="offset pixels", fontsize=SMALL, color=INK,
        ha="right", va="bottom",
    )  # fmt: skip
    across, up = axes.transData.transform((x, y))
    return Box(across - text_width(text), up, across, up + 1.4 * SMALL)


def _write_along(
    axes: Axes, speed: float, text: str, marks: Sequence[Place], *, below: bool
) -> list[Box]:
    """Writes on a slope, where the fewest marks are; returns what that covers."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    start, end = max(left, bottom * UNIT / speed), min(right, top * UNIT / speed)
    (x0, y0), (x1, y1) = axes.transData.transform(
        [(start, start * speed / UNIT), (end, end * speed / UNIT)]
    )
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    along = ((x1 - x0) / length, (y1 - y0) / length)
    shift = -12.0 if below else 4.0
    points = axes.transData.transform(marks)

    def boxes(begin: float) -> list[Box]:
        # A row of small boxes: one around the whole slanted text would forbid too much.
        found = []
        for i in range(SLANTED + 1):
            at = begin + text_width(text) * i / SLANTED
            x, y = x0 + at * along[0] - shift * along[1], y0 + at * along[1] + shift * along[0]
            found.append(Box(x - 8, y - 4, x + 8, y + 12))
        return found

    begins = [(22.0 if below else 8.0) + 12.0 * i for i in range(8)]
    begin = min(begins, key=lambda one: sum(box.holds(points) for box in boxes(one)))
    x, y = x0 + begin * along[0], y0 + begin * along[1]
    axes.annotate(
        text, (x, y), xycoords="figure pixels", xytext=(4 * along[1], -4) if below else (-3, 3),
        textcoords="offset pixels", fontsize=SMALL, color=INK, ha="left",
        va="top" if below else "bottom", rotation=degrees(atan2(along[1], along[0])),
        rotation_mode="anchor",
    )  # fmt: skip
    return boxes(begin)


def _anchors(model: Roofline) -> dict[str, tuple[float, float, str]]:
    """The heaviest ops by their labels: place in data, and name."""
    return {
        mark.label: (mark.intensity, mark.speed / UNIT, shorten(mark.label, LONGEST))
        for mark in model.marks[:LABELLED]
    }


def _tip(mark: Mark, model: Roofline, side: str) -> str:
    how = "" if model.measured else "at least "
    where = f" ({side})" if side else ""
    return (
        f"{mark.label}{where}: {mark.intensity:.3g} operations per byte, "
        f"{quantity(mark.speed, 'FLOP/s')}, {how}{duration(mark.seconds)}"
    )


def _caption(before: Roofline | None, after: Roofline | None) -> str:
    machine = before or after
    if machine is None:
        return ""
    threads = counted(machine.threads, "thread")
    told = [
        f"{machine.processor}, {threads}: at best {quantity(machine.peak, 'FLOP/s')}, "
        f"{quantity(machine.fastest, 'B/s')} from cache, "
        f"{quantity(machine.slowest, 'B/s')} from memory."
    ]
    for side, model in (("Before", before), ("After", after)):
        if model is not None:
            told.append(_told(side if after is not None else "", model))
    return "\n".join(told)


def _told(side: str, model: Roofline) -> str:
    begin = f"{side}: " if side else ""
    if not model.marks:
        return f"{begin}no op has a place here."
    heaviest, seconds = model.marks[0], sum(mark.seconds for mark in model.marks)
    how = "measured" if model.measured else "at their bounds, since nothing was timed"
    lost = f"; {counted(model.left_out, 'other')} without a place: nothing computed or not known"
    rest = lost if model.left_out else ""
    share = percent(heaviest.seconds / seconds)
    return (
        f"{begin}{counted(len(model.marks), 'op')}, {how}{rest}; the longest is {heaviest.label} "
        f"with {share} of the time at {heaviest.intensity:.3g} operations per byte and "
        f"{quantity(heaviest.speed, 'FLOP/s')}, {percent(heaviest.speed / model.peak)} of the peak."
    )
