"""The solver against trying everything."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from convc.approximate.solver import STEPS, Option, solve

options = st.lists(st.builds(Option, st.just("o"), st.floats(-1, 10), st.floats(0, 2)), max_size=4)


@given(places=st.lists(options, max_size=4), budget=st.floats(0.1, 3))
def test_it_saves_as_much_as_the_best_of_all_choices(
    places: list[list[Option]], budget: float
) -> None:
    picked = [option for option in solve(places, budget) if option is not None]
    assert sum(option.error**2 for option in picked) <= budget**2 * (1 + 1e-9)
    assert all(option.saved > 0 for option in picked)
    # Each error is rounded up to a step: with so much less budget no choice may save more.
    less = budget**2 * (1 - len(places) / STEPS)
    every = product(*([None, *some] for some in places))
    best = max(
        (
            sum(option.saved for option in some if option is not None)
            for some in every
            if sum(option.error**2 for option in some if option is not None) <= less
        ),
        default=0.0,
    )
    assert sum(option.saved for option in picked) >= best - 1e-9


def test_no_budget_buys_nothing() -> None:
    assert solve([[Option("o", 1.0, 0.0)]], 0.0) == [None]


def test_an_option_without_error_is_free() -> None:
    free, dear = Option("free", 1.0, 0.0), Option("dear", 5.0, 1.0)
    assert solve([[free], [dear]], 0.5) == [free, None]
