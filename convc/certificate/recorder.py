"""Records every rewrite that a pipeline proves and applies, and what else its passes change."""

from __future__ import annotations

from convc.certificate.describe import model_digest, record_of, region_of, stored
from convc.certificate.equalities import Equalities
from convc.certificate.records import PassTrail, Record
from convc.graph import Graph
from convc.pipeline import Approximate, Pass, PassReport
from convc.proof import prove
from convc.rewrite import Rewrite

FITTED = "fitted to data, within the error that was allowed"


class Recorder:
    """An instrument of one run of a pipeline, and what proves its rewrites.

    Attributes:
        passes: what each pass did that ran to its end.
    """

    def __init__(self, graph: Graph, seed: int) -> None:
        self.passes: list[PassTrail] = []
        self._seed = seed
        self._digest = model_digest(graph)
        self._equalities = Equalities(graph)
        self._records: list[Record] = []

    def prove(self, graph: Graph, rewrite: Rewrite) -> float:
        """As `convc.proof.prove`; what is proved is recorded."""
        residual = prove(graph, rewrite, self._seed)
        region, replacement = region_of(graph, rewrite), stored(rewrite)
        self._equalities.learn(rewrite, region, replacement)
        self._records.append(record_of(graph, rewrite, region, replacement, residual))
        return residual

    def before_pass(self, _number: int, _item: Pass, _graph: Graph) -> None:
        """Begins a pass's records."""
        self._records = []

    def after_pass(self, _number: int, item: Pass, graph: Graph, report: PassReport) -> None:
        """Ends them; finds out whether they account for all that changed."""
        before, after = self._digest, model_digest(graph) if report.changed else self._digest
        fitted = isinstance(item, Approximate) and report.stats.applied > 0
        changed = self._equalities.check(graph) if report.changed else ""
        self.passes.append(
            PassTrail(
                report.text,
                before,
                after,
                tuple(self._records),
                report.stats.decisions,
                FITTED if fitted else unproved(changed),
                repeatable=not fitted,
            )
        )
        if changed:
            self._equalities = Equalities(graph)  # what comes later is judged from here on
        self._digest = after


def unproved(output: str) -> str:
    """In words, that a pass changed what an output is computed from beyond its proofs."""
    return f"it changed {output!r} by more than its proved rewrites" if output else ""
