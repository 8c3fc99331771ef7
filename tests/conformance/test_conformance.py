"""onnx's own backend tests through convc; the long form is ``python -m tests.conformance``."""

from __future__ import annotations

import functools
import json
import warnings
from collections import Counter
from pathlib import Path

import pytest

from convc.pipeline import pass_names
from tests.conformance import __main__ as command
from tests.conformance import reasons
from tests.conformance.cases import GIVEN, WEIGHTS, Case, collect, in_form
from tests.conformance.judging import judge, judge_evaluator
from tests.conformance.kinds import (
    WITHOUT_TEST,
    rewritten_kinds,
    standard_kinds,
    touched_kinds,
    untested,
)
from tests.conformance.outcome import Outcome, Status
from tests.conformance.report import failed, line
from tests.conformance.routes import Passage, Route, main_routes

AT_LEAST = {"default": 1842, "weights": 177, "evaluator": 1983}
"""How many cases passed when this was written (onnx 1.23.2, onnxruntime 1.32.0): a case that is
skipped for no good reason would show here."""


@functools.cache
def given() -> list[Case]:
    return collect()


@functools.cache
def through_default() -> list[Outcome]:
    return judged(given())


@functools.cache
def with_constant_weights() -> list[Outcome]:
    """The node tests that algebra is done on, as it would see them in a network."""
    kinds = rewritten_kinds(*(name for name in pass_names() if name != "simplify"))
    chosen = [case for case in given() if case.suite == "node" and case.kinds <= kinds]
    return judged([made for case in chosen if (made := in_form(case, WEIGHTS)) is not None])


@functools.cache
def evaluated() -> list[Outcome]:
    return [judge_evaluator(case) for case in given() if case.suite != "light"]


def judged(cases: list[Case]) -> list[Outcome]:
    (default, *_) = main_routes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx's reference divides by zero where a case wants it
        return [judge(case, default) for case in cases]


RUNS = {"default": through_default, "weights": with_constant_weights, "evaluator": evaluated}


@pytest.mark.parametrize("run", RUNS)
def test_the_expected_outputs(run: str) -> None:
    outcomes = RUNS[run]()
    counts = Counter(outcome.status for outcome in outcomes)
    print(", ".join(f"{counts[status]} {status.value}" for status in Status))
    assert not [line(outcome) for outcome in failed(outcomes)]
    assert counts[Status.PASSED] >= AT_LEAST[run]


def test_what_is_skipped_has_a_reason() -> None:
    skipped = [o for run in RUNS.values() for o in run() if o.status is not Status.PASSED]
    assert skipped
    assert not [line(outcome) for outcome in skipped if not outcome.reason]


def test_the_light_models_all_pass() -> None:
    statuses = [outcome.status for outcome in through_default() if outcome.case.suite == "light"]
    assert statuses == [Status.PASSED] * 9


def test_every_touched_kind_has_a_node_test() -> None:
    missing, _ = untested(through_default())
    assert not missing


def test_touched_kinds_are_found() -> None:
    touched = touched_kinds()
    assert {"Conv", "ConvTranspose", "Resize", "Gemm", "BatchNormalization"} <= touched
    assert "StringNormalizer" not in touched
    assert len(touched) < len(standard_kinds())
    assert set(WITHOUT_TEST) <= touched


@pytest.mark.parametrize("kind", sorted(WITHOUT_TEST))
def test_kinds_without_a_test_have_none(kind: str) -> None:
    passed = (o for o in through_default() if o.status is not Status.SKIPPED)
    assert all(kind not in outcome.case.kinds for outcome in passed)


@pytest.mark.parametrize(
    ("run", "table"),
    [
        ("evaluator", reasons.EVALUATOR),
        ("default", reasons.ONNXRUNTIME),
        ("default", reasons.REFUSED_AFTERWARDS),
    ],
    ids=["evaluator", "onnxruntime", "refused"],
)
def test_what_is_written_down_is_needed(run: str, table: dict[str, str]) -> None:
    not_passed = [o.case.name for o in RUNS[run]() if o.status is not Status.PASSED]
    for pattern in table:
        assert any(reasons.written_down({pattern: "x"}, name) for name in not_passed), pattern


def test_forms() -> None:
    (case,) = (case for case in given() if case.name == "test_conv_with_strides_padding")
    weights = in_form(case, WEIGHTS)
    assert weights is not None
    assert in_form(case, GIVEN) is case
    graph = weights.parsed.graph
    assert [value.name for value in graph.input] == ["x"]
    assert [tensor.name for tensor in graph.initializer] == ["W"]
    ((inputs, _),) = weights.data
    assert len(inputs) == 1
    (single,) = (case for case in given() if case.name == "test_relu")
    assert in_form(single, WEIGHTS) is None


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert command.main(["--only", "test_maxpool_1d_default", "--json", str(path)]) == 0
    closing = capsys.readouterr().out.splitlines()[-1]
    assert closing.startswith("1 cases in 8 runs: 8 passed, 0 passed by onnx.reference, 0 skipped")
    counts = json.loads(path.read_text())["counts"]
    assert counts["default pipeline"]["node, as given"]["passed"] == 1


def test_the_command_fails_where_a_case_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = next(case for case in given() if case.name == "test_averagepool_1d_default").model
    wrong = Route("wrong", lambda _: Passage(other))
    monkeypatch.setattr(command, "main_routes", lambda **_: [wrong])
    assert command.main(["--only", "test_maxpool_1d_default"]) == 1
    assert "wrong: node, as given: test_maxpool_1d_default: output 0" in capsys.readouterr().out


def test_the_command_wants_a_case() -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["--only", "no such case"])
    assert end.value.code == 2
