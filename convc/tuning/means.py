"""What a search has at hand: time, a watch, and what the model is fed and finished with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from convc.feeds import Feeds, noise
from convc.graph import Graph
from convc.runtime import Settings
from convc.tuning.judge import Contender
from convc.tuning.steps import Round
from convc.tuning.tuning import Tuning
from convc.tuning.watch import Watch

SEARCH_SHARE = 0.85
"""Part of the budget after which the search ends; the rest is for the last check."""


@dataclass
class Budget:
    """Seconds to spend, from the first question on. Nothing is left once it is stopped."""

    seconds: float
    stopped: bool = False
    _start: float | None = field(default=None, init=False)

    @property
    def spent(self) -> float:
        """Seconds since the first question."""
        now = perf_counter()
        if self._start is None:
            self._start = now
        return now - self._start

    def left(self, share: float = 1.0) -> float:
        """Seconds left of a part of it."""
        return 0.0 if self.stopped else share * self.seconds - self.spent


@dataclass(frozen=True)
class Means:
    """What a search has at hand.

    Attributes:
        settings: of the sessions: threads and provider to optimise for.
        watch: who times.
        budget: seconds for all choices together, the last check included.
        tuning: what came out.
        given: the model's inputs; made up where None.
        finish: what the pipeline does after the choice, so that what is timed is what is written.
        say: told what is being timed, and what was gained so far.
        on_budget: told which part of the budget is used.
    """

    settings: Settings
    watch: Watch
    budget: Budget
    tuning: Tuning
    given: Feeds | None
    finish: Callable[[Graph], object]
    say: Callable[[str], None]
    on_budget: Callable[[float], None]

    def has_time(self) -> bool:
        """True while the search goes on."""
        return self.budget.left(SEARCH_SHARE) > 0

    def interrupt(self) -> None:
        """Ends the search: the user has asked for what there is. Raises where that was before."""
        if self.budget.stopped:
            raise KeyboardInterrupt
        self.budget.stopped = True
        self.tuning.note("interrupted: the best so far")

    def feeds(self, graph: Graph) -> Feeds:
        """What to run a model on; raises CannotFeedError where nothing can be made up."""
        return noise(graph) if self.given is None else self.given

    def contender(self, graph: Graph, rounds: tuple[Round, ...]) -> Contender:
        """``graph``, after ``rounds``, as it would be written."""
        finished = graph.clone()
        self.finish(finished)
        return Contender(rounds, finished, self.settings, self.feeds(graph))

    def progress(self, what: str) -> None:
        """Says what is being timed and what was gained so far."""
        gained = self.tuning.gained
        # First, because a narrow terminal cuts the end off.
        self.say(f"{gained:.2f}× so far, {what}" if gained > 1 else what)
        self.on_budget(min(self.budget.spent / max(self.budget.seconds, 1e-9), 1.0))
