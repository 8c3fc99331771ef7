"""Every wrong rewrite that is seeded on purpose is caught by the default check of `optimize`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from passes import fold_affine
from tests.mutants.every import MUTANTS
from tests.mutants.mutant import Function, Mutant, edited, planted
from tests.mutants.run import run

PASSES = {
    "block-diagonal",
    "commute-linear",
    "factor-kernels",
    "flush-subnormals",
    "fold-affine",
    "fuse-convs",
    "lower-activations",
    "lower-to-conv2d",
    "lower-to-gemm",
    "lower-to-winograd",
    "merge-branches",
    "prune-dead-channels",
    "select-channels",
    "simplify",
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rewrite_is_caught_and_its_pass_named(mutant: Mutant) -> None:
    outcome = run(mutant, proofs=False)
    assert outcome.right.good, "without the mutant all is well"
    assert outcome.called, "the wrong function ran"
    assert outcome.changed, "another model came out of it"
    assert outcome.caught, f"it is {outcome.verdict} by {outcome.max_rel:.1e}"
    assert outcome.named


def test_large_values_are_tried_on_heavy_models_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convc.trials.HEAVY", 0)
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == "softmax-overflow"]
    outcome = run(mutant, proofs=False)
    assert outcome.caught
    assert outcome.shown_by == "large"


def test_there_are_mutants_of_every_pass_and_enough_of_them() -> None:
    number = Counter(mutant.guilty for mutant in MUTANTS)
    assert set(number) == PASSES | {"approximate"}
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_what_is_planted_is_gone_afterwards() -> None:
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == "bias-twice"]
    right = fold_affine._after
    with planted(mutant) as calls:
        assert fold_affine._after is not right
        assert not calls
    assert fold_affine._after is right


def test_a_mutant_that_changes_nothing_is_no_evidence() -> None:
    mutant = replace(MUTANTS[0], wrong=lambda right: right)
    outcome = run(mutant)
    found = outcome.changed, outcome.evidence, outcome.caught, outcome.by_proof
    assert outcome.called
    assert found == (False, False, False, False)


def test_a_mutant_below_rounding_survives() -> None:
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == "last-filter"]

    def nearly(right: Function) -> Function:
        return lambda *args, weights, **rest: right(*args, weights=weights * (1 + 1e-7), **rest)

    outcome = run(replace(mutant, wrong=nearly))
    found = outcome.evidence, outcome.caught, outcome.named, outcome.by_proof
    assert found == (True, False, False, True)


def test_an_edit_of_what_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="has 0 times: no such text"):
        edited("no such text", "")(run)
