"""The verdict on a model that may be off by as much as the user allows."""

from __future__ import annotations

from convc.approximate.allowance import Allowance
from convc.approximate.judging import Judge
from convc.check import Comparison
from convc.graph import Graph
from convc.judge import Verdict


def judge_approximation(
    comparison: Comparison, judge: Judge, graph: Graph, allowed: Allowance, *, exact_since: bool
) -> None:
    """Takes the loss of ``graph`` on inputs held back into a comparison.

    Args:
        comparison: of the model that the exact passes began with and of ``graph``.
        judge: measures against the original.
        graph: the result.
        allowed: the largest loss.
        exact_since: that model was the approximated one, so what comes after it must be equal;
            else it was the original, and a difference is what was asked for.
    """
    loss = judge.loss(graph)
    within = loss <= allowed.limit
    if within and not exact_since:
        comparison.verdict = Verdict.WITHIN_BUDGET
    comparison.worsen(Verdict.WITHIN_BUDGET if within else Verdict.DIFFERENT)
    comparison.bit_identical = False
    shown = allowed.metric.show(allowed.metric.from_loss(loss))
    comparison.notes.append(
        f"{allowed.metric.name} on {len(judge.samples)} inputs held back: {shown}, "
        f"allowed: {allowed}"
    )
