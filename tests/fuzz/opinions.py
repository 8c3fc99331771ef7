"""Networks judged by `tests.fuzz.certify` as well as by the fuzzer itself."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from convc.runtime import newest_opset
from tests.fuzz.certify import RANGE, Answers, Certifier
from tests.fuzz.generate import network
from tests.fuzz.oracle import NotRun, Original, judge_result, prepare, rewrite, tiled
from tests.fuzz.plans import draw_plan
from tests.fuzz.trial import HangError, time_limit

PART = 1e-4
"""Of an output's scale what it may be off: weights rounded to float32, tiles amplifying that."""


def opinions(
    seed: int,
    networks: int,
    certifier: Certifier,
    *,
    start: int = 0,
    progress: Callable[[int, Answers], None] = lambda _, __: None,
) -> Answers:
    """Asks for a second opinion on so many rewritten networks of fixed size in float32."""
    answers = Answers()
    newest = newest_opset()
    asked, number = 0, start
    while asked < networks:
        asked += _ask(seed, number, newest, certifier, answers)
        number += 1
        progress(asked, answers)
    certifier.stop()
    return answers


def _ask(seed: int, number: int, newest: int, certifier: Certifier, answers: Answers) -> bool:
    """Whether the network counts: it runs, is of fixed size, and something was rewritten."""
    drawn = network(seed, number, newest)
    if drawn is None or drawn.dims:
        return False
    random = Random(f"{seed}/{number}/plans")
    plan = draw_plan(random)
    try:
        with time_limit(20.0):
            original, wrong = prepare(drawn, number, ("noise",))
            if wrong or original.trials[0].exact is None:
                return False
            reports, data, _ = rewrite(original.graph, plan)
    except (NotRun, HangError):
        return False
    if data is None or not any(report.changed for report in reports):
        return False
    own = judge_result(original, data, tiled=tiled(reports))
    said = certifier.ask(original.data, data, PART * _scale(original))
    answers.said[said.partition(":")[0]] += 1
    if said.startswith("refuted") != bool(own) and not said.startswith(
        ("skipped", "failed", "died")
    ):
        answers.disagreed.append(f"network {number}, {plan.passes}: {said}; {own or 'no finding'}")
    return True


def _scale(original: Original) -> float:
    """The largest magnitude of any output, at inputs of the range that is asked about."""
    exact = original.trials[0].exact or ()
    scales = [float(np.abs(array).max()) for array in exact if array.dtype.kind == "f"]
    return max([1e-3, *(RANGE * scale for scale in scales if np.isfinite(scale))])
