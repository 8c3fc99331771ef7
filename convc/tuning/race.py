"""The best model so far, and those that would be better."""

from __future__ import annotations

from collections.abc import Sequence

from convc.graph import Graph
from convc.rewrite import Rule
from convc.timing import LEAST
from convc.tuning.judge import Contender, settle, with_steps
from convc.tuning.means import SEARCH_SHARE, Means
from convc.tuning.steps import Round, Step, replay

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

    def graph(self) -> Graph:
        """The best model's graph before it is finished."""
        return self._after(self.best.rounds)

    def open_round(self) -> None:
        """Steps from here on find their places in the best model's graph as it is now."""
        if self.best.rounds[-1]:
            self.best.rounds = (*self.best.rounds, ())

    def try_steps(self, steps: Sequence[Step], what: str) -> bool:
        """Takes those of ``steps`` that make the model faster; True where some did."""
        before = self.best
        self._means.progress(f"whole model: {what}")
        self.best = settle(before, steps, self._enter, self._is_faster)
        return self.best is not before

    def try_all(self, steps: Sequence[Step], what: str) -> bool:
        """Takes all of ``steps`` or none; True where they make the model faster."""
        return self.try_rounds(with_steps(self.best.rounds, steps), what)

    def try_rounds(self, rounds: tuple[Round, ...], what: str) -> bool:
        """Takes the model after these rounds if it is faster than the best; True where it is."""
        self._means.progress(f"whole model: {what}")
        before, trial = self.best, self._enter(rounds)
        if trial is None or trial.digest == before.digest or not self._is_faster(before, trial):
            return False
        before.rest()
        self.best = trial
        return True

    def _enter(self, rounds: tuple[Round, ...]) -> Contender | None:
        """The model after these rounds; None where the time is up."""
        if self._means.budget.left(SEARCH_SHARE) <= 0:
            return None
        return self._means.contender(self._after(rounds), rounds)

    def _after(self, rounds: Sequence[Round]) -> Graph:
        graph = self._graph.clone()
        replay(graph, self.rules, rounds)
        return graph

    def _is_faster(self, before: Contender, after: Contender) -> bool:
        means = self._means
        left = means.budget.left(SEARCH_SHARE)
        if 2 * LEAST * self._run > left:
            return False
        found = means.watch.whole(before, after, min(WHOLE, left))
        if found is None or not found.faster:
            return False
        means.tuning.gained *= found.ratio.ratio
        self.seconds = found.after
        return True
