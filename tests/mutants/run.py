"""Running a mutant: does it fire, does the default check find it, do the proofs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import convc
from convc.check import Comparison
from convc.errors import ConvcError
from convc.judge import Verdict
from convc.onnx_io import to_bytes
from convc.pipeline import PassError, PassProofError
from tests.mutants.mutant import Mutant, planted


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        mutant: the mutant.
        right: the verdict without it.
        called: how often the wrong function ran.
        changed: the model that came out is not the one that comes out without the mutant.
        verdict: of the default check, or the error that stopped it.
        caught: the check says that the models differ, or no model came out.
        named: the check named the guilty pass.
        by_proof: with each rewrite proved, a proof fails before any model is compared.
        max_rel: the difference found, relative to the output's scale.
        cases: the inputs that were tried; the last one is where it showed.
    """

    mutant: Mutant
    right: Verdict
    called: int
    changed: bool
    verdict: str
    caught: bool
    named: bool
    by_proof: bool
    max_rel: float
    cases: tuple[str, ...]

    @property
    def evidence(self) -> bool:
        """The mutant ran and changed something, and without it all is well."""
        return self.right.good and self.called > 0 and self.changed

    @property
    def shown_by(self) -> str:
        """The input on which it showed, if one did."""
        return self.cases[-1] if self.caught and self.cases else ""


def run(mutant: Mutant, *, proofs: bool = True) -> Outcome:
    """Optimises the mutant's sample without it, with it, and with it and every rewrite proved."""
    with tempfile.TemporaryDirectory() as folder:
        sample = mutant.sample()
        path = sample if isinstance(sample, Path) else Path(folder) / "sample.onnx"
        if isinstance(sample, bytes):
            path.write_bytes(sample)
        right = convc.optimize(path, mutant.pipeline, objective="macs", **mutant.options)
        with planted(mutant) as calls:
            verdict, caught, named, changed, comparison = _attempt(mutant, path, right)
            called = len(calls)
            by_proof = proofs and _refused_by_proof(mutant, path)
    return Outcome(
        mutant,
        right.verdict,
        called,
        changed,
        verdict,
        caught,
        named,
        by_proof,
        comparison.max_rel if comparison else float("inf"),
        tuple(comparison.cases) if comparison else (),
    )


def _attempt(
    mutant: Mutant, path: Path, right: convc.Result
) -> tuple[str, bool, bool, bool, Comparison | None]:
    try:
        wrong = convc.optimize(path, mutant.pipeline, objective="macs", **mutant.options)
    except PassError as error:
        return f"refused: {error}", True, mutant.guilty in str(error), True, None
    except ConvcError as error:
        return f"refused: {error}", True, False, True, None
    caught = wrong.verdict is Verdict.DIFFERENT
    changed = to_bytes(wrong.graph) != to_bytes(right.graph)
    named = caught and mutant.guilty in wrong.culprit
    return wrong.verdict.value, caught, named, changed, wrong.comparison


def _refused_by_proof(mutant: Mutant, path: Path) -> bool:
    """Whether proving each rewrite stops it before any model is compared."""
    try:
        convc.optimize(path, mutant.pipeline, objective="macs", verify="each", **mutant.options)
    except ConvcError as error:
        return isinstance(error, PassProofError)
    return False
