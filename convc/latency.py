"""A pipeline under the clock: its choices timed, its result checked, and refused where it loses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from convc.certificate import METADATA, PassTrail
from convc.feeds import CannotFeedError, Feeds
from convc.graph import Graph
from convc.onnx_io import model_metadata
from convc.pipeline import PassReport, Pipeline
from convc.report.history import History
from convc.rewrite import Stats
from convc.runtime import Model
from convc.timing import Ratio
from convc.tuning import Measured, Tuner, Tuning, confirm
from convc.version import __version__


@dataclass(frozen=True, slots=True)
class Made:
    """What a pipeline made.

    Attributes:
        graph: the rewritten graph.
        reports: one for each pass.
        tuning: what the clock was asked; None where it was not.
        measured: the graph against the original; a ratio of 1 where it is the original's
            structure, None where they were not timed.
        trails: the records of each pass's rewrites; None where nothing was recorded.
        history: which op comes of which; None where that was not asked.
    """

    graph: Graph
    reports: Sequence[PassReport]
    tuning: Tuning | None = None
    measured: Measured | None = None
    trails: Sequence[PassTrail] | None = None
    history: History | None = None


Attempt = Callable[[], Made]


def optimize_by_clock(
    original: Graph, source: Model, tuner: Tuner, attempt: Attempt, *, may_refuse: bool
) -> Made:
    """Runs a pipeline whose choices ``tuner`` makes, and times its result against the original.

    Args:
        original: the model as it came.
        source: what onnxruntime runs of it.
        tuner: the chooser in the pipeline's context.
        attempt: runs the pipeline on a copy of ``original``.
        may_refuse: the result is the original's structure where the pipeline's is not clearly
            faster. Who names the passes gets them.
    """
    made = Made(original, ())

    def rewrite() -> Graph:
        nonlocal made
        made = attempt()
        return made.graph

    try:
        feeds = tuner.means.feeds(original)
        graph, measured = confirm(original, source, feeds, tuner, rewrite)
        for note in _stated_sizes(original, feeds):
            tuner.tuning.note(note)
    except CannotFeedError as error:
        graph, measured = rewrite(), None
        tuner.tuning.note(f"not timed: {error}")
    if not may_refuse or measured is None or measured.faster:
        return replace(made, graph=graph, tuning=tuner.tuning, measured=measured)
    found = measured.ratio
    tuner.tuning.note(
        f"no gain is clear ({found.ratio:.2f}×, 95 %: {found.low:.2f} to {found.high:.2f}): "
        "the model stays as it was"
    )
    same = signed(original.clone(), Pipeline())
    unchanged = Measured(Ratio(1.0, 1.0, 1.0), measured.before, measured.before)
    reports = [_refused(report) for report in made.reports]
    trails = None if made.trails is None else ()
    history = None if made.history is None else History.unchanged(original, same)
    return Made(same, reports, tuner.tuning, unchanged, trails, history)


def _stated_sizes(graph: Graph, feeds: Feeds) -> list[str]:
    """At what sizes the inputs with open sizes were timed."""
    return [
        f"timed at {value.name}: {'×'.join(map(str, feeds[value.name].shape))}"
        for value in graph.inputs
        if value.name in feeds and not all(isinstance(dim, int) for dim in value.shape or (None,))
    ]


def _refused(report: PassReport) -> PassReport:
    """The report of a pass whose rewrites were not kept."""
    stats = Stats(declined=report.stats.declined.copy(), seconds=report.stats.seconds)
    if report.stats.applied:
        stats.declined["the whole model is not faster"] = report.stats.applied
    return replace(report, stats=stats, changed=False)


def signed(graph: Graph, pipeline: Pipeline) -> Graph:
    """Says in the model's metadata what was done, and by which version."""
    entries = {"convc.version": __version__, "convc.passes": str(pipeline)}
    if METADATA in model_metadata(graph.header):
        entries[METADATA] = ""  # of how the model came about before, which is not proved any more
    graph.header = graph.header.with_metadata(entries)
    return graph
