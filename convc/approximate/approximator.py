"""What ``approximate(...)`` asks: the user's budget, their data, and the clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from convc.approximate.allowance import Allowance
from convc.approximate.judging import Judge, Strictest
from convc.approximate.layers import is_layer
from convc.approximate.observing import Observer
from convc.approximate.pricing import Prices
from convc.approximate.search import Found, Search
from convc.digest import graph_digest
from convc.feeds import Feeds
from convc.forms import Forms
from convc.graph import Graph
from convc.ir import Op
from convc.metrics import relative_error
from convc.onnx_io import to_bytes
from convc.rewrite import Stats
from convc.runtime import Session, Settings
from convc.samples.images import spread
from convc.samples.split import Split
from convc.timing import run_of
from convc.tuning.judge import Contender
from convc.tuning.means import Budget
from convc.tuning.stopwatch import Measured
from convc.tuning.watch import Watch

ON = 4
"""Inputs, of those that are fitted to, on which a form alone is measured."""

SWEEP, FEWEST = 0.1, 6
"""Part of the time that the runs of one sweep may take, and inputs that it is made on at least."""

WORTHWHILE = 1.05
"""How much faster a model must be, at the lower end of the interval, to be worth any error."""

WHOLE = 3.0
"""Seconds given to the comparison of two whole models."""


@dataclass
class Approximation:
    """What was approximated, and at what cost.

    Attributes:
        allowed: what the user allows.
        data: the inputs, in a few words.
        made_up: there were none, so convc made them up.
        loss: of the model that came out; 0 where nothing was approximated.
        forms: layers and the forms they took, in their order.
        measured: the model against the one before on the clock; None without a clock.
        seconds: spent.
        tried: of each model that was fitted, the seconds (or MACs) that its forms save by
            themselves, summed, and its loss.
        notes: what a user should know.
    """

    allowed: Allowance
    data: str = ""
    made_up: bool = False
    loss: float = 0.0
    forms: list[tuple[str, str]] = field(default_factory=list)
    measured: Measured | None = None
    seconds: float = 0.0
    tried: list[tuple[float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def value(self) -> float:
        """The loss as the metric has it."""
        return self.allowed.metric.from_loss(self.loss)

    @property
    def curve(self) -> list[tuple[float, float]]:
        """Those of `tried` than which none saves more at no larger loss, the least loss first."""
        kept: list[tuple[float, float]] = []
        for saved, loss in sorted(self.tried, key=lambda point: (point[1], -point[0])):
            if not kept or saved > kept[-1][0]:
                kept.append((saved, loss))
        return kept

    def as_json(self) -> dict[str, Any]:
        """The object under ``approximation`` in ``--json``; infinity is null."""
        return {
            "metric": self.allowed.metric.name,
            "allowed": self.allowed.threshold,
            "value": self.value if isfinite(self.value) else None,
            "data": self.data,
            "forms": [{"layer": layer, "form": form} for layer, form in self.forms],
            "speedup": None if self.measured is None else self.measured.ratio.ratio,
            "curve": [
                {"saved": saved, "value": self.allowed.metric.from_loss(loss)}
                for saved, loss in self.curve
                if isfinite(loss)
            ],
            "seconds": round(self.seconds, 3),
            "notes": self.notes,
        }


class BudgetApproximator:
    """Approximates within a budget.

    Asked again about the same graph it gives the same model again.

    Args:
        split: inputs to fit to, and those held back to judge by.
        allowed: the largest loss on the latter.
        settings: of the sessions that are timed.
        seconds: that it may take; a fit that has begun is finished.
        watch: the clock; None: MACs are what is saved.
        seed: of the positions that are sampled.
        say: told what is being done.
        data: what the inputs are, in a few words.
        made_up: whether convc made them up.
    """

    def __init__(
        self,
        split: Split,
        allowed: Allowance,
        *,
        settings: Settings,
        seconds: float,
        watch: Watch | None = None,
        seed: int = 0,
        say: Callable[[str], None] | None = None,
        data: str = "",
        made_up: bool = False,
    ) -> None:
        self.approximation = Approximation(allowed, data, made_up)
        self.model: Graph | None = None
        self._fit = [case.feeds for case in split.fit]
        self._held_back = [case.feeds for case in split.held_back]
        self._allowed = allowed
        self._timed, self._seconds, self._watch = settings, seconds, watch
        # What is not timed may have all cores.
        self._settings = replace(settings, threads=None)
        self._seed = seed
        self._say = say or (lambda _: None)
        self._made: dict[str, tuple[Graph, Stats]] = {}

    def judge(self, original: Graph) -> Judge:
        """Measures models against ``original`` on the inputs held back, by the user's metric."""
        return Judge.of(original, self._held_back, self._allowed.metric.loss, self._settings)

    def approximate(self, graph: Graph, forms: Forms) -> Stats:
        """Rewrites ``graph`` in place by those forms that save most time within the budget."""
        key = graph_digest(graph)
        if key not in self._made:
            self._made[key] = self._search(graph, forms)
        made, stats = self._made[key]
        if stats.applied:
            _become(graph, made)
        return stats

    def give_up(self) -> None:
        """The result is not the approximated model after all: says so where there was one."""
        if self.model is None:
            return
        self.model = None
        found = self.approximation
        found.forms, found.loss, found.measured = [], 0.0, None
        found.notes.append("the approximated model was not clearly faster in the end")

    def _search(self, graph: Graph, forms: Forms) -> tuple[Graph, Stats]:
        budget = Budget(self._seconds)
        original = graph.clone()
        name_layers(original)
        judge = self._judges(original)
        near = Judge.of(original, self._fit[:ON], relative_error, self._settings)
        observer = Observer(original, self._samples(original), self._settings, self._seed)
        search = Search(
            forms,
            observer,
            Prices(forms, observer, near, self._watch),
            judge,
            self._times,
            lambda share: budget.left(share) > 0,
            self._say,
            self._record,
        )
        found: list[Found] = []
        try:
            for one in search.run(original, self._allowed.limit):
                found.append(one)
        except KeyboardInterrupt:
            if not found:
                raise
            self.approximation.notes.append("interrupted: the best so far")
        best = self._fastest(original, found)
        self.approximation.seconds = budget.spent
        if best is None:
            self.approximation.notes.append(self._why_exact(judge))
            return original, Stats()
        self.approximation.loss = self.judge(original).loss(best.model.graph)
        self.approximation.forms = best.model.applied
        self.model = best.model.graph
        names = Counter(f"{form}" for _, form in best.model.applied)
        return best.model.graph, Stats(applied=len(best.model.applied), notes=names)

    def _samples(self, original: Graph) -> list[Feeds]:
        """The inputs to fit to: of a slow model of many layers fewer, evenly spread.

        A sweep runs the model up to each layer, half of it on the average, for each of them.
        """
        session = Session(to_bytes(original), self._settings)
        seconds = min(run_of(session, self._fit[0])() for _ in range(2))
        layers = sum(is_layer(op) for op in original.ops())
        count = int(SWEEP * self._seconds / max(0.5 * layers * seconds, 1e-9))
        return spread(self._fit, max(count, FEWEST))

    def _record(self, found: Found) -> None:
        if found.model.applied:
            self.approximation.tried.append((found.saved, found.loss))

    def _judges(self, original: Graph) -> Strictest:
        """Judges models during the search.

        Where decisions are counted, chance lets one of many models seem right on the few inputs
        held back: it must be so on all the others as well.
        """
        judges = [self.judge(original)]
        if self._allowed.metric.count is not None:
            every = [*self._fit, *self._held_back]
            loss = self._allowed.metric.loss
            judges.append(Judge.of(original, every, loss, self._settings))
        return Strictest(judges)

    def _why_exact(self, judge: Strictest) -> str:
        metric = self._allowed.metric
        if self._allowed.limit > judge.least:
            return "nothing within the error saves time: the result is exact"
        least = metric.show(metric.from_loss(judge.least))
        return (
            f"{len(self._held_back)} inputs held back cannot show less than {least}: give more "
            "data, or allow more; the result is exact"
        )

    def _times(self, graph: Graph) -> Mapping[Op, float]:
        return {} if self._watch is None else self._watch.ops(graph, self._fit[0])

    def _fastest(self, original: Graph, found: Sequence[Found]) -> Found | None:
        """The fastest of the models, on the clock; None where none is worth an error."""
        if self._watch is None:
            return max(found, key=lambda one: one.saved, default=None)
        best: Found | None = None
        before = self._contender(original)
        for one in found:
            after = self._contender(one.model.graph)
            self._say("the whole model, before and after")
            measured = self._watch.whole(before, after, WHOLE)
            after.rest()
            known = self.approximation.measured
            if measured is None or measured.ratio.low < WORTHWHILE:
                continue
            if known is None or measured.ratio.ratio > known.ratio.ratio:
                best, self.approximation.measured = one, measured
        before.rest()
        return best

    def _contender(self, graph: Graph) -> Contender:
        return Contender((), graph, self._timed, self._fit[0])


def name_layers(graph: Graph) -> None:
    """Gives every layer's result a name of its own, where it has none or shares it."""
    taken: set[str] = set()
    for number, op in enumerate(graph.ops()):
        if is_layer(op):
            if not op.result.name or op.result.name in taken:
                op.result.name = f"layer {number}"
            taken.add(op.result.name)


def _become(graph: Graph, made: Graph) -> None:
    """Makes ``graph`` compute what ``made`` does, which has the same inputs and outputs."""
    old = graph.outputs
    new = graph.inline(made, graph.inputs)
    graph.set_outputs(new, graph.output_names, graph.output_types)
    graph.erase_dead([value.op for value in old])
