"""Orders in which a graph can run, and the memory each needs.

Finding the order of least peak is NP-hard on general graphs, so the best of several is taken, part
by part: an op that all others come before or after (every order passes it, with the same values
alive) cuts the graph in two that can be ordered apart. A part keeps the file's order unless

- greedy choice among the ready ops (least growth first, least need first), forwards or, on the
  reversed part, backwards,
- depth first with the operand of the largest need first (Sethi and Ullman, The generation of
  optimal code for arithmetic expressions, J. ACM 17, 1970, which is optimal on trees),
- or a search over the sets of ops that have run (`convc.costs.memory.search`), exact on small
  parts and on long ones with few branches,

needs less. What is alive between two ops depends only on the set of those that have run, which is
why the search may forget how it came there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from convc.costs.memory.liveness import Liveness
from convc.costs.memory.search import least_peak

SEARCH = 200_000
"""Steps that the search may take on a graph, an op tried being one: about 0.2 s."""
SEARCHED_OPS = 1000
"""Ops of a part above which there is no search."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Bytes alive while each op of an order runs, and after it."""

    during: list[int]
    after: list[int]


@dataclass(frozen=True, slots=True)
class Part:
    """The ops ``start`` to ``stop`` of the file's order, before and after which all others run.

    ``alive`` is what lives before the first of them, ``peak`` the most in the file's order, in
    bytes.
    """

    start: int
    stop: int
    alive: int
    peak: int


def steps(live: Liveness, order: Sequence[int], start: int = 0, alive: int | None = None) -> Steps:
    """Runs ``order``: all ops, or those of a part that starts at ``start`` with ``alive`` bytes."""
    now = live.held if alive is None else alive
    left = _left(live, order, start)
    sizes = live.sizes
    found = Steps([], [])
    for op in order:
        made = sum(sizes[b] for b in live.makes[op])
        place = live.place[op]
        shared = sizes[place] if place >= 0 and left[place] == 1 else 0
        found.during.append(now + made - shared)
        now += made
        for buffer in live.reads[op]:
            left[buffer] -= 1
            if not left[buffer]:
                now -= sizes[buffer]
        for buffer in live.makes[op]:
            if not left[buffer]:
                now -= sizes[buffer]
        found.after.append(now)
    return found


def lower_bound(live: Liveness) -> int:
    """Bytes below which no order's peak lies.

    An op's operands and results live together, and so do all outputs in the end.
    """
    sizes = live.sizes
    outputs = sum(size for size, kept in zip(sizes, live.kept, strict=True) if kept)
    needs = [
        sum(sizes[b] for b in (*reads, *makes)) - (sizes[place] if place >= 0 else 0)
        for reads, makes, place in zip(live.reads, live.makes, live.place, strict=True)
    ]
    return live.held + max(outputs, max(needs, default=0))


def best_order(live: Liveness) -> list[int]:
    """The best order found; its peak is never above the file's."""
    order = list(range(len(live.ops)))
    # What one part needs at the least, the others may need for nothing.
    floor = lower_bound(live)
    budget = SEARCH
    for part in sorted(parts(live), key=lambda part: -part.peak):
        if part.peak <= floor:
            break
        best, peak, spent = _best_of_part(live, part, floor, budget)
        order[part.start : part.stop] = best
        floor = max(floor, peak)
        budget -= spent
    return order


def parts(live: Liveness) -> Iterator[Part]:
    """The graph cut at the ops that all others come before or after."""
    count = len(live.ops)
    ahead = _alone(live.producers, live.users, range(count))
    behind = _alone(live.users, live.producers, range(count - 1, -1, -1))
    found = steps(live, range(count))
    cuts = [i + 1 for i in range(count) if ahead[i] and behind[i]]
    start = 0
    for stop in dict.fromkeys([*cuts, count]):
        if stop > start:
            alive = found.after[start - 1] if start else live.held
            yield Part(start, stop, alive, max(found.during[start:stop]))
        start = stop


def _alone(
    waits_for: Sequence[Sequence[int]], frees: Sequence[Sequence[int]], order: Sequence[int]
) -> list[bool]:
    """For each op, whether no other could run in its stead when its turn in ``order`` comes."""
    waiting = [len(others) for others in waits_for]
    ready = sum(not w for w in waiting)
    alone = [False] * len(waiting)
    for op in order:
        alone[op] = ready == 1
        ready -= 1
        for other in frees[op]:
            waiting[other] -= 1
            ready += not waiting[other]
    return alone


def _best_of_part(
    live: Liveness, part: Part, floor: int, budget: int
) -> tuple[list[int], int, int]:
    """The best order of a part, its peak, and the steps the search took of its ``budget``."""
    best, peak = list(range(part.start, part.stop)), part.peak
    for heuristic in HEURISTICS:
        order = heuristic(live, part)
        found = max(steps(live, order, part.start, part.alive).during)
        if found < peak:
            best, peak = order, found
        if peak <= floor:
            return best, peak, 0
    if part.stop - part.start > SEARCHED_OPS:
        return best, peak, 0
    searched, spent = least_peak(
        live, range(part.start, part.stop), part.alive, floor=floor, below=peak, budget=budget
    )
    if searched is None:
        return best, peak, spent
    return searched, max(steps(live, searched, part.start, part.alive).during), spent


