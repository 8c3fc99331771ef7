"""What ``convc optimize`` shows at the end: what was done, how much faster, how sure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp, isfinite, log
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from convc.api import Result
from convc.check import Comparison
from convc.console import duration, hanging, human, shorten_end, table
from convc.judge import Verdict
from convc.pipeline import PassReport
from convc.text import printable

STYLES = {
    Verdict.IDENTICAL: "green",
    Verdict.EQUAL: "green",
    Verdict.WITHIN_TOLERANCE: "yellow",
    Verdict.WITHIN_BUDGET: "yellow",
    Verdict.UNVERIFIED: "yellow",
    Verdict.DIFFERENT: "bold red",
}

LABEL = 14
"""Characters before the text of an entry."""

LONGEST_TEXT = 48
"""Characters of a pass's text; the JSON has all."""

MOST_NOTES, MOST_REASONS = 4, 3
"""What is listed of a pass's rewrites, and of the reasons why others were not made."""

LONGEST_NAME = 40
"""Characters of a model's name in the closing table."""


def show_result(console: Console, title: str, result: Result, written: str) -> None:
    """The summary of one optimised model.

    Args:
        console: where to.
        title: the model's name.
        result: what came of it.
        written: the file that was written, or why none was; empty where the models differ.
    """
    done = [report for report in result.reports if report.stats.applied]
    console.print(_headline(title, result, changed=bool(done)))
    if done:
        console.print(_costs(result))
    for number, report in enumerate(done):
        entry(console, "" if number else "done", _done(report))
    _show_declined(console, result.reports)
    _show_approximation(console, result)
    _show_clock(console, result)
    _show_verdict(console, result.comparison)
    if written:
        entry(console, "written", written, whole=True)


def entry(
    console: Console, label: str, text: str | Text, style: str = "", *, whole: bool = False
) -> None:
    """One entry of a summary: its text is indented behind the label, on a terminal wrapped.

    What is ``whole`` is not: paths are copied.
    """
    body = Text(printable(text), style) if isinstance(text, str) else text
    if whole:
        console.print(Text.assemble(_label(label), body))
    else:
        hanging(console, _label(label), body)


def show_closing(console: Console, documents: Sequence[Mapping[str, Any]]) -> None:
    """A table over several models, with the geometric means of what was gained.

    Args:
        console: where to.
        documents: as ``--json`` prints them; those of models that failed hold an ``error``.
    """
    timed = any(document.get("speedup") is not None for document in documents)
    made = table("", *(["speed"] if timed else []), "MACs", "verdict", title="all models")
    made.columns[-1].justify = "left"
    for document in documents:
        name = shorten_end(document["input"].replace("\\", "/").rpartition("/")[2], LONGEST_NAME)
        gains = _entries(_speed(document), _less(document), timed=timed)
        made.add_row(name, *gains, _outcome(document))
    speed, less = (_mean(map(what, documents)) for what in (_speed, _less))
    made.add_section()
    made.add_row("geometric mean", *_entries(speed, less, timed=timed), "")
    console.print(made)


def show_timing(console: Console, reports: Sequence[PassReport]) -> None:
    """Per pass: seconds, applied, declined, ops and MACs before and after."""
    made = table("pass", "seconds", "applied", "declined", "ops", "MACs")
    for report in reports:
        stats = report.stats
        made.add_row(
            _short(report.text),
            f"{stats.seconds:.3f}",
            str(stats.applied),
            str(stats.declined.total()),
            f"{report.before.ops} → {report.after.ops}",
            f"{human(report.before.macs or 0)} → {human(report.after.macs or 0)}",
        )
    console.print(made)


def _label(label: str) -> Text:
    return Text(f"  {label:<{LABEL - 2}}", "dim")


def _headline(title: str, result: Result, *, changed: bool) -> Text:
    """The model, how much faster, and the verdict: all that a person in a hurry reads."""
    gain = _gain(result) if changed else Text("left as it was")
    verdict = Text("not verified", "yellow")
    if result.comparison is not None:
        found = result.comparison.verdict
        end = ": not written" if found is Verdict.DIFFERENT else ""
        verdict = Text(found.value + end, STYLES[found])
    return Text.assemble((f"{printable(title)}: ", "bold"), gain, ", ", verdict)


def _gain(result: Result) -> Text:
    if result.measured is not None:
        style = "bold green" if result.measured.faster else "yellow"
        return Text(f"{result.measured.ratio.ratio:.2f}× as fast", style)
    before, after = result.before.macs, result.after.macs
    if 0 < after < 0.995 * before:
        return Text(f"{before / after:.2f}× fewer MACs", "bold green")
    fewer = f"{result.before.ops} → {result.after.ops} ops"
    return Text(fewer if result.after.ops < result.before.ops else "rewritten")


def _costs(result: Result) -> Table:
    made = table("", "before", "after", "")
    measured = result.measured
    if measured is not None:
        times = map(duration, (measured.before, measured.after))
        made.add_row("latency", *times, _change(measured.ratio.ratio, 1.0))
    before, after = result.before, result.after
    for name, old, new, unit in (
        ("MACs", before.macs, after.macs, ""),
        ("weights", before.params, after.params, ""),
        ("peak activations", before.peak_activation_bytes, after.peak_activation_bytes, "B"),
        ("ops", before.ops, after.ops, ""),
        ("convs", before.convs, after.convs, ""),
    ):
        made.add_row(name, human(old) + unit, human(new) + unit, _change(old, new))
    return made


