"""What approximation gains and what it costs: the points of the Pareto curve."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from convc.api import Result
from convc.approximate import Allowance


@dataclass(frozen=True, slots=True)
class Point:
    """One approximate model.

    Attributes:
        gain: what it gains, in the unit of its `Tradeoff`.
        value: its error as the metric has it.
        on_front: no other one gains more at no larger error.
        chosen: it is the result.
    """

    gain: float
    value: float
    on_front: bool = False
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """Error against gain.

    Attributes:
        points: the models that were tried, in the order of their gain.
        gain: what is gained, for an axis: ``saved time, ms``, ``saved MACs``, ``speed``.
        allowed: the error that the user allows.
        speedup: of the result on the clock against the model before approximation; None where
            nobody asked the clock, or nothing was approximated.
        left_out: models whose error is not finite.
        exact: the gain of the model that is not approximated.
    """

    points: tuple[Point, ...]
    gain: str
    allowed: Allowance
    speedup: float | None = None
    left_out: int = 0
    exact: float = 0.0

    @property
    def chosen(self) -> Point | None:
        """The result; None where that is exact."""
        return next((point for point in self.points if point.chosen), None)


def tradeoff(result: Result) -> Tradeoff | None:
    """The models that one search tried; None where no error was allowed."""
    found = result.approximation
    if found is None:
        return None
    timed = result.tuning is not None
    from_loss = found.allowed.metric.from_loss
    finite = [(s, loss) for s, loss in found.tried if isfinite(s) and isfinite(from_loss(loss))]
    best = min(finite, key=lambda point: abs(point[1] - found.loss), default=None)
    front = set(found.curve)
    points = [
        Point(
            gain=1e3 * saved if timed else saved,
            value=from_loss(loss),
            on_front=(saved, loss) in front,
            chosen=bool(found.forms) and (saved, loss) == best,
        )
        for saved, loss in dict.fromkeys(finite)
    ]
    return Tradeoff(
        points=tuple(sorted(points, key=lambda point: (point.gain, point.value))),
        gain="saved time, ms" if timed else "saved MACs",
        allowed=found.allowed,
        speedup=None if found.measured is None else found.measured.ratio.ratio,
        left_out=len(found.tried) - len(finite),
    )
