"""The verdict on a model that may be off by as much as the user allows."""

from __future__ import annotations

from convc.approximate.allowance import Allowance
from convc.approximate.judging import Judge, outputs_of
from convc.check import Comparison
from convc.graph import Graph
from convc.judge import Verdict
from convc.metrics import relative_errors


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
        f"{allowed.metric.name} on {len(judge.samples)} inputs held back: {shown}"
        f"{_both(judge, graph, allowed)}, allowed: {allowed}"
    )


def _both(judge: Judge, graph: Graph, allowed: Allowance) -> str:
    """The two relative errors of which the larger counts, of the worst output."""
    if allowed.metric.unit != "relative":
        return ""
    given = outputs_of(graph, judge.samples, judge.settings)
    name, worst = max(
        relative_errors(judge.wanted, given).items(), key=lambda entry: entry[1].worst
    )
    if worst.centred is None:
        return ""
    return f" ({name}: {worst.plain:.2%} of it, {worst.centred:.2%} of what varies of it)"
