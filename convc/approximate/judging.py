"""What an approximation costs: the original's outputs beside the other's, on inputs held back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convc.errors import ConvcError
from convc.feeds import Feeds
from convc.graph import Graph
from convc.metrics import Measure, Outputs
from convc.onnx_io import to_bytes
from convc.runtime import Session, Settings


@dataclass(frozen=True)
class Judge:
    """Measures models against one original.

    Attributes:
        samples: the inputs.
        wanted: the original's outputs for them.
        measure: the loss: 0 where outputs are the same.
        settings: of the sessions.
    """

    samples: Sequence[Feeds]
    wanted: Sequence[Outputs]
    measure: Measure
    settings: Settings

    @classmethod
    def of(
        cls, original: Graph, samples: Sequence[Feeds], measure: Measure, settings: Settings
    ) -> Judge:
        """Runs the original on all of ``samples``; raises RunError where it does not run."""
        return cls(samples, outputs_of(original, samples, settings), measure, settings)

    @property
    def least(self) -> float:
        """The loss of the original itself: above 0 where the inputs are too few to show less."""
        return self.measure(self.wanted, self.wanted)

    def loss(self, graph: Graph) -> float:
        """The loss of a model; infinite where it does not run."""
        try:
            given = outputs_of(graph, self.samples, self.settings)
        except ConvcError:
            return float("inf")
        return self.measure(self.wanted, given)


@dataclass(frozen=True)
class Strictest:
    """The largest loss of several judges."""

    judges: Sequence[Judge]

    @property
    def least(self) -> float:
        """The loss of the original itself."""
        return max(judge.least for judge in self.judges)

    def loss(self, graph: Graph) -> float:
        """The loss of a model; infinite where it does not run."""
        return max(judge.loss(graph) for judge in self.judges)


def outputs_of(graph: Graph, samples: Sequence[Feeds], settings: Settings) -> list[Outputs]:
    """The outputs of a graph for each of ``samples``."""
    session = Session(to_bytes(graph), settings)
    return [dict(zip(session.output_names, session.run(feeds), strict=True)) for feeds in samples]
