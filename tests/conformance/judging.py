"""One case along one route: what comes out, against what is expected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from convc.kernels import KERNELS
from convc.onnx_io import from_bytes
from convc.reference import EvaluationError, evaluate
from tests.conformance import reasons
from tests.conformance.cases import DEFAULT_DOMAIN, Case, feeds
from tests.conformance.outcome import Outcome, Status
from tests.conformance.routes import Route
from tests.conformance.runtimes import CannotRunError, by_onnxruntime, by_reference
from tests.conformance.values import difference

Run = Callable[[bytes, dict[str, Any]], list[Any]]
Settled = tuple[Status, str, str]
"""Status, reason and detail."""
Known = dict[tuple[str, str, str, float, bytes], Settled]
"""What became of a case's model, by suite, form, name, tolerance and the model itself."""

OTHERS = "onnxruntime: other outputs for the original already, and the same behind convc"
NOBODY = "neither onnxruntime nor onnx.reference gives the expected outputs for the original"


def judge(case: Case, route: Route, known: Known | None = None) -> Outcome:
    """The case, brought through a route and run: onnxruntime first, else onnx's reference.

    A model that is ``known``, byte for byte, from another route is not run again.
    """
    try:
        passage = route.bring(case.model)
    except Exception as error:  # whatever convc raises is what this is looking for
        return Outcome(route.name, case, Status.FAILED, "", f"{type(error).__name__}: {error}")
    if reasons.is_random(case.name):
        status, reason, detail = Status.SKIPPED, reasons.RANDOM, ""
    else:
        share = route.share if passage.applied else 0.0
        status, reason, detail = _settle(case, passage.model, share, {} if known is None else known)
    done = (passage.applied, passage.proved, passage.unproved)
    return Outcome(route.name, case, status, reason, detail, *done)


def judge_evaluator(case: Case) -> Outcome:
    """The case in convc's float64 evaluator."""
    name = "evaluator"
    if reasons.is_random(case.name):
        return Outcome(name, case, Status.SKIPPED, reasons.RANDOM)
    why = reasons.written_down(reasons.EVALUATOR, case.name)
    try:
        graph = from_bytes(case.model)
        results = [evaluate(graph, feeds(case, inputs)) for inputs, _ in case.data]
    except EvaluationError as error:
        status, reason = _refusal(case, why)
        return Outcome(name, case, status, reason, str(error))
    except Exception as error:  # convc promises the one above and no other
        return Outcome(name, case, Status.FAILED, "", f"{type(error).__name__}: {error}")
    wrong = _wrong(case, results, case.atol, widened=True)
    if not wrong:
        return Outcome(name, case, Status.PASSED)
    return Outcome(name, case, Status.SKIPPED if why else Status.FAILED, why, wrong)


def _refusal(case: Case, why: str) -> tuple[Status, str]:
    """An error is honest; but what has kernels for all of its ops has to run."""
    nodes = case.parsed.graph.node
    foreign = {node.op_type for node in nodes if node.domain not in DEFAULT_DOMAIN}
    without = sorted(foreign | (case.kinds - {*KERNELS, "Cast", "Constant"}))
    if why:
        return Status.SKIPPED, why
    if not without:
        return Status.FAILED, ""
    return Status.SKIPPED, f"the evaluator refuses what it has no kernel for: {', '.join(without)}"


def _settle(case: Case, model: bytes, share: float, known: Known) -> Settled:
    atol = max(case.atol, share * _scale(case))
    key = (case.suite, case.form, case.name, atol, model)
    if key not in known:
        known[key] = _compare(case, model, atol)
    return known[key]


def _compare(case: Case, model: bytes, atol: float) -> Settled:
    produced, wrong = _try(case, model, by_onnxruntime, atol)
    if not wrong:
        return Status.PASSED, "", ""
    before, original = _try(case, case.model, by_onnxruntime, atol)
    if produced is None and before is None:
        return _by_reference(case, model, atol, original)
    if produced is not None and before is not None and original:
        # What onnxruntime makes of the case is not what the standard expects, convc or not.
        if _same(case, before, produced, atol):
            why = reasons.written_down(reasons.ONNXRUNTIME, case.name)
            return Status.SKIPPED, OTHERS, f"{original}; {why}" if why else original
        return Status.FAILED, "", f"{wrong}, and not what onnxruntime makes of the original"
    why = reasons.written_down(reasons.REFUSED_AFTERWARDS, case.name)
    if produced is None and why and reasons.of_onnxruntime(wrong) == reasons.RANGE:
        return Status.SKIPPED, why, wrong
    return Status.FAILED, "", wrong


def _by_reference(case: Case, model: bytes, atol: float, message: str) -> Settled:
    """A case that onnxruntime cannot run, neither before nor behind convc."""
    reason = reasons.of_onnxruntime(message)
    _, wrong = _try(case, model, by_reference, atol)
    if not wrong:
        return Status.BY_REFERENCE, reason, message
    _, original = _try(case, case.model, by_reference, atol)
    if not original:
        return Status.FAILED, "", f"in onnx.reference: {wrong}"
    return Status.SKIPPED, f"{reason}; {NOBODY}", f"{message}; onnx.reference: {original}"


def _try(case: Case, model: bytes, run: Run, atol: float) -> tuple[list[Any] | None, str]:
    """The outputs for each set of data, None where the model cannot be run; and what is wrong."""
    try:
        results = [run(model, feeds(case, inputs)) for inputs, _ in case.data]
    except CannotRunError as error:
        return None, str(error)
    return results, _wrong(case, results, atol)


def _wrong(
    case: Case, results: Sequence[Sequence[Any]], atol: float, *, widened: bool = False
) -> str:
    for (_, expected), produced in zip(case.data, results, strict=True):
        if len(expected) != len(produced):
            return f"{len(produced)} outputs, expected {len(expected)}"
        for i, (a, b) in enumerate(zip(expected, produced, strict=True)):
            wrong = difference(a, b, case.rtol, atol, widened=widened)
            if wrong:
                return f"output {i} {wrong}"
    return ""


def _same(case: Case, before: Sequence[Any], after: Sequence[Any], atol: float) -> bool:
    return all(
        len(old) == len(new)
        and not any(map(partial(difference, rtol=case.rtol, atol=atol), old, new))
        for old, new in zip(before, after, strict=True)
    )


def _scale(case: Case) -> float:
    """The largest magnitude that is expected."""
    arrays = [a for _, outputs in case.data for a in outputs if isinstance(a, np.ndarray)]
    sizes = [np.abs(a[np.isfinite(a)]).max(initial=0) for a in arrays if a.dtype.kind == "f"]
    return float(max(sizes, default=0.0))
