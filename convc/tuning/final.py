"""The last check: the whole result against the model as it came, on the clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from convc.errors import ConvcError
from convc.feeds import Feeds
from convc.graph import Graph
from convc.runtime import Model
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
    graph = rewrite()
    seconds = _once(before, tuner)
    while seconds is not None:
        means.progress("the whole model, before and after")
        after = Contender((), graph, means.settings, feeds)
        try:
            found, is_settled = _compare(before, seconds, after, tuner)
        except KeyboardInterrupt:
            means.interrupt()
            continue
        after.rest()
        if is_settled or not tuner.take_back():
            return _done(graph, found, tuner)
        graph = rewrite()
    return _done(graph, None, tuner)


def _done(graph: Graph, found: Measured | None, tuner: Tuner) -> tuple[Graph, Measured | None]:
    tuner.tuning.seconds = tuner.means.budget.spent
    return graph, found


def _once(before: Contender, tuner: Tuner) -> float | None:
    """Seconds of one run of the original; None where it does not run, or is interrupted."""
    try:
        return tuner.means.watch.once(before)
    except (ConvcError, MemoryError) as error:
        if not tuner.tuning.notes:  # else the search has said it
            tuner.tuning.note(f"not timed: {str(error) or 'out of memory'}")
    except KeyboardInterrupt:
        tuner.means.interrupt()
    return None


def _compare(
    before: Contender, seconds: float, after: Contender, tuner: Tuner
) -> tuple[Measured | None, bool]:
    """How the two compare, and whether to stay at that: not where the result is slower or fails."""
    watch, budget = tuner.means.watch, tuner.means.budget
    try:
        if not tuner.affords(seconds + watch.once(after)):
            return None, True
    except (ConvcError, MemoryError) as error:
        tuner.tuning.note(f"a result could not be timed: {str(error) or 'out of memory'}")
        return None, False
    limit = min(MOST_SECONDS, max(LEAST_SECONDS, budget.left()))
    found = watch.whole(before, after, limit)
    return found, found is not None and found.faster


def _file_facts(graph: Graph, model: Model) -> str:
    """What of a file changes its speed and is not in the graph: weights that are inputs."""
    size = len(model) if isinstance(model, bytes) else Path(model).stat().st_size
    return f" ir {graph.header.ir_version}, {size} bytes"
