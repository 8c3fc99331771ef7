"""The replay of a certificate: its rewrites found again, proved again, applied again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from math import isclose
from typing import NoReturn, cast

from convc.certificate.describe import model_digest, record_of, region_of, stored
from convc.certificate.equalities import Equalities
from convc.certificate.recorder import unproved
from convc.certificate.records import Certificate, Decisions, PassTrail, Record, Region, Rounding
from convc.choose import Counted
from convc.errors import ConvcError, ProofError
from convc.graph import Graph
from convc.pipeline import Context, Pass, Pipeline
from convc.proof import TOLERANCE, prove
from convc.rewrite import Prove, Rewrite, Rule, Stats
from convc.tuning.steps import Step
from convc.tuning.steps import replay as do_again

NOISE = TOLERANCE / 10
"""Residuals below are rounding in float64, whose size says nothing: one output that happens to be
small makes it large."""

ALIKE = 0.01
"""Part by which a larger residual may differ on another machine, for the same random inputs."""

SAME = 1e-6
"""Relative difference of bounds that were computed on machines that add in another order."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found.

    Attributes:
        graph: what the recorded rewrites make of the original.
        rewrites: how many were proved again.
        residual: the largest residual of these proofs.
        recorded: the largest of the recorded ones.
        seed: of the random inputs, another one than the recorded.
    """

    graph: Graph
    rewrites: int
    residual: float
    recorded: float
    seed: int


def replay(
    certificate: Certificate, original: Graph, seed: int = 1, say: Say | None = None
) -> Replayed:
    """Makes the result again from the original, and proves each rewrite on other random inputs.

    Args:
        certificate: what was recorded.
        original: the model as it came, read at the certificate's sizes; not changed.
        seed: of the random inputs; the next one where that is the recorded one.
        say: told which pass is replayed.

    Nothing is timed: where the clock chose, the recorded choice is taken.

    Raises ProofError, naming pass and region, where a rewrite is not found again, cannot be proved,
    or is not what was recorded, where a pass did more than its rewrites say, and where the
    certificate has gaps: passes that depend on data, approximate rewrites.
    """
    say = say or (lambda _: None)
    seed = seed + 1 if seed == certificate.seed else seed
    graph = original.clone()
    digest = model_digest(graph)
    if digest != certificate.original:
        raise ProofError("the first model is not the one that the proof begins with")
    equalities = Equalities(graph)
    total, residual = 0, 0.0
    for item, trail in zip(_passes(certificate), certificate.passes, strict=True):
        say(f"replaying {item.name}")
        if trail.before != digest:
            raise ProofError(f"pass {trail.text}: the graph before it is not the recorded one")
        if not trail.repeatable:
            raise ProofError(
                f"pass {trail.text}: {trail.unproved}: it cannot be done again; {total} rewrites "
                "before it hold, those after it were not replayed"
            )
        checker = Checker(trail, equalities, seed, certificate.seed)
        chooser = None if trail.decisions is None else Again(trail.decisions)
        context = Context(cast(Counted, certificate.objective), checker.prove, chooser)
        _run(item, graph, context)
        checker.finish()
        digest = model_digest(graph)
        if trail.unproved or equalities.check(graph):
            why = trail.unproved or unproved(equalities.check(graph))
            raise ProofError(f"pass {trail.text}: {why}")
        if digest != trail.after:
            raise ProofError(f"pass {trail.text}: the graph after it is not the recorded one")
        total, residual = total + len(trail.records), max(residual, checker.residual)
    if digest != certificate.result:
        raise ProofError("the graph after all passes is not the recorded result")
    gaps = certificate.gaps()
    if gaps:
        raise ProofError(gaps[0] + (f" (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""))
    return Replayed(graph, total, residual, certificate.residual, seed)


def _passes(certificate: Certificate) -> Sequence[Pass]:
    passes = Pipeline.parse(certificate.pipeline).passes
    if [str(item) for item in passes] != [trail.text for trail in certificate.passes]:
        raise ProofError("the recorded passes are not those of the pipeline")
    return passes


def _run(item: Pass, graph: Graph, context: Context) -> None:
    try:
        item.run(graph, context)
    except ConvcError:
        raise
    except Exception as error:  # a pass may be somebody else's, and a decision may be forged
        what = " ".join(str(error).split()) or "no message"
        raise ProofError(f"pass {item}: {type(error).__name__}: {what}") from error


class Checker:
    """Proves the rewrites of one pass, each of which has to be the next one recorded."""

    def __init__(
        self, trail: PassTrail, equalities: Equalities, seed: int, recorded_seed: int
    ) -> None:
        self.residual = 0.0
        self._trail = trail
        self._left = list(reversed(trail.records))
        self._equalities = equalities
        self._seed = seed
        self._recorded_seed = recorded_seed

    def prove(self, graph: Graph, rewrite: Rewrite) -> float:
        """The residual; raises ProofError where the rewrite is not the next one recorded."""
        expected = self._left[-1] if self._left else None
        # First of all: what cannot be proved was left alone when the proof was made, too.
        residual = self._prove(graph, rewrite)
        region, replacement = region_of(graph, rewrite), stored(rewrite)
        found = record_of(graph, rewrite, region, replacement, residual)
        if expected is None:
            self._fail(found.before, "is rewritten, which is not recorded")
        what = _difference(expected, found) or self._residual(graph, rewrite, expected, residual)
        if what:
            self._fail(expected.before, what)
        self._left.pop()
        self._equalities.learn(rewrite, region, replacement)
        self.residual = max(self.residual, found.residual or 0.0)
        return residual

    def finish(self) -> None:
        """Raises ProofError where a recorded rewrite was not found again."""
        if self._left:
            self._fail(self._left[-1].before, "is not rewritten again as it was recorded")

    def _residual(self, graph: Graph, rewrite: Rewrite, expected: Record, new: float) -> str:
        """What is wrong with the recorded residual; "" where it is rounding, or comes out again."""
        old = expected.residual
        if old is None or max(old, new) <= NOISE:
            return ""
        again = prove(graph, rewrite, self._recorded_seed)
        if abs(again - old) <= NOISE + ALIKE * old:
            return ""
        return f"the residual is {again:.1e}, recorded: {old:.1e}"

    def _prove(self, graph: Graph, rewrite: Rewrite) -> float:
        try:
            return prove(graph, rewrite, self._seed)
        except ProofError as error:
            region, replacement = region_of(graph, rewrite), stored(rewrite)
            found = record_of(graph, rewrite, region, replacement, 0.0)
            self._fail(found.before, str(error))

    def _fail(self, region: Region, what: str) -> NoReturn:
        raise ProofError(f"pass {self._trail.text}: {region}: {what}")


def _difference(recorded: Record, found: Record) -> str:
    """What tells a record from what was found in its place; "" where they agree."""
    for side in ("before", "after"):
        old, new = getattr(recorded, side), getattr(found, side)
        for part in fields(Region):
            if getattr(old, part.name) != getattr(new, part.name):
                what = "the digest" if part.name == "digest" else f"one of the {part.name}"
                return f"{what} of the region {side} is not the recorded one, at {new}"
    for name in ("exactness", "note"):
        if getattr(recorded, name) != getattr(found, name):
            return f"{name} is {getattr(found, name)!r}, recorded: {getattr(recorded, name)!r}"
    if not isclose(recorded.allowed, found.allowed, rel_tol=SAME):
        return f"it allows {found.allowed:.1e}, recorded: {recorded.allowed:.1e}"
    if not _is_same_rounding(recorded.rounding, found.rounding):
        return "the rounding bounds are not the recorded ones"
    old, new = recorded.residual, found.residual
    if (old is None) != (new is None):
        return "one of the residuals is missing"
    if old is not None and not old <= TOLERANCE + recorded.allowed:
        return f"the recorded residual {old:.1e} is no proof"
    return ""


def _is_same_rounding(old: Rounding | None, new: Rounding | None) -> bool:
    if old is None or new is None:
        return old is new
    pairs = zip(astuple(old), astuple(new), strict=True)
    return all(isclose(a, b, rel_tol=SAME) for a, b in pairs)


@dataclass(frozen=True, slots=True)
class Again:
    """A chooser that does what the clock chose when the certificate was made."""

    decisions: Decisions

    def choose(self, graph: Graph, rules: Sequence[Rule], _text: str, prove: Prove | None) -> Stats:
        """Does the recorded steps."""
        rounds = tuple(tuple(Step(*step) for step in steps) for steps in self.decisions)
        return do_again(graph, rules, rounds, prove)
