"""The search: proposals through the sieve, survivors before the judge, and again."""

from __future__ import annotations

from collections.abc import Sequence

from convc.graph import Graph
from convc.rewrite import Rule
from convc.timing import LEAST
from convc.tuning.declined import Declined
from convc.tuning.jury import judge
from convc.tuning.means import SEARCH_SHARE, Budget, Means
from convc.tuning.race import Race
from convc.tuning.sieve import Proposed, Survivor, propose, trial_of
from convc.tuning.steps import BY_COUNT, Round, Step

ROUNDS = 3
"""How often proposals are looked for: what was rewritten may be rewritten again."""

SIEVE_SHARE = 0.4
"""Part of the search's time that a sieve may take."""

LONGEST, SHORTEST = 1.0, 0.1
"""Seconds that the sieve gives to one proposal."""

NEARLY = 0.9
"""Ratio in the sieve below which a proposal is out."""

COUNTED: tuple[Round, ...] = ((Step(BY_COUNT),),)
"""What is done where the clock cannot be asked."""

NOTHING: tuple[Round, ...] = ((),)
"""What is done where it was interrupted before anything was gained."""

PROFILE_RUNS = 10
"""Runs that a profile takes at least: two sessions, each warmed up."""


def search(
    graph: Graph, rules: Sequence[Rule], means: Means, declined: Declined
) -> tuple[Round, ...]:
    """The steps that make the model fastest, as far as the budget goes.

    Args:
        graph: the model; it is not changed.
        rules: whose proposals compete.
        means: time and watch.
        declined: counts why proposals were not made or not taken.

    Raises ConvcError where the model cannot be run. What was found before an interruption
    (KeyboardInterrupt) is the answer then.
    """
    race: Race | None = None
    try:
        means.progress("one run of the model")
        race = Race(means, graph, rules)
        if 2 * LEAST * race.seconds > means.budget.left(SEARCH_SHARE):
            means.tuning.note(
                f"a run takes {race.seconds:.2g} s, too long for the budget: chosen by count"
            )
            return COUNTED
        _rounds(race, means, declined)
    except KeyboardInterrupt:
        means.interrupt()
    return NOTHING if race is None else race.best.rounds


def _rounds(race: Race, means: Means, declined: Declined) -> None:
    """What counts choose comes first: a model too slow for more comparisons has that at least."""
    race.try_rounds(COUNTED, "all by count")
    known: set[Step] = set()
    rounds = NOTHING
    for _ in range(ROUNDS):
        before = race.best
        survivors = _survivors(race, rounds, means, known, declined)
        judge(race, rounds, survivors)
        kept = {step for steps in race.best.rounds for step in steps}
        lost = [s.proposed for s in survivors if s.proposed.step not in kept]
        for proposed in lost:
            declined.at(
                "does not speed up the whole model", [proposed.op], proposed.places,
                race.rules[proposed.step.rule].origin,
            )  # fmt: skip
        if race.best is before or not means.has_time():
            break
        rounds = (*race.best.rounds, ())
    race.try_rounds((*race.best.rounds, *COUNTED), "the rest by count")
    if not means.has_time():
        means.tuning.note(f"the budget of {means.budget.seconds:g} s is used up: not all was tried")


def _survivors(
    race: Race,
    rounds: tuple[Round, ...],
    means: Means,
    known: set[Step],
    declined: Declined,
) -> list[Survivor]:
    """What may gain something in the model after ``rounds``, the largest gain first."""
    graph = race.graph(rounds)
    affordable = PROFILE_RUNS * race.seconds < SIEVE_SHARE * means.budget.left(SEARCH_SHARE)
    times = means.watch.ops(graph, means.feeds(graph)) if affordable else {}
    proposals = propose(graph, race.rules, times, known, declined, has_time=means.has_time)
    return _sieve(graph, race.rules, proposals, means, declined)


def _sieve(
    graph: Graph,
    rules: Sequence[Rule],
    proposals: Sequence[Proposed],
    means: Means,
    declined: Declined,
) -> list[Survivor]:
    """What may gain, the largest gain first. What there is no time for is left out."""
    sieve = Budget(SIEVE_SHARE * means.budget.left(SEARCH_SHARE))
    survivors: list[Survivor] = []
    for number, proposed in enumerate(proposals):
        left = len(proposals) - number
        if sieve.left() <= 0:
            declined["not timed: the budget is used up"] += left
            break
        means.progress(f"place {number + 1} of {len(proposals)}: {proposed.note}")
        trial = trial_of(graph, rules, proposed)
        if trial is None:
            survivors.append(Survivor(proposed, None))
            continue
        seconds = min(LONGEST, max(SHORTEST, sieve.left() / left))
        found = means.watch.region(trial, seconds)
        if found is None:
            survivors.append(Survivor(proposed, None))
            continue
        if found.ratio.ratio < NEARLY:
            declined.at(
                "slower by the clock", [proposed.op], proposed.places,
                rules[proposed.step.rule].origin,
            )  # fmt: skip
            continue
        survivors.append(Survivor(proposed, found))
    return sorted(survivors, key=lambda survivor: -survivor.gain)
