"""What a case goes through: import, something convc does, export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convc.api import DEFAULT_PIPELINE
from convc.errors import CannotProveError
from convc.graph import Graph
from convc.mlir import parse_graph, print_graph
from convc.onnx_io import from_bytes, to_bytes
from convc.pipeline import Context, Pipeline, pass_names
from convc.proof import prove
from convc.rewrite import Rewrite

DEFAULT = "default pipeline"
"""The name of the route of that."""

TOLERANCE = {"lower-to-winograd": 1e-4}
"""Parts of an output's largest magnitude that a pass may be off by although it is exact in real
numbers: what convc itself grants it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A model behind a route, and what was done to it on the way."""

    model: bytes
    applied: int = 0
    proved: int = 0
    unproved: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """A way through convc.

    Attributes:
        name: for the table.
        bring: brings a serialised model along; raises whatever convc does.
        share: part of an output's largest magnitude that is granted beside the case's tolerance.
    """

    name: str
    bring: Callable[[bytes], Passage]
    share: float = 0.0


class Prover:
    """Proves what can be proved on its own, and lets the rest happen all the same."""

    def __init__(self) -> None:
        self.proved = self.unproved = 0

    def __call__(self, graph: Graph, rewrite: Rewrite) -> float:
        """The residual; raises ProofError where the proof fails."""
        try:
            residual = prove(graph, rewrite)
        except CannotProveError:
            self.unproved += 1
            return 0.0
        self.proved += 1
        return residual


def by_pipeline(name: str, text: str, *, proofs: bool = False) -> Route:
    """Through a pipeline; with ``proofs`` every rewrite is proved in float64 first."""
    pipeline = Pipeline.parse(text)

    def bring(model: bytes) -> Passage:
        graph, prover = from_bytes(model), Prover()
        reports = pipeline.run(graph, Context("macs", prover if proofs else None))
        graph.verify()
        applied = sum(report.stats.applied for report in reports)
        return Passage(to_bytes(graph), applied, prover.proved, prover.unproved)

    share = max((TOLERANCE.get(item.name, 0.0) for item in pipeline.passes), default=0.0)
    return Route(name, bring, share)


def by_text() -> Route:
    """Through the text, with its weights, and back."""

    def bring(model: bytes) -> Passage:
        graph = parse_graph(print_graph(from_bytes(model), weights=True))
        graph.verify()
        return Passage(to_bytes(graph))

    return Route("MLIR text", bring)


def main_routes(*, proofs: bool = False) -> list[Route]:
    """The default pipeline, the plain round trip, and that through the text."""
    default = by_pipeline(DEFAULT, DEFAULT_PIPELINE, proofs=proofs)
    return [default, by_pipeline("import and export", ""), by_text()]


def pass_routes() -> list[Route]:
    """Every installed pass alone, wherever it is legal; what it does is proved."""
    return [by_pipeline(name, name, proofs=True) for name in pass_names()]


def simplified_routes() -> list[Route]:
    """Every other pass behind simplify, without which the light models have no constant weights."""
    texts = (f"simplify,{name}" for name in pass_names() if name != "simplify")
    return [by_pipeline(text, text) for text in texts]
