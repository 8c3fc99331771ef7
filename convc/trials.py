"""What two models are compared on: the user's inputs, made-up ones, and those at other sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from convc.errors import UsageError
from convc.feeds import Case, data_sizes, made_up
from convc.graph import Graph
from convc.opset import macs
from convc.trial_sizes import COARSE, other_sizes

HEAVY = 3e9
"""MACs above which only noise and borders are judged against float64, which takes seconds for each,
and large values only where they come out differently; others are not tried."""
LONG = 1e11
"""MACs above which only noise is: float64 takes a minute and many gigabytes for it. Nor are sizes
tried that take as many."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried.

    Attributes:
        case: the inputs.
        sizes: of open dims.
        required: the original has to run on them.
        thorough: float64 judges whatever comes out.
        instead: only where the one before was refused.
    """

    case: Case
    sizes: dict[str, int]
    required: bool
    thorough: bool = True
    instead: bool = False


def trials_of(graph: Graph, data: Sequence[Case], seed: int) -> tuple[list[Trial], str]:
    """What is tried, and what is missing to try more."""
    trials = [Trial(case, data_sizes([case], graph), required=True) for case in data]
    names = sorted({d for v in graph.inputs for d in (v.shape or ()) if isinstance(d, str)})
    usual = {name: graph.sizes[name] for name in names if name in graph.sizes}
    try:
        work = sum(macs(graph, op) or 0 for op in graph.ops())
        few = work > HEAVY
        made = made_up(graph, usual, seed, 3 if few else None)
    except UsageError as error:
        return trials, "" if data else str(error)
    judged = 1 if work > LONG else 2 if few else len(made)
    for number, case in enumerate(made):
        trials.append(Trial(case, usual, not data, thorough=number < judged))
    if not names:
        return trials, ""
    left = []
    # Other sizes than those the model was optimised at; the original may refuse them.
    for title, sizes, cases in other_sizes(usual):
        if work * _growth(graph, usual, sizes) > LONG:
            left.append(title)
            continue
        for case in made_up(graph, sizes, seed + 1, cases):
            renamed = replace(case, name=f"{case.name} at {title} sizes")
            again = title in COARSE
            trials.append(Trial(renamed, sizes, required=False, instead=again))
    return trials, f"not tried at {' and '.join(left)} sizes: too much work" if left else ""


def _growth(graph: Graph, usual: Mapping[str, int], sizes: Mapping[str, int]) -> float:
    """How many times larger the inputs are at ``sizes``; the work grows at least so in a CNN."""
    elements = [
        sum(
            prod(dim if isinstance(dim, int) else at.get(dim or "", 1) for dim in value.shape or ())
            for value in graph.inputs
        )
        for at in (usual, sizes)
    ]
    return elements[1] / max(1, elements[0])
