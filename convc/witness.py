"""Who is told what becomes of a graph's ops while rewrites are applied to it.

A graph has at most one witness (`convc.graph.Graph.witness`), and its copies have none: what is
tried on a copy is nobody's business. Without a witness nothing of this costs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from convc.graph import Graph
    from convc.ir import Op, Value
    from convc.rewrite import Rewrite


class Witness(Protocol):
    """Is told what becomes of the ops of one graph."""

    def replacing(
        self, graph: Graph, rewrite: Rewrite, residual: float | None, origin: str
    ) -> None:
        """Called before a rewrite is applied.

        Args:
            graph: as it is.
            rewrite: what will be done.
            residual: of its proof; None where none was asked for.
            origin: the pass that proposed it, where several compete; else "".
        """

    def replaced(self, graph: Graph, results: Sequence[Value]) -> None:
        """Called after it; ``results`` are the values that stand for the rewrite's outputs now."""

    def merged(self, op: Op, keeper: Op, note: str) -> None:
        """Called before an op goes whose results are those of another one from now on."""

    def left_alone(self, op: Op, reason: str, origin: str) -> None:
        """Called for each rule that declined an op with a reason; ``op`` may be that of a copy."""
