"""What checkpoints would make of a training step: less memory, part of the forward pass twice.

Chen, Xu, Zhang & Guestrin (2016), "Training deep nets with sublinear memory cost", section 4:
the forward pass is cut into blocks where one value is all that later ops read, and keeps only these
values. Before a block goes backward, what its backward pass reads is computed again from the value
at its border; the last block still has it. Ops that lead to nothing that is read do not run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from convc.costs.training.tape import Played, Tape, play
from convc.ir import INPUT, Op

SEARCHED = 24
"""Block sizes that are estimated."""

PLAYED = 3
"""Of these the most promising, which are played through."""

MOVES = 8
"""Places to which a cut is moved, the nearest first."""

STEPS = 100_000
"""Ops that are played through while the best of them is improved: a large graph is not."""

Cut = tuple[int, int]
"""The op after which a block ends, and the value at its border, by number."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One training step with or without checkpoints.

    Attributes:
        name: "none", "every block" (as many blocks as possible) or "best found" (fewest bytes).
        blocks: into how many blocks the forward pass is cut.
        kept_bytes: of the forward pass, kept from there for the backward pass.
        peak_bytes: the most that activations and their gradients take at once.
        recomputed_ops: ops that run forward a second time.
        recomputed_macs: their MACs.
    """

    name: str
    blocks: int
    kept_bytes: int
    peak_bytes: int
    recomputed_ops: int
    recomputed_macs: int


def plans(tape: Tape, macs: Mapping[Op, int]) -> tuple[Plan, ...]:
    """The step without checkpoints, with all of them, and with the best choice found.

    Args:
        tape: the training step.
        macs: forward MACs of each op; ops that are not in it have none.
    """
    every = cut_points(tape)
    none = _plan("none", tape, (), macs, play(tape))
    if not any(tape.backward):
        return (none,)
    tried = [_plan("every block", tape, every, macs, play(tape, every))]
    found = min(_search(tape, every), key=lambda cuts: play(tape, cuts).peak)
    cuts = _improved(tape, every, found, STEPS // len(tape.ops))
    tried.append(_plan("best found", tape, cuts, macs, play(tape, cuts)))
    best = min([none, *tried], key=lambda p: (p.peak_bytes, p.recomputed_macs, p.blocks))
    return none, tried[0], replace(best, name="best found")


def cut_points(tape: Tape) -> list[Cut]:
    """Where one value is all that later ops read of what the ops before have made.

    Inputs and outputs of the graph are there in any case and do not count. Nothing is cut before
    the first op that goes backward.
    """
    born, dies = ([-1] * len(tape.sizes) for _ in range(2))
    for op, (kind, reads, makes) in enumerate(
        zip((o.kind for o in tape.ops), tape.reads, tape.makes, strict=True)
    ):
        for value in makes:
            born[value] = -1 if kind == INPUT else op
        for value in reads if op < len(tape.ops) - 1 else ():
            dies[value] = op
    alive, numbers = [0] * (len(tape.ops) + 1), [0] * (len(tape.ops) + 1)
    for value, (begin, end) in enumerate(zip(born, dies, strict=True)):
        if 0 <= begin < end:
            alive[begin] += 1
            alive[end] -= 1
            numbers[begin] += value
            numbers[end] -= value
    cuts: list[Cut] = []
    start = next((op for op, buffers in enumerate(tape.backward) if buffers), len(tape.ops))
    for op, (lonely, value) in enumerate(zip(accumulate(alive), accumulate(numbers), strict=True)):
        if lonely == 1 and op >= start and (not cuts or cuts[-1][1] != value):
            cuts.append((op, value))
    return cuts


def _search(tape: Tape, every: Sequence[Cut]) -> list[list[Cut]]:
    """The most promising choices among ``every``, each with blocks that keep about as much."""
    kept = [0] * len(tape.ops)
    values = {value for values in tape.keeps for value in values}
    for op, (makes, extra) in enumerate(zip(tape.makes, tape.extra, strict=True)):
        kept[op] = extra + sum(tape.sizes[value] for value in makes if value in values)
    before = [0, *accumulate(kept)]
    choices: dict[tuple[Cut, ...], int] = {}
    for tries in range(1, SEARCHED + 1):
        cuts = _blocks(every, before, before[-1] * (1 / 2) ** (tries / 2))
        ends = [0, *(op + 1 for op, _ in cuts), len(tape.ops)]
        largest = max(before[b] - before[a] for a, b in pairwise(ends))
        choices[tuple(cuts)] = largest + sum(tape.sizes[value] for _, value in cuts)
    return [list(cuts) for cuts in sorted(choices, key=lambda c: choices[c])[:PLAYED]]


def _improved(tape: Tape, every: Sequence[Cut], cuts: Sequence[Cut], plays: int) -> Sequence[Cut]:
    """Cuts left out, added and moved while that lowers the peak, with so many trials at most."""
    best, peak = frozenset(cuts), play(tape, cuts).peak
    is_better = True
    while is_better:
        is_better = False
        for changed in _neighbours(every, best):
            if plays <= 0:
                return sorted(best)
            plays -= 1
            now = play(tape, sorted(changed)).peak
            if now < peak:
                best, peak, is_better = changed, now, True
                break
    return sorted(best)


def _neighbours(every: Sequence[Cut], cuts: frozenset[Cut]) -> Iterator[frozenset[Cut]]:
    """One cut moved to another place, one left out, one added."""
    rest = [cut for cut in every if cut not in cuts]
    for cut in sorted(cuts):
        yield cuts - {cut}
        near = sorted(rest, key=lambda other: abs(other[0] - cut[0]))
        yield from (cuts - {cut} | {other} for other in near[:MOVES])
    yield from (cuts | {cut} for cut in rest)


def _blocks(every: Sequence[Cut], before: Sequence[int], budget: float) -> list[Cut]:
    """A cut wherever a block has come to keep ``budget`` bytes."""
    cuts: list[Cut] = []
    start = 0
    for op, value in every:
        if before[op + 1] - before[start] >= budget:
            cuts.append((op, value))
            start = op + 1
    return cuts


def _plan(
    name: str, tape: Tape, cuts: Sequence[Cut], macs: Mapping[Op, int], played: Played
) -> Plan:
    again = [macs.get(tape.ops[op], 0) for op in played.again]
    return Plan(name, len(cuts) + 1, played.kept, played.peak, len(again), sum(again))
