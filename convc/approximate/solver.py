"""Which options to take, when each saves time and costs error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

STEPS = 2000
"""Steps in which errors are counted: each option's is rounded up to one."""


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that could be done at a place.

    Attributes:
        name: of what is done.
        saved: seconds that it saves.
        error: that it costs, measured alone.
    """

    name: str
    saved: float
    error: float


def solve(places: Sequence[Sequence[Option]], budget: float) -> list[Option | None]:
    """The options, at most one a place, that save most time within an error budget.

    Errors of different places are taken as independent, so their squares add up: that is a
    multiple-choice knapsack of the squares, solved by dynamic programming. What the sum leaves out
    (errors that add up in phase, or that later layers correct) is measured by whoever asks, who
    then asks again with another budget.

    Args:
        places: the options of each place.
        budget: on the root of the sum of squared errors.

    Returns:
        For each place the option to take, or None.
    """
    if budget <= 0:
        return [None] * len(places)
    best = np.zeros(STEPS + 1)
    choices: list[np.ndarray] = []
    for options in places:
        taken = np.full(STEPS + 1, -1)
        ahead = best.copy()
        for number, option in enumerate(options):
            weight = int(np.ceil(STEPS * min((option.error / budget) ** 2, 2.0)))
            if weight > STEPS or option.saved <= 0:
                continue
            gained = best[: STEPS + 1 - weight] + option.saved
            better = gained > ahead[weight:]
            ahead[weight:][better] = gained[better]
            taken[weight:][better] = number
        choices.append(taken)
        best = ahead
    return _traced(places, choices, budget)


def _traced(
    places: Sequence[Sequence[Option]], choices: Sequence[np.ndarray], budget: float
) -> list[Option | None]:
    left = STEPS
    picked: list[Option | None] = []
    for options, taken in zip(reversed(places), reversed(choices), strict=True):
        number = int(taken[left])
        option = None if number < 0 else options[number]
        if option is not None:
            left -= int(np.ceil(STEPS * (option.error / budget) ** 2))
        picked.append(option)
    return picked[::-1]
