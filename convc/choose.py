"""Which rewrites pay. By count here; the clock will join in this file.

Rewrites named in a pipeline are applied wherever they are legal. Inside ``choose(...)`` they must
pay: a proposal is taken when it lowers the objective and grows nothing else that costs time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from convc.graph import Graph
from convc.rewrite import Rewrite, Select, Size, gain

Objective = Literal["macs", "params"]


def by_count(objective: Objective) -> Select:
    """The choice by counting: deterministic, needs no clock.

    A proposal pays when neither MACs nor weights grow and one of MACs, weights or the number of
    ops shrinks. Among those that pay the one that saves most by ``objective`` wins.
    """

    def select(graph: Graph, proposals: Sequence[Rewrite]) -> Rewrite | None:
        gains = [(gain(graph, proposal), proposal) for proposal in proposals]
        paying = [
            (_order(saved, objective), i) for i, (saved, _) in enumerate(gains) if _pays(saved)
        ]
        return proposals[max(paying)[1]] if paying else None

    return select


def _pays(saved: Size) -> bool:
    if saved.macs is None or saved.macs < 0 or saved.params < 0:
        return False
    return bool(saved.macs or saved.params or saved.ops > 0)


def _order(saved: Size, objective: Objective) -> tuple[int, int, int]:
    macs = saved.macs or 0
    first, second = (macs, saved.params) if objective == "macs" else (saved.params, macs)
    return first, second, saved.ops
