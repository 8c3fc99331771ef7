"""Error against gain of approximate models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from convc.report.figures.labels import place_labels
from convc.report.figures.style import AFTER, BEFORE, INK, LIMIT, counted, figure, note, quantity
from convc.report.figures.svg import inline, missing, new_axes
from convc.report.measures.tradeoff import Point, Tradeoff

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 30
"""Ratio of the largest error to the least from which they are drawn on a logarithmic scale."""

STEPS = 60
"""Points on each line, of which names hide as few as they can."""


def pareto(tradeoff: Tradeoff, *, name: str = "pareto-plot") -> str:
    """What was tried: its error over what it gains, with the limit and the model chosen."""
    if not tradeoff.points:
        return note(f"No Pareto curve: {_nothing(tradeoff)}.", name)
    instead = missing(name)
    if instead:
        return instead
    axes = new_axes()
    points, metric = tradeoff.points, tradeoff.allowed.metric
    scale = _set_scales(axes, tradeoff)
    front = [Point(tradeoff.exact, metric.from_loss(0.0)), *(p for p in points if p.on_front)]
    axes.plot(
        [p.gain / scale for p in front], [p.value for p in front], color=INK, lw=1, alpha=0.6,
        drawstyle="steps-pre",
    )  # fmt: skip
    others = [point for point in points if not point.chosen]
    for chosen, group in ((False, others), (True, [p for p in points if p.chosen])):
        axes.scatter(
            [p.gain / scale for p in group], [p.value for p in group],
            s=90 if chosen else 30, marker="*" if chosen else "o",
            facecolors=AFTER if chosen else "none", edgecolors=AFTER if chosen else BEFORE,
            linewidths=1.3, gid="chosen" if chosen else "tried", zorder=3,
        )  # fmt: skip
    limit = tradeoff.allowed.threshold
    axes.axhline(limit, color=LIMIT, lw=1.2, linestyle="--")
    left, right = axes.get_xlim()
    line = _along(left, right, limit)
    for one, other in pairwise(front):
        line += _along(one.gain / scale, other.gain / scale, other.value)
    anchors = [(left, limit, f"allowed {tradeoff.allowed}")]
    if metric.is_loss and axes.get_yscale() == "linear":
        axes.plot([tradeoff.exact / scale], [0.0], marker="s", color=INK, clip_on=False, zorder=3)
        anchors.append((tradeoff.exact / scale, 0.0, "exact"))
    if tradeoff.chosen is not None:
        at = tradeoff.chosen
        anchors.insert(0, (at.gain / scale, at.value, f"result {metric.show(at.value)}"))
    place_labels(axes, anchors, [*line, *((p.gain / scale, p.value) for p in points)])
    unit = {1e9: " (G)", 1e6: " (M)", 1e3: " (k)"}.get(scale, "")
    axes.set_xlabel(f"{tradeoff.gain}{unit}")
    axes.set_ylabel(_axis(tradeoff))
    caption = _caption(tradeoff)
    tips = {"tried": [_tip(p, tradeoff) for p in others]}
    drawn = inline(axes, name=name, title="Error against gain", description=caption, tips=tips)
    return figure(drawn, caption, name=f"{name}-figure")


def _along(left: float, right: float, height: float) -> list[tuple[float, float]]:
    return [(left + (right - left) * i / STEPS, height) for i in range(STEPS + 1)]


def _set_scales(axes: Axes, tradeoff: Tradeoff) -> float:
    """Sets the limits; returns by what gains are divided."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  # an optional extra

    gains = [tradeoff.exact, *(point.gain for point in tradeoff.points)]
    scale = next((s for s in (1e9, 1e6, 1e3) if max(gains) >= s), 1.0)
    low, high = min(gains) / scale, max(gains) / scale
    room = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    axes.set_xlim(low - room, high + room)
    values = [point.value for point in tradeoff.points] + [tradeoff.allowed.threshold]
    low, high = min(values), max(values)
    if low > 0 and high > WIDE * low and tradeoff.allowed.metric.is_loss:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.6, high * 2)
    else:
        room = 0.15 * (high - low) or 0.1 * abs(high) or 1.0
        bottom = 0.0 if tradeoff.allowed.metric.is_loss and low >= 0 else low - room
        axes.set_ylim(bottom, high + room)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: _plain(value))
    show = _percent if tradeoff.allowed.metric.unit in ("relative", "share") else _plain
    axes.yaxis.set_major_formatter(lambda value, _: show(value))
    axes.minorticks_off()
    return scale


def _percent(value: float) -> str:
    return f"{100 * value:.3g}%"


def _plain(value: float) -> str:
    return f"{value:,.4g}"


def _axis(tradeoff: Tradeoff) -> str:
    metric = tradeoff.allowed.metric
    words = {
        "relative": "relative error",
        "share": "share that differs",
        "psnr": "PSNR, dB",
    }
    return words.get(metric.unit, metric.name.rpartition(":")[2])


def _tip(point: Point, tradeoff: Tradeoff) -> str:
    return (
        f"{tradeoff.allowed.metric.show(point.value)}, {tradeoff.gain}: {quantity(point.gain, '')}"
    )


def _nothing(tradeoff: Tradeoff) -> str:
    lost = counted(tradeoff.left_out, "model")
    return f"{lost} tried, none with a finite error" if tradeoff.left_out else "no model was tried"


def _caption(tradeoff: Tradeoff) -> str:
    show = tradeoff.allowed.metric.show
    told = [
        f"{counted(len(tradeoff.points), 'model')} tried, {_range(tradeoff.points)} gained "
        f"({tradeoff.gain}); allowed: {tradeoff.allowed} ({tradeoff.allowed.metric.name})."
    ]
    chosen = tradeoff.chosen
    if chosen is None:
        told.append("None of them was chosen: the result is exact.")
    else:
        faster = f", {tradeoff.speedup:.2f}× as fast" if tradeoff.speedup is not None else ""
        told.append(f"The result: {show(chosen.value)}{faster}.")
    if tradeoff.left_out:
        told.append(f"{counted(tradeoff.left_out, 'model')} without a finite error not drawn.")
    return " ".join(told)


def _range(points: Sequence[Point]) -> str:
    low, high = (quantity(end([p.gain for p in points]), "") for end in (min, max))
    return low if low == high else f"{low} to {high}"
