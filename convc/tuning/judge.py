"""The judge: whole models, timed in turn. What does not speed the whole up is not kept."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from convc.digest import graph_digest
from convc.feeds import Feeds
from convc.graph import Graph
from convc.onnx_io import to_bytes
from convc.runtime import Model, Session, Settings
from convc.timing import Run, run_of
from convc.tuning.steps import Round, Step


@dataclass
class Contender:
    """A model in the race. Its session is made when it is first timed.

    Attributes:
        rounds: the steps that made it.
        graph: the model as it would be written.
        settings: of its session.
        feeds: its inputs.
        model: what is run; None: the graph, serialised.
        digest: of all that its speed depends on.
    """

    rounds: tuple[Round, ...]
    graph: Graph
    settings: Settings
    feeds: Feeds
    model: Model | None = None
    digest: str = field(init=False)
    _run: Run | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.digest = graph_digest(self.graph, values=False) + sizes_of(self.feeds)

    def run(self) -> float:
        """Runs the model and returns the seconds that took; raises RunError where it does not."""
        if self._run is None:
            model = to_bytes(self.graph) if self.model is None else self.model
            self._run = run_of(Session(model, self.settings), self.feeds)
        return self._run()

    def rest(self) -> None:
        """Lets the session go, and with it the graphs and weights that nobody holds any more.

        Ops and values refer to each other: they would wait for the collector, which counts objects
        and not bytes.
        """
        self._run = None
        gc.collect()


def sizes_of(feeds: Feeds) -> str:
    """The sizes and dtypes that a model is fed: the graph may leave them open."""
    return repr(sorted((name, array.shape, str(array.dtype)) for name, array in feeds.items()))


def with_steps(rounds: Sequence[Round], steps: Sequence[Step]) -> tuple[Round, ...]:
    """``rounds`` with ``steps`` added to the last one."""
    *done, last = rounds
    return (*done, (*last, *steps))


def settle(
    best: Contender,
    steps: Sequence[Step],
    build: Callable[[tuple[Round, ...]], Contender | None],
    is_faster: Callable[[Contender, Contender], bool],
) -> Contender:
    """``best`` with as many of ``steps`` as speed it up: all of them, else by halves.

    ``build`` answers None, and ``is_faster`` False, where the time is up.
    """
    if not steps:
        return best
    trial = build(with_steps(best.rounds, steps))
    if trial is None or trial.digest == best.digest:
        return best
    if is_faster(best, trial):
        best.rest()
        return trial
    trial.rest()
    if len(steps) == 1:
        return best
    middle = len(steps) // 2
    best = settle(best, steps[:middle], build, is_faster)
    return settle(best, steps[middle:], build, is_faster)
