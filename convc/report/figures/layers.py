"""What each layer costs, as a table with bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from convc.console import duration
from convc.report.figures.style import UNKNOWN, note, quantity
from convc.report.measures.layers import Amount, Layer, Load, tail

Show = Callable[[float], str]
Pick = Callable[[Load], Amount]


def layer_bars(
    rows: Sequence[Layer],
    *,
    compared: bool = True,
    top: int = 20,
    name: str = "layer-table",
) -> str:
    """A table of the heaviest layers, all others summed up in a last row.

    Args:
        rows: heaviest first.
        compared: whether there are two models; else ``after`` is not shown.
        top: rows shown by themselves.
        name: with which all ids begin.
    """
    if not rows:
        return note("No layers: the model computes nothing.", name)
    shown, rest = tail(rows, top)
    known = [column for column in _COLUMNS if _has_any(rows, column[1])]
    columns = known or _COUNTED
    scales = [_largest(shown, pick) for _, pick, _ in columns]
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title, _, _ in columns)
    body = "\n".join(
        _row(row, columns, scales, compared=compared, bars=row is not rest)
        for row in (*shown, *([rest] if rest is not None else []))
    )
    key = _KEY if compared else ""
    return (
        f'<div class="convc-figure" id="{name}">{key}\n'
        f'<div class="convc-scroll" role="region" tabindex="0" aria-labelledby="{name}-title">'
        f'<table class="convc-bars"><caption class="convc-hidden" id="{name}-title">'
        f"{escape(_summary(rows, columns, compared=compared))}</caption>\n"
        f'<thead><tr><th scope="col">layer</th>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div></div>\n"
    )


def _macs(load: Load) -> Amount:
    return load.macs


def _moved(load: Load) -> Amount:
    return load.moved


def _seconds(load: Load) -> Amount:
    return load.seconds


def _count(number: float) -> str:
    return quantity(number, "") if number >= 1e3 else f"{number:,.0f}"


def _bytes(number: float) -> str:
    return quantity(number, "B")


Column = tuple[str, Pick, Show]
_COLUMNS: tuple[Column, ...] = (
    ("time", _seconds, duration),
    ("MACs", _macs, _count),
    ("bytes moved", _moved, _bytes),
)

_COUNTED = _COLUMNS[1:]

_KEY = (
    '<p class="convc-key" aria-hidden="true"><span class="before"><i></i>before</span>'
    '<span class="after"><i class="after"></i>after</span></p>'
)


def _has_any(rows: Sequence[Layer], pick: Pick) -> bool:
    loads = [pick(load) for row in rows for load in (row.before, row.after)]
    return any(amount.count > amount.missing for amount in loads)


def _largest(rows: Sequence[Layer], pick: Pick) -> float:
    return max(pick(load).value for row in rows for load in (row.before, row.after))


def _row(
    row: Layer,
    columns: Sequence[Column],
    scales: Sequence[float],
    *,
    compared: bool,
    bars: bool,
) -> str:
    sides = [("before", row.before)] + ([("after", row.after)] if compared else [])
    cells = []
    for (_, pick, show), scale in zip(columns, scales, strict=True):
        parts = []
        for side, load in sides:
            amount = pick(load)
            spoken = f'<b class="convc-hidden">{side} </b>' if compared else ""
            text = f"<span>{spoken}{escape(_text(amount, show))}</span>"
            # The sum of many would make the bars of all others too short to read.
            bar = _bar(amount.value / scale if scale else 0.0) if bars else ""
            parts.append(f'<div class="{side}">{text}{bar}</div>')
        cells.append(f"<td>{''.join(parts)}</td>")
    return f'<tr><th scope="row">{escape(row.label)}</th>{"".join(cells)}</tr>'


def _bar(share: float) -> str:
    if share <= 0:
        return '<i class="none"></i>'
    return f'<i style="width:{100 * share:.2f}%"></i>'


def _text(amount: Amount, show: Show) -> str:
    if not amount.count:
        return "–"
    if not amount.known:
        return UNKNOWN
    return ("≥ " if amount.missing else "") + show(amount.value)


def _summary(rows: Sequence[Layer], columns: Sequence[Column], *, compared: bool) -> str:
    told = [f"Cost of each layer, {len(rows)} in all, the heaviest first."]
    for title, pick, show in columns:
        old = sum((pick(row.before) for row in rows), Amount())
        new = sum((pick(row.after) for row in rows), Amount())
        both = f"{_text(old, show)} before, {_text(new, show)} after"
        told.append(f"In all {title}: {both if compared else _text(old, show)}.")
    return " ".join(told)
