"""The best model so far, and those that would be better."""

from __future__ import annotations

from collections.abc import Sequence

from convc.graph import Graph
from convc.rewrite import Rule
from convc.timing import LEAST
from convc.tuning.judge import Contender, settle
from convc.tuning.means import SEARCH_SHARE, Means
from convc.tuning.steps import Round, Step, replay
from convc.tuning.stopwatch import Measured

WHOLE = 3.0
"""Seconds given to one comparison, more only where the fewest rounds take longer."""


class Race:
    """Whole models in a race: whoever is clearly faster than the best becomes the best.

    Raises RunError where the model that it begins with cannot be run, CannotFeedError where
    nothing can be made up to feed it.
    """

    def __init__(self, means: Means, graph: Graph, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self._means = means
        self._graph = graph
        self.best = means.contender(graph, ((),))
        self._run = self.seconds = means.watch.once(self.best)

    def graph(self, rounds: Sequence[Round]) -> Graph:
        """The model's graph after these rounds, before it is finished."""
        graph = self._graph.clone()
        replay(graph, self.rules, rounds)
        return graph

    def try_rounds(self, rounds: tuple[Round, ...], what: str) -> bool:
        """Takes the model after these rounds if it is faster than the best; True where it is."""
        self._means.progress(f"whole model: {what}")
        trial = self._enter(rounds)
        return trial is not None and self._challenge(trial)

    def settle(self, rounds: tuple[Round, ...], steps: Sequence[Step], what: str) -> bool:
        """Takes those of ``steps`` after ``rounds`` that speed it up; True if that is the best."""
        self._means.progress(f"whole model: {what}")
        start = self.best if self.best.rounds == rounds else self._enter(rounds)
        if start is None:
            return False
        found = settle(start, steps, self._enter, self._is_faster)
        return found is not start and self._challenge(found)

    def _challenge(self, trial: Contender) -> bool:
        before = self.best
        found = None if trial.digest == before.digest else self._compare(before, trial)
        if found is None or not found.faster:
            trial.rest()
            return False
        before.rest()
        self._means.tuning.gained *= found.ratio.ratio
        self.best, self.seconds = trial, found.after
        return True

    def _enter(self, rounds: tuple[Round, ...]) -> Contender | None:
        """The model after these rounds; None where the time is up."""
        if self._means.budget.left(SEARCH_SHARE) <= 0:
            return None
        return self._means.contender(self.graph(rounds), rounds)

    def _is_faster(self, before: Contender, after: Contender) -> bool:
        found = self._compare(before, after)
        return found is not None and found.faster

    def _compare(self, before: Contender, after: Contender) -> Measured | None:
        """None where there is no time left for it."""
        left = self._means.budget.left(SEARCH_SHARE)
        if 2 * LEAST * self._run > left:
            return None
        return self._means.watch.whole(before, after, min(WHOLE, left))
