"""Approximation within an error budget: what to give up, where, and how the rest makes up for it.

``approximate(...)`` in a pipeline names passes with approximate forms (`convc.forms`). Each form of
each layer is priced (`pricing`): the clock says what it saves, in its surroundings, and a run of
the model with it alone what it costs at the outputs. A solver (`solver`) picks one form a layer
under a budget, the model is fitted layer by layer to the original's responses (`fitting`,
`observing`), and judged on inputs that no fit has seen (`judging`). The budget is then scaled until
the loss is used and not exceeded, and the model is swept a second time (`search`).
"""

from convc.approximate.allowance import Allowance, parse_allowance, samples_of
from convc.approximate.approximator import Approximation, BudgetApproximator
from convc.approximate.verdict import judge_approximation

__all__ = [
    "Allowance",
    "Approximation",
    "BudgetApproximator",
    "judge_approximation",
    "parse_allowance",
    "samples_of",
]
