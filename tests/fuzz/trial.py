"""One network from drawing to verdict: everything that happens in the child process."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from types import FrameType

from tests.fuzz.generate import Network, network
from tests.fuzz.oracle import INPUTS, Finding, NotRun, examine, prepare
from tests.fuzz.plans import Plan, draw_plan

PLANS = 2
"""Things done to one network: most of the work is in knowing what it should give."""

SECONDS = 40
"""Processor time for a network; most take a twentieth of a second. A busy machine takes several
times as long, which is nobody's bug."""


class HangError(BaseException):
    """A network took longer than `SECONDS`; no Exception, which convc would make its own error."""


@dataclass
class Outcome:
    """What came of one network.

    Attributes:
        ran: whether the network counts.
        applied: rewrites applied, by pass.
        notes: what they say of themselves, by pass.
        findings: what is wrong, with the plan that shows it; None: import alone does.
    """

    ran: bool = False
    applied: Counter[str] = field(default_factory=Counter)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[tuple[Plan | None, Finding]] = field(default_factory=list)


def try_network(seed: int, number: int, newest: int) -> Outcome:
    """Draws a network, does what is drawn for it, and judges."""
    outcome = Outcome()
    drawn = network(seed, number, newest)
    if drawn is None:
        return outcome
    random = Random(f"{seed}/{number}/plans")
    inputs = draw_inputs(random)
    plan: Plan | None = None
    try:
        with time_limit(SECONDS):
            original, wrong = prepare(drawn, number, inputs)
            outcome.ran = True
            outcome.findings += [(None, finding) for finding in wrong]
            if wrong:
                return outcome  # who cannot judge the original cannot judge the result
            for _ in range(PLANS):
                plan = draw_plan(random)
                reports, wrong = examine(original, plan, seed=number)
                outcome.findings += [(plan, finding) for finding in wrong]
                for report in reports:
                    name = report.text.partition("{")[0].partition("(")[0]
                    outcome.applied[name] += report.stats.applied
                    for note, count in report.stats.notes.items():
                        outcome.notes[name, note] += count
    except NotRun:
        return outcome
    except HangError as error:
        outcome.findings.append((plan, Finding("hang", str(error))))
    return outcome


def judge(
    drawn: Network,
    plan: Plan | None,
    number: int,
    inputs: tuple[str, ...] = INPUTS,
    seconds: float = SECONDS,
) -> Outcome:
    """Does one thing to one network, drawn or read; no plan: only reads it."""
    outcome = Outcome()
    try:
        with time_limit(seconds):
            original, wrong = prepare(drawn, number, inputs)
            outcome.ran = True
            if plan is not None and not wrong:
                wrong = examine(original, plan, seed=number)[1]
            outcome.findings = [(plan, finding) for finding in wrong]
    except NotRun:
        return outcome
    except HangError as error:
        outcome.findings = [(plan, Finding("hang", str(error)))]
    return outcome


def draw_inputs(random: Random) -> tuple[str, ...]:
    """Kinds of inputs for a network: noise shows most, another kind what is special."""
    return "noise", random.choice(INPUTS[1:])


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises HangError in the block after so much processor time."""

    def over(_: int, frame: FrameType | None) -> None:
        places = []
        while frame is not None and len(places) < 6:
            places.append(frame.f_code.co_name)
            frame = frame.f_back
        raise HangError(f"over {seconds:g} s of processor time in {' < '.join(places)}")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
