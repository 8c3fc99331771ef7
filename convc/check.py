"""Equivalence of two models, judged against float64.

Both models run in onnxruntime with its optimisations off, on inputs made to hurt; the original
also runs in float64. What the rewritten model may differ by is measured by what rounding makes of
the original itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convc.errors import UsageError
from convc.feeds import Case, made_up
from convc.graph import Graph
from convc.ir import Array, TensorType, Type
from convc.judge import Verdict, judge, matches
from convc.jumps import agree_between_jumps
from convc.opset import macs
from convc.reference import EvaluationError, evaluate
from convc.runtime import Model, RunError, Session, Settings

HEAVY = 3e9
"""MACs above which only noise and borders are tried: float64 takes seconds for each case."""


@dataclass(slots=True)
class Comparison:
    """The result of `compare`.

    Attributes:
        verdict: the worst over all outputs and inputs.
        max_abs: largest difference between the two models' outputs.
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
        order = list(Verdict)
        if order.index(verdict) > order.index(self.verdict):
            self.verdict = verdict
        if note and note not in self.notes:
            self.notes.append(note)

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
) -> Comparison:
    """Compares two models; see the module's docstring for how.

    Args:
        original: the model that is right by definition.
        other: the model that should compute the same.
        data: the user's inputs; made-up ones are tried besides.
        tolerance: largest difference, relative to the output's largest magnitude, that still is
            `Verdict.WITHIN_TOLERANCE`.
        seed: of the made-up inputs.

    Models with other inputs or outputs are different. What is different on one input is not tried
    on the others.
    """
    result = Comparison()
    unlike = _interface_difference(original.graph, other.graph)
    if unlike:
        result.fail(unlike)
        return result
    try:
        settings = Settings(optimised=False)
        sessions = Session(original.model, settings), Session(other.model, settings)
    except RunError as error:
        result.worsen(Verdict.UNVERIFIED, f"onnxruntime cannot load it: {error}")
        result.bit_identical = False
        return result
    cases, sizes, problem = _cases(original.graph, data, seed)
    if problem:
        result.notes.append(problem)
    result.sizes.extend(sizes)
    ran = 0
    for case, required in cases:
        if result.verdict is Verdict.DIFFERENT:
            break
        pair = (original, sessions[0]), (other, sessions[1])
        ran += _compare_on(case, *pair, result, required=required, tolerance=tolerance)
    if not ran:
        result.worsen(Verdict.UNVERIFIED, "it ran on none of the inputs: give --data or --dim")
        result.bit_identical = False
    return result


def _interface_difference(a: Graph, b: Graph) -> str:
    """What tells the models' inputs and outputs apart by name, type or fixed size, or nothing."""
    for what, left, right in (
        ("inputs", [v.name for v in a.inputs], [v.name for v in b.inputs]),
        ("outputs", list(a.output_names), list(b.output_names)),
    ):
        if left != right:
            return f"other {what}: {', '.join(left)} and {', '.join(right)}"
    for x, y in zip(a.inputs, b.inputs, strict=True):
        if not _compatible(x.type, y.type):
            return f"input {x.name!r} has another type or shape: {x.type} and {y.type}"
    return ""


def _compatible(a: Type, b: Type) -> bool:
    if not isinstance(a, TensorType) or not isinstance(b, TensorType):
        return type(a) is type(b)
    if a.dtype != b.dtype:
        return False
    if a.shape is None or b.shape is None:
        return True
    return len(a.shape) == len(b.shape) and all(
        x == y or isinstance(x, str | None) or isinstance(y, str | None)
        for x, y in zip(a.shape, b.shape, strict=True)
    )


def _cases(
    graph: Graph, data: Sequence[Case], seed: int
) -> tuple[list[tuple[Case, bool]], list[dict[str, int]], str]:
    """The inputs, each with whether the original must run on it, the sizes, and what is missing."""
    cases = [(case, True) for case in data]
    named = {d for v in graph.inputs for d in (v.shape or ()) if isinstance(d, str)}
    usual = {name: graph.sizes[name] for name in sorted(named)}
    sizes = [usual]
    try:
        made = made_up(graph, usual, seed)
        few = sum(macs(graph, op) or 0 for op in graph.ops()) > HEAVY
        cases += [(case, not data) for case in (made[:2] if few else made)]
    except UsageError as error:
        return cases, [], str(error) if not data else ""
    if named:
        # Other sizes than those the model was optimised at; the original may refuse them.
        others = {name: _other_size(size) for name, size in usual.items()}
        sizes.append(others)
        for case in made_up(graph, others, seed + 1)[:2]:
            cases.append((Case(f"{case.name} at other sizes", case.feeds), False))
    return cases, sizes, ""


def _other_size(size: int) -> int:
    """An odd multiple of 32 below larger sizes, so that nets with five halvings run as well."""
    return size + 1 if size < 64 else max(32, (size * 5 // 7) // 32 * 32)


def _compare_on(
    case: Case,
    original: tuple[Subject, Session],
    other: tuple[Subject, Session],
    result: Comparison,
    *,
    required: bool,
    tolerance: float,
) -> bool:
    """Adds what one set of inputs shows to ``result``; False where the original does not run."""
    graph = original[0].graph
    try:
        before = original[1].run(case.feeds)
    except RunError as error:
        if required:
            result.notes.append(f"the original does not run on {case.name}: {error}")
        return False
    try:
        after = other[1].run(case.feeds)
    except RunError as error:
        result.fail(f"on {case.name} it fails where the original runs: {error}")
        return True
    result.cases.append(case.name)
    if matches(before, after):
        return True
    result.bit_identical = False
    try:
        exact: Sequence[Array | None] = evaluate(graph, case.feeds)
    except EvaluationError as error:
        result.notes.append(f"not judged against float64: {error}")
        exact = [None] * len(before)
    for name, a, b, truth in zip(graph.output_names, before, after, exact, strict=True):
        finding = judge(a, b, truth, tolerance, by_channel=case.varied)
        if finding.verdict is Verdict.DIFFERENT:
            judged = agree_between_jumps(
                graph,
                other[0].graph,
                name,
                case.feeds,
                lambda x, y, z: judge(x, y, z, tolerance).verdict.good,
            )
            if judged:
                result.worsen(Verdict.EQUAL, f"{name}: {judged}")
                continue
        result.worsen(finding.verdict, f"{name}, {case.name}: {finding.why}" if finding.why else "")
        result.max_abs = max(result.max_abs, finding.max_abs)
        result.max_rel = max(result.max_rel, finding.max_rel)
        result.original_error = max(result.original_error, finding.original_error)
        result.error = max(result.error, finding.error)
    return True


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
