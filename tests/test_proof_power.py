"""What a proof can see: the smallest wrong weight, and the odds that a wrong place stays hidden."""

from __future__ import annotations

import numpy as np
import pytest

from convc.errors import ProofError
from convc.proof import TOLERANCE, difference, prove
from tests.test_proof import B, W, another_conv, conv_graph


def found(error: float, seeds: int) -> float:
    """How often one weight that is wrong by a part of its filter's norm is found."""
    graph = conv_graph((1, 4, 12, 10))
    wrong = W.astype(np.float64)
    wrong[2, 1, 1, 2] += error * np.linalg.norm(wrong[2])
    proposal = another_conv(graph, wrong, B)
    caught = 0
    for seed in range(seeds):
        try:
            prove(graph, proposal, seed)
        except ProofError:
            caught += 1
    return caught / seeds


def test_the_smallest_wrong_weight_that_shows() -> None:
    """Used at 120 positions, it shows where the largest of 120 inputs times it passes 1e-9 · S."""
    assert found(3e-9, 50) == 1.0
    assert 0.0 < found(1e-9, 50) < 1.0
    assert found(1e-10, 50) == 0.0  # beyond what the tolerance can tell


@pytest.mark.parametrize("positions", [1, 1000])
@pytest.mark.parametrize("error", [1e-8, 1e-7])
def test_one_wrong_position_hides_no_more_often_than_it_may(positions: int, error: float) -> None:
    """docs/proof.md: with probability 0.8 τS/‖δ‖ at the most; S is the channel's largest output."""
    rng = np.random.default_rng(0)
    trials, hidden, bound = 1000, 0, 0.0
    for _ in range(trials):
        y = rng.standard_normal((1, 1, positions))
        wrong = y.copy()
        wrong[0, 0, 0] += error * rng.standard_normal()
        hidden += difference(y, wrong) <= TOLERANCE
        bound += min(1.0, 0.8 * TOLERANCE * float(np.abs(y).max()) / error)
    # Three deviations of a count of independent trials.
    assert hidden <= bound + 3 * np.sqrt(bound) + 3
    assert bound < 0.5 * trials
