"""Equivalence of two models, judged against float64.

Both models run in onnxruntime with its optimisations off, on inputs made to hurt; the original
also runs in float64. What the rewritten model may differ by is measured by what rounding makes of
the original itself: with the optimisations off and, where that leaves a doubt, with them on, which
is how it is deployed. The rewritten model has to load and run with them on, too, and to give there
what it gives without: what the runtime makes of a graph may be wrong where the graph is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from convc.feeds import Case
from convc.graph import Graph
from convc.interfaces import interface_difference
from convc.ir import Array, is_real
from convc.judge import Finding, Verdict, judge, matches, worst_of
from convc.jumps import agree_between_jumps, decides_otherwise, has_jumps
from convc.limits import limits_of, too_large
from convc.reference import EvaluationError, evaluate
from convc.runtime import Model, RunError, Session, Settings, StoppedError
from convc.trials import Trial, trials_of

HOPELESS = 1e-2
"""Error of the original against float64, relative to its scale, beyond which it is all rounding."""


@dataclass(slots=True)
class Comparison:
    """The result of `compare`.

    Attributes:
        verdict: the worst over all outputs and inputs.
        max_abs: largest difference between the two models' outputs, where the verdict is worst.
        max_rel: the same relative to the output's largest magnitude.
        original_error: the original's largest error against float64, relative as ``max_rel``.
        error: the other model's.
        bit_identical: all outputs have the same bits.
        sizes: the sizes of open dims that were tried.
        cases: the inputs that were tried.
        notes: what a reader has to know besides.
    """

    verdict: Verdict = Verdict.IDENTICAL
    max_abs: float = 0.0
    max_rel: float = 0.0
    original_error: float = 0.0
    error: float = 0.0
    bit_identical: bool = True
    sizes: list[dict[str, int]] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def worsen(self, verdict: Verdict, note: str = "") -> None:
        """Lowers the verdict to ``verdict`` unless it is that low already."""
        self.verdict = worst_of((self.verdict, verdict))
        if note and note not in self.notes:
            self.notes.append(note)

    def note(self, finding: Finding, note: str) -> None:
        """Takes in what was found for one output; the figures are those of the worst verdict."""
        before = self.verdict
        self.worsen(finding.verdict, note)
        if self.verdict is not before:
            self.max_abs = self.max_rel = self.original_error = self.error = 0.0
        if self.verdict is finding.verdict:
            self.max_abs = max(self.max_abs, finding.max_abs)
            self.max_rel = max(self.max_rel, finding.max_rel)
            self.original_error = max(self.original_error, finding.original_error)
            self.error = max(self.error, finding.error)

    def fail(self, note: str) -> None:
        """Makes the verdict `Verdict.DIFFERENT` for a reason that no figure expresses."""
        self.worsen(Verdict.DIFFERENT, note)
        self.max_abs = self.max_rel = self.error = np.inf
        self.bit_identical = False

    def as_json(self) -> dict[str, Any]:
        """The object under ``verify`` in ``--json``; NaN and infinity are null."""
        return {
            "verdict": self.verdict.value,
            "max_abs": _finite(self.max_abs),
            "max_rel": _finite(self.max_rel),
            "original_error": _finite(self.original_error),
            "error": _finite(self.error),
            "bit_identical": self.bit_identical,
            "sizes": self.sizes,
            "cases": self.cases,
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to compare: what onnxruntime runs, and its graph."""

    model: Model
    graph: Graph


def compare(
    original: Subject,
    other: Subject,
    *,
    data: Sequence[Case] = (),
    tolerance: float = 1e-4,
    seed: int = 0,
    settings: Settings | None = None,
    say: Callable[[str], None] | None = None,
) -> Comparison:
    """Compares two models; see the module's docstring for how.

    Args:
        original: the model that is right by definition.
        other: the model that should compute the same.
        data: the user's inputs; made-up ones are tried besides.
        tolerance: largest difference, relative to the output's largest magnitude, that still is
            `Verdict.WITHIN_TOLERANCE`.
        seed: of the made-up inputs.
        settings: threads and provider of the sessions; optimisations are always off.
        say: told of each set of inputs.

    Models with other inputs or outputs are different. What is different on one input is not tried
    on the others.
    """
    result = Comparison()
    unlike = interface_difference(original.graph, other.graph)
    if unlike:
        result.fail(unlike)
        return result
    reason = too_large(original.graph)
    if reason:
        result.worsen(Verdict.UNVERIFIED, reason)
        result.bit_identical = False
        return result
    limits = limits_of(original.graph)
    settings = replace(settings or Settings(), optimised=False, limits=limits)
    trials, problem = trials_of(original.graph, data, seed)
    if problem:
        result.notes.append(problem)
    # The sessions go before the next one comes: each keeps the memory of its activations.
    say = say or (lambda _: None)
    ran = _compare_plain(trials, original, other, result, settings, tolerance=tolerance, say=say)
    if ran and result.verdict.good:
        say("comparing as deployed")
        why = _deployment_fault(ran, original, other, replace(settings, optimised=True), tolerance)
        if why:
            result.fail(why)
    return result