def _change(old: float, new: float) -> str:
    if not old or not new:
        return ""
    if new <= old:
        return "" if f"{old / new:.2f}" == "1.00" else f"{old / new:.2f}× less"
    return "" if f"{new / old:.2f}" == "1.00" else f"{new / old:.2f}× more"


def _done(report: PassReport) -> str:
    kinds = [
        f"{note} ({count})" if count > 1 else note
        for note, count in report.stats.notes.most_common()
        if note
    ]
    listed = ", ".join(kinds[:MOST_NOTES])
    more = len(kinds) - MOST_NOTES
    count = report.stats.applied
    done = f"{_said(report.text)}{count} rewrite{'s' if count != 1 else ''}"
    return done + (f": {listed}" if listed else "") + (f", {more} more kinds" if more > 0 else "")


def _name(text: str) -> str:
    """A pass's name, without its options."""
    return text.partition("(" if text.startswith(("choose(", "approximate(")) else "{")[0]


def _said(text: str) -> str:
    """Which pass speaks, where that says something: ``choose`` is many."""
    return "" if text.startswith("choose(") else f"{_name(text)}: "


def _short(text: str) -> str:
    """A pass's text; of a long one its name only."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{_name(text)}{'(…)' if text.endswith(')') else '{…}'}"


def _show_declined(console: Console, reports: Sequence[PassReport]) -> None:
    listed = sorted(
        (
            (count, f"{_said(report.text)}{reason}")
            for report in reports
            for reason, count in report.stats.declined.items()
        ),
        reverse=True,
    )
    for number, (count, reason) in enumerate(listed[:MOST_REASONS]):
        times = f" ({count})" if count > 1 else ""
        entry(console, "" if number else "left alone", f"{reason}{times}", "dim")
    more = len(listed) - MOST_REASONS
    if more > 0:
        entry(console, "", f"and {more} more reason{'s' if more > 1 else ''} (--json)", "dim")


def _show_approximation(console: Console, result: Result) -> None:
    """What was given up, for how much, and on what data."""
    found = result.approximation
    if found is None:
        return
    metric = found.allowed.metric
    if found.forms:
        layers = f"{len(found.forms)} layers" if len(found.forms) > 1 else "1 layer"
        spent = f"{layers} in {found.seconds:.0f} s: {metric.name} {metric.show(found.value)}, "
        entry(console, "approximated", f"{spent}allowed {found.allowed}", "yellow")
    entry(console, "data", found.data, "yellow" if found.made_up else "dim")
    for note in found.notes:
        entry(console, "note", note)


def _show_clock(console: Console, result: Result) -> None:
    """How sure the gain is, and what the clock was asked for it."""
    if result.tuning is None:
        return
    count = result.tuning.timed
    asked = f"{count} comparison{'s' if count != 1 else ''} timed"
    if result.tuning.remembered:
        asked += f", {result.tuning.remembered} remembered"
    asked += f", {result.tuning.seconds:.0f} s"
    line = Text.assemble((asked, "dim"))
    if result.measured is not None and result.measured.ratio.ratio != 1.0:
        found = result.measured.ratio
        interval = f"{found.ratio:.2f}× as fast (95 %: {found.low:.2f} to {found.high:.2f}); "
        line = Text.assemble(interval, line)
    entry(console, "clock", line)
    for note in result.tuning.notes:
        entry(console, "note", note)


def _show_verdict(console: Console, comparison: Comparison | None) -> None:
    if comparison is None:
        entry(console, "verdict", "not verified (--verify off)", "yellow")
        return
    figures = ": same bits on every input tried"
    if not comparison.bit_identical:
        figures = (
            f": error {comparison.error:.1e} of the output's scale, "
            f"the original's own {comparison.original_error:.1e}"
        )
    known = comparison.verdict is not Verdict.UNVERIFIED and comparison.cases
    if not isfinite(comparison.error) or not known:
        figures = ""
    verdict = comparison.verdict.value, STYLES[comparison.verdict]
    entry(console, "verdict", Text.assemble(verdict, figures))
    for note in comparison.notes:
        entry(console, "note", note)


def _entries(speed: float | None, less: float | None, *, timed: bool) -> list[str]:
    speeds = ["–" if speed is None else f"{speed:.2f}×"] if timed else []
    return [*speeds, "–" if less is None else _change(less, 1.0)]


def _speed(document: Mapping[str, Any]) -> float | None:
    found = document.get("speedup")
    return None if found is None else float(found)


def _less(document: Mapping[str, Any]) -> float | None:
    """How many times fewer MACs."""
    if "error" in document or not document["before"]["macs"] or not document["after"]["macs"]:
        return None
    return float(document["before"]["macs"] / document["after"]["macs"])


def _outcome(document: Mapping[str, Any]) -> Text:
    if "error" in document:
        return Text("failed", "bold red")
    if document["verify"] is None:
        return Text("not verified", "yellow")
    verdict = Verdict(document["verify"]["verdict"])
    return Text(verdict.value, STYLES[verdict])


def _mean(gains: Iterable[float | None]) -> float | None:
    known = [gain for gain in gains if gain]
    return exp(fmean(map(log, known))) if known else None
