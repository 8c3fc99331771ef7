"""The top of the page: what a person reads first, in words and a few figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from convc.analysis import Cost
from convc.api import Result
from convc.check import Comparison
from convc.console import duration, human
from convc.costs import Summary
from convc.judge import Verdict
from convc.report.rows import Group

MOST_TOLD = 4
"""Kinds of rewrites that are named."""

MEANING = {
    Verdict.IDENTICAL: "the outputs are the original's, bit by bit",
    Verdict.EQUAL: "the outputs differ from the original's by no more than rounding does",
    Verdict.WITHIN_TOLERANCE: "the outputs differ by more than rounding, within the tolerance",
    Verdict.WITHIN_BUDGET: "approximate on purpose, within the error that was allowed",
    Verdict.UNVERIFIED: "the models could not be compared, so nothing is known",
    Verdict.DIFFERENT: "the outputs differ: the result was not written",
}

SIGNS = {Verdict.UNVERIFIED: "?", Verdict.DIFFERENT: "✗"}


@dataclass(frozen=True, slots=True)
class Headline:
    """The first lines.

    Attributes:
        gain: how much was gained, in a few words.
        detail: its interval, or the counts.
        done: what was done, in a sentence.
        sign: of the verdict: a tick, a question mark or a cross.
        verdict: its name; "" where there is none to give.
        sure: how sure that is, in sentences.
        good: whether the result may replace the original.
    """

    gain: str
    detail: str
    done: str
    sign: str = ""
    verdict: str = ""
    sure: tuple[str, ...] = ()
    good: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table of totals: texts."""

    name: str
    before: str
    after: str = ""
    ratio: str = ""


def headline(result: Result, groups: Sequence[Group]) -> Headline:
    """The first lines on a rewritten model."""
    gain, detail = _gain(result)
    sign, verdict, sure = _verdict(result)
    return Headline(
        gain,
        detail,
        _done(groups),
        sign,
        verdict,
        (*sure, *_proved(result)),
        result.verdict.good,
    )


def cost_headline(cost: Cost) -> Headline:
    """The first lines on one model."""
    report = cost.report
    profile = None if cost.clock is None else cost.clock.profile
    detail = f"{human(len(report.ops))} ops, {human(report.params)} weights"
    changes = "" if cost.what_if is None else "What if: " + ", ".join(cost.what_if.changes) + "."
    if profile is None:
        return Headline(f"{human(report.macs)} MACs", detail, changes)
    gain = f"{duration(profile.wall_seconds)} a run"
    return Headline(gain, f"{human(report.macs)} MACs, {detail}", changes)


def totals(result: Result) -> list[Figure]:
    """The counts of both models."""
    found = [] if result.measured is None else [_latency(result)]
    rows = (
        ("MACs", "macs"),
        ("Weights", "params"),
        ("Weight bytes", "weight_bytes"),
        ("Peak activation bytes", "peak_activation_bytes"),
        ("Ops", "ops"),
        ("Convolutions", "convs"),
    )
    return [*found, *(_figure(result.before, result.after, *row) for row in rows)]


def cost_totals(cost: Cost) -> list[Figure]:
    """The counts of one model."""
    report = cost.report
    found = [
        Figure("MACs", human(report.macs)),
        Figure("Weights", human(report.params)),
        Figure("Weight bytes", human(report.weight_bytes)),
        Figure("Peak activation bytes", human(report.memory.file_peak)),
        Figure("Peak in the best order found", human(report.memory.best_peak)),
        Figure("Ops", human(len(report.ops))),
    ]
    if cost.clock is not None:
        found.append(Figure("Sum of the least times", duration(cost.clock.bound_seconds)))
        profile = cost.clock.profile
        if profile is not None:
            found.append(Figure("Measured: a run", duration(profile.wall_seconds)))
            found.append(Figure("Measured: all kernels", duration(profile.total_seconds)))
    return found


