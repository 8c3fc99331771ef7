"""What error the user allows, and of what inputs it is the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convc.feeds import Case
from convc.graph import Graph
from convc.metrics import Metric, parse_max_error, parse_metric
from convc.samples.split import Split, split
from convc.samples.synthetic import synthetic

SYNTHETIC = 36
"""Samples that are made up where there are no data."""


@dataclass(frozen=True)
class Allowance:
    """The largest loss of a metric.

    Attributes:
        metric: what is measured on inputs held back.
        threshold: as the metric has it: a relative error, dB, a share.
    """

    metric: Metric
    threshold: float

    @property
    def limit(self) -> float:
        """The threshold as a loss."""
        return self.metric.as_loss(self.threshold)

    def __str__(self) -> str:
        return self.metric.show(self.threshold)


def parse_allowance(max_error: float | str, metric: str) -> Allowance | None:
    """What ``--max-error`` and ``--metric`` say; None where no error is allowed.

    Raises UsageError where they say nothing that can be measured.
    """
    measured = parse_metric(metric)
    threshold = parse_max_error(str(max_error), measured)
    return Allowance(measured, threshold) if threshold else None


def samples_of(graph: Graph, cases: Sequence[Case], seed: int) -> Split:
    """The user's inputs, one sample each, or made-up ones where there are none, split in two.

    Raises UsageError where they are too few, CannotFeedError where none can be made up.
    """
    return split(cases or synthetic(graph, graph.sizes, SYNTHETIC, seed), seed)
