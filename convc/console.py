"""What a person sees: tables and progress on stderr, data on stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from convc.api import Result
from convc.costs import Summary
from convc.judge import Verdict
from convc.pipeline import PassReport

STYLES = {
    Verdict.IDENTICAL: "green",
    Verdict.EQUAL: "green",
    Verdict.WITHIN_TOLERANCE: "yellow",
    Verdict.WITHIN_BUDGET: "yellow",
    Verdict.UNVERIFIED: "yellow",
    Verdict.DIFFERENT: "bold red",
}

MOST_REASONS = 8
"""Reasons listed in a summary; the JSON has all."""


def make_console() -> Console:
    """The console on stderr; rich itself looks at the terminal and at ``NO_COLOR``."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


@contextmanager
def progress(console: Console, title: str, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A spinner with the current step, only where a person looks at a terminal."""
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title)
        yield lambda step: bar.update(task, description=f"{title}: {step}")


@contextmanager
def rounds_bar(console: Console, rounds: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar over timing rounds, only where a person looks at a terminal."""
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    columns = TextColumn("timing"), BarColumn(), TextColumn("{task.completed}/{task.total} rounds")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("timing", total=rounds)
        yield lambda done: bar.update(task, completed=done)


def table(*headers: str, title: str | None = None) -> Table:
    """An empty table in convc's one style; all columns but the first are numbers."""
    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for i, header in enumerate(headers):
        made.add_column(header, justify="left" if i == 0 else "right", overflow="fold")
    return made


def human(number: float) -> str:
    """A count in at most five characters: 11.6 G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def show_result(console: Console, title: str, result: Result, target: str) -> None:
    """The summary of one optimised model: what was done, how much cheaper, how sure."""
    console.print(_costs(title, result.before, result.after))
    done = [_pass_line(report) for report in result.reports if report.stats.applied]
    for line in done or ["nothing to rewrite: the model is as it was"]:
        console.print("  " + line)
    _show_declined(console, result.reports)
    comparison = result.comparison
    if comparison is None:
        console.print("  not verified (--verify off)")
    else:
        verdict = Text(comparison.verdict.value, style=STYLES[comparison.verdict])
        figures = "same bits on every input tried"
        if not comparison.bit_identical:
            figures = (
                f"error {comparison.error:.1e} of the output's scale, "
                f"the original's own {comparison.original_error:.1e}"
            )
        console.print(Text("  ") + verdict + Text(f": {figures}"))
        for note in comparison.notes:
            console.print(Text(f"  note: {note}"))
    if target:
        console.print(Text(f"  {target}"))


def _costs(title: str, before: Summary, after: Summary) -> Table:
    made = table("", "before", "after", "", title=title)
    rows = (
        ("MACs", before.macs, after.macs),
        ("weights", before.params, after.params),
        ("weight bytes", before.weight_bytes, after.weight_bytes),
        ("peak activations, bytes", before.peak_activation_bytes, after.peak_activation_bytes),
        ("ops", before.ops, after.ops),
        ("convs", before.convs, after.convs),
    )
    for name, old, new in rows:
        change = f"{old / new:.2f}×" if new else ""
        change = "" if change == "1.00×" else change
        made.add_row(name, human(old), human(new), change)
    return made


def _pass_line(report: PassReport) -> str:
    notes = ", ".join(
        f"{note} ({count})" if count > 1 else note
        for note, count in report.stats.notes.most_common(4)
        if note
    )
    more = len([note for note in report.stats.notes if note]) - 4
    tail = f", {more} more kinds" if more > 0 else ""
    return f"{report.text}: {report.stats.applied} rewrites" + (f": {notes}{tail}" if notes else "")


def _show_declined(console: Console, reports: Sequence[PassReport]) -> None:
    listed = [
        (count, report.text, reason)
        for report in reports
        for reason, count in report.stats.declined.items()
    ]
    for count, name, reason in sorted(listed, reverse=True)[:MOST_REASONS]:
        console.print(Text(f"  left alone, {name}: {reason} ({count})", style="dim"))
    if len(listed) > MOST_REASONS:
        console.print(Text(f"  and {len(listed) - MOST_REASONS} more reasons (--json)", "dim"))


def show_timing(console: Console, reports: Sequence[PassReport]) -> None:
    """Per pass: seconds, applied, declined, ops and MACs before and after."""
    made = table("pass", "seconds", "applied", "declined", "ops", "MACs")
    for report in reports:
        stats = report.stats
        made.add_row(
            report.text,
            f"{stats.seconds:.3f}",
            str(stats.applied),
            str(stats.declined.total()),
            f"{report.before.ops} → {report.after.ops}",
            f"{human(report.before.macs or 0)} → {human(report.after.macs or 0)}",
        )
    console.print(made)
