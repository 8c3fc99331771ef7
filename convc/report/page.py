"""The page itself: data and figures put into the template, as one file that needs no other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from math import isfinite
from typing import Any

from convc.analysis import Cost
from convc.api import Result
from convc.approximate import Approximation
from convc.console import duration, human
from convc.errors import UsageError
from convc.ir import Op
from convc.report import figures, measures
from convc.report.figures.style import note
from convc.report.headline import (
    Headline,
    cost_headline,
    cost_totals,
    headline,
    totals,
)
from convc.report.history import REFITTED, History
from convc.report.links import Links, links_of, with_links
from convc.report.measures import Images, Tradeoff
from convc.report.rows import algebra, became, declined, groups
from convc.report.side import Side, side_json
from convc.runtime import version as runtime_version
from convc.version import __version__

PARTS = ("basics", "metrics", "drawing", "view", "graph", "choosing", "tables", "begin")
"""Of the script; each uses those before it."""

DIGITS = 4
"""Significant digits of measured figures in the page's data."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a page on a rewritten model needs.

    Attributes:
        result: of `convc.optimize`, with its history.
        before: what the original costs.
        after: what the result costs.
        images: outputs that are images.
        tradeoff: errors and gains of approximate models; None where no error was allowed.
        notes: what could not be had.
    """

    result: Result
    before: Cost
    after: Cost
    images: Images
    tradeoff: Tradeoff | None
    notes: Sequence[str] = ()


def compared_page(model: str, found: Comparison) -> str:
    """The page on a model and what was made of it."""
    result = found.result
    if result.history is None:
        raise UsageError("the report needs the history: optimize(..., history=True)")
    history = _with_forms(result.history, result.approximation)
    before, after = Side.of(history.original, found.before), Side.of(history.result, found.after)
    links = links_of(history, before, after)
    made = groups(history, links, before, after)
    told = algebra(result.pipeline, {group.name for group in made})
    residuals = any(group.residual is not None for group in made)
    timed = any(group.time is not None for group in made)
    sides = [side_json(side, links.touched(link)) for side, link in _linked(links, before, after)]
    for side, (_, link) in zip(sides, _linked(links, before, after), strict=True):
        with_links(side["ops"], link)
    return _page(
        model,
        {"sides": sides, "rewrites": _rewrites(history)},
        headline(result, made),
        command="optimize",
        compared=True,
        totals=totals(result),
        sizes=_sizes(found.before),
        notes=[*_notes(result), *found.notes],
        groups=made,
        rewritten=f"{len(history.changes):,} rewrites",
        proved=residuals,
        timed=timed,
        columns=6 + residuals + timed,
        algebra=told,
        explained={item.name for item in told},
        declined=declined(result.reports, history, after),
        chosen=result.tuning is not None,
        figures=_figures(found, history, links, before, after),
        made=_made(result, found.before),
        sections=_sections(compared=True),
    )


def _with_forms(history: History, approximation: Approximation | None) -> History:
    """The history with the forms that layers took as the notes of approximate changes."""
    forms: dict[str, str] = {}
    for layer, form in [] if approximation is None else approximation.forms:
        # A layer may take a form of a form.
        forms[layer] = f"{forms[layer]}, then {form}" if layer in forms else form
    changes = []
    for change in history.changes:
        names = [value.name for op in change.sources for value in op.results]
        form = next((forms[name] for name in names if name in forms), change.note)
        changes.append(replace(change, note=form) if change.note == REFITTED else change)
    return replace(history, changes=changes)


def cost_page(model: str, cost: Cost) -> str:
    """The page on what one model costs."""
    graph = cost.report.graph
    side = Side.of(graph, cost)
    return _page(
        model,
        {"sides": [side_json(side, [False] * len(side.entries))], "rewrites": []},
        cost_headline(cost),
        command="cost",
        compared=False,
        totals=cost_totals(cost),
        sizes=_sizes(cost),
        notes=list(cost.what_if.notes) if cost.what_if is not None else [],
        figures={
            "layers": figures.layer_bars(measures.layers(cost), compared=False),
            "roofline": _roofline(cost, None),
            "memory": figures.memory_over_time(measures.timeline(cost.report)),
        },
        made=[("Counted by", f"convc {__version__}"), *_machine(cost)],
        sections=_sections(compared=False),
    )


def _linked(links: Links, before: Side, after: Side) -> Sequence[tuple[Side, Sequence[Any]]]:
    return (before, links.before), (after, links.after)


def _rewrites(history: History) -> list[list[Any]]:
    """The rewrites as the details of an op show them."""
    return [
        [
            change.origin,
            change.note,
            change.exactness,
            change.residual,
            _few(change.region),
            became(change),
        ]
        for change in history.changes
    ]


def _few(labels: Sequence[str], most: int = 6) -> str:
    more = len(labels) - most
    return ", ".join(labels[:most]) + (f" and {more} more" if more > 0 else "")


def _figures(
    found: Comparison, history: History, links: Links, before: Side, after: Side
) -> dict[str, str]:
    pairs = [(place.before, place.after) for place in links.places]
    pairs += [
        (origin.sources, (op,)) for op, origin in history.origins.items() if not origin.changes
    ]
    became = [(_costed(before, old), _costed(after, new)) for old, new in pairs]
    rows = measures.layers(found.before, found.after, became)
    tradeoff = found.tradeoff
    return {
        "layers": figures.layer_bars(rows),
        "roofline": _roofline(found.before, found.after),
        "memory": figures.memory_over_time(
            measures.timeline(found.before.report), measures.timeline(found.after.report)
        ),
        "pareto": note("Left out: no error was allowed (--max-error).", "pareto")
        if tradeoff is None
        else figures.pareto(tradeoff),
        "images": figures.image_pairs(found.images)
        or note(f"Left out: {found.images.reason}.", "images"),
    }


def _costed(side: Side, ops: Sequence[Op]) -> list[Op]:
    """The ops of the copy that was costed."""
    return [side.costs[op].op for op in ops]


def _roofline(before: Cost, after: Cost | None) -> str:
    one = None if before.clock is None else measures.roofline(before.clock)
    two = None if after is None or after.clock is None else measures.roofline(after.clock)
    if one is None and two is None:
        text = "Left out: the machine was not measured (cost --roofline or --measure)."
        if after is not None:
            text = "Left out: the clock was not asked (--objective latency asks it)."
        return note(text, "roofline")
    return figures.roofline_plot(one, two)


def _sizes(cost: Cost) -> str:
    sizes = ", ".join(f"{name} = {size}" for name, size in cost.sizes.items())
    return f", at {sizes}" if sizes else ""


def _notes(result: Result) -> list[str]:
    """What a reader has to know, each once."""
    notes: list[str] = []
    if result.comparison is not None:
        notes += result.comparison.notes
    if result.tuning is not None:
        notes += result.tuning.notes
    if result.approximation is not None:
        notes += [result.approximation.data, *result.approximation.notes]
    return [f"{text[0].upper()}{text[1:]}" for text in dict.fromkeys(notes) if text]


def _made(result: Result, cost: Cost) -> list[tuple[str, str]]:
    rows = [("Passes", str(result.pipeline) or "none"), ("Rewritten by", f"convc {__version__}")]
    if result.tuning is not None:
        count = result.tuning.timed
        asked = f"{count} comparison{'s' if count != 1 else ''} timed"
        asked += f", {result.tuning.remembered} remembered, {result.tuning.seconds:.0f} s"
        rows.append(("Asked of the clock", asked))
    if result.comparison is not None and result.comparison.cases:
        rows.append(("Compared on", "; ".join(dict.fromkeys(result.comparison.cases))))
    if result.certificate is not None:
        rows.append(("Digest of the proof", result.certificate.digest))
    return [*rows, *_machine(cost)]


def _machine(cost: Cost) -> list[tuple[str, str]]:
    if cost.clock is None:
        return []
    machine = cost.clock.machine
    rows = [("Machine", f"{machine.processor}, {machine.threads} threads")]
    if cost.clock.profile is not None:
        runs = cost.clock.profile.runs
        rows.append(("Timed by", f"onnxruntime {runtime_version()}, median of {runs} runs"))
    return rows


def _sections(*, compared: bool) -> list[tuple[str, str]]:
    both = [("totals", "Figures"), ("graph", "Graph")]
    middle = [("rewrites", "Rewrites"), ("declined", "Left alone")] if compared else []
    plots = [("layers-section", "Layers"), ("roofline-section", "Roofline")]
    plots.append(("memory-section", "Memory"))
    last = [("pareto-section", "Error and gain"), ("images-section", "Images")] if compared else []
    return [*both, *middle, *plots, *last, ("ops", "All ops"), ("made", "How this was made")]


def _page(model: str, data: dict[str, Any], head: Headline, **context: Any) -> str:
    """The template filled in."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  # an optional extra

    folder = files("convc.report")
    sheet = folder.joinpath("page.css").read_text("utf-8") + figures.CSS
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    template = environment.from_string(folder.joinpath("page.html.j2").read_text("utf-8"))
    return template.render(
        model=model,
        head=head,
        version=__version__,
        human=human,
        ms=duration,
        signed=_signed,
        residual=_residual,
        css=sheet,
        js=_script(),
        data=script_json(data),
        **context,
    )


def _signed(number: float) -> str:
    return human(number).replace("-", "−")


def _residual(residual: float | None) -> str:
    if residual is None:
        return "–"
    return f"{residual:.1e}" if residual else "0"


def _script() -> str:
    """The parts of the script, one after the other."""
    folder = files("convc.report").joinpath("script")
    return "\n".join(folder.joinpath(f"{part}.js").read_text("utf-8") for part in PARTS)


def script_json(document: Any) -> str:
    """JSON that may stand in a ``script`` element: no name in it can end that element.

    Figures that are not finite become null; measured ones keep a few digits.
    """
    text = json.dumps(_plain(document), allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _plain(item: Any) -> Any:
    if isinstance(item, float):
        return float(f"{item:.{DIGITS}g}") if isfinite(item) else None
    if isinstance(item, dict):
        return {key: _plain(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_plain(value) for value in item]
    return item
