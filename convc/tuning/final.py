"""The last check: the whole result against the model as it came, on the clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from convc.feeds import Feeds
from convc.graph import Graph
from convc.runtime import Model, RunError
from convc.tuning.judge import Contender
from convc.tuning.stopwatch import Measured
from convc.tuning.tuner import Tuner

LEAST_SECONDS, MOST_SECONDS = 1.0, 10.0
"""Seconds of one last comparison, whatever is left of the budget."""


def confirm(
    original: Graph,
    model: Model,
    feeds: Feeds,
    tuner: Tuner,
    rewrite: Callable[[], Graph],
) -> tuple[Graph, Measured | None]:
    """The rewritten graph, with choices taken back by halves until it is clearly the faster.

    Args:
        original: the model as it came.
        model: what onnxruntime runs of it: the file itself, if there is one.
        feeds: its inputs.
        tuner: whose decisions are taken back.
        rewrite: runs the whole pipeline with what the tuner has decided.

    Returns the graph and how it compares: it may be no faster where nothing is left to take back.
    The comparison is None where the models cannot be timed, or it would take too long.
    """
    means = tuner.means
    before = Contender((), original, means.settings, feeds, model)
    before.digest += _file_facts(original, model)
    while True:
        graph = rewrite()
        after = Contender((), graph, means.settings, feeds)
        found = _compare(before, after, tuner)
        after.rest()
        if found is None or found.faster or not tuner.take_back():
            means.tuning.seconds = means.budget.spent
            return graph, found


def _compare(before: Contender, after: Contender, tuner: Tuner) -> Measured | None:
    watch, budget = tuner.means.watch, tuner.means.budget
    try:
        if not tuner.affords(watch.once(before) + watch.once(after)):
            return None
    except RunError:
        return None
    return watch.whole(before, after, min(MOST_SECONDS, max(LEAST_SECONDS, budget.left())))


def _file_facts(graph: Graph, model: Model) -> str:
    """What of a file changes its speed and is not in the graph: weights that are inputs."""
    size = len(model) if isinstance(model, bytes) else Path(model).stat().st_size
    return f" ir {graph.header.ir_version}, {size} bytes"
