"""Which pass made a model different, and what reproduces it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from convc.check import Comparison
from convc.errors import ConvcError
from convc.graph import Graph
from convc.instruments import write_reproducer
from convc.judge import Verdict
from convc.pipeline import Context, Pipeline


def find_culprit(
    original: Graph,
    pipeline: Pipeline,
    context: Context,
    against: Callable[[Graph], Comparison],
) -> int | None:
    """The first pass after which the model is different, by bisection over the pipeline's prefixes.

    Passes are deterministic, so a prefix run again gives the same graph again. None where the model
    is different before any pass.
    """
    if against(original.clone()).verdict is Verdict.DIFFERENT:
        return None
    good, bad = 0, len(pipeline.passes)
    while bad - good > 1:
        middle = (good + bad) // 2
        graph = original.clone()
        Pipeline(pipeline.passes[:middle]).run(graph, context)
        if against(graph).verdict is Verdict.DIFFERENT:
            bad = middle
        else:
            good = middle
    return bad - 1


def reproduce(
    path: Path | None, original: Graph, pipeline: Pipeline, number: int, context: Context
) -> Path | None:
    """Saves the graph before the pass at ``number``, made anew: passes are deterministic.

    None where it cannot be saved: what is to be reproduced is the news, not that.
    """
    if path is None:
        return None
    graph = original.clone()
    Pipeline(pipeline.passes[:number]).run(graph, context)
    try:
        write_reproducer(path, graph, Pipeline(pipeline.passes[number:]))
    except ConvcError:
        return None
    return path
