"""Blocks of a whole model: its dearest dense convs, on data and by the clock where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convc.approximate.observing import Observer
from convc.blocks.clock import LayerClock
from convc.blocks.table import Blocks, blocks, why_no_blocks
from convc.clock import label
from convc.costs.report import Report
from convc.feeds import Feeds
from convc.ir import Op
from convc.rewrite import NoMatch
from convc.runtime import Settings
from convc.tuning.watch import RuntimeWatch

SECONDS = 0.3
"""Of each comparison by the clock, where no difference is clear before."""


def survey(
    report: Report,
    top: int,
    say: Callable[[str], None],
    *,
    samples: Sequence[Feeds] = (),
    settings: Settings | None = None,
    measure: bool = False,
    seed: int = 0,
) -> dict[Op, Blocks | str]:
    """The blocks of the dense convs with the most MACs, and of the others why there are none.

    Args:
        report: the costs of the model.
        top: how many dense convs; 0: all.
        say: is told of each.
        samples: inputs to fit to; none: white noise.
        settings: of the sessions.
        measure: time every form of every layer.
        seed: of the positions that are looked at.
    """
    graph, settings = report.graph, settings or Settings()
    convs = [cost.op for cost in report.ops if cost.op.kind == "Conv" and not cost.op.domain]
    reasons = {op: why_no_blocks(op) for op in convs}
    found: dict[Op, Blocks | str] = {op: why for op, why in reasons.items() if why}
    dense = [op for op in convs if op not in found]
    dense.sort(key=lambda op: -(report.by_op[op].macs or 0))
    observer = Observer(graph, samples, settings, seed) if samples else None
    watch = RuntimeWatch(settings)
    for op in dense[: top or None]:
        say(f"blocks of {label(op)}")
        entry = _observed(op, report, observer)
        if measure and isinstance(entry, Blocks):
            entry = entry.timed(LayerClock(graph, op, watch, SECONDS))
        found[op] = entry
    return found


def _observed(op: Op, report: Report, observer: Observer | None) -> Blocks | str:
    if observer is None:
        return blocks(op)
    try:
        return blocks(op, observer.moments(report.graph, op, {}))
    except (NoMatch, ValueError) as error:
        return f"its responses cannot be observed: {error}"
