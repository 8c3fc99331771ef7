"""What is left of the sieve, tried on the whole model in the order that gains most soonest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convc.tuning.judge import with_steps
from convc.tuning.race import Race
from convc.tuning.sieve import Survivor
from convc.tuning.steps import Round, Step

LARGE = 0.02
"""Part of the whole time from which on the next best of a place is tried in its stead: smaller
differences drown in noise."""

MOST_DROPPED = 12
"""Steps that are tried one by one whether the model is faster without: those least sure."""


def judge(race: Race, rounds: tuple[Round, ...], survivors: Sequence[Survivor]) -> None:
    """Steps after ``rounds``: the best of each place all together, or by halves; then in detail.

    Args:
        race: decides.
        rounds: the model in which the survivors have their places.
        survivors: those of the sieve, the largest gain first.
    """
    best = _best_of_each_place(survivors)
    steps = [survivor.proposed.step for survivor in best]
    if not race.try_rounds(with_steps(rounds, steps), "all that gained alone"):
        race.settle(rounds, steps, "what gained alone, by halves")
    _drop(race, best)
    _swap(race, survivors)
    for group, note in _rules(race, survivors):
        race.try_rounds(with_steps(race.best.rounds, group), f"{note}, everywhere")


def _best_of_each_place(survivors: Sequence[Survivor]) -> list[Survivor]:
    best: dict[str, Survivor] = {}
    for survivor in survivors:
        if survivor.gain > 0:
            best.setdefault(survivor.proposed.step.site, survivor)
    return list(best.values())


def _drop(race: Race, best: Sequence[Survivor]) -> None:
    """Steps that only came along with the others' gain go again, the least sure first."""
    kept = [s for s in best if s.proposed.step in race.best.rounds[-1]]
    if len(kept) < 2:
        return
    for survivor in sorted(kept, key=_sureness)[:MOST_DROPPED]:
        *done, last = race.best.rounds
        without = tuple(step for step in last if step != survivor.proposed.step)
        race.try_rounds((*done, without), f"without {survivor.proposed.note}")


def _sureness(survivor: Survivor) -> float:
    return 0.0 if survivor.measured is None else survivor.measured.ratio.low


def _swap(race: Race, survivors: Sequence[Survivor]) -> None:
    """Where two ways were as good alone, the whole model decides between them."""
    for survivor in survivors:
        step = survivor.proposed.step
        if survivor.gain < LARGE * race.seconds or step in race.best.rounds[-1]:
            continue
        *done, last = race.best.rounds
        others = tuple(other for other in last if other.site != step.site)
        race.try_rounds((*done, (*others, step)), survivor.proposed.note)


def _rules(race: Race, survivors: Sequence[Survivor]) -> Iterator[tuple[list[Step], str]]:
    """Each rule's remaining places together, where each alone was near a gain.

    Neighbours that are rewritten alike need no change of layout between them.
    """
    taken = {step.site for step in race.best.rounds[-1]}
    groups: dict[int, list[Survivor]] = {}
    for survivor in survivors:
        step = survivor.proposed.step
        if step.site not in taken and survivor.measured is not None:
            groups.setdefault(step.rule, []).append(survivor)
    for group in groups.values():
        if len(group) > 1:
            yield [survivor.proposed.step for survivor in group], group[0].proposed.note
