"""The pass ``annotate-cost``: what each op costs, written beside it."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

from convc.costs.annotate import annotate
from convc.graph import Graph
from convc.pipeline import Context, Pass
from convc.rewrite import Stats


@dataclass(frozen=True)
class AnnotateCost(Pass):
    """Writes the cost of every op into its metadata; the function stays as it is.

    The entries are ``convc.cost.macs``, ``.multiplications``, ``.additions``, ``.params``,
    ``.read_bytes`` and ``.write_bytes``, counted at the sizes at which the model is costed, or
    ``convc.cost.unknown`` with the reason. They stand in the node's metadata of the exported file
    and among the attributes in the MLIR text. A pass that runs later keeps them right.

    Sizes that the model computes itself are filled in on the way, as far as they do not depend on
    the data.
    """

    name: ClassVar[str] = "annotate-cost"

    def run(self, graph: Graph, context: Context | None = None) -> Stats:  # noqa: ARG002
        """Annotates all ops; ``applied`` counts those whose entries were not yet right."""
        start = perf_counter()
        stats = Stats(applied=annotate(graph))
        if stats.applied:
            stats.notes["cost written"] = stats.applied
        stats.seconds = perf_counter() - start
        return stats