def _compare_plain(
    trials: Sequence[Trial],
    original: Subject,
    other: Subject,
    result: Comparison,
    settings: Settings,
    *,
    tolerance: float,
    say: Callable[[str], None],
) -> list[_Run]:
    """Adds what the trials show to ``result``; returns the first run at each of the sizes."""
    try:
        session = Session(original.model, settings)
    except RunError as error:
        result.worsen(Verdict.UNVERIFIED, f"onnxruntime cannot load it: {error}")
        result.bit_identical = False
        return []
    try:
        pair = (original, session), (other, Session(other.model, settings))
    except RunError as error:
        result.fail(f"onnxruntime loads the original but not this one: {error}")
        return []
    firsts: dict[tuple[tuple[str, int], ...], _Run] = {}
    evidence = False
    accepted = False
    for number, trial in enumerate(trials, start=1):
        if result.verdict is Verdict.DIFFERENT:
            break
        if trial.instead and accepted:
            continue
        say(f"comparing, inputs {number} of {len(trials)}: {trial.case.name}")
        try:
            run = _run(trial, *pair, result)
            accepted = run is not None
            if run is not None:
                evidence |= _compare_on(trial, run, original, other, result, tolerance=tolerance)
                firsts.setdefault(tuple(sorted(trial.sizes.items())), run)
        except StoppedError as error:
            result.worsen(Verdict.UNVERIFIED, f"on {trial.case.name}, {error}")
            result.bit_identical = False
            return []
    evidence |= result.verdict is Verdict.DIFFERENT
    if not evidence:
        ran = "shows nothing on" if result.cases else "ran on none of"
        result.worsen(Verdict.UNVERIFIED, f"it {ran} the inputs tried: give --data or --dim")
        result.bit_identical = False
    return list(firsts.values())


@dataclass(frozen=True, slots=True)
class _Run:
    """One set of inputs that the original ran on, and the outputs of both models."""

    case: Case
    before: Sequence[Any]
    after: Sequence[Any]


def _run(
    trial: Trial,
    original: tuple[Subject, Session],
    other: tuple[Subject, Session],
    result: Comparison,
) -> _Run | None:
    """Runs both; None where one does not run, which ``result`` hears of.

    Raises StoppedError where one takes more than it may.
    """
    case = trial.case
    try:
        before = original[1].run(case.feeds)
    except StoppedError:
        raise
    except RunError as error:
        if trial.required:
            result.worsen(result.verdict, f"the original does not run: {error}")
        return None
    try:
        after = other[1].run(case.feeds)
    except StoppedError:
        raise
    except RunError as error:
        result.fail(f"on {case.name} it fails where the original runs: {error}")
        return None
    return _Run(case, before, after)