def _figure(before: Summary, after: Summary, name: str, key: str) -> Figure:
    old, new = getattr(before, key), getattr(after, key)
    return Figure(name, human(old), human(new), _times(old, new))


def _latency(result: Result) -> Figure:
    assert result.measured is not None
    found = result.measured
    return Figure(
        "Time of a run", duration(found.before), duration(found.after),
        f"{found.ratio.ratio:.2f}× as fast",
    )  # fmt: skip


def _times(old: float, new: float) -> str:
    if old == new:
        return "the same"
    return f"÷ {old / new:.2f}" if new and old >= new else f"× {new / old:.2f}" if old else ""


def _gain(result: Result) -> tuple[str, str]:
    found = result.measured
    if found is not None and found.ratio.ratio != 1:
        interval = f"95 %: {found.ratio.low:.2f} to {found.ratio.high:.2f}"
        before, after = duration(found.before), duration(found.after)
        return f"{found.ratio.ratio:.2f}× as fast", f"{interval}; {before} → {after}"
    old, new = result.before, result.after
    counts = f"{human(old.macs)} → {human(new.macs)} MACs, {human(old.ops)} → {human(new.ops)} ops"
    if found is not None:
        return "Left as it was", "no gain is clear on the clock"
    if old.macs > new.macs and new.macs:
        return f"{old.macs / new.macs:.2f}× fewer MACs", f"{counts}; not timed"
    fewer = old.ops - new.ops
    if fewer > 0:
        return f"{fewer} op{'s' if fewer > 1 else ''} fewer", f"{counts}; not timed"
    return "No fewer MACs", f"{counts}; not timed"


def _done(groups: Sequence[Group]) -> str:
    count = sum(group.count for group in groups)
    if not count:
        return "Nothing was rewritten."
    by_note: dict[str, int] = {}
    for group in groups:
        by_note[group.note] = by_note.get(group.note, 0) + group.count
    order = sorted(by_note, key=lambda note: -by_note[note])
    told = [f"{note} ({by_note[note]})" for note in order[:MOST_TOLD]]
    more = len(order) - len(told)
    tail = f"; and {more} more kinds" if more > 1 else "; and one more kind" if more else ""
    number = "One rewrite" if count == 1 else f"{count:,} rewrites"
    return f"{number}: {'; '.join(told)}{tail}."


def _verdict(result: Result) -> tuple[str, str, tuple[str, ...]]:
    found = result.comparison
    if found is None:
        return "?", "not compared", ("Nothing was compared (--verify off).",)
    verdict = found.verdict
    told = [f"{_sentence(MEANING[verdict])}{_loss(result)}.", *_errors(found)]
    if result.culprit:
        told.append(f"At fault: {result.culprit}.")
    return SIGNS.get(verdict, "✓"), verdict.value, tuple(told)


def _loss(result: Result) -> str:
    """The error of what was approximated, as the user's metric has it."""
    found = result.approximation
    if found is None or not found.forms:
        return ""
    metric = found.allowed.metric
    return f": {metric.name} {metric.show(found.value)}, allowed {found.allowed}"


def _errors(found: Comparison) -> list[str]:
    told: list[str] = []
    # Of an approximate model they are those of its exact passes alone.
    untold = (Verdict.IDENTICAL, Verdict.UNVERIFIED, Verdict.WITHIN_BUDGET)
    if found.verdict not in untold and isfinite(found.error):
        told.append(
            f"Largest error against float64: {found.error:.1e} of the output's scale "
            f"(the original's own: {found.original_error:.1e}); "
            f"largest difference between the two models: {found.max_rel:.1e}."
        )
    if found.cases:
        number = len(found.cases)
        told.append(f"Compared on {number} set{'s' if number > 1 else ''} of inputs.")
    return told


def _proved(result: Result) -> tuple[str, ...]:
    residuals = [r.stats.residual for r in result.reports if r.stats.residual is not None]
    if not residuals:
        return ()
    return (
        "Each rewrite was proved by itself in float64; "
        f"largest residual: {max(residuals):.1e} of its channel's scale.",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
