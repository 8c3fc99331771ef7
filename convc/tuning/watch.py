"""Who times: regions alone, caches swept between runs, and whole models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from convc.digest import graph_digest
from convc.errors import ConvcError
from convc.feeds import Feeds, noise
from convc.graph import Graph
from convc.ir import Op
from convc.onnx_io import to_bytes
from convc.profile import profile
from convc.runtime import Session, Settings
from convc.timing import Ratio, single_run
from convc.tuning.judge import Contender
from convc.tuning.region import Trial
from convc.tuning.stopwatch import Measured, measure
from convc.tuning.store import Store, environment
from convc.tuning.tuning import Tuning

PROFILED, PROFILE = 5, 1.0
"""Runs of a profile, and the seconds after which no other begins."""


class Watch(Protocol):
    """Times what the tuner wants to know."""

    def region(self, trial: Trial, seconds: float, /) -> Measured | None:
        """A region before and after; None where one does not run."""

    def whole(self, before: Contender, after: Contender, seconds: float, /) -> Measured | None:
        """Two whole models; None where one does not run."""

    def once(self, contender: Contender, /) -> float:
        """Seconds of one run of a whole model; raises RunError where it does not run."""

    def ops(self, graph: Graph, feeds: Feeds, /) -> Mapping[Op, float]:
        """Seconds of each op, 0 for one that is computed along with another; empty: not known."""


@dataclass(frozen=True, slots=True)
class RuntimeWatch:
    """Times in onnxruntime, with everything that it has switched on."""

    settings: Settings

    def region(self, trial: Trial, seconds: float) -> Measured | None:
        """Both graphs in turn, caches swept between runs."""
        try:
            feeds = noise(trial.before)
            before, after = (
                single_run(Session(to_bytes(graph), self.settings), feeds)
                for graph in (trial.before, trial.after)
            )
            return measure(before, after, seconds=seconds, sweep=True)
        except (ConvcError, MemoryError):
            return None

    def whole(self, before: Contender, after: Contender, seconds: float) -> Measured | None:
        """Both models in turn, as they run in a loop."""
        try:
            return measure(before.run, after.run, seconds=seconds)
        except (ConvcError, MemoryError):
            return None

    def once(self, contender: Contender) -> float:
        """The second run: the first one allocates and packs."""
        contender.run()
        return contender.run()

    def ops(self, graph: Graph, feeds: Feeds) -> Mapping[Op, float]:
        """By onnxruntime's own profile, layout changes included."""
        try:
            found = profile(graph, feeds, self.settings, runs=PROFILED, seconds=PROFILE)
        except (ConvcError, MemoryError, OSError):
            return {}
        return {op: (time.seconds or 0.0) + time.layout_seconds for op, time in found.times.items()}


@dataclass(frozen=True, slots=True)
class Remembering:
    """A watch that asks the store first, and keeps there what it had to time.

    What was left unclear by a search with a smaller budget is timed again.
    """

    watch: Watch
    store: Store
    environment: str
    tuning: Tuning
    budget: float

    def region(self, trial: Trial, seconds: float) -> Measured | None:
        """A region before and after; None where one does not run."""
        key = [graph_digest(graph, values=False) for graph in (trial.before, trial.after)]
        return self._answer("sieve", key, lambda: self.watch.region(trial, seconds))

    def whole(self, before: Contender, after: Contender, seconds: float) -> Measured | None:
        """Two whole models; None where one does not run."""
        key = before.digest, after.digest
        return self._answer("whole", key, lambda: self.watch.whole(before, after, seconds))

    def once(self, contender: Contender) -> float:
        """Seconds of one run of a whole model; raises RunError where it does not run."""
        known = self.store.get("once", self.environment, contender.digest)
        if known is not None:
            return float(known)
        seconds = self.watch.once(contender)
        self.store.put(seconds, "once", self.environment, contender.digest)
        return seconds

    def ops(self, graph: Graph, feeds: Feeds) -> Mapping[Op, float]:
        """Seconds of each op; never remembered, for they are asked once a search."""
        return self.watch.ops(graph, feeds)

    def _answer(
        self, kind: str, key: Sequence[str], make: Callable[[], Measured | None]
    ) -> Measured | None:
        known = self._recall(kind, key)
        if known is not None:
            self.tuning.remembered += 1
            return known
        found = make()
        if found is not None:
            self.tuning.timed += 1
            r = found.ratio
            entry = r.ratio, r.low, r.high, found.before, found.after, self.budget
            self.store.put(entry, kind, self.environment, *key)
        return found

    def _recall(self, kind: str, key: Sequence[str]) -> Measured | None:
        entry = self.store.get(kind, self.environment, *key)
        if entry is None:
            return None
        *ratio, before, after, budget = entry
        found = Measured(Ratio(*ratio), before, after)
        is_clear = found.faster or found.slower
        return found if is_clear or budget >= self.budget else None


def remembering(settings: Settings, budget: float) -> Remembering:
    """A watch in onnxruntime that uses the store of this machine."""
    watch = RuntimeWatch(settings)
    return Remembering(watch, Store(), environment(settings), Tuning(), budget)
