"""Operations per byte and per second of each op, beside what the machine does at best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from convc.clock import Clock, Timing
from convc.costs.roofline import Bound, Peaks, bandwidth
from convc.report.measures.names import op_name


@dataclass(frozen=True, slots=True)
class Mark:
    """One op, with those computed along with it.

    Attributes:
        label: its kind and name.
        operations: additions, multiplications and the like, those on padded zeros left out.
        moved: bytes read and written.
        seconds: measured, layout changes included; the least it can take where nothing was.
    """

    label: str
    operations: float
    moved: float
    seconds: float

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.operations / self.moved

    @property
    def speed(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds


@dataclass(frozen=True, slots=True)
class Roofline:
    """The roofs of one machine and the ops under them.

    Attributes:
        marks: the ops, those that take longest first.
        peak: operations per second of the best dense kernel, two for each multiply-add.
        fastest: bytes per second of the working set that is read and written fastest.
        slowest: of the largest working set, which lies in main memory.
        processor: the machine's name.
        threads: how many were measured.
        measured: whether ``seconds`` of the marks were measured.
        left_out: ops that have no place: they compute nothing, move nothing, or are not known.
    """

    marks: tuple[Mark, ...]
    peak: float
    fastest: float
    slowest: float
    processor: str
    threads: int
    measured: bool
    left_out: int


def roofline(clock: Clock) -> Roofline:
    """The roofline of a model that was put beside a machine, measured or not."""
    machine = clock.machine
    marks = list(_marks(clock))
    return Roofline(
        marks=tuple(sorted(marks, key=lambda mark: -mark.seconds)),
        peak=2 * machine.macs_per_second,
        fastest=max(speed for _, speed in machine.bandwidths),
        slowest=machine.bandwidths[-1][1],
        processor=machine.processor,
        threads=machine.threads,
        measured=clock.profile is not None,
        left_out=len(clock.timings) - len(marks),
    )


def _marks(clock: Clock) -> Iterator[Mark]:
    for op, timing in clock.timings.items():
        if timing.bound is None:
            continue
        seconds = _seconds(timing, timing.bound, measured=clock.profile is not None)
        operations = 2 * clock.machine.macs_per_second * timing.bound.compute
        moved = _moved(timing.bound, clock.machine)
        if all(isfinite(figure) and figure > 0 for figure in (operations, moved, seconds)):
            yield Mark(op_name(op), operations, moved, seconds)


def _seconds(timing: Timing, bound: Bound, *, measured: bool) -> float:
    if not measured:
        return bound.seconds
    return (timing.seconds or 0.0) + timing.layout_seconds


def _moved(bound: Bound, machine: Peaks) -> float:
    """The bytes whose least time is ``bound.memory``.

    The bandwidth falls in steps as the bytes grow, so there is one, and it is found by trying the
    speed of each step.
    """
    speeds = dict.fromkeys(bandwidth(size, machine) for size, _ in machine.bandwidths)
    # Rounded, since a byte too few may lie on the other side of a step.
    guesses = (round(bound.memory * speed) for speed in speeds)
    errors = {guess: abs(guess / bandwidth(guess, machine) - bound.memory) for guess in guesses}
    return min(errors, key=errors.__getitem__)
