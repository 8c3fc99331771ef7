"""Which rewrites pay, by count. `convc.tuning` asks the clock, and this where there is none.

Rewrites named in a pipeline are applied wherever they are legal. Inside ``choose(...)`` they must
pay: a proposal is taken when it lowers the objective and grows nothing else that costs time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from convc.costs.estimate import CALL, estimate
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import Rewrite, Select, Size, gain, replaced_ops

Counted = Literal["macs", "params"]
"""Objectives that need no clock."""
Objective = Literal["latency", Counted]
"""What ``choose(...)`` lowers."""

MARGIN = 0.1
"""Part of a region's estimated time from which on the estimate decides against the counts."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What a rewrite saves: counts, and the estimated seconds before and after."""

    size: Size
    before: float
    after: float

    @property
    def seconds(self) -> float:
        """Estimated seconds saved."""
        return self.before - self.after


def by_count(objective: Counted) -> Select:
    """The choice without a clock: deterministic.

    A proposal pays when either

    - neither MACs nor weights grow, MACs, weights or the number of ops shrink, and the estimated
      time of its region does not grow by `MARGIN` or more; or
    - that estimate shrinks by more than `MARGIN`; with ``macs`` also for more MACs or weights in a
      form that the runtime computes faster.

    Among those that pay the one with the largest estimated gain wins, or with ``params`` the one
    that saves most weights.
    """

    def select(graph: Graph, proposals: Sequence[Rewrite]) -> Rewrite | None:
        gains = [(weigh(graph, proposal), i) for i, proposal in enumerate(proposals)]
        paying = [
            (_order(found, objective), i)
            for found, i in gains
            if found is not None and _pays(found, objective)
        ]
        return proposals[max(paying)[1]] if paying else None

    return select


def weigh(graph: Graph, rewrite: Rewrite) -> Gain | None:
    """What a rewrite saves; None where a size is not known."""
    saved = gain(graph, rewrite)
    old = _seconds(graph, replaced_ops(graph, rewrite))
    new = _seconds(rewrite.after, rewrite.after.ops())
    if saved.macs is None or old is None or new is None:
        return None
    return Gain(saved, old, new)


def _seconds(graph: Graph, ops: Iterable[Op]) -> float | None:
    times = [estimate(graph, op) for op in ops if not op.is_boundary and op.array is None]
    known = [time for time in times if time is not None]
    return sum(known) if len(known) == len(times) else None


def _pays(found: Gain, objective: Counted) -> bool:
    saved = found.size
    if (saved.macs or 0) < 0 or saved.params < 0:
        # What fewer calls save is no reason to compute more: in a larger network it is nothing.
        computed = found.seconds - CALL * max(saved.ops, 0)
        return objective == "macs" and computed > MARGIN * found.before
    if found.seconds < -MARGIN * found.before:
        return False
    return (
        bool(saved.macs or saved.params or saved.ops > 0) or found.seconds > MARGIN * found.before
    )


def _order(found: Gain, objective: Counted) -> tuple[float, float, int]:
    if objective == "params":
        return found.size.params, found.seconds, found.size.ops
    return found.seconds, found.size.params, found.size.ops
