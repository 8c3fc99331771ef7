"""The page's lists: what was rewritten and gained, what was declined and why, what passes do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from inspect import cleandoc
from itertools import islice

from convc.pipeline import Approximate, Choose, Pass, PassReport, Pipeline
from convc.report.history import Change, History, name_of
from convc.report.links import Links, Place
from convc.report.side import Side

MOST_LISTED = 60
"""Rewrites of one kind that are listed by themselves."""

MOST_PLACES = 12
"""Ops that are named where a rule declined them."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rewrite on the page.

    Attributes:
        number: its index among all rewrites.
        before: what it replaced.
        after: what it made.
        target: position of an op of the result that it led to, else None.
        source: position of an op of the original, else None.
    """

    number: int
    before: str
    after: str
    target: int | None
    source: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """The rewrites of one pass under one note.

    Attributes:
        position: of the pass in the pipeline, from 1.
        name: of the pass that proposed them.
        note: what became what.
        exactness: exact, rounding or approximate.
        count: how many there are.
        residual: the largest of their proofs; None where none was made.
        macs: MACs saved; None: not known.
        params: weights saved.
        time: seconds before and after of the places they belong to; None: not measured.
        shared: other rewrites had a part in those places.
        rows: the first of them.
    """

    position: int
    name: str
    note: str
    exactness: str
    count: int
    residual: float | None
    macs: int | None
    params: int
    time: tuple[float, float] | None
    shared: bool
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Declined:
    """A reason for which rewrites were not made.

    Attributes:
        reason: in words.
        count: how often, in all passes.
        passes: which gave it.
        places: names of the first ops that it holds for, where that is known, each with its
            position in the result, if it is still there.
        more: how many ops are not named.
    """

    reason: str
    count: int
    passes: tuple[str, ...]
    places: tuple[tuple[str, int | None], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Algebra:
    """What a pass does, in its own words."""

    name: str
    text: str


def groups(history: History, links: Links, before: Side, after: Side) -> list[Group]:
    """The applied rewrites by pass and note, in the order of the first of each."""
    found: dict[tuple[int, str, str, str], list[int]] = {}
    for number, change in enumerate(history.changes):
        key = (change.number, change.origin, change.note, change.exactness)
        found.setdefault(key, []).append(number)
    reached = _reached(links)
    return [
        _group(history.changes, numbers, links, (before, after), reached)
        for numbers in found.values()
    ]


def _group(
    changes: Sequence[Change],
    numbers: list[int],
    links: Links,
    sides: tuple[Side, Side],
    reached: dict[int, int],
) -> Group:
    before, after = sides
    members = [changes[number] for number in numbers]
    residuals = [change.residual for change in members if change.residual is not None]
    macs = [change.macs for change in members if change.macs is not None]
    where = dict.fromkeys(i for i in map(links.by_change.__getitem__, numbers) if i is not None)
    places = [links.places[i] for i in where]
    one = members[0]
    rows = [
        Row(
            number,
            _few(changes[number].region),
            became(changes[number]),
            reached.get(number),
            next((before.index[op] for op in changes[number].sources), None),
        )
        for number in numbers[:MOST_LISTED]
    ]
    return Group(
        position=one.number + 1,
        name=one.origin,
        note=one.note or "(no note)",
        exactness=one.exactness,
        count=len(members),
        residual=max(residuals, default=None),
        macs=sum(macs) if len(macs) == len(members) else None,
        params=sum(change.params for change in members),
        time=_times(places, before, after),
        shared=any(not set(place.changes) <= set(numbers) for place in places),
        rows=rows,
    )


def _reached(links: Links) -> dict[int, int]:
    """For each rewrite the first op of the result that it led to."""
    found: dict[int, int] = {}
    for i, entry in enumerate(links.after):
        for number in entry.get("ch", ()):
            found.setdefault(number, i)
    return found


def _times(places: Sequence[Place], before: Side, after: Side) -> tuple[float, float] | None:
    old = [before.seconds(op) for place in places for op in place.before]
    new = [after.seconds(op) for place in places for op in place.after]
    if all(time is None for time in (*old, *new)):
        return None
    return sum(time or 0.0 for time in old), sum(time or 0.0 for time in new)


def became(change: Change) -> str:
    """What stands in the place of what was replaced."""
    return _few([*change.made, *change.instead]) or "nothing"


def _few(labels: Sequence[str], most: int = 8) -> str:
    if len(labels) <= most:
        return ", ".join(labels)
    return f"{', '.join(labels[:most])} and {len(labels) - most} more"


def declined(reports: Sequence[PassReport], history: History, after: Side) -> list[Declined]:
    """Why rewrites were not made, the most frequent reason first."""
    counts: dict[str, int] = {}
    passes: dict[str, dict[str, None]] = {}
    named: dict[str, dict[str, None]] = {}
    for number, report in enumerate(reports):
        for reason, count in report.stats.declined.items():
            counts[reason] = counts.get(reason, 0) + count
            known = history.declined.get((number, reason))
            name = report.text.partition("{")[0].partition("(")[0]
            given = (known.passes if known is not None else ()) or (name,)
            passes.setdefault(reason, {}).update(dict.fromkeys(given))
            where = known.places if known is not None else ()
            named.setdefault(reason, {}).update(dict.fromkeys(where))
    positions = {name_of(op): i for op, i in after.index.items()}
    order = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return [
        Declined(
            reason,
            counts[reason],
            tuple(passes[reason]),
            tuple((name, positions.get(name)) for name in islice(named[reason], MOST_PLACES)),
            max(len(named[reason]) - MOST_PLACES, 0),
        )
        for reason in order
    ]


def algebra(pipeline: Pipeline, used: Set[str]) -> list[Algebra]:
    """What the passes that rewrote something say of themselves, each once.

    Args:
        pipeline: that ran.
        used: names of passes; of ``approximate`` all that it holds are told.
    """
    told = {item.name: cleandoc(type(item).__doc__ or "") for item in _all(pipeline.passes, used)}
    return [Algebra(name, _plain(text)) for name, text in told.items() if text]


def _plain(text: str) -> str:
    """A docstring without the marks of its markup."""
    return text.replace("``", "").replace("**", "")


def _all(passes: Sequence[Pass], used: Set[str]) -> Iterator[Pass]:
    for item in passes:
        if isinstance(item, Choose):
            yield from _all(item.passes, used)
        elif isinstance(item, Approximate):
            inner = {one.name for one in item.passes} if item.name in used else used
            yield from _all(item.passes, inner)
        elif item.name in used:
            yield item
