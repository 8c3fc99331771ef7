"""Runs networks in a child process that may die: a native crash or hang is a finding as well."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from convc.runtime import newest_opset
from tests.fuzz.oracle import FALSE_ALARM, Finding
from tests.fuzz.plans import Plan
from tests.fuzz.trial import SECONDS, Outcome, judge, try_network

PATIENCE = 8 * SECONDS
"""Seconds without a word after which a child is given up: a loaded machine is no hang."""

BATCH = 400
"""Networks after which a child is replaced, so that what it leaks does not add up."""


@dataclass(frozen=True)
class Found:
    """A finding and where it was made."""

    seed: int
    number: int
    plan: Plan | None
    finding: Finding


@dataclass
class Tally:
    """What a run has seen so far."""

    networks: int = 0
    redrawn: int = 0
    seconds: float = 0.0
    applied: Counter[str] = field(default_factory=Counter)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)
    alarms: list[Found] = field(default_factory=list)

    @property
    def rewrites(self) -> int:
        return sum(self.applied.values())

    def add(self, seed: int, number: int, outcome: Outcome) -> None:
        self.networks += outcome.ran
        self.redrawn += not outcome.ran
        self.applied.update(outcome.applied)
        for (name, note), count in outcome.notes.items():
            self.notes[name, without_numbers(note)] += count
        for plan, finding in outcome.findings:
            found = self.alarms if finding.kind == FALSE_ALARM else self.found
            found.append(Found(seed, number, plan, finding))

    def by_signature(self) -> dict[str, list[Found]]:
        """The findings, those of probably one cause together."""
        groups: dict[str, list[Found]] = {}
        for found in self.found:
            groups.setdefault(found.finding.signature, []).append(found)
        return groups


def without_numbers(note: str) -> str:
    """A note without the sizes in it, so that notes of one rule are one."""
    return re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "#", note)


def fuzz(
    seed: int,
    *,
    networks: int | None = None,
    seconds: float | None = None,
    workers: int = 1,
    start: int = 0,
    progress: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Draws and judges networks until there are enough, or the time is over."""
    tally = Tally()
    begun = time.monotonic()
    children = [Child() for _ in range(workers)]
    numbers = iter(range(start, 2**62))
    try:
        while True:
            tally.seconds = time.monotonic() - begun
            over = seconds is not None and tally.seconds >= seconds
            over |= networks is not None and tally.networks >= networks
            if over:
                return tally
            for child in children:
                if child.task is None:
                    child.give((seed, next(numbers)))
            _collect(children, tally)
            progress(tally)
    finally:
        for child in children:
            child.stop()


def _collect(children: list[Child], tally: Tally) -> None:
    """Waits for one or more answers, or for a death."""
    ready = set(wait([child.pipe for child in children], timeout=1.0))
    for child in children:
        if child.pipe in ready or child.is_late:
            seed, number = child.task
            tally.add(seed, number, child.answer())


class Child:
    """A process that judges what it is given: ``(seed, number)``, or the arguments of `judge`."""

    def __init__(self) -> None:
        self.task: Any = None
        self._since = 0.0
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_work, args=(end,), daemon=True)
        self.process.start()
        end.close()
        self._left = BATCH

    @property
    def is_late(self) -> bool:
        """Whether it has not answered for so long that it is given up."""
        return self.task is not None and time.monotonic() - self._since > PATIENCE

    def give(self, task: Any) -> None:
        if self._left == 0 or not self.process.is_alive():
            self.stop()
            self._start()
        self._left -= 1
        self.task, self._since = task, time.monotonic()
        self.pipe.send(task)

    def answer(self) -> Outcome:
        """What came of the task; the death of the process is a finding."""
        late, self.task = self.is_late, None
        if late and not self.pipe.poll():
            self.stop()
            return Outcome(True, findings=[(None, Finding("hang", "no answer, not even late"))])
        try:
            outcome = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(10)
            said = f"exit code {self.process.exitcode}"
            return Outcome(True, findings=[(None, Finding("crash", said))])
        assert isinstance(outcome, Outcome)
        return outcome

    def ask(self, task: Any) -> Outcome:
        """Gives a task and waits for what comes of it."""
        self.give(task)
        while not self.pipe.poll(1.0) and not self.is_late and self.process.is_alive():
            pass
        return self.answer()

    def stop(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join(10)
        self.pipe.close()


def _work(pipe: Connection) -> None:
    newest = newest_opset()
    for task in _tasks(pipe):
        try:
            drawn = isinstance(task[0], int)
            outcome = try_network(*task, newest) if drawn else judge(*task)
        except Exception as error:  # the fuzzer's own mistake must not pass for convc's
            said = f"{type(error).__name__}: {error}"
            outcome = Outcome(False, findings=[(None, Finding("fuzzer", said))])
        pipe.send(outcome)


def _tasks(pipe: Connection) -> Iterator[Any]:
    while True:
        try:
            yield pipe.recv()
        except EOFError:
            return
