"""What a person sees: tables and progress on stderr, data on stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from convc.api import Result
from convc.costs import Summary
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

Row = tuple[str, ...]

PLAIN_ROOM, BAR_ROOM = 14, 56
"""Characters of a line that a spinner and the time take, without and with a bar."""

LONGEST_TEXT = 48
"""Characters of a pass's text in a summary; the JSON has all."""

NARROWEST = 12
"""Characters that names and words keep in any case."""

PIPE_WIDTH = 200
"""Characters in a line where nobody looks at a terminal."""

MOST_REASONS = 8
"""Reasons listed in a summary; the JSON has all."""


class _Console(Console):
    """A console that obeys nothing that comes from a model's file: names may hold escapes."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """The segments, what is not printable in their texts written out."""
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control or text.isprintable():
                yield segment
            else:
                lines = "\n".join(map(printable, text.split("\n")))
                yield Segment(lines, segment.style)


def make_console() -> Console:
    """The console on stderr; rich itself looks at the terminal and at ``NO_COLOR``."""
    return _Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def make_stdout() -> Console:
    """The console for tables that are a command's answer; plain and wide where they are piped."""
    made = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


@dataclass(frozen=True, slots=True)
class Steps:
    """What long work says of itself.

    Attributes:
        say: takes a few words on the current step.
        part: takes how much of a budget is used, from 0 to 1.
    """

    say: Callable[[str], None]
    part: Callable[[float], None]


@contextmanager
def progress(console: Console, title: str, quiet: bool) -> Iterator[Steps]:
    """A spinner with the current step, only where a person looks at a terminal.

    Where a budget is being used a bar shows how much of it.
    """
    if quiet or not console.is_terminal:
        yield Steps(lambda _: None, lambda _: None)
        return
    with_bar = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    plain = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*plain, console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0)

        def show(step: str, room: int) -> None:
            bar.update(task, description=shorten_end(f"{title}: {step}", console.width - room))

        step = ""

        def say(text: str) -> None:
            nonlocal step
            step = text
            bar.columns = plain
            show(step, PLAIN_ROOM)

        def part(used: float) -> None:
            bar.columns = with_bar
            show(step, BAR_ROOM)
            bar.update(task, completed=used)

        yield Steps(say, part)


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
    made = Table(
        title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold",
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for i, header in enumerate(headers):
        made.add_column(header, justify="left" if i == 0 else "right", overflow="fold")
    return made


def show_rows(
    console: Console, made: Table, rows: Sequence[Row], top: int, rest: Callable[[int], str]
) -> None:
    """A table of the first ``top`` rows (0: all) and how many are left out.

    The figures are never broken: what does not fit is taken from the names in the first column,
    and from the words in the last one where these are aligned to the left.

    Args:
        console: where to.
        made: the table without rows.
        rows: all rows; the first cell is an op's kind and name.
        top: how many to show.
        rest: what those after so many make together, in words.
    """
    shown = rows if not top else rows[:top]
    first, last = made.columns[0], made.columns[-1]
    has_words = last is not first and last.justify == "left"
    figures = range(1, len(made.columns) - has_words)
    for i in figures:
        made.columns[i].no_wrap = True
    heads = [str(column.header) for column in made.columns]
    taken = sum(max(len(heads[i]), *(len(row[i]) for row in shown), 0) for i in figures)
    # The box takes two characters a column and one more.
    room = max(console.width - taken - 2 * len(made.columns) - 1, NARROWEST)
    words = max((len(row[-1]) for row in shown), default=0) if has_words else 0
    names = max(room - min(words, room // 2), NARROWEST)
    first.no_wrap = True
    for row in shown:
        made.add_row(shorten(row[0], names), *row[1:])
    # Where not even that fits, the terminal wraps the lines: better than half a figure.
    needed = taken + NARROWEST * (1 + has_words) + 2 * len(made.columns) + 1
    with _at_least(console, needed):
        console.print(made)
    left = len(rows) - len(shown)
    if left:
        console.print(Text(f"  and {left} more{rest(len(shown))} (--top 0: all)", "dim"))


@contextmanager
def _at_least(console: Console, width: int) -> Iterator[None]:
    before = console.width
    console.width = max(before, width)
    try:
        yield
    finally:
        console.width = before


def shorten(text: str, width: int) -> str:
    """A text of at most ``width`` characters: its first word and its end stay.

    Names of ops share their beginnings.
    """
    if len(text) <= width:
        return text
    kind, _, name = text.partition(" ")
    room = width - len(kind) - 2
    return f"{kind} …{name[-room:]}" if room > 3 else text[: width - 1] + "…"


def shorten_end(text: str, width: int) -> str:
    """A text of at most ``width`` characters; what is too much goes from its end."""
    width = max(width, NARROWEST)
    return text if len(text) <= width else text[: width - 1] + "…"


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
    _show_approximation(console, result)
    _show_clock(console, result)
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


def _show_clock(console: Console, result: Result) -> None:
    """How much faster, how sure, and what the clock was asked for it."""
    if result.measured is not None and result.measured.ratio.ratio != 1.0:
        found = result.measured.ratio
        style = "green" if result.measured.faster else "yellow"
        line = Text("  ") + Text(f"{found.ratio:.2f}× as fast", style=style)
        console.print(
            line + f" (95 %: {found.low:.2f} to {found.high:.2f}): "
            f"{1e3 * result.measured.before:.2f} → {1e3 * result.measured.after:.2f} ms"
        )
    if result.tuning is not None:
        asked = f"{result.tuning.timed} comparisons timed"
        if result.tuning.remembered:
            asked += f", {result.tuning.remembered} remembered"
        console.print(Text(f"  {asked}, {result.tuning.seconds:.0f} s", style="dim"))
        for note in result.tuning.notes:
            console.print(Text(f"  note: {note}"))


def _show_approximation(console: Console, result: Result) -> None:
    """What was given up, for how much, and on what data."""
    found = result.approximation
    if found is None:
        return
    metric = found.allowed.metric
    if found.forms:
        spent = f"{len(found.forms)} layers approximated, {found.seconds:.0f} s: "
        spent += f"{metric.name} {metric.show(found.value)}, allowed {found.allowed}"
        console.print(Text(f"  {spent}", style="yellow"))
    console.print(Text(f"  {found.data}", style="yellow" if found.made_up else "dim"))
    for note in found.notes:
        console.print(Text(f"  note: {note}"))


def _pass_line(report: PassReport) -> str:
    notes = ", ".join(
        f"{note} ({count})" if count > 1 else note
        for note, count in report.stats.notes.most_common(4)
        if note
    )
    more = len([note for note in report.stats.notes if note]) - 4
    tail = f", {more} more kinds" if more > 0 else ""
    done = f"{_short(report.text)}: {report.stats.applied} rewrites"
    return done + (f": {notes}{tail}" if notes else "")


def _short(text: str) -> str:
    """A pass's text; of a long one its name only."""
    name, bracket, _ = text.partition("(" if text.startswith("choose(") else "{")
    return (
        text if len(text) <= LONGEST_TEXT else f"{name}{bracket}…{')' if bracket == '(' else '}'}"
    )


def _show_declined(console: Console, reports: Sequence[PassReport]) -> None:
    listed = [
        (count, _short(report.text), reason)
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
