"""Counting outcomes, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import onnx
import onnxruntime

import convc
from tests.conformance.outcome import Outcome, Status

COLUMNS = (Status.PASSED, Status.BY_REFERENCE, Status.SKIPPED, Status.FAILED)


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts for each route, suite and form, then why what was skipped was, then what failed."""
    return "\n".join([*_counts(outcomes), "", *_reasons(outcomes), *_failures(outcomes)])


def closing(outcomes: Sequence[Outcome], kinds: str) -> str:
    """The line that says it all."""
    counts = Counter(outcome.status for outcome in outcomes)
    cases = len({(o.case.suite, o.case.name) for o in outcomes})
    proved, unproved = (sum(getattr(o, name) for o in outcomes) for name in ("proved", "unproved"))
    return (
        f"{cases} cases in {len(outcomes)} runs: {counts[Status.PASSED]} passed, "
        f"{counts[Status.BY_REFERENCE]} passed by onnx.reference, "
        f"{counts[Status.SKIPPED]} skipped with a reason, {counts[Status.FAILED]} failed; "
        f"{proved} rewrites proved on their own, {unproved} without a proof; {kinds} "
        f"({_versions()})"
    )


def as_json(outcomes: Sequence[Outcome], missing: Sequence[str]) -> dict[str, Any]:
    """The figures, and each case that was not simply passed."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for outcome in outcomes:
        rows = counts.setdefault(outcome.route, {})
        row = rows.setdefault(_suite(outcome), dict.fromkeys((s.value for s in COLUMNS), 0))
        row[outcome.status.value] += 1
    told = [o for o in outcomes if o.status is not Status.PASSED]
    return {
        "versions": {
            "convc": convc.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "counts": counts,
        "applied": _sums(outcomes, "applied"),
        "proved": _sums(outcomes, "proved"),
        "unproved": _sums(outcomes, "unproved"),
        "kinds without a passed node test": list(missing),
        "not passed in onnxruntime": [
            {
                "route": o.route, "suite": o.case.suite, "form": o.case.form, "name": o.case.name,
                "status": o.status.value, "reason": o.reason, "detail": o.detail,
            }
            for o in told
        ],
    }  # fmt: skip


def failed(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that failed."""
    return [outcome for outcome in outcomes if outcome.status is Status.FAILED]


def line(outcome: Outcome) -> str:
    """One failure in one line."""
    return f"{outcome.route}: {_suite(outcome)}: {outcome.case.name}: {outcome.detail}"


def _counts(outcomes: Sequence[Outcome]) -> Iterator[str]:
    rows: dict[tuple[str, str], Counter[Status]] = {}
    applied: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        key = (outcome.route, _suite(outcome))
        rows.setdefault(key, Counter())[outcome.status] += 1
        applied[key] += outcome.applied
    yield f"{'route':30} {'suite':34} {'passed':>7} {'by ref.':>8} {'skipped':>8} {'failed':>7} {'changes':>9}"  # noqa: E501
    for (route, suite), counts in rows.items():
        numbers = [counts[column] for column in COLUMNS]
        yield (
            f"{route:30} {suite:34} {numbers[0]:7} {numbers[1]:8} {numbers[2]:8} {numbers[3]:7} "
            f"{applied[route, suite]:9}"
        )


def _reasons(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for status in (Status.SKIPPED, Status.BY_REFERENCE):
        counts = Counter(o.reason for o in outcomes if o.status is status)
        yield f"{status.value}:"
        yield from (f"  {number:6} {reason}" for reason, number in counts.most_common())


def _failures(outcomes: Sequence[Outcome]) -> Iterator[str]:
    found = failed(outcomes)
    if found:
        yield "failed:"
        yield from (f"  {line(outcome)}" for outcome in found)


def _sums(outcomes: Iterable[Outcome], name: str) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for outcome in outcomes:
        sums[outcome.route] += getattr(outcome, name)
    return dict(sums)


def _suite(outcome: Outcome) -> str:
    return f"{outcome.case.suite}, {outcome.case.form}"


def _versions() -> str:
    return f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}"
