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

from convc.text import printable

Row = tuple[str, ...]

BAR = 20
PLAIN_ROOM, BAR_ROOM = 14, 14 + BAR + 1
"""Characters of a line that a spinner and the time take, without and with a bar."""

NARROWEST = 12
"""Characters that names and words keep in any case."""

PIPE_WIDTH = 200
"""Characters in a line where nobody looks at a terminal."""


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


def is_watched(console: Console) -> bool:
    """True where something may move: at a terminal that can, whatever ``FORCE_COLOR`` says."""
    return console.is_interactive and console.file.isatty()


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
    if quiet or not is_watched(console):
        yield Steps(lambda _: None, lambda _: None)
        return
    spinner = SpinnerColumn("dots" if console.encoding.startswith("utf") else "line")
    with_bar = spinner, TextColumn("{task.description}"), BarColumn(BAR), TimeElapsedColumn()
    plain = spinner, TextColumn("{task.description}"), TimeElapsedColumn()
    title = shorten_end(title, console.width // 3)
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
    if quiet or not is_watched(console):
        yield lambda _: None
        return
    columns = TextColumn("timing"), BarColumn(), TextColumn("{task.completed}/{task.total} rounds")
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("timing", total=rounds)
        yield lambda done: bar.update(task, completed=done)


def hanging(console: Console, head: Text, text: Text) -> None:
    """A text behind its head: on a terminal its further lines are indented as far as the first."""
    indent = head.cell_len
    width = max(console.width - indent, NARROWEST)
    lines = text.wrap(console, width) if console.is_terminal else [text]
    for number, line in enumerate(lines):
        line.rstrip()
        console.print(Text.assemble(Text(" " * indent) if number else head, line))


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


def duration(seconds: float) -> str:
    """A time in milliseconds, or microseconds where it is short: 1.23 ms, 1,230 ms."""
    number, unit = (seconds * 1e3, "ms") if seconds >= 1e-4 else (seconds * 1e6, "µs")
    # Three digits, without the exponent that they have from 1,000 up.
    return f"{float(f'{number:.3g}'):,g} {unit}"


def human(number: float) -> str:
    """A count in at most five characters: 11.6 G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"
