"""What became of one case on one route."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tests.conformance.cases import Case


class Status(Enum):
    """How a case ended."""

    PASSED = "passed"
    """The expected outputs, in onnxruntime (or of the evaluator, where that is tested)."""
    BY_REFERENCE = "passed by onnx.reference"
    """onnxruntime cannot run the case; in onnx's reference the outputs are the expected ones."""
    SKIPPED = "skipped"
    """The case says nothing about convc; there is a reason."""
    FAILED = "failed"
    """Other outputs, a model that no longer runs, or an error of convc's."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case on one route.

    Attributes:
        route: what the case went through.
        case: the case.
        status: how it ended.
        reason: for the table: why it was skipped, or why onnxruntime was not the judge.
        detail: what exactly was seen.
        applied: changes that the passes count: rewrites, unused ops erased, costs noted.
        proved: rewrites proved in float64, each on its own, where that was asked for.
        unproved: rewrites for which there is no such proof (a region of strings, say).
    """

    route: str
    case: Case
    status: Status
    reason: str = ""
    detail: str = ""
    applied: int = 0
    proved: int = 0
    unproved: int = 0