def _left(live: Liveness, order: Sequence[int], start: int) -> dict[int, int]:
    """For each buffer that ``order`` touches, how many of its readers come at ``start`` or later.

    The caller, who gets the outputs, is one of the readers.
    """
    touched = {b for op in order for b in (*live.reads[op], *live.makes[op])}
    return {
        b: len(live.readers[b]) - bisect_left(live.readers[b], start) + live.kept[b]
        for b in touched
    }


def _growth_first(live: Liveness, part: Part) -> list[int]:
    return _greedy(live, part, lambda grows, needs: (grows, needs))


def _need_first(live: Liveness, part: Part) -> list[int]:
    return _greedy(live, part, lambda grows, needs: (needs, grows))


def _shrink_first(live: Liveness, part: Part) -> list[int]:
    """What frees at least what it makes comes first; else the least need."""
    return _greedy(live, part, lambda grows, needs: (min(grows, 1), grows if grows <= 0 else needs))


def _greedy(live: Liveness, part: Part, key: Callable[[int, int], tuple[int, int]]) -> list[int]:
    """Runs, of the ready ops, the one whose growth and need have the least ``key``."""
    inside = range(part.start, part.stop)
    left = _left(live, inside, part.start)
    sizes = live.sizes

    def score(op: int) -> tuple[int, int]:
        made = sum(sizes[b] for b in live.makes[op])
        freed = sum(sizes[b] for b in live.reads[op] if left[b] == 1)
        freed += sum(sizes[b] for b in live.makes[op] if not left[b])
        place = live.place[op]
        shared = sizes[place] if place >= 0 and left[place] == 1 else 0
        return key(made - freed, made - shared)

    waiting = {op: sum(other >= part.start for other in live.producers[op]) for op in inside}
    done: set[int] = set()
    heap = [(score(op), op) for op in inside if not waiting[op]]
    heap.sort()
    order: list[int] = []
    while heap:
        _, op = heappop(heap)
        if op in done:
            continue
        done.add(op)
        order.append(op)
        for buffer in live.reads[op]:
            left[buffer] -= 1
            if left[buffer] != 1 or live.kept[buffer]:
                continue
            # The last reader now frees it: its entry in the heap is out of date.
            last = next(r for r in live.readers[buffer] if r >= part.start and r not in done)
            if last < part.stop and not waiting[last]:
                heappush(heap, (score(last), last))
        for user in live.users[op]:
            if user >= part.stop:
                continue
            waiting[user] -= 1
            if not waiting[user]:
                heappush(heap, (score(user), user))
    return order


def _backwards(live: Liveness, part: Part) -> list[int]:
    """Greedy from the end: next to last comes what, run backwards, leaves the least alive.

    Backwards, an op gives its results back and brings those of its operands to life that no later
    op reads.
    """
    inside = range(part.start, part.stop)
    sizes = live.sizes
    alive = {
        b
        for op in inside
        for b in (*live.makes[op], *live.reads[op])
        if live.kept[b] or (live.readers[b] and live.readers[b][-1] >= part.stop)
    }

    def score(op: int) -> tuple[int, int]:
        brought = sum(sizes[b] for b in live.reads[op] if b not in alive)
        made = sum(sizes[b] for b in live.makes[op])
        return brought - made, brought

    waiting = {op: sum(user < part.stop for user in live.users[op]) for op in inside}
    done: set[int] = set()
    heap = [(score(op), -op) for op in inside if not waiting[op]]
    heap.sort()
    order: list[int] = []
    while heap:
        _, negative = heappop(heap)
        op = -negative
        if op in done:
            continue
        done.add(op)
        order.append(op)
        for buffer in live.reads[op]:
            if buffer in alive:
                continue
            alive.add(buffer)
            for reader in live.readers[buffer]:
                if reader in waiting and reader not in done and not waiting[reader]:
                    heappush(heap, (score(reader), -reader))
        for other in live.producers[op]:
            if other < part.start:
                continue
            waiting[other] -= 1
            if not waiting[other]:
                heappush(heap, (score(other), -other))
    return order[::-1]


def _depth_first(live: Liveness, part: Part) -> list[int]:
    """Operands first, the one with the largest need before the others."""
    inside = range(part.start, part.stop)
    sizes = live.sizes
    needs: dict[int, int] = {}
    gives: dict[int, int] = {}
    operands: dict[int, list[int]] = {}
    for op in inside:
        mine = [other for other in live.producers[op] if other >= part.start]
        mine.sort(key=lambda other: gives[other] - needs[other])
        operands[op] = mine
        gives[op] = sum(sizes[b] for b in live.makes[op])
        held = need = 0
        for other in mine:
            need = max(need, held + needs[other])
            held += gives[other]
        needs[op] = max(need, held + gives[op])
    ends = [op for op in inside if all(user >= part.stop for user in live.users[op])]
    ends.sort(key=lambda op: gives[op] - needs[op])
    order: list[int] = []
    opened: set[int] = set()
    stack = ends[::-1]
    while stack:
        op = stack.pop()
        if op < 0:
            order.append(~op)
        elif op not in opened:
            opened.add(op)
            stack.append(~op)
            stack.extend(other for other in reversed(operands[op]) if other not in opened)
    return order


HEURISTICS: tuple[Callable[[Liveness, Part], list[int]], ...] = (
    _growth_first,
    _depth_first,
    _backwards,
    _need_first,
    _shrink_first,
)