def _compare_on(
    trial: Trial,
    run: _Run,
    original: Subject,
    other: Subject,
    result: Comparison,
    *,
    tolerance: float,
) -> bool:
    """Adds what one set of inputs shows to ``result``; False where it shows nothing.

    That is where the original's outputs hold no finite number, or where they are rounding only:
    further from float64 than `HOPELESS`.
    """
    graph, case, before, after = original.graph, run.case, run.before, run.after
    result.cases.append(case.name)
    if trial.sizes not in result.sizes:
        result.sizes.append(trial.sizes)
    rule = partial(judge, tolerance=tolerance, by_channel=case.varied)

    def verdict_on(a: Array, b: Array, truth: Array | None) -> Verdict:
        return rule(a, b, truth).verdict

    for name, a, b in zip(graph.output_names, before, after, strict=True):
        if matches([a], [b]):
            why = decides_otherwise(graph, other.graph, name, case.feeds, verdict_on)
            if why:
                result.worsen(Verdict.DIFFERENT, f"{name}, {case.name}: {why}")
    if matches(before, after):
        return any(map(_shows_something, before))
    result.bit_identical = False
    if not trial.thorough and all(
        verdict_on(a, b, None).good for a, b in zip(before, after, strict=True)
    ):
        return any(map(_shows_something, before))
    try:
        exact: Sequence[Array | None] = evaluate(graph, case.feeds)
    except EvaluationError as error:
        result.notes.append(f"not judged against float64: {error}")
        exact = [None] * len(before)
    evidence = False
    findings = list(map(rule, before, after, exact))
    if not all(finding.verdict in (Verdict.IDENTICAL, Verdict.EQUAL) for finding in findings):
        # One run is one sample of the original's rounding; the user's own runtime gives another.
        sampled = [
            rule(a, b, truth, again=again)
            for a, b, truth, again in zip(
                before, after, exact, _optimised_run(original, case, Settings()), strict=True
            )
        ]
        # Or it gives what is no rounding but wrong: onnxruntime's optimisations have bugs, too.
        findings = [
            one if one.original_error < HOPELESS <= two.original_error else two
            for one, two in zip(findings, sampled, strict=True)
        ]
    for name, a, finding in zip(graph.output_names, before, findings, strict=True):
        hopeless = finding.original_error >= HOPELESS
        if hopeless or finding.verdict is Verdict.DIFFERENT:
            judged = agree_between_jumps(graph, other.graph, name, case.feeds, verdict_on)
            if judged is not None:
                result.worsen(judged[0], f"{name}: {judged[1]}")
                evidence = True
                continue
        if hopeless and has_jumps(graph, name):
            result.worsen(Verdict.UNVERIFIED, f"{name} jumps, and what decides cannot be compared")
        if hopeless and finding.verdict.good:
            off = f"{finding.original_error:.0%} of its scale from float64"
            result.notes.append(f"{name}, {case.name}: the original is {off}: not judged there")
            continue
        evidence |= finding.verdict is Verdict.DIFFERENT
        evidence |= _shows_something(a)
        result.note(finding, f"{name}, {case.name}: {finding.why}" if finding.why else "")
    return evidence


def _optimised_run(subject: Subject, case: Case, settings: Settings) -> Sequence[Any]:
    """The outputs with everything onnxruntime has switched on; None for each where that fails."""
    try:
        return Session(subject.model, settings).run(case.feeds)
    except RunError:
        return [None] * len(subject.graph.output_names)


def _deployment_fault(
    runs: Sequence[_Run], original: Subject, other: Subject, settings: Settings, tolerance: float
) -> str:
    """What only onnxruntime's optimisations make wrong with the other model, or nothing."""
    session: Session | None = None
    for run in runs:
        on = f"on {run.case.name}, with onnxruntime's optimisations on,"
        try:
            session = session or Session(other.model, settings)
            deployed = session.run(run.case.feeds)
        except StoppedError:
            continue
        except RunError as error:
            ran = [output is not None for output in _optimised_run(original, run.case, settings)]
            if any(ran):
                return f"{on} it fails where the original runs: {error}"
            continue
        why = _deployed_otherwise(run, deployed, original, settings, tolerance)
        if why:
            return f"{on} {why}"
    return ""


def _deployed_otherwise(
    run: _Run, deployed: Sequence[Any], original: Subject, settings: Settings, tolerance: float
) -> str:
    """What is wrong with outputs of the optimised session, and not with the original's."""
    graph, case = original.graph, run.case
    rule = partial(judge, tolerance=tolerance, by_channel=case.varied)
    if all(rule(a, b, None).verdict.good for a, b in zip(run.after, deployed, strict=True)):
        return ""
    again = _optimised_run(original, case, settings)
    try:
        exact: Sequence[Array | None] = evaluate(graph, case.feeds)
    except EvaluationError:
        exact = [None] * len(again)
    for name, a, b, truth, c in zip(
        graph.output_names, run.before, deployed, exact, again, strict=True
    ):
        finding = rule(a, b, truth, again=c)
        alike = c is not None and rule(c, b, None).verdict.good
        if not finding.verdict.good and not alike and not has_jumps(graph, name):
            return f"{name} {finding.why}"
    return ""


def _shows_something(output: Any) -> bool:
    if isinstance(output, list):
        return any(map(_shows_something, output))
    if not isinstance(output, np.ndarray) or not is_real(output.dtype):
        return np.size(output) > 0
    return bool(np.isfinite(output).any())


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
