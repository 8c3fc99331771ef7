"""``python -m tests.conformance``: all of onnx's backend tests through convc, and the counts."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tests.conformance import report
from tests.conformance.cases import FORMS, Case, collect, in_form
from tests.conformance.judging import Known, judge, judge_evaluator
from tests.conformance.kinds import untested
from tests.conformance.outcome import Outcome
from tests.conformance.routes import Route, main_routes, pass_routes, simplified_routes

EVERY = 500
"""Runs between two progress lines."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 1 where a case failed or a kind has no test."""
    parser = _parser()
    args = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # onnx's reference divides by zero where a case wants it to
    cases = [case for case in collect() if fnmatchcase(case.name, args.only)]
    if not cases:
        parser.error(f"no case is named {args.only}")
    cases = [made for form in FORMS for case in cases if (made := in_form(case, form)) is not None]
    runs = [(route, cases) for route in main_routes(proofs=True)]
    if args.each_pass:
        others = [case for case in cases if case.suite != "node"]
        runs += [(route, cases) for route in pass_routes()]
        runs += [(route, others) for route in simplified_routes()]
    total = sum(len(chosen) for _, chosen in runs) + len(cases)
    outcomes: list[Outcome] = []
    for outcome in _run(runs, cases):
        outcomes.append(outcome)
        if len(outcomes) % EVERY == 0:
            wrong = len(report.failed(outcomes))
            print(f"{len(outcomes)} of {total} runs, {wrong} failed", file=sys.stderr, flush=True)
    missing, kinds = untested(outcomes) if args.only == "*" else ([], "kinds not counted")
    print(report.table(outcomes))
    if args.json is not None:
        text = json.dumps(report.as_json(outcomes, missing), indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")
    print("".join(f"no node test of {kind} passed, and no reason is given\n" for kind in missing))
    print(report.closing(outcomes, kinds))
    return 1 if missing or report.failed(outcomes) else 0


def _run(runs: Sequence[tuple[Route, Sequence[Case]]], cases: Sequence[Case]) -> Iterator[Outcome]:
    known: Known = {}
    for route, chosen in runs:
        yield from (judge(case, route, known) for case in chosen)
    yield from (judge_evaluator(case) for case in cases)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description="The backend tests of the onnx package, through convc and onnxruntime.",
    )
    parser.add_argument("--each-pass", action="store_true", help="every installed pass alone, too")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names of cases to run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
