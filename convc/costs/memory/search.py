"""Orders of low peak of a part of a graph, by a search that is exact where it can afford to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from typing import TypeAlias

from convc.costs.memory.liveness import Liveness

WIDER = 4
"""How many times more sets are followed in the next round."""

Sharer: TypeAlias = tuple[int, int]
"""Bytes of a buffer that an op reads, and the set of the part's other ops that read it."""


@dataclass(frozen=True, slots=True)
class _Problem:
    """A part with its ops numbered from 0; sets of ops are integers, a bit an op.

    Attributes:
        waits_for: for each op, the set of ops it waits for.
        users: for each op, the ops that wait for it.
        made: for each op, bytes of its results.
        dead: for each op, bytes of results that nobody reads.
        frees: for each op, the buffers it reads that nothing outside the part needs.
        place: for each op, the buffer it may write over.
    """

    waits_for: list[int]
    users: list[list[int]]
    made: list[int]
    dead: list[int]
    frees: list[list[Sharer]]
    place: list[Sharer | None]

    def needs(self, op: int, done: int) -> int:
        """Bytes that come on top of what is alive while ``op`` runs after ``done``."""
        place = self.place[op]
        shared = place[0] if place is not None and place[1] & done == place[1] else 0
        return self.made[op] - shared

    def grows(self, op: int, done: int) -> int:
        """Bytes by which ``op`` changes what is alive."""
        freed = sum(size for size, others in self.frees[op] if others & done == others)
        return self.made[op] - self.dead[op] - freed


@dataclass(frozen=True, slots=True)
class _State:
    """What has run, what can run next, what is alive now, and how it came about."""

    done: int
    ready: int
    alive: int
    ran: tuple[int, ...]
    before: _State | None

    def order(self) -> list[int]:
        """All ops that have run."""
        found: list[tuple[int, ...]] = []
        state: _State | None = self
        while state is not None:
            found.append(state.ran)
            state = state.before
        return [op for ran in reversed(found) for op in ran]


def least_peak(
    live: Liveness, part: range, alive: int, *, floor: int, below: int, budget: int
) -> tuple[list[int] | None, int]:
    """An order of low peak of the ops in ``part``, and the steps it took to find.

    A search over the sets of ops that have run, op by op. Of the sets of one length only those that
    leave least alive are followed, more of them each time; once none had to be dropped the order is
    the best there is. An op that needs no more than was needed already and leaves no more alive
    than it found is run at once: having run it sooner makes no later op need more.

    Args:
        live: the graph.
        part: the ops; all before them have run, none after them.
        alive: bytes alive at the start.
        floor: a peak that need not be undercut.
        below: a peak that has to be undercut.
        budget: steps that may be taken, an op tried being one.

    Returns None for the order where none below ``below`` was found.
    """
    problem = _problem(live, part.start, part.stop)
    sources = sum(1 << op for op, others in enumerate(problem.waits_for) if not others)
    first, spent = _run_free(problem, _State(0, sources, alive, (), None), floor)
    best: list[int] | None = None
    width = 1
    while spent < budget and floor < below:
        found = _beam(problem, first, floor=floor, below=below, width=width, budget=budget - spent)
        spent += found.spent
        below = found.peak
        if found.end is not None:
            best = [part.start + op for op in found.end.order()]
        if not found.dropped:
            break
        width *= WIDER
    return best, spent


@dataclass(frozen=True, slots=True)
class _Found:
    """What a beam found: the end of the best order, its peak; whether sets were dropped."""

    end: _State | None
    peak: int
    dropped: bool
    spent: int


def _beam(
    problem: _Problem, first: _State, *, floor: int, below: int, width: int, budget: int
) -> _Found:
    everything = (1 << len(problem.made)) - 1
    if first.done == everything:
        return _Found(first, floor, False, 0)
    end: _State | None = None
    spent = 0
    dropped = False
    front = [(floor, first)]
    while front and spent < budget:
        reached: dict[int, tuple[int, _State]] = {}
        for peak, state in front:
            for op in _members(state.ready):
                spent += 1
                needed = max(peak, state.alive + problem.needs(op, state.done))
                if needed >= below:
                    continue
                after, tried = _run_free(problem, _ran(problem, state, op), needed)
                spent += tried
                if after.done == everything:
                    end, below = after, needed
                elif after.done not in reached or needed < reached[after.done][0]:
                    reached[after.done] = needed, after
        front = [entry for entry in reached.values() if entry[0] < below]
        if len(front) > width:
            dropped = True
            front = nsmallest(width, front, key=lambda entry: (entry[1].alive, entry[0]))
    return _Found(end, below, dropped or bool(front), spent)


def _ran(problem: _Problem, state: _State, op: int) -> _State:
    done, ready = _after(problem, op, state.done, state.ready)
    return _State(done, ready, state.alive + problem.grows(op, state.done), (op,), state)


def _run_free(problem: _Problem, state: _State, peak: int) -> tuple[_State, int]:
    """Runs what raises neither the peak nor what is alive; also says how many ops were tried."""
    done, ready, alive, ran = state.done, state.ready, state.alive, list(state.ran)
    tried = 0
    untried = ready
    while untried:
        op = (untried & -untried).bit_length() - 1
        untried &= untried - 1
        tried += 1
        grows = problem.grows(op, done)
        if grows > 0 or alive + problem.needs(op, done) > peak:
            continue
        done, ready = _after(problem, op, done, ready)
        alive += grows
        ran.append(op)
        untried = ready
    return _State(done, ready, alive, tuple(ran), state.before), tried


def _after(problem: _Problem, op: int, done: int, ready: int) -> tuple[int, int]:
    """The ops that have run and those that can run next, once ``op`` has."""
    done |= 1 << op
    ready &= ~(1 << op)
    for user in problem.users[op]:
        waits_for = problem.waits_for[user]
        if waits_for & done == waits_for:
            ready |= 1 << user
    return done, ready


def _members(ops: int) -> Iterator[int]:
    while ops:
        yield (ops & -ops).bit_length() - 1
        ops &= ops - 1


def _problem(live: Liveness, start: int, stop: int) -> _Problem:
    inside = range(start, stop)
    sizes = live.sizes

    def set_of(ops: Iterable[int]) -> int:
        return sum(1 << (op - start) for op in ops if op >= start)

    def sharer(buffer: int, op: int) -> Sharer:
        return sizes[buffer], set_of(other for other in live.readers[buffer] if other != op)

    def ends_inside(buffer: int) -> bool:
        return not live.kept[buffer] and live.readers[buffer][-1] < stop

    return _Problem(
        waits_for=[set_of(live.producers[op]) for op in inside],
        users=[[user - start for user in live.users[op] if user < stop] for op in inside],
        made=[sum(sizes[b] for b in live.makes[op]) for op in inside],
        dead=[
            sum(sizes[b] for b in live.makes[op] if not live.readers[b] and not live.kept[b])
            for op in inside
        ],
        frees=[[sharer(b, op) for b in live.reads[op] if ends_inside(b)] for op in inside],
        place=[
            sharer(live.place[op], op)
            if live.place[op] >= 0 and ends_inside(live.place[op])
            else None
            for op in inside
        ],
    )
