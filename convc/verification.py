"""The last step of `convc.optimize`: the result compared with the original, and who is at fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convc.approximate import BudgetApproximator, judge_approximation
from convc.check import Comparison, Subject, compare
from convc.culprit import find_culprit, reproduce
from convc.feeds import Case
from convc.graph import Graph
from convc.judge import Verdict
from convc.pipeline import Approximate, Context, PassReport, Pipeline
from convc.reading import serialised
from convc.runtime import Settings
from convc.samples.images import spread

MOST_CASES = 8
"""Of the user's inputs, evenly spread ones, that the models are compared on: each is run in
float64."""


@dataclass(frozen=True)
class Verified:
    """A comparison; where the models differ, the pass at fault and the file that reproduces it."""

    comparison: Comparison
    culprit: str = ""
    reproducer: Path | None = None


@dataclass(frozen=True)
class Verification:
    """How a result is compared.

    Attributes:
        cases: the user's inputs.
        tolerance: largest difference, relative to an output's largest magnitude.
        seed: of made-up inputs.
        settings: of the sessions.
        context: with which the pipeline ran.
        reproducer: where to save what reproduces a difference; None: nowhere.
        say: told what is being done.
    """

    cases: Sequence[Case]
    tolerance: float
    seed: int
    settings: Settings
    context: Context
    reproducer: Path | None
    say: Callable[[str], None]

    def of(
        self,
        original: Subject,
        graph: Graph,
        pipeline: Pipeline,
        reports: Sequence[PassReport],
        approximator: BudgetApproximator | None = None,
    ) -> Verified:
        """Compares what a pipeline made with what it was made of.

        Where something was approximated, all that came after it is held to the approximated model,
        and the result to the error that was allowed.
        """
        self.say("verifying")
        start, rest = original, pipeline
        after = after_approximation(pipeline, reports)
        if after and approximator is not None and approximator.model is not None:
            start = Subject(serialised(approximator.model), approximator.model)
            rest = Pipeline(pipeline.passes[after:])

        def against(changed: Graph) -> Comparison:
            return compare(
                start,
                Subject(serialised(changed), changed),
                data=spread(self.cases, MOST_CASES),
                tolerance=self.tolerance,
                seed=self.seed,
                settings=self.settings,
                say=self.say,
            )

        comparison = against(graph)
        differs = comparison.verdict is Verdict.DIFFERENT
        if approximator is not None and (start is not original or not comparison.verdict.good):
            judge = approximator.judge(original.graph)
            allowed = approximator.approximation.allowed
            exact_since = start is not original
            judge_approximation(comparison, judge, graph, allowed, exact_since=exact_since)
        if comparison.verdict is not Verdict.DIFFERENT:
            return Verified(comparison)
        self.say("looking for the pass at fault")
        if start is not original and not differs:
            # The exact passes did what they should: the approximated model is too far off.
            saved = reproduce(self.reproducer, original.graph, pipeline, after - 1, self.context)
            return Verified(comparison, str(pipeline.passes[after - 1]), saved)
        guilty = find_culprit(start.graph, rest, self.context, against)
        if guilty is None:
            return Verified(comparison, "import and export")
        saved = reproduce(self.reproducer, start.graph, rest, guilty, self.context)
        return Verified(comparison, str(rest.passes[guilty]), saved)


def after_approximation(pipeline: Pipeline, reports: Sequence[PassReport]) -> int:
    """Where the exact passes begin behind an approximation; 0 where none is part of the result."""
    pairs = enumerate(zip(pipeline.passes, reports, strict=True))
    return max(
        (
            number + 1
            for number, (item, report) in pairs
            if isinstance(item, Approximate) and report.stats.applied
        ),
        default=0,
    )
