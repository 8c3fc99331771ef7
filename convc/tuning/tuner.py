"""The tuner: what ``choose(...)`` asks when the objective is latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convc.digest import graph_digest
from convc.errors import ConvcError
from convc.feeds import Feeds
from convc.graph import Graph
from convc.rewrite import Prove, Rule, Stats
from convc.runtime import Settings
from convc.timing import LEAST
from convc.tuning.declined import Declined
from convc.tuning.judge import sizes_of
from convc.tuning.means import Budget, Means
from convc.tuning.search import COUNTED, NOTHING, search
from convc.tuning.steps import Round, Step, replay
from convc.tuning.store import Store, environment
from convc.tuning.tuning import Tuning
from convc.tuning.watch import Remembering, RuntimeWatch, Watch

BUDGET = 60.0
"""Seconds, by default."""

PATIENCE = 10.0
"""Seconds that the last check may take after an interruption."""

Say = Callable[[str], None]


class Tuner:
    """Chooses among the rules' proposals by time.

    Args:
        settings: of the sessions: threads and provider to optimise for.
        budget: seconds for all choices together, the last check included.
        store: where measurements are kept.
        watch: who times; onnxruntime where None.
        feeds: the model's inputs; made up where None.
        finish: what the pipeline does after the choice, so that what is timed is what is written.
        say: told what is being timed, and what was gained so far.
        on_budget: told which part of the budget is used.
    """

    def __init__(
        self,
        settings: Settings,
        budget: float,
        store: Store,
        *,
        watch: Watch | None = None,
        feeds: Feeds | None = None,
        finish: Callable[[Graph], object] | None = None,
        say: Say | None = None,
        on_budget: Callable[[float], None] | None = None,
    ) -> None:
        nothing: Callable[[object], None] = lambda _: None  # noqa: E731
        self.tuning = Tuning()
        self._store = store
        self._environment = environment(settings)
        asked = Remembering(
            watch or RuntimeWatch(settings), store, self._environment, self.tuning, budget
        )
        self.means = Means(
            settings, asked, Budget(budget), self.tuning, feeds,
            finish or nothing, say or nothing, on_budget or nothing,
        )  # fmt: skip
        self._fed = "" if feeds is None else sizes_of(feeds)
        self._decided: dict[str, tuple[Round, ...]] = {}

    def choose(
        self, graph: Graph, rules: Sequence[Rule], text: str, prove: Prove | None = None
    ) -> Stats:
        """Rewrites ``graph`` in place by what the clock prefers; ``text`` names the rules.

        Asked again about the same graph it does the same again.
        """
        if not rules:
            return Stats()
        key = self._key(graph, rules, text)
        declined = Declined()
        if key not in self._decided:
            self._decided[key] = self._recall(key) or self._decide(key, graph, rules, declined)
        stats = replay(graph, rules, self._decided[key], prove)
        stats.declined = +declined
        if graph.witness is not None:
            for reason, places in declined.places.items():
                for op, origin in places:
                    graph.witness.left_alone(op, reason, origin)
        return stats

    def _key(self, graph: Graph, rules: Sequence[Rule], text: str) -> str:
        names = [rule.name for rule in rules]
        return "\n".join((graph_digest(graph, values=False), self._fed, text, repr(names)))

    def _decide(
        self, key: str, graph: Graph, rules: Sequence[Rule], declined: Declined
    ) -> tuple[Round, ...]:
        if self.means.budget.stopped:
            return NOTHING
        noted = len(self.tuning.notes)
        try:
            rounds = search(graph, rules, self.means, declined)
        except (ConvcError, MemoryError) as error:
            why = str(error) or "out of memory"
            self.tuning.note(f"cannot be timed, chosen by count: {why}")
            return COUNTED
        self._keep(key, rounds, self.tuning.notes[noted:])
        return rounds

    def take_back(self) -> bool:
        """Takes the later half of all decided steps back, or all where the time is up.

        False where there were none.
        """
        some = False
        part = 2 if self.means.budget.left() > 0 else 0
        for key, rounds in self._decided.items():
            steps = [(i, step) for i, steps in enumerate(rounds) for step in steps]
            some |= bool(steps)
            kept = steps[: len(steps) // part] if part else []
            self._decided[key] = tuple(
                tuple(step for j, step in kept if j == i) for i in range(len(rounds))
            )
        return some

    def affords(self, seconds: float) -> bool:
        """True where enough rounds of so many seconds can be timed; says so where not."""
        budget = self.means.budget
        if LEAST * seconds <= (PATIENCE if budget.stopped else budget.seconds):
            return True
        why = "after an interruption" if budget.stopped else "for the budget"
        self.tuning.note(f"a run takes {seconds / 2:.2g} s, too long {why}: not timed")
        return False

    def _recall(self, key: str) -> tuple[Round, ...] | None:
        """What was chosen for such a graph before, with at least as much time."""
        known = self._store.get("choice", self._environment, key)
        if known is None or known["budget"] < self.means.budget.seconds:
            return None
        self.tuning.remembered += 1
        for note in known["notes"]:
            self.tuning.note(note)
        return tuple(tuple(Step(*step) for step in steps) for steps in known["rounds"])

    def _keep(self, key: str, rounds: Sequence[Round], notes: Sequence[str]) -> None:
        budget = self.means.budget
        if budget.stopped:
            return
        plain = [[(step.rule, step.site) for step in steps] for steps in rounds]
        value = {"budget": budget.seconds, "rounds": plain, "notes": list(notes)}
        self._store.put(value, "choice", self._environment, key)
